import { BaseError } from '../errors.ts'
import { type CivilDay, civilFromDays, daysFromCivil } from './civilTime.ts'
import { parseDuration } from './quantities.ts'
import type { Policy } from './schema.ts'
import { type Offset, dayAt, startOfDay, zoneOffsets } from './timeZones.ts'

/** From `startMs`, inclusive, to `endMs`, exclusive; Unix milliseconds. */
export type Window = { readonly startMs: number; readonly endMs: number }

/** Raised when a period is not one of the windows that the policy cuts time into. */
export class NotAWindowError extends BaseError {
  override readonly name = 'NotAWindowError'
}

/** Raised when a span holds more windows than anybody could want at once. */
export class TooManyWindowsError extends BaseError {
  override readonly name = 'TooManyWindowsError'
}

/** Eleven years of hours. */
const mostWindows = 100_000

type Every = 'day' | 'week' | 'month' | 'quarter' | 'year'

/** The first day of the unit that a day lies in. Weeks begin on Monday (ISO 8601). */
function firstDay(every: Every, day: CivilDay): CivilDay {
  if (every === 'day') return day
  if (every === 'week') {
    const days = daysFromCivil(day)
    // 1970-01-01 was a Thursday, three days after a Monday.
    return civilFromDays(days - ((((days + 3) % 7) + 7) % 7))
  }
  if (every === 'month') return { ...day, day: 1 }
  if (every === 'quarter') return { ...day, month: day.month - ((day.month - 1) % 3), day: 1 }
  return { ...day, month: 1, day: 1 }
}

/** The first day of the next unit. */
function nextFirstDay(every: Every, { year, month, day }: CivilDay): CivilDay {
  const steps = {
    day: [0, 1],
    week: [0, 7],
    month: [1, 0],
    quarter: [3, 0],
    year: [12, 0],
  } as const
  const [months, days] = steps[every]
  return civilFromDays(daysFromCivil({ year, month: month + months, day: day + days }))
}

function calendarWindows(
  every: Every,
  offsets: readonly Offset[],
  fromMs: number,
  toMs: number,
): Window[] {
  const windows: Window[] = []
  let day = firstDay(every, dayAt(offsets, fromMs))
  let startMs = startOfDay(offsets, day)
  while (startMs < toMs) {
    const next = nextFirstDay(every, day)
    const endMs = startOfDay(offsets, next)
    if (startMs >= fromMs && endMs <= toMs) windows.push({ startMs, endMs })
    day = next
    startMs = endMs
  }
  return windows
}

/**
 * The windows of a policy that lie wholly within a span, in ascending order. A policy whose window is
 * the period has one: the span itself.
 *
 * @throws {@link TimeZoneError} when the shipped table does not reach that far.
 * @throws {@link TooManyWindowsError}
 */
export function windowsWithin({ window }: Pick<Policy, 'window'>, span: Window): Window[] {
  const { startMs: fromMs, endMs: toMs } = span
  if (window.kind === 'period') return [span]
  if (window.kind === 'calendar') {
    return calendarWindows(
      window.every,
      zoneOffsets(window.zone, window.timeZoneTable),
      fromMs,
      toMs,
    )
  }
  const lengthMs = parseDuration(window.length) ?? 0
  const stepMs = window.kind === 'sliding' ? (parseDuration(window.step) ?? 0) : lengthMs
  if ((toMs - fromMs) / stepMs > mostWindows) {
    throw new TooManyWindowsError('The span holds too many windows.', {
      field: 'period',
      metaMessages: [`At most: ${mostWindows}`],
      remedy: 'Judge it part by part.',
    })
  }
  const windows: Window[] = []
  let startMs = window.anchorMs + Math.ceil((fromMs - window.anchorMs) / stepMs) * stepMs
  for (; startMs + lengthMs <= toMs; startMs += stepMs) {
    windows.push({ startMs, endMs: startMs + lengthMs })
  }
  return windows
}

/**
 * @throws {@link NotAWindowError} unless the policy cuts out exactly this window.
 */
export function assertWindow(policy: Pick<Policy, 'window'>, span: Window): void {
  const [first, second] = windowsWithin(policy, span)
  if (first?.startMs === span.startMs && first.endMs === span.endMs && second === undefined) return
  throw new NotAWindowError(`The period is not a ${policy.window.kind} window of the policy.`, {
    field: 'period',
    metaMessages: [`From: ${span.startMs}`, `To: ${span.endMs}`],
    remedy: 'Take periods from windowsWithin(policy, span).',
  })
}
