import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { signatureLength } from '../cose/signatureAlgorithm.ts'
import type { DeviceKey } from '../pack/deviceKey.ts'
import type { SignatureVerifier } from '../pack/signatureVerifier.ts'
import { toBase64Url } from './base64Url.ts'

/**
 * Signatures by the crypto of Node (OpenSSL). Building a key object costs as much as checking a
 * signature, so the most recently used ones are kept: about 3 KB each.
 *
 * @param capacity - Key objects kept; the least recently used one is dropped first.
 */
export function createNodeSignatures({
  capacity = 100_000,
}: { capacity?: number } = {}): SignatureVerifier {
  // A Map iterates in order of insertion, which re-insertion on use turns into order of use.
  const keyObjects = new Map<string, KeyObject>()

  function keyObjectOf(key: DeviceKey): KeyObject {
    const known = keyObjects.get(key.id)
    if (known !== undefined) {
      if (keyObjects.size >= capacity) {
        keyObjects.delete(key.id)
        keyObjects.set(key.id, known)
      }
      return known
    }
    const made = createPublicKey({ format: 'jwk', key: jwkOf(key) })
    if (keyObjects.size >= capacity) {
      const [oldest] = keyObjects.keys()
      if (oldest !== undefined) keyObjects.delete(oldest)
    }
    keyObjects.set(key.id, made)
    return made
  }

  return {
    verify(key, message, signature) {
      // OpenSSL is handed well-formed lengths only; an over-long signature must never be cut.
      if (signature.length !== signatureLength) return false
      if (key.algorithm === 'Ed25519') return verify(null, message, keyObjectOf(key), signature)
      return verify(
        'sha256',
        message,
        { key: keyObjectOf(key), dsaEncoding: 'ieee-p1363' },
        signature,
      )
    },
  }
}

function jwkOf({ algorithm, publicKey }: DeviceKey): Record<string, string> {
  if (algorithm === 'Ed25519') {
    return { kty: 'OKP', crv: 'Ed25519', x: toBase64Url(publicKey) }
  }
  return {
    kty: 'EC',
    crv: algorithm === 'ES256' ? 'P-256' : 'secp256k1',
    x: toBase64Url(publicKey.subarray(0, 32)),
    y: toBase64Url(publicKey.subarray(32)),
  }
}
