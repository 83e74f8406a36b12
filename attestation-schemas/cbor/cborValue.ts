/** A floating-point number, kept apart from integers so that re-encoding gives the same bytes. */
export class CborFloat {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }
}

/** A tag this reader gives no meaning to, with what it tags. */
export class CborTag {
  readonly tag: number | bigint
  readonly content: CborValue

  constructor(tag: number | bigint, content: CborValue) {
    this.tag = tag
    this.content = content
  }
}

/** A simple value without a meaning of its own (RFC 8949 §3.3). */
export class CborSimple {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }
}

/**
 * A decoded item. Integers are numbers up to 2^53 - 1 in magnitude and bigints beyond; byte strings
 * are views of the input.
 */
export type CborValue =
  | number
  | bigint
  | string
  | boolean
  | null
  | undefined
  | Uint8Array
  | CborFloat
  | CborTag
  | CborSimple
  | readonly CborValue[]
  | CborMap

/** Pairs in the order in which they were sent. Only scalar keys can be looked up. */
export type CborMap = ReadonlyMap<CborValue, CborValue>
