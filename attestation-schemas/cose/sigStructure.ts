import { CborWriter } from '../cbor/cborWriter.ts'

/**
 * The bytes a COSE_Sign1 signature is made over: `["Signature1", protected, external_aad, payload]`.
 *
 * @param protectedBytes - Content of the protected byte string as sent; an empty map counts as no
 *   bytes at all.
 * @see RFC 9052 §4.4
 */
export function sigStructure(parts: {
  protectedBytes: Uint8Array
  externalAad: Uint8Array
  payload: Uint8Array
}): Uint8Array {
  const isEmptyMap = parts.protectedBytes.length === 1 && parts.protectedBytes[0] === 0xa0
  return new CborWriter()
    .array(4)
    .text('Signature1')
    .bytes(isEmptyMap ? new Uint8Array() : parts.protectedBytes)
    .bytes(parts.externalAad)
    .bytes(parts.payload)
    .finish()
}
