import type { Period } from './periods.ts'

/** What decides whether a period can be closed now. All Unix milliseconds. */
export type ClosingCircumstances = {
  readonly nowMs: number
  /** How long after its end a period still waits for packs that are on their way. */
  readonly allowedLatenessMs: number
  /** When the worker first knew of the assignment. */
  readonly knownSinceMs: number
  /** When the last pack for the subject was taken; `undefined` before the first. */
  readonly lastIngestMs: number | undefined
  /** A subject that is still sending is left alone until it has been quiet for this long… */
  readonly quietMs: number
  /** …but no longer than this beyond the allowed lateness: nobody can hold a window open. */
  readonly maxQuietWaitMs: number
}

/**
 * Whether a period is due. A period that was over before the worker knew of it waits its lateness
 * from then on, so that a backlog can be sent in before it is judged.
 */
export function isDue(period: Period, circumstances: ClosingCircumstances): boolean {
  const { nowMs, lastIngestMs, quietMs } = circumstances
  const dueMs = Math.max(period.endMs, circumstances.knownSinceMs) + circumstances.allowedLatenessMs
  if (nowMs < dueMs) return false
  if (quietMs === 0 || lastIngestMs === undefined) return true
  return nowMs - lastIngestMs >= quietMs || nowMs >= dueMs + circumstances.maxQuietWaitMs
}
