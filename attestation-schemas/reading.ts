import type { Hex } from './bytes.ts'
import type { TrustTier } from './trustTier.ts'

/**
 * What every wire format decodes to: one value of one series at one instant.
 *
 * Values are integers of millionths of `unit`, at most 2^53 - 1 in magnitude, so that a reading fits
 * a machine number exactly; a quantity beyond ±9.007e9 units has to be sent in a larger unit.
 */
export type Reading = {
  /** The device's enrolled identity: the SHA-256 COSE Key Thumbprint of its key (RFC 9679). */
  readonly device: Hex
  /** Full SenML name within the device, base name resolved. */
  readonly series: string
  /** SenML registry unit after conversion, for example `Cel`, `W`, `Wh`. */
  readonly unit: string
  /** Unix milliseconds, integer, as the device stamped it. */
  readonly timeMs: number
  /** Millionths of `unit`; `null` when the device sent the slot without a value (a fault, a blank). */
  readonly valueMicro: number | null
  readonly tier: TrustTier
}

/** What is kept of a signed pack besides its readings: the links that make silence visible. */
export type PackMark = {
  readonly device: Hex
  /** Strictly one more than the device's previous pack. */
  readonly sequence: bigint
  /** SHA-256 of the signed bytes of the previous pack; zero for the first. */
  readonly previous: Hex
  /** SHA-256 of the signed bytes (the COSE Sig_structure), never of the signature. */
  readonly hash: Hex
  readonly bootCount: bigint
  readonly firstTimeMs: number
  readonly lastTimeMs: number
  /** When the worker took it, host clock, Unix milliseconds; absent when unknown. */
  readonly receivedMs?: number
}
