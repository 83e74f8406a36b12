import { compilePolicy } from '#evaluation/compile.ts'
import type { Policy } from '#schemas/policy/policy.ts'
import type { Period } from './periods.ts'

/** What is known of one device that observes a subject. */
export type DeviceProgress = {
  readonly intervalMs: number
  /** Series it may send; `undefined` when it may send any. */
  readonly series: readonly string[] | undefined
  /** Stamp of the newest reading of its chain of packs; `undefined` before the first. */
  readonly lastTimeMs: number | undefined
  /** When it left the subject, where that is within the period; absent: it did not. */
  readonly untilMs?: number
}

/**
 * Whether nothing that could still come can bear on the period: every device of the subject has been
 * heard up to the period's end. Packs are taken in the order of their chain only, so a device's newest
 * reading vouches for all before it. A device with several series vouches for none of them by one.
 */
export function isComplete(
  policy: Policy,
  period: Period,
  devices: readonly DeviceProgress[],
): boolean {
  // A held value, or one that stands for the interval it opens, reaches as far as the sampling
  // interval; the other kinds need a reading at or behind the end.
  const isOpening = compilePolicy(policy).kind === 'hold'
  return (
    devices.length > 0 &&
    devices.every(
      ({ lastTimeMs, intervalMs, series, untilMs = period.endMs }) =>
        lastTimeMs !== undefined &&
        series?.length === 1 &&
        lastTimeMs + (isOpening ? intervalMs : 0) >= Math.min(untilMs, period.endMs),
    )
  )
}
