import type { Hex } from '#schemas/bytes.ts'
import type { TrustTier } from '#schemas/trustTier.ts'

/** One model of hardware that a maker vouches for. */
export type MakerModel = {
  /** `hwType` of RFC 4108: names the model. */
  readonly hwType: string
  readonly name: string
  readonly status: 'active' | 'revoked'
  /** How many were ever made: no more are taken. */
  readonly quantity: number
  /** First and last serial number made, as bytes of equal length; absent: any. */
  readonly serials: { readonly first: Hex; readonly last: Hex } | undefined
  readonly maxPerDay: number
  readonly tier: TrustTier
  readonly intervalMs: number
  readonly series: readonly string[] | undefined
}

/**
 * What the operator's configuration pins of a maker, in the manner of a FIDO metadata statement: the
 * root it endorses with, what it made and how much of it, and what became of it since.
 */
export type MakerStatement = {
  readonly name: string
  readonly status: 'active' | 'revoked'
  /** DER of the root, pinned by its bytes. */
  readonly root: Uint8Array
  readonly models: readonly MakerModel[]
  /** Serial numbers of certificates that no longer count, as hex without leading zeros. */
  readonly revokedCertificates: readonly string[]
}
