import { BaseError } from '#schemas/errors.ts'

/** Raised when bytes are not the DER that a structure demands. */
export class InvalidDerError extends BaseError {
  override readonly name = 'InvalidDerError'
}

/** Universal tags (X.690 §8) in use here; context tags are given as numbers from 0xa0 or 0x80. */
export const derTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const

/** Certificates and lists here stay below this; two length bytes suffice. */
const maximumLength = 0xffff

/**
 * Walks one level of DER (X.690 §10): definite, minimal lengths; low tag numbers; nothing left over.
 * It reads forward only, and every value is a view into the one array given at the start.
 */
export class DerReader {
  readonly bytes: Uint8Array
  readonly what: string
  private position: number
  private readonly end: number

  constructor(bytes: Uint8Array, what: string, start = 0, end = bytes.length) {
    this.bytes = bytes
    this.what = what
    this.position = start
    this.end = end
  }

  get isDone(): boolean {
    return this.position === this.end
  }

  /** Whether the next element has this tag; false at the end. */
  nextIs(tag: number): boolean {
    return this.position < this.end && this.bytes[this.position] === tag
  }

  /** Contents of the next element, which must have this tag. */
  read(tag: number): Uint8Array {
    const { start, end } = this.advance(tag)
    return this.bytes.subarray(start, end)
  }

  /** The next element whole, tag and length included. */
  readWhole(tag: number): Uint8Array {
    const from = this.position
    const { end } = this.advance(tag)
    return this.bytes.subarray(from, end)
  }

  /** A reader over the contents of the next element. */
  enter(tag: number): DerReader {
    const { start, end } = this.advance(tag)
    return new DerReader(this.bytes, this.what, start, end)
  }

  /** The reader must have consumed everything. */
  finish(): void {
    if (this.position !== this.end) this.fail('holds more than expected')
  }

  fail(problem: string): never {
    throw new InvalidDerError(`${this.what} ${problem}.`, {
      metaMessages: [`At byte ${this.position}`],
    })
  }

  private advance(tag: number): { start: number; end: number } {
    if (this.position + 2 > this.end) this.fail('ends too early')
    const actual = this.bytes[this.position] ?? 0
    if (actual !== tag) {
      this.fail(`has tag 0x${actual.toString(16)} where 0x${tag.toString(16)} belongs`)
    }
    let start = this.position + 2
    let length = this.bytes[this.position + 1] ?? 0
    if (length === 0x81 || length === 0x82) {
      const size = length - 0x80
      if (start + size > this.end) this.fail('ends within a length')
      length = this.bytes[start] ?? 0
      if (size === 2) length = length * 256 + (this.bytes[start + 1] ?? 0)
      start += size
      if (length < (size === 1 ? 0x80 : 0x100)) this.fail('has a length that is not minimal')
    } else if (length >= 0x80) {
      this.fail(`has an indefinite length or one beyond ${maximumLength} bytes`)
    }
    const end = start + length
    if (end > this.end) this.fail('has an element that reaches beyond its container')
    this.position = end
    return { start, end }
  }
}

/**
 * A non-negative INTEGER or ENUMERATED of at most six bytes, minimal.
 *
 * @param contents - As {@link DerReader.read} returns them.
 */
export function smallUnsigned(contents: Uint8Array, what: string): number {
  const magnitude = unsignedMagnitude(contents, what)
  if (magnitude.length > 6) throw new InvalidDerError(`${what} is too large.`)
  let value = 0
  for (const byte of magnitude) value = value * 256 + byte
  return value
}

/** Big-endian bytes of a non-negative minimal INTEGER, without its sign byte. */
export function unsignedMagnitude(contents: Uint8Array, what: string): Uint8Array {
  const first = contents[0]
  if (first === undefined) throw new InvalidDerError(`${what} is an empty integer.`)
  if (first >= 0x80) throw new InvalidDerError(`${what} is negative.`)
  if (first !== 0 || contents.length === 1) return contents
  if ((contents[1] ?? 0) < 0x80) throw new InvalidDerError(`${what} is not a minimal integer.`)
  return contents.subarray(1)
}

/** BOOLEAN contents; DER knows 00 and ff only. */
export function readBoolean(contents: Uint8Array, what: string): boolean {
  if (contents.length === 1 && (contents[0] === 0 || contents[0] === 0xff)) {
    return contents[0] === 0xff
  }
  throw new InvalidDerError(`${what} is not a DER boolean.`)
}

/** Object identifier in dotted form. Arcs above 2^31 do not occur here and are refused. */
export function readObjectIdentifier(contents: Uint8Array, what: string): string {
  const arcs: number[] = []
  let arc = 0
  let isInside = false
  for (const byte of contents) {
    if (!isInside && byte === 0x80) throw new InvalidDerError(`${what} has a padded arc.`)
    arc = arc * 128 + (byte & 0x7f)
    if (arc > 0x7fffffff) throw new InvalidDerError(`${what} has an arc that is too large.`)
    isInside = byte >= 0x80
    if (isInside) continue
    if (arcs.length === 0) {
      const root = Math.min(2, Math.floor(arc / 40))
      arcs.push(root, arc - root * 40)
    } else {
      arcs.push(arc)
    }
    arc = 0
  }
  if (isInside || arcs.length === 0) throw new InvalidDerError(`${what} ends within an arc.`)
  return arcs.join('.')
}
