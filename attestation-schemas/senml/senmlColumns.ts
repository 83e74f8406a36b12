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

/** Columns while they grow. */
export type SenmlRows = {
  readonly channelOf: number[]
  readonly timeMs: number[]
  readonly valueMicro: number[]
  count: number
}

/** Empty rows with room for an expected number of readings; more of them still fit. */
export function createRows(expected: number): SenmlRows {
  return {
    // oxlint-disable-next-line unicorn/no-new-array -- reserving room halves the time of the hot path
    channelOf: new Array<number>(expected),
    // oxlint-disable-next-line unicorn/no-new-array -- at a place of its own: the engine learns there that stamps are no small integers
    timeMs: new Array<number>(expected),
    // oxlint-disable-next-line unicorn/no-new-array -- as above
    valueMicro: new Array<number>(expected),
    count: 0,
  }
}

/** Appends one reading. */
export function addRow(rows: SenmlRows, channel: number, timeMs: number, valueMicro: number): void {
  const row = rows.count
  rows.channelOf[row] = channel
  rows.timeMs[row] = timeMs
  rows.valueMicro[row] = valueMicro
  rows.count = row + 1
}

/** The rows as columns that end where the rows end. */
export function finishRows(rows: SenmlRows, channels: readonly Channel[]): SenmlColumns {
  const { channelOf, timeMs, valueMicro, count } = rows
  if (timeMs.length !== count) {
    channelOf.length = count
    timeMs.length = count
    valueMicro.length = count
  }
  return { channels, channelOf, timeMs, valueMicro }
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
