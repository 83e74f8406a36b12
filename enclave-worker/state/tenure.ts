import type { Hex } from '#schemas/bytes.ts'
import type { EnrolledDevice } from '../config.ts'
import type { Period } from '../windows/periods.ts'

/** A subject that a device observes from a time on, until the next one begins. */
export type Tenure = {
  readonly subject: Hex
  readonly subjectName: string
  /** Unix milliseconds, by the device's own stamps. */
  readonly fromMs: number
  /** First batch that knows of it: reports of batches before were made without. */
  readonly fromBatch: bigint
}

/** What is asked of a device here: where it stands, and where it has stood. */
export type Placed = {
  readonly enrolled: EnrolledDevice | undefined
  /** Ascending in time; absent for a device that never moved, which nearly none does. */
  readonly tenures: readonly Tenure[] | undefined
}

/** Before and behind every time that a reading can have. */
export const beginningMs = Number.MIN_SAFE_INTEGER
export const endOfTimeMs = Number.MAX_SAFE_INTEGER
const always: Period = { startMs: beginningMs, endMs: endOfTimeMs }

/** The spans of time for which a device observed a subject, ascending, as a batch knows it. */
export function observedSpans(
  { enrolled, tenures }: Placed,
  subject: Hex,
  sequence: bigint,
): readonly Period[] {
  if (tenures === undefined) return enrolled?.subject === subject ? [always] : []
  const known = tenures.filter(({ fromBatch }) => fromBatch <= sequence)
  const spans: Period[] = []
  for (const [index, tenure] of known.entries()) {
    if (tenure.subject !== subject) continue
    const endMs = known[index + 1]?.fromMs ?? endOfTimeMs
    spans.push({ startMs: tenure.fromMs, endMs })
  }
  return spans
}

/** The parts of a span that lie within others. */
export function clipSpans(spans: readonly Period[], { startMs, endMs }: Period): Period[] {
  return spans
    .map((span) => ({
      startMs: Math.max(span.startMs, startMs),
      endMs: Math.min(span.endMs, endMs),
    }))
    .filter((span) => span.startMs < span.endMs)
}

/** Whether an instant lies within any of them. */
export function isWithinSpans(spans: readonly Period[], timeMs: number): boolean {
  return spans.some(({ startMs, endMs }) => timeMs >= startMs && timeMs < endMs)
}

/** Every subject that a device has observed, or will, each once. */
export function subjectsOf({ enrolled, tenures }: Placed): readonly Hex[] {
  if (tenures === undefined) return enrolled === undefined ? [] : [enrolled.subject]
  return [...new Set(tenures.map(({ subject }) => subject))]
}

/** Subjects that readings from one instant to another, both inclusive, are about. */
export function subjectsDuring(placed: Placed, firstMs: number, lastMs: number): readonly Hex[] {
  const { tenures } = placed
  if (tenures === undefined) return subjectsOf(placed)
  const touched = tenures.filter(
    ({ fromMs }, index) =>
      fromMs <= lastMs && (tenures[index + 1]?.fromMs ?? endOfTimeMs) > firstMs,
  )
  return [...new Set(touched.map(({ subject }) => subject))]
}

/** The spans as an answer or a bundle tells them; nothing for a device that never moved. */
export function toldSpans(
  spans: readonly Period[],
): { readonly fromMs?: number; readonly untilMs?: number }[] | undefined {
  if (spans.length === 1 && spans[0] === always) return undefined
  return spans.map(({ startMs, endMs }) => ({
    ...(startMs === beginningMs ? {} : { fromMs: startMs }),
    ...(endMs === endOfTimeMs ? {} : { untilMs: endMs }),
  }))
}
