import type { Hex } from '../bytes.ts'
import type { DeviceKey } from '../pack/deviceKey.ts'
import type { SignatureVerifier } from '../pack/signatureVerifier.ts'
import type { Reading } from '../reading.ts'
import type { TrustTier } from '../trustTier.ts'

/** What an adapter knows besides the bytes: who is said to have sent them. */
export type AdapterContext = {
  /** Device that the readings are booked to. */
  readonly device: Hex
}

/** What an adapter for a signed format needs in addition. */
export type SignedAdapterContext = {
  /** The enrolled key; its id is the device. */
  readonly key: DeviceKey
  /** Tier of the key's enrolment. */
  readonly keyTier: TrustTier
  readonly verifier: SignatureVerifier
}

/** Readings out of another format, with how far they can be trusted. Never silently the top tier. */
export type AdaptedReadings = {
  readonly tier: TrustTier
  readonly readings: readonly Reading[]
}

/** The weaker of two tiers: a chain of evidence is as strong as its weakest link. */
export function weakerTier(left: TrustTier, right: TrustTier): TrustTier {
  return left > right ? left : right
}
