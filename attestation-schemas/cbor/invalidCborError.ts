import { FormatRefusedError } from './formatRefusedError.ts'

/** The rules of strict CBOR that a reader here can refuse by. */
export type CborRule =
  | 'truncated'
  | 'trailing-bytes'
  | 'indefinite-length'
  | 'reserved-head'
  | 'non-shortest-head'
  | 'non-shortest-float'
  | 'duplicate-key'
  | 'invalid-utf8'
  | 'too-deep'
  | 'too-many-items'
  | 'invalid-simple'
  | 'unexpected-type'

/** What each rule refuses. */
export const cborRules: Readonly<Record<CborRule, string>> = {
  truncated: 'the bytes end inside a data item',
  'trailing-bytes': 'bytes follow the data item',
  'indefinite-length': 'an indefinite length is used',
  'reserved-head': 'a reserved additional-information value is used',
  'non-shortest-head': 'an integer, length or tag is not in its shortest form',
  'non-shortest-float': 'a float is not in its shortest form that keeps the value',
  'duplicate-key': 'a map holds the same key twice',
  'invalid-utf8': 'a text string is not valid UTF-8',
  'too-deep': 'items are nested deeper than allowed',
  'too-many-items': 'an array or map announces more items than the bytes can hold',
  'invalid-simple': 'a simple value is not well-formed or not allowed',
  'unexpected-type': 'an item of another type was expected',
}

/** The bytes are not CBOR as strictly as it is read here (RFC 8949 §4.1 and §5.3, deterministic lengths). */
export class InvalidCborError extends FormatRefusedError<CborRule> {
  override readonly name = 'InvalidCborError'

  constructor(rule: CborRule, offset: number, expected?: string) {
    super(`The bytes are refused as CBOR: ${cborRules[rule]}.`, {
      rule,
      offset,
      ...(expected === undefined ? {} : { metaMessages: [`Expected: ${expected}`] }),
    })
  }
}
