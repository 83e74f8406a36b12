import type { Hex } from '../bytes.ts'
import type { SignatureAlgorithm } from '../cose/signatureAlgorithm.ts'
import type { Reading } from '../reading.ts'
import type { SenmlColumns } from '../senml/senmlColumns.ts'
import type { TrustTier } from '../trustTier.ts'
import type { PackClaims } from './packProfile.ts'

/**
 * A pack that is well-formed and within the profile, whatever form it was signed in. Nothing about
 * it is proved yet: see `verifyPack`.
 *
 * It views the bytes it was decoded from, which must stay as they are.
 */
export type DecodedPack = {
  /** What the device signed: a COSE_Sign1, a JWS, or a JSON text as it stands. */
  readonly form: 'cose' | 'jws' | 'json'
  readonly algorithm: SignatureAlgorithm
  /** The readings in columns, in the order sent. */
  readonly columns: SenmlColumns
  /** Device id of the key that is said to have signed. */
  readonly kid: Hex
  readonly claims: PackClaims
  /** The bytes the signature is made over. */
  readonly signedBytes: Uint8Array
  /** `r ‖ s` or `R ‖ S`, 64 bytes. */
  readonly signature: Uint8Array
  /** Identity of the pack: SHA-256 of the signed bytes, never of the signature. */
  readonly packHash: Hex
  /** The readings as objects. The tier is the caller's: it knows how the key was enrolled. */
  readings(tier: TrustTier): readonly Reading[]
}

/** SHA-256 of bytes; the portable one unless a faster one is handed in. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array
