import { ed25519 } from '@noble/curves/ed25519'
import { p256 } from '@noble/curves/p256'
import { secp256k1 } from '@noble/curves/secp256k1'
import { sha256 } from '@noble/hashes/sha2'
import { fromBase64Url } from '../adapters/base64Url.ts'
import { concatBytes, type Hex, toHex } from '../bytes.ts'
import { CborWriter } from '../cbor/cborWriter.ts'
import { decodeCbor } from '../cbor/decodeCbor.ts'
import type { SignatureAlgorithm } from '../cose/signatureAlgorithm.ts'
import { BaseError } from '../errors.ts'

/**
 * A device's public key, checked to be a usable point of its curve. Its identity is the SHA-256
 * COSE Key Thumbprint: the same for every form the key was imported from.
 */
export type DeviceKey = {
  readonly algorithm: SignatureAlgorithm
  /** `x ‖ y` for the elliptic curves (64 bytes), the RFC 8032 point for Ed25519 (32 bytes). */
  readonly publicKey: Uint8Array
  /** Device id: SHA-256 COSE Key Thumbprint (RFC 9679 §3), also the pack's `kid`. */
  readonly id: Hex
}

/** Raised when bytes or a JWK are no usable public key. */
export class InvalidDeviceKeyError extends BaseError {
  override readonly name = 'InvalidDeviceKeyError'
}

/** COSE key type, curve (RFC 9053 §7, RFC 8812 §3.1) of each algorithm. */
const coseCurve = {
  ES256: { keyType: 2, curve: 1 },
  ES256K: { keyType: 2, curve: 8 },
  Ed25519: { keyType: 1, curve: 6 },
} as const satisfies Record<SignatureAlgorithm, { keyType: number; curve: number }>

/**
 * Imports a public key from its bytes.
 *
 * @param publicKey - For the elliptic curves a SEC 1 point, compressed (33) or uncompressed (65), or
 *   bare `x ‖ y` (64); for Ed25519 the 32 bytes of RFC 8032.
 * @throws {@link InvalidDeviceKeyError} for a point that is off the curve, at infinity or of small
 *   order: under such a key signatures prove nothing.
 */
export function importDeviceKey(algorithm: SignatureAlgorithm, publicKey: Uint8Array): DeviceKey {
  const canonical = algorithm === 'Ed25519' ? edwardsKey(publicKey) : curveKey(algorithm, publicKey)
  return { algorithm, publicKey: canonical, id: thumbprint(algorithm, canonical) }
}

/** A public key as a JSON Web Key (RFC 7517, RFC 8037, RFC 8812). */
export type PublicJwk = {
  readonly kty?: unknown
  readonly crv?: unknown
  readonly x?: unknown
  readonly y?: unknown
  readonly d?: unknown
}

/**
 * Imports a public key from a JWK. Private members are refused rather than ignored: a secret that
 * reaches this function has left its device.
 *
 * @throws {@link InvalidDeviceKeyError}
 */
export function deviceKeyFromJwk(jwk: PublicJwk): DeviceKey {
  if (jwk.d !== undefined) {
    throw new InvalidDeviceKeyError('The JWK holds a private key.', {
      field: 'jwk.d',
      remedy: 'Send the public members only and treat this key as leaked.',
    })
  }
  if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519') {
    return importDeviceKey('Ed25519', coordinate(jwk.x, 'jwk.x'))
  }
  if (jwk.kty === 'EC' && (jwk.crv === 'P-256' || jwk.crv === 'secp256k1')) {
    const point = concatBytes(coordinate(jwk.x, 'jwk.x'), coordinate(jwk.y, 'jwk.y'))
    return importDeviceKey(jwk.crv === 'P-256' ? 'ES256' : 'ES256K', point)
  }
  throw new InvalidDeviceKeyError('The JWK is of no supported key type.', {
    field: 'jwk.crv',
    metaMessages: ['Expected: EC with P-256 or secp256k1, or OKP with Ed25519'],
  })
}

/**
 * Imports a public key from a COSE_Key (RFC 9052 §7), whatever other parameters it carries.
 *
 * @throws {@link InvalidDeviceKeyError}
 */
