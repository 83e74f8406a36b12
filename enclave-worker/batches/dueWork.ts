import { type WorkerState, periodKey, rightKey } from '../state/workerState.ts'
import { clipSpans, observedSpans } from '../state/tenure.ts'
import type { Assignment } from '../windows/assignment.ts'
import { isComplete } from '../windows/complete.ts'
import { isDue } from '../windows/due.ts'
import { type Period, endedPeriods, nextPeriodEnd } from '../windows/periods.ts'
import { periodsOverlap } from '../windows/rights.ts'

/** One period of one assignment that a batch has to speak about. */
export type DuePeriod = { readonly assignment: Assignment; readonly period: Period }

export type DueRules = {
  readonly allowedLatenessMs: number
  readonly quietMs: number
  readonly maxQuietWaitMs: number
  readonly amendForMs: number
  /** Whether a period is closed before its lateness has passed once everybody has been heard. */
  readonly closesWhenComplete: boolean
}

/** Periods of one assignment that one batch closes at most; a backlog takes several batches. */
const periodsPerBatch = 10_000

/**
 * Whether a right on this impact was granted before for some of this time, by whatever configuration
 * then held: the worker never signs a second one.
 */
export function isGranted(
  { subject, impactClass }: Pick<Assignment, 'subject' | 'impactClass'>,
  period: Period,
  state: Pick<WorkerState, 'rights'>,
): boolean {
  if (impactClass === undefined) return false
  const granted = state.rights.get(rightKey(subject, impactClass)) ?? []
  return granted.some((other) => periodsOverlap(other, period))
}

/**
 * Which periods can be closed now. Pure: the state is only read.
 *
 * @param asleepUntilMs - The caller's memory from call to call: assignments with nothing to close
 *   are not looked at before their next period has ended. Closed periods never open again, so that
 *   nothing but the clock can wake one.
 */
export function duePeriods(
  assignments: readonly Assignment[],
  state: WorkerState,
  rules: DueRules,
  nowMs: number,
  asleepUntilMs = new Map<string, number>(),
): DuePeriod[] {
  return endedWork(assignments, state, rules, nowMs, asleepUntilMs).due
}

/** Periods that have ended and are not closed: those that are due now, and those that still wait. */
export function endedWork(
  assignments: readonly Assignment[],
  state: WorkerState,
  rules: DueRules,
  nowMs: number,
  asleepUntilMs = new Map<string, number>(),
): { readonly due: DuePeriod[]; readonly waiting: DuePeriod[] } {
  const ended: (DuePeriod & { readonly isNow: boolean })[] = []
  for (const assignment of assignments) {
    if ((asleepUntilMs.get(assignment.key) ?? 0) > nowMs) continue
    const known = state.assignments.get(assignment.key)
    if (known === undefined) continue
    const fromMs = Math.max(assignment.fromMs ?? known.knownSinceMs, 0)
    const resumeMs = assignment.periods === undefined ? known.lastClosedStartMs : undefined
    const candidates = endedPeriods(
      assignment.policy.window,
      assignment.periods,
      resumeMs === undefined ? fromMs : Math.max(fromMs, resumeMs),
      nowMs,
      periodsPerBatch,
    )
    let isWaiting = false
    for (const period of candidates) {
      if (known.closed.has(periodKey(period))) continue
      if (isGranted(assignment, period, state)) continue
      const isNow = isDue(period, {
        nowMs,
        allowedLatenessMs: rules.allowedLatenessMs,
        knownSinceMs: known.knownSinceMs,
        lastIngestMs: state.lastIngestMs.get(assignment.subject),
        quietMs: rules.quietMs,
        maxQuietWaitMs: rules.maxQuietWaitMs,
      })
      isWaiting = true
      ended.push({ assignment, period, isNow })
    }
    if (isWaiting) continue
    const next = nextPeriodEnd(assignment.policy.window, assignment.periods, fromMs, nowMs)
    asleepUntilMs.set(assignment.key, next ?? Number.MAX_SAFE_INTEGER)
  }
  const whole = rules.closesWhenComplete ? completeEnds(ended, state) : new Set<number>()
  const isDueNow = ({ isNow, period }: (typeof ended)[number]): boolean =>
    isNow || whole.has(period.endMs)
  return {
    due: ended.filter(isDueNow),
    waiting: ended.filter((entry) => !isDueNow(entry)),
  }
}

/**
 * Ends of periods for which everybody has been heard. Periods that end together are closed together,
 * into one batch: one that is complete waits for the others, as long as its lateness allows.
 */
function completeEnds(ended: readonly DuePeriod[], state: WorkerState): Set<number> {
  const ends = new Set(ended.map(({ period }) => period.endMs))
  for (const { assignment, period } of ended) {
    if (!ends.has(period.endMs)) continue
    const sequence = BigInt(state.batches.length) + 1n
    const devices = (state.bySubject.get(assignment.subject) ?? []).flatMap((device) => {
      const { enrolled, packs } = device
      const here = clipSpans(observedSpans(device, assignment.subject, sequence), period).at(-1)
      if (enrolled === undefined || here === undefined) return []
      return [
        {
          intervalMs: enrolled.intervalMs,
          series: enrolled.series,
          lastTimeMs: packs.at(-1)?.lastTimeMs,
          untilMs: here.endMs,
        },
      ]
    })
    if (!isComplete(assignment.policy, period, devices)) ends.delete(period.endMs)
  }
  return ends
}

/**
 * Closed periods that packs or calibrations have arrived for since, while they can still be amended;
 * those that no longer can are forgotten. Rights are never amended: what was granted once may already
 * be spent.
 */
export function latePeriods(
  assignments: readonly Assignment[],
  state: WorkerState,
  rules: DueRules,
  nowMs: number,
): DuePeriod[] {
  const late: DuePeriod[] = []
  for (const assignment of assignments) {
    if (assignment.impactClass !== undefined) continue
    const known = state.assignments.get(assignment.key)
    if (known === undefined) continue
    const ingestMs = state.lastIngestMs.get(assignment.subject) ?? 0
    let count = 0
    for (const key of known.late) {
      if (count === periodsPerBatch) break
      const period = known.closed.get(key)
      if (period === undefined || nowMs > period.endMs + rules.amendForMs) {
        known.late.delete(key)
        continue
      }
      // The same lateness again, so that one backlog makes one amendment and not a hundred.
      if (nowMs < ingestMs + rules.allowedLatenessMs) continue
      late.push({ assignment, period })
      count += 1
    }
  }
  return late
}
