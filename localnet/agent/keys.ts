import { ed25519 } from '@noble/curves/ed25519'
import { secp256k1 } from '@noble/curves/secp256k1'
import { hkdf } from '@noble/hashes/hkdf'
import { sha256 } from '@noble/hashes/sha2'
import { keccak_256 } from '@noble/hashes/sha3'
import { concatBytes, utf8 } from '#schemas/bytes.ts'
import { deriveBytes } from '../tdx/keys.ts'
import type { Seed } from '../tdx/keys.ts'
import { AgentRequestError } from './errors.ts'

/** What the key management service hands to an application at boot. */
export type AppKeys = {
  /** The application's secp256k1 secret, 32 bytes. */
  readonly k256Key: Uint8Array
  /** The KMS root's signature over the application's public key: r ‖ s ‖ recovery id. */
  readonly k256Signature: Uint8Array
}

export type DerivedKey = {
  readonly key: Uint8Array
  /** Application over derived key, then KMS root over application; 65 bytes each. */
  readonly signatureChain: readonly [Uint8Array, Uint8Array]
}

export type KeyAlgorithm = 'secp256k1' | 'ed25519'

/** dstack's derivation: HKDF-SHA256, salt `RATLS`, the parts joined without a separator. */
export function deriveDstackKey(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  return hkdf(sha256, key, utf8('RATLS'), concatBytes(...parts), 32)
}

/** The local key management service: one root per seed, an application key per application id. */
export function createAppKeys(seed: Seed, appId: Uint8Array) {
  const rootKey = deriveBytes(seed, 'kms root k256', 32)
  const k256Key = deriveDstackKey(rootKey, appId, utf8('app-key'))
  const appPublicKey = secp256k1.getPublicKey(k256Key, true)
  return {
    rootPublicKey: secp256k1.getPublicKey(rootKey, true),
    keys: {
      k256Key,
      k256Signature: signRecoverable(
        rootKey,
        concatBytes(utf8('dstack-kms-issued:'), appId, appPublicKey),
      ),
    } satisfies AppKeys,
  }
}

/**
 * `GetKey`. Purpose and algorithm do not enter the derivation: the same path gives the same 32 bytes
 * as an Ed25519 seed and as a secp256k1 scalar, as upstream keeps it for compatibility.
 */
export function deriveAppKey(
  keys: AppKeys,
  { path, purpose, algorithm }: { path: string; purpose: string; algorithm: string },
): DerivedKey {
  const key = deriveDstackKey(keys.k256Key, utf8(path))
  const publicKey = publicKeyOf(key, keyAlgorithm(algorithm))
  const statement = utf8(`${purpose}:${Buffer.from(publicKey).toString('hex')}`)
  return { key, signatureChain: [signRecoverable(keys.k256Key, statement), keys.k256Signature] }
}

/** `Sign`: always the key of path `vms` for purpose `signing`. */
export function signWithAppKey(keys: AppKeys, algorithm: string, data: Uint8Array) {
  const isPrehashed = algorithm === 'secp256k1_prehashed'
  if (isPrehashed && data.length !== 32) {
    throw new AgentRequestError(
      `Pre-hashed signing requires a 32-byte digest, but received ${data.length} bytes`,
      { field: 'data' },
    )
  }
  const base = isPrehashed ? 'secp256k1' : keyAlgorithm(algorithm)
  const { key, signatureChain } = deriveAppKey(keys, {
    path: 'vms',
    purpose: 'signing',
    algorithm: base,
  })
  const signature =
    base === 'ed25519'
      ? ed25519.sign(data, key)
      : secp256k1.sign(isPrehashed ? data : sha256(data), key).toCompactRawBytes()
  return {
    signature,
    signatureChain: [signature, ...signatureChain],
    publicKey: publicKeyOf(key, base),
  }
}

/** `Verify`: whether a signature holds; malformed keys and signatures are errors, not `false`. */
export function verifyWithKey(
  algorithm: string,
  { data, signature, publicKey }: Record<'data' | 'signature' | 'publicKey', Uint8Array>,
): boolean {
  const isPrehashed = algorithm === 'secp256k1_prehashed'
  const base = isPrehashed ? 'secp256k1' : keyAlgorithm(algorithm)
  if (signature.length !== 64) {
    throw new AgentRequestError('signature must be 64 bytes', { field: 'signature' })
  }
  if (isPrehashed && data.length !== 32) {
    throw new AgentRequestError('a pre-hashed message must be 32 bytes', { field: 'data' })
  }
  try {
    if (base === 'ed25519') {
      ed25519.ExtendedPoint.fromHex(publicKey)
    } else {
      secp256k1.ProjectivePoint.fromHex(publicKey)
      secp256k1.Signature.fromCompact(signature)
    }
  } catch (cause) {
    throw new AgentRequestError('invalid public key or signature', { field: 'public_key', cause })
  }
  return base === 'ed25519'
    ? ed25519.verify(signature, data, publicKey)
    : secp256k1.verify(signature, isPrehashed ? data : sha256(data), publicKey)
}

export function publicKeyOf(key: Uint8Array, algorithm: KeyAlgorithm): Uint8Array {
  return algorithm === 'ed25519' ? ed25519.getPublicKey(key) : secp256k1.getPublicKey(key, true)
}

export function keyAlgorithm(algorithm: string): KeyAlgorithm {
  if (algorithm === 'ed25519') return 'ed25519'
  if (algorithm === '' || algorithm === 'secp256k1' || algorithm === 'k256') return 'secp256k1'
  throw new AgentRequestError('Unsupported algorithm', {
    field: 'algorithm',
    remedy: 'Ask for secp256k1 or ed25519.',
  })
}

/** secp256k1 over plain Keccak-256: r ‖ s ‖ recovery id 0 or 1. */
function signRecoverable(key: Uint8Array, message: Uint8Array): Uint8Array {
  const signature = secp256k1.sign(keccak_256(message), key)
  return concatBytes(signature.toCompactRawBytes(), Uint8Array.of(signature.recovery))
}