export function deviceKeyFromCose(coseKey: Uint8Array): DeviceKey {
  const map = decodeCbor(coseKey, { maxDepth: 4 })
  if (!(map instanceof Map)) {
    throw new InvalidDeviceKeyError('The COSE_Key is not a map.', { field: 'coseKey' })
  }
  if (map.has(-4)) {
    throw new InvalidDeviceKeyError('The COSE_Key holds a private key.', {
      field: 'coseKey[-4]',
      remedy: 'Send the public parameters only and treat this key as leaked.',
    })
  }
  const x: unknown = map.get(-2)
  const y: unknown = map.get(-3)
  for (const [algorithm, { keyType, curve }] of Object.entries(coseCurve)) {
    if (map.get(1) !== keyType || map.get(-1) !== curve) continue
    if (!(x instanceof Uint8Array) || x.length !== 32) {
      throw new InvalidDeviceKeyError('The x coordinate is not 32 bytes.', { field: 'coseKey[-2]' })
    }
    if (algorithm === 'Ed25519') return importDeviceKey('Ed25519', x)
    // RFC 9053 §7.1.1: y is the coordinate, or its sign as a boolean.
    if (typeof y === 'boolean') {
      return importDeviceKey(
        algorithm as SignatureAlgorithm,
        concatBytes(Uint8Array.of(y ? 3 : 2), x),
      )
    }
    if (!(y instanceof Uint8Array) || y.length !== 32) {
      throw new InvalidDeviceKeyError('The y coordinate is not 32 bytes.', { field: 'coseKey[-3]' })
    }
    return importDeviceKey(algorithm as SignatureAlgorithm, concatBytes(x, y))
  }
  throw new InvalidDeviceKeyError('The COSE_Key is of no supported key type.', {
    field: 'coseKey[1], coseKey[-1]',
    metaMessages: ['Expected: EC2 with P-256 or secp256k1, or OKP with Ed25519'],
  })
}

/**
 * The required parameters as a COSE_Key in deterministic encoding: the bytes a thumbprint is made
 * of, and the one form in which a device key is stored or sent.
 *
 * @see RFC 9679 §3 and §4
 */
export function coseKeyBytes(key: Pick<DeviceKey, 'algorithm' | 'publicKey'>): Uint8Array {
  const { keyType, curve } = coseCurve[key.algorithm]
  const writer = new CborWriter()
  if (key.algorithm === 'Ed25519') {
    writer.map(3).integer(1).integer(keyType).integer(-1).integer(curve)
    return writer.integer(-2).bytes(key.publicKey).finish()
  }
  writer.map(4).integer(1).integer(keyType).integer(-1).integer(curve)
  writer.integer(-2).bytes(key.publicKey.subarray(0, 32))
  return writer.integer(-3).bytes(key.publicKey.subarray(32)).finish()
}

function thumbprint(algorithm: SignatureAlgorithm, publicKey: Uint8Array): Hex {
  return toHex(sha256(coseKeyBytes({ algorithm, publicKey })))
}

function curveKey(algorithm: 'ES256' | 'ES256K', publicKey: Uint8Array): Uint8Array {
  const curve = algorithm === 'ES256' ? p256 : secp256k1
  const sec1 = publicKey.length === 64 ? concatBytes(Uint8Array.of(4), publicKey) : publicKey
  try {
    // fromHex checks that the point is on the curve; the cofactor is 1, so nothing else is needed.
    return curve.ProjectivePoint.fromHex(sec1).toRawBytes(false).slice(1)
  } catch (cause) {
    throw new InvalidDeviceKeyError('The public key is not a point of its curve.', {
      cause,
      field: 'publicKey',
      metaMessages: [`Curve: ${algorithm === 'ES256' ? 'P-256' : 'secp256k1'}`],
    })
  }
}

function edwardsKey(publicKey: Uint8Array): Uint8Array {
  let isSmall: boolean
  try {
    // By default coordinates must be below the field prime, as RFC 8032 §5.1.3 demands.
    isSmall = ed25519.ExtendedPoint.fromHex(Uint8Array.from(publicKey)).isSmallOrder()
  } catch (cause) {
    throw new InvalidDeviceKeyError('The public key is not a point of its curve.', {
      cause,
      field: 'publicKey',
      metaMessages: ['Curve: Ed25519'],
    })
  }
  if (isSmall) {
    throw new InvalidDeviceKeyError('The public key is of small order.', { field: 'publicKey' })
  }
  return Uint8Array.from(publicKey)
}

function coordinate(text: unknown, field: string): Uint8Array {
  const bytes = typeof text === 'string' ? fromBase64Url(text) : undefined
  if (bytes?.length !== 32) {
    throw new InvalidDeviceKeyError('A coordinate of the JWK is not 32 bytes of base64url.', {
      field,
    })
  }
  return bytes
}
