import { FormatRefusedError } from '../cbor/formatRefusedError.ts'

/** The rules of COSE_Sign1 that a reader here can refuse by. */
export const sign1Rules = [
  'wrong-tag',
  'not-sign1',
  'detached-payload',
  'header-type',
  'header-twice',
  'critical-unprotected',
  'critical-malformed',
  'critical-unknown',
  'algorithm-missing',
  'algorithm-unprotected',
  'algorithm-unknown',
  'other-algorithm',
  'signature',
] as const

export type Sign1Rule = (typeof sign1Rules)[number]

/** The bytes are CBOR but no COSE_Sign1 that can be accepted (RFC 9052 §3, §4.2 and §4.4). */
export class InvalidSign1Error extends FormatRefusedError<Sign1Rule> {
  override readonly name = 'InvalidSign1Error'
}
