import { FormatRefusedError } from '../cbor/formatRefusedError.ts'

/** The rules of strict JSON that a reader here can refuse by. */
export const jsonRules = [
  'too-large',
  'invalid-utf8',
  'syntax',
  'duplicate-key',
  'lone-surrogate',
  'too-deep',
  'trailing-text',
] as const

export type JsonRule = (typeof jsonRules)[number]

/** The text is not JSON as strictly as it is read here (RFC 8259, I-JSON RFC 7493). */
export class InvalidJsonError extends FormatRefusedError<JsonRule> {
  override readonly name = 'InvalidJsonError'
}
