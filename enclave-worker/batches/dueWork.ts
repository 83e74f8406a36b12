import {
  type AssignmentState,
  type WorkerState,
  periodKey,
  rightKey,
} from '../state/workerState.ts'
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

/** A period that has ended and is not closed, and whether that is due. */
export type EndedPeriod = DuePeriod & {
  /** Of its assignment among all. */
  readonly place: number
  readonly isDue: boolean
}

/** Looks for what has to be closed. */
export type DueWork = {
  /** Whether any period is due, without looking for all of them. */
  isAnyDue(nowMs: number): boolean
  /** Which periods can be closed now. */
  due(nowMs: number): EndedPeriod[]
  /**
   * Closed periods that packs or calibrations have arrived for since, while they can still be amended;
   * those that no longer can are forgotten. Rights are never amended: what was granted once may already
   * be spent.
   */
  late(nowMs: number): DuePeriod[]
  /**
   * Periods of one assignment that have ended and are not closed, by its place; those that wait for
   * others of their end to be heard count as not due.
   */
  ended(place: number, nowMs: number): EndedPeriod[]
}

/**
 * Remembers from call to call when an assignment can be due at the earliest: closed periods never open
 * again, so that nothing but the clock can wake one that has nothing to close.
 */
export function createDueWork(
  assignments: readonly Assignment[],
  state: WorkerState,
  rules: DueRules,
): DueWork {
  /** By place: none of its periods ends before. */
  const asleepUntilMs = new Float64Array(assignments.length)
  /** By place: none of its periods is due before, unless everybody has been heard. */
  const waitsUntilMs = new Float64Array(assignments.length)
  const known: (AssignmentState | undefined)[] = []

  function ended(place: number, nowMs: number): EndedPeriod[] {
    if ((asleepUntilMs[place] ?? 0) > nowMs) return []
    const assignment = assignments[place]
    if (assignment === undefined) return []
    const now = (known[place] ??= state.assignments.get(assignment.key))
    if (now === undefined) return []
    const { policy, periods, subject } = assignment
    const { knownSinceMs } = now
    const fromMs = Math.max(assignment.fromMs ?? knownSinceMs, 0)
    const resumeMs = periods === undefined ? now.lastClosedStartMs : undefined
    const candidates = endedPeriods(
      policy.window,
      periods,
      resumeMs === undefined ? fromMs : Math.max(fromMs, resumeMs),
      nowMs,
      periodsPerBatch,
    )
    const found: EndedPeriod[] = []
    let earliestMs = Number.MAX_SAFE_INTEGER
    for (const period of candidates) {
      if (now.closed.size > 0 && now.closed.has(periodKey(period))) continue
      if (isGranted(assignment, period, state)) continue
      earliestMs = Math.min(earliestMs, period.endMs)
      found.push({
        assignment,
        place,
        period,
        isDue: isDue(period, {
          nowMs,
          allowedLatenessMs: rules.allowedLatenessMs,
          knownSinceMs,
          lastIngestMs: state.lastIngestMs.get(subject),
          quietMs: rules.quietMs,
          maxQuietWaitMs: rules.maxQuietWaitMs,
        }),
      })
    }
    if (found.length > 0) {
      waitsUntilMs[place] = Math.max(earliestMs, knownSinceMs) + rules.allowedLatenessMs
    } else {
      const next = nextPeriodEnd(policy.window, periods, fromMs, nowMs)
      asleepUntilMs[place] = next ?? Number.MAX_SAFE_INTEGER
    }
    return found
  }

  function isWorthLooking(place: number, nowMs: number): boolean {
    return rules.closesWhenComplete || (waitsUntilMs[place] ?? 0) <= nowMs
  }

  function due(nowMs: number): EndedPeriod[] {
    const found: EndedPeriod[] = []
    for (let place = 0; place < assignments.length; place += 1) {
      if ((asleepUntilMs[place] ?? 0) > nowMs || !isWorthLooking(place, nowMs)) continue
      for (const entry of ended(place, nowMs)) {
        if (entry.isDue || rules.closesWhenComplete) found.push(entry)
      }
    }
    if (!rules.closesWhenComplete) return found
    const whole = completeEnds(found, state)
    return found.filter((entry) => entry.isDue || whole.has(entry.period.endMs))
  }

  let placeOf: Map<string, number> | undefined

  /** Assignments with something late, in their order. */
  function lateAssignments(): { readonly assignment: Assignment; readonly now: AssignmentState }[] {
    if (state.late.size === 0) return []
    placeOf ??= new Map(assignments.map(({ key }, place) => [key, place]))
    const found: { place: number; assignment: Assignment; now: AssignmentState }[] = []
    for (const now of state.late) {
      const place = placeOf.get(now.key)
      const assignment = place === undefined ? undefined : assignments[place]
      const canBeAmended = now.late.size > 0 && assignment?.impactClass === undefined
      if (!canBeAmended || place === undefined || assignment === undefined) state.late.delete(now)
      else found.push({ place, assignment, now })
    }
    return found.sort((left, right) => left.place - right.place)
  }

  return {
    ended,
    due,
    late(nowMs) {
      const late: DuePeriod[] = []
      for (const { assignment, now } of lateAssignments()) {
        const ingestMs = state.lastIngestMs.get(assignment.subject) ?? 0
        let count = 0
        for (const key of now.late) {
          if (count === periodsPerBatch) break
          const period = now.closed.get(key)
          if (period === undefined || nowMs > period.endMs + rules.amendForMs) {
            now.late.delete(key)
            continue
          }
          // The same lateness again, so that one backlog makes one amendment and not a hundred.
          if (nowMs < ingestMs + rules.allowedLatenessMs) continue
          late.push({ assignment, period })
          count += 1
        }
      }
      return late
    },
    isAnyDue(nowMs) {
      if (rules.closesWhenComplete) return due(nowMs).length > 0
      for (let place = 0; place < assignments.length; place += 1) {
        if ((asleepUntilMs[place] ?? 0) > nowMs || !isWorthLooking(place, nowMs)) continue
        if (ended(place, nowMs).some((entry) => entry.isDue)) return true
      }
      return false
    },
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
