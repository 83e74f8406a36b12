import { mapHashToField } from '@noble/curves/abstract/modular'
import { p256 } from '@noble/curves/p256'
import { hkdf } from '@noble/hashes/hkdf'
import { sha256 } from '@noble/hashes/sha2'
import { concatBytes, utf8 } from '#schemas/bytes.ts'
import {
  derBitString,
  derExplicit,
  derInteger,
  derOctetString,
  derOid,
  derSequence,
} from './der.ts'

/**
 * Seed of the platform that every clone of this repository mints identically. Its keys are public by
 * being derived from this line: whatever they sign is worth nothing outside a laptop.
 */
export const developmentSeed = 'plumbline development seed: public, worthless, for laptops only'

export type Seed = string | Uint8Array

/** A P-256 key pair of the local platform. */
export type P256Key = {
  readonly secret: Uint8Array
  /** x ‖ y, 64 bytes: the form in which quotes and contracts carry P-256 keys. */
  readonly publicKey: Uint8Array
}

/** `length` bytes that are the same for the same seed and label and unrelated for any other pair. */
export function deriveBytes(seed: Seed, label: string, length: number): Uint8Array {
  const material = typeof seed === 'string' ? utf8(seed) : seed
  return hkdf(sha256, material, utf8('plumbline/localnet'), utf8(label), length)
}

/** A key pair as reproducible as {@link deriveBytes}. */
export function deriveP256Key(seed: Seed, label: string): P256Key {
  // 48 bytes reduced into [1, n-1] leave a bias below 2^-128. @see FIPS 186-5 A.2.1
  return p256KeyFromSecret(mapHashToField(deriveBytes(seed, label, 48), p256.CURVE.n))
}

export function p256KeyFromSecret(secret: Uint8Array): P256Key {
  return { secret, publicKey: p256.getPublicKey(secret, false).subarray(1) }
}

/**
 * ECDSA over P-256 with SHA-256, r ‖ s. Deterministic, so that the same platform mints the same
 * bytes. @see RFC 6979
 */
export function signP256(key: P256Key, message: Uint8Array): Uint8Array {
  return p256.sign(sha256(message), key.secret, { lowS: false }).toCompactRawBytes()
}

/** r ‖ s as the Ecdsa-Sig-Value that certificates carry. @see RFC 3279 §2.2.3 */
export function ecdsaSignatureDer(signature: Uint8Array): Uint8Array {
  return derSequence(derInteger(signature.subarray(0, 32)), derInteger(signature.subarray(32, 64)))
}

const idEcPublicKey = derOid('1.2.840.10045.2.1')
const prime256v1 = derOid('1.2.840.10045.3.1.7')

/** SubjectPublicKeyInfo of an uncompressed P-256 point. @see RFC 5480 §2 */
export function subjectPublicKeyInfo(publicKey: Uint8Array): Uint8Array {
  return derSequence(
    derSequence(idEcPublicKey, prime256v1),
    derBitString(concatBytes(Uint8Array.of(0x04), publicKey)),
  )
}

/** PKCS#8 of a P-256 key with its public part inside. @see RFC 5208, RFC 5915 */
export function pkcs8(key: P256Key): Uint8Array {
  return derSequence(
    derInteger(0),
    derSequence(idEcPublicKey, prime256v1),
    derOctetString(
      derSequence(
        derInteger(1),
        derOctetString(key.secret),
        derExplicit(1, derBitString(concatBytes(Uint8Array.of(0x04), key.publicKey))),
      ),
    ),
  )
}
