import { parseDuration } from '#schemas/policy/quantities.ts'
import { type Policy, TimeZoneError, windowsWithin } from '#schemas/policy/policy.ts'
import { BaseError } from '#schemas/errors.ts'

/** Unix milliseconds: from `startMs`, inclusive, to `endMs`, exclusive. */
export type Period = { readonly startMs: number; readonly endMs: number }

/** Raised when the periods of a policy's window cannot be told by this release. */
export class UnsupportedWindowError extends BaseError {
  override readonly name = 'UnsupportedWindowError'
}

type Stride = { readonly lengthMs: number; readonly stepMs: number; readonly anchorMs: number }

/** Windows are read once: they are asked for again at every tick. */
const strides = new WeakMap<Policy['window'], Stride | 'none'>()

function strideOf(window: Policy['window']): Stride | undefined {
  const known = strides.get(window)
  if (known !== undefined) return known === 'none' ? undefined : known
  const stride = readStride(window)
  strides.set(window, stride ?? 'none')
  return stride
}

function readStride(window: Policy['window']): Stride | undefined {
  if (window.kind === 'tumbling') {
    const lengthMs = parseDuration(window.length) ?? 0
    return { lengthMs, stepMs: lengthMs, anchorMs: window.anchorMs }
  }
  if (window.kind === 'sliding') {
    return {
      lengthMs: parseDuration(window.length) ?? 0,
      stepMs: parseDuration(window.step) ?? 0,
      anchorMs: window.anchorMs,
    }
  }
  return undefined
}

/** Two of the longest calendar unit, and a leap day for each. */
const twoYearsMs = 2 * 366 * 86_400_000

/**
 * Calendar windows within a span. Where the shipped table of time zones ends, no further period can
 * be told: the assignment rests there, and others go on.
 */
function calendarPeriods(window: Policy['window'], startMs: number, endMs: number): Period[] {
  if (startMs >= endMs) return []
  try {
    return windowsWithin({ window }, { startMs, endMs })
  } catch (error) {
    if (error instanceof TimeZoneError) return []
    throw error
  }
}

/**
 * Refuses windows whose periods have to be written into the assignment and are not, and calendars
 * that the shipped table of time zones does not tell.
 *
 * @throws {@link UnsupportedWindowError} | {@link TimeZoneError}
 */
export function assertPeriods(
  window: Policy['window'],
  explicit: readonly Period[] | undefined,
  fromMs: number | undefined,
  field: string,
): void {
  if (explicit !== undefined) {
    for (const [index, { startMs, endMs }] of explicit.entries()) {
      if (endMs <= startMs) {
        throw new UnsupportedWindowError('A period ends before it has begun.', {
          field: `${field}[${index}].endMs`,
        })
      }
    }
    return
  }
  if (window.kind === 'calendar') {
    const startMs = fromMs ?? Date.UTC(2026, 0, 1)
    windowsWithin({ window }, { startMs, endMs: startMs + 1 })
    return
  }
  const stride = strideOf(window)
  if (stride === undefined || stride.lengthMs <= 0 || stride.stepMs <= 0) {
    throw new UnsupportedWindowError(`A ${window.kind} window does not say when it begins.`, {
      field,
      remedy: 'Write the periods into the assignment: [{ "startMs": …, "endMs": … }].',
    })
  }
}

/**
 * The first instant after `nowMs` at which another period ends; `undefined` when none ever will.
 * Between the two nothing can fall due, so that nobody has to look.
 */
export function nextPeriodEnd(
  window: Policy['window'],
  explicit: readonly Period[] | undefined,
  fromMs: number,
  nowMs: number,
): number | undefined {
  if (explicit !== undefined) {
    let next: number | undefined
    for (const { endMs } of explicit) {
      if (endMs > nowMs && (next === undefined || endMs < next)) next = endMs
    }
    return next
  }
  if (window.kind === 'calendar') {
    // One that ends later began at most a year ago, and the next ends within two years.
    const spanStartMs = Math.max(fromMs, nowMs - twoYearsMs)
    return calendarPeriods(window, spanStartMs, Math.max(fromMs, nowMs) + twoYearsMs).find(
      ({ endMs }) => endMs > nowMs,
    )?.endMs
  }
  const stride = strideOf(window)
  if (stride === undefined) return undefined
  const { lengthMs, stepMs, anchorMs } = stride
  const first = Math.ceil((fromMs - anchorMs) / stepMs)
  // The earliest that has not ended: anchor + index · step + length > now.
  const open = Math.floor((nowMs - lengthMs - anchorMs) / stepMs) + 1
  return anchorMs + Math.max(first, open) * stepMs + lengthMs
}

/**
 * The periods that end at or before `untilMs`, ascending by end: the assignment's own when it has
 * any, else those of the policy's window that start at or after `fromMs`.
 *
 * @param limit - At most this many are answered; the rest come when these are closed.
 */
export function endedPeriods(
  window: Policy['window'],
  explicit: readonly Period[] | undefined,
  fromMs: number,
  untilMs: number,
  limit: number,
): Period[] {
  if (explicit !== undefined) {
    return explicit
      .filter(({ endMs }) => endMs <= untilMs)
      .sort((left, right) => left.endMs - right.endMs || left.startMs - right.startMs)
      .slice(0, limit)
  }
  if (window.kind === 'calendar') return calendarPeriods(window, fromMs, untilMs).slice(0, limit)
  const stride = strideOf(window)
  if (stride === undefined) return []
  const { lengthMs, stepMs, anchorMs } = stride
  const first = Math.ceil((fromMs - anchorMs) / stepMs)
  const periods: Period[] = []
  for (let index = first; periods.length < limit; index += 1) {
    const startMs = anchorMs + index * stepMs
    if (startMs + lengthMs > untilMs) break
    periods.push({ startMs, endMs: startMs + lengthMs })
  }
  return periods
}
