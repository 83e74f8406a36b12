/**
 * Signature schemes a device key can be enrolled for. Each fixes curve, hash and signature length
 * (64 bytes), so a key and an algorithm can never be combined in two ways.
 *
 * - `ES256`: ECDSA on P-256 with SHA-256.
 * - `Ed25519`: EdDSA on Curve25519, the cofactorless check of RFC 8032 §5.1.7.
 * - `ES256K`: ECDSA on secp256k1 with SHA-256.
 */
export type SignatureAlgorithm = 'ES256' | 'Ed25519' | 'ES256K'

/** Bytes of a signature under any of the algorithms: `r ‖ s` or `R ‖ S`. */
export const signatureLength = 64

/**
 * COSE algorithm identifiers. The polymorphic ES256 (-7) and EdDSA (-8) of RFC 9053 are read as the
 * fully specified ESP256 (-9) and Ed25519 (-19) of RFC 9864, since the enrolled key fixes the curve;
 * ES256K (-47) is RFC 8812's.
 */
export const coseAlgorithm = {
  ES256: -7,
  EdDSA: -8,
  ESP256: -9,
  Ed25519: -19,
  ES256K: -47,
} as const

/** The scheme a COSE `alg` value stands for, or `undefined` for one that no pack may use. */
export function signatureAlgorithmOf(identifier: number): SignatureAlgorithm | undefined {
  switch (identifier) {
    case coseAlgorithm.ES256:
    case coseAlgorithm.ESP256:
      return 'ES256'
    case coseAlgorithm.EdDSA:
    case coseAlgorithm.Ed25519:
      return 'Ed25519'
    case coseAlgorithm.ES256K:
      return 'ES256K'
    default:
      return undefined
  }
}

/** The identifiers an encoder writes: the fully specified ones where there are two (RFC 9864 §2). */
export const coseIdentifiers = {
  ES256: coseAlgorithm.ESP256,
  Ed25519: coseAlgorithm.Ed25519,
  ES256K: coseAlgorithm.ES256K,
} as const satisfies Record<SignatureAlgorithm, number>
