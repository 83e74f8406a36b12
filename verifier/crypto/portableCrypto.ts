import { p256 } from '@noble/curves/p256'
import { sha256 } from '@noble/hashes/sha2'
import { concatBytes } from '#schemas/bytes.ts'
import type { VerifierCrypto } from './port.ts'

const uncompressed = Uint8Array.of(0x04)

/** Runs wherever JavaScript does: audited pure code from @noble/curves and @noble/hashes. */
export const portableCrypto: VerifierCrypto = {
  sha256,
  importP256(point) {
    if (point.length !== 64) return undefined
    const encoded = concatBytes(uncompressed, point)
    try {
      p256.ProjectivePoint.fromHex(encoded).assertValidity()
    } catch {
      return undefined
    }
    return { verify: (message, signature) => verify(encoded, message, signature) }
  },
  verifyP256: (point, message, signature) =>
    point.length === 64 && verify(concatBytes(uncompressed, point), message, signature),
}

function verify(encodedPoint: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64) return false
  try {
    return p256.verify(signature, sha256(message), encodedPoint, { lowS: false, prehash: false })
  } catch {
    // A point off the curve, or r or s of zero or not below the group order: no signature at all.
    return false
  }
}
