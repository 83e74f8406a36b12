import { ed25519 } from '@noble/curves/ed25519'
import { p256 } from '@noble/curves/p256'
import { secp256k1 } from '@noble/curves/secp256k1'
import { sha256 } from '@noble/hashes/sha2'
import { concatBytes } from '../bytes.ts'
import { type SignatureAlgorithm, signatureLength } from '../cose/signatureAlgorithm.ts'
import { type DeviceKey, importDeviceKey } from './deviceKey.ts'
import type { SignatureVerifier } from './signatureVerifier.ts'

const uncompressed = Uint8Array.of(4)

/** Signatures in portable code: runs everywhere, about twenty times slower than the crypto of Node. */
export const portableSignatures: SignatureVerifier = {
  verify(key, message, signature) {
    if (signature.length !== signatureLength) return false
    if (key.algorithm === 'Ed25519') {
      // zip215 would accept encodings that RFC 8032 and the other adapter refuse.
      return ed25519.verify(signature, message, key.publicKey, { zip215: false })
    }
    const curve = key.algorithm === 'ES256' ? p256 : secp256k1
    const point = concatBytes(uncompressed, key.publicKey)
    try {
      // lowS would refuse half of all signatures that secure elements make.
      return curve.verify(signature, sha256(message), point, { lowS: false })
    } catch {
      // A scalar that is zero or not below the group order: raised on parsing, means invalid.
      return false
    }
  },
}

/** A device key with its secret, for tests, fleets and tools; a real device never exports it. */
export type DeviceSigner = {
  readonly key: DeviceKey
  /** Signs the exact bytes, hashing as the algorithm demands. */
  readonly sign: (message: Uint8Array) => Uint8Array
}

/**
 * A signer over a 32-byte secret. ECDSA nonces are those of RFC 6979, so the same message gives the
 * same signature.
 *
 * @throws when the secret is no scalar of the curve.
 */
export function createDeviceSigner(
  algorithm: SignatureAlgorithm,
  secret: Uint8Array,
): DeviceSigner {
  if (algorithm === 'Ed25519') {
    return {
      key: importDeviceKey(algorithm, ed25519.getPublicKey(secret)),
      sign: (message) => ed25519.sign(message, secret),
    }
  }
  const curve = algorithm === 'ES256' ? p256 : secp256k1
  return {
    key: importDeviceKey(algorithm, curve.getPublicKey(secret)),
    sign: (message) => curve.sign(sha256(message), secret, { lowS: false }).toCompactRawBytes(),
  }
}
