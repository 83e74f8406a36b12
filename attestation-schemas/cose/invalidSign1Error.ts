import { FormatRefusedError } from '../cbor/formatRefusedError.ts'

/** The rules of COSE_Sign1 that a reader here can refuse by. */
export type Sign1Rule =
  | 'wrong-tag'
  | 'not-sign1'
  | 'detached-payload'
  | 'header-type'
  | 'header-twice'
  | 'critical-unprotected'
  | 'critical-malformed'
  | 'critical-unknown'

/** The bytes are CBOR but no COSE_Sign1 message (RFC 9052 §3 and §4.2). */
export class InvalidSign1Error extends FormatRefusedError<Sign1Rule> {
  override readonly name = 'InvalidSign1Error'
}
