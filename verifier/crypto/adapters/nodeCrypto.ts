import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto'
import type { VerifierCrypto } from '../port.ts'

/**
 * Base64 of SubjectPublicKeyInfo up to the point: SEQUENCE 89 { SEQUENCE 19 { id-ecPublicKey,
 * prime256v1 }, BIT STRING 66, no unused bits, 04 } (RFC 5480). 27 bytes, so that the point's own
 * base64 follows without a seam.
 */
const spkiPrefix = Buffer.from(
  '3059301306072a8648ce3d020106082a8648ce3d03010703420004',
  'hex',
).toString('base64')

/** OpenSSL through node:crypto: for servers, and for Workers with `nodejs_compat`. */
export const nodeCrypto: VerifierCrypto = {
  sha256: (bytes) => createHash('sha256').update(bytes).digest(),
  importP256(point) {
    if (point.length !== 64) return undefined
    let key: KeyObject
    try {
      // OpenSSL refuses a point off the curve while decoding.
      key = createPublicKey(pemOf(point))
    } catch {
      return undefined
    }
    return {
      verify: (message, signature) =>
        signature.length === 64 && verify('sha256', message, key, derSignature(signature)),
    }
  },
  verifyP256(point, message, signature) {
    if (point.length !== 64 || signature.length !== 64) return false
    try {
      return verify('sha256', message, pemOf(point), derSignature(signature))
    } catch {
      return false
    }
  },
}

/** PEM, because OpenSSL 3 takes a third less time to verify with a fresh key read from it than from DER. */
function pemOf(point: Uint8Array): string {
  const body = Buffer.from(point.buffer, point.byteOffset, point.length).toString('base64')
  return `-----BEGIN PUBLIC KEY-----\n${spkiPrefix}${body}\n-----END PUBLIC KEY-----\n`
}

/** r ‖ s as the DER that OpenSSL takes natively; its own conversion costs a quarter of a verify. */
function derSignature(signature: Uint8Array): Uint8Array {
  const rStart = firstSignificant(signature, 0, 32)
  const sStart = firstSignificant(signature, 32, 64)
  const rPad = (signature[rStart] ?? 0) >> 7
  const sPad = (signature[sStart] ?? 0) >> 7
  const rLength = 32 - rStart + rPad
  const sLength = 64 - sStart + sPad
  const der = new Uint8Array(6 + rLength + sLength)
  der[0] = 0x30
  der[1] = 4 + rLength + sLength
  der[2] = 0x02
  der[3] = rLength
  der.set(signature.subarray(rStart, 32), 4 + rPad)
  der[4 + rLength] = 0x02
  der[5 + rLength] = sLength
  der.set(signature.subarray(sStart, 64), 6 + rLength + sPad)
  return der
}

/** The last byte is kept even when it is zero, so that an INTEGER is never empty. */
function firstSignificant(bytes: Uint8Array, start: number, end: number): number {
  let index = start
  while (index < end - 1 && bytes[index] === 0) index += 1
  return index
}
