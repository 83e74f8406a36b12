import type { Hex } from '../bytes.ts'
import type { Reading } from '../reading.ts'
import type { TrustTier } from '../trustTier.ts'

/** What readings of one series have in common. */
export type Channel = {
  /** Full SenML name, base name resolved. */
  readonly series: string
  /** SenML registry unit. */
  readonly unit: string
}

/**
 * The resolved records of a pack in columns: what the hot path makes, since sixty small objects cost
 * more than decoding sixty records. Row `i` of every column is reading `i`, in the order sent.
 */
export type SenmlColumns = {
  readonly channels: readonly Channel[]
  /** Index into `channels`. */
  readonly channelOf: readonly number[]
  /** Unix milliseconds. */
  readonly timeMs: readonly number[]
  /** Millionths of the unit; NaN for a slot that was sent without a value. */
  readonly valueMicro: readonly number[]
}

/** Columns as readings, one object each. */
export function columnsToReadings(
  columns: SenmlColumns,
  device: Hex,
  tier: TrustTier,
): readonly Reading[] {
  return columns.timeMs.map((timeMs, row) => {
    const channel = columns.channels[columns.channelOf[row] ?? 0]
    const value = columns.valueMicro[row] ?? NaN
    return {
      device,
      series: channel?.series ?? '',
      unit: channel?.unit ?? '',
      timeMs,
      valueMicro: Number.isNaN(value) ? null : value,
      tier,
    }
  })
}
