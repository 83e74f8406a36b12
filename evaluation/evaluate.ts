import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { type Policy, type Window, assertWindow, windowsWithin } from '#schemas/policy/policy.ts'
import type { PackMark, Reading } from '#schemas/reading.ts'
import { compilePolicy } from './compile.ts'
import { type Evaluation, conclude } from './conclude.ts'
import { type Span, createEngine, finish, note } from './engine.ts'
import {
  type Calibration,
  type Instant,
  type Intake,
  addStatement,
  isHeard,
  takeInstant,
  takeStatement,
} from './intake.ts'
import {
  type PackChain,
  comparePacks,
  createPackChain,
  notePackChains,
  takePack,
} from './packChain.ts'

export type { Evaluation, Measures } from './conclude.ts'
export type { Finding, FindingEffect, FindingName } from './findings.ts'
export type { Span } from './engine.ts'
export type { Calibration } from './intake.ts'

/** Raised when a period cannot be judged under a policy. */
export class InvalidPeriodError extends BaseError {
  override readonly name = 'InvalidPeriodError'
}

export type EvaluationInput = {
  /** From `decodePolicy`: an undecoded document is not a policy. */
  readonly policy: Policy
  /** Unix milliseconds, inclusive. */
  readonly periodStartMs: number
  /** Unix milliseconds, exclusive. */
  readonly periodEndMs: number
  /** In any order, with any repetitions; what does not concern the policy or the period is ignored. */
  readonly readings: readonly Reading[]
  /** The packs that the readings came in; absent for unsigned imports. */
  readonly packs?: readonly PackMark[]
  /** Needed where the policy demands calibration. */
  readonly calibrations?: readonly Calibration[]
  /** Called with every excursion in order: for people, since nothing is settled on a list. */
  readonly onExcursion?: (excursion: Span) => void
}

/** Two centuries: nothing that is insured or paid for is longer, and all sums stay far from limits. */
const longestPeriodMs = 200 * 366 * 86_400_000

/** @throws {@link InvalidPeriodError} */
export function assertPeriod(startMs: number, endMs: number): void {
  const isInteger = Number.isSafeInteger(startMs) && Number.isSafeInteger(endMs)
  if (!isInteger || startMs < 0 || endMs <= startMs || endMs - startMs > longestPeriodMs) {
    throw new InvalidPeriodError('The period is not a span of time that can be judged.', {
      field: 'period',
      metaMessages: [`From: ${startMs}`, `To: ${endMs}`],
      remedy: 'Give whole Unix milliseconds, the end after the start and at most 200 years later.',
    })
  }
}

/**
 * Judges readings against a policy over one period.
 *
 * The answer depends on the set of readings and packs alone: order, batching and repetition change
 * nothing but the two delivery counters, which no hash covers.
 *
 * @throws {@link InvalidPeriodError} | {@link NotAWindowError}
 */
export function evaluate(input: EvaluationInput): Evaluation {
  const { policy, periodStartMs, periodEndMs } = input
  assertPeriod(periodStartMs, periodEndMs)
  assertWindow(policy, { startMs: periodStartMs, endMs: periodEndMs })
  const compiled = compilePolicy(policy)
  const intake: Intake = {
    policy: compiled,
    signal: policy.signal,
    calibrations: input.calibrations ?? [],
  }
  const state = createEngine(periodStartMs, periodEndMs, compiled, input.onExcursion !== undefined)
  const devices = new Set<Hex>()
  let outOfOrder = 0
  let duplicates = 0
  let latestMs = Number.NEGATIVE_INFINITY
  let isAscending = true
  const heard: Reading[] = []
  for (const reading of input.readings) {
    if (!isHeard(reading, state, intake)) continue
    if (reading.timeMs < latestMs) {
      outOfOrder += 1
      isAscending = false
    } else latestMs = reading.timeMs
    devices.add(reading.device)
    heard.push(reading)
  }
  if (!isAscending) heard.sort((left, right) => left.timeMs - right.timeMs)
  for (let from = 0; from < heard.length;) {
    const first = heard[from]
    if (first === undefined) break
    const { timeMs } = first
    from += 1
    // One instant at or beyond the end completes the last piece; what follows it cannot matter.
    const matters = state.lastMs < periodEndMs
    if (heard[from]?.timeMs !== timeMs) {
      if (matters) takeStatement(first, state, intake)
      continue
    }
    const instant: Instant = { timeMs, statements: [first] }
    for (let again = heard[from]; again?.timeMs === timeMs; again = heard[from]) {
      if (addStatement(instant, again)) duplicates += 1
      from += 1
    }
    if (matters) takeInstant(instant, state, intake)
  }
  finish(state, compiled)
  if (input.onExcursion !== undefined) {
    const runs = compiled.gaps === 'violating' ? state.bridged : state.known
    for (const excursion of runs.trace ?? []) input.onExcursion(excursion)
  }
  if (devices.size > 1) note(state, 'several_devices', periodStartMs)

  const chains = new Map<Hex, PackChain>()
  for (const pack of [...(input.packs ?? [])].sort(comparePacks)) {
    let chain = chains.get(pack.device)
    if (chain === undefined) {
      chain = createPackChain()
      chains.set(pack.device, chain)
    }
    takePack(chain, pack, state, compiled)
  }
  notePackChains(chains, devices, state, compiled)
  return conclude(state, compiled, { exactDuplicates: duplicates, outOfOrder })
}

/** Index of the first reading at or after an instant, in readings that ascend by time. */
function firstAt(readings: readonly Reading[], instantMs: number): number {
  let low = 0
  let high = readings.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((readings[middle]?.timeMs ?? 0) < instantMs) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Judges every window of the policy that lies within a span: one evaluation each, in ascending order.
 *
 * @throws {@link InvalidPeriodError} | {@link TimeZoneError} | {@link TooManyWindowsError}
 */
export function evaluateWindows(
  input: Omit<EvaluationInput, 'periodStartMs' | 'periodEndMs' | 'onExcursion'> & {
    readonly fromMs: number
    readonly toMs: number
    readonly onExcursion?: (excursion: Span, window: Window) => void
  },
): Evaluation[] {
  const { fromMs, toMs, onExcursion, ...rest } = input
  const { policy, readings } = rest
  assertPeriod(fromMs, toMs)
  const { reachMs } = compilePolicy(policy)
  // Only of readings in order can a window take its part without a look at all the others; out of
  // order, their order of arrival has to be kept for the delivery counters.
  const isAscending = readings.every(
    ({ timeMs }, index) => timeMs >= (readings[index - 1]?.timeMs ?? Number.NEGATIVE_INFINITY),
  )
  return windowsWithin(policy, { startMs: fromMs, endMs: toMs }).map((window) => {
    const { startMs, endMs } = window
    const part = isAscending
      ? readings.slice(firstAt(readings, startMs - reachMs), firstAt(readings, endMs + reachMs))
      : readings
    return evaluate({
      ...rest,
      readings: part,
      periodStartMs: startMs,
      periodEndMs: endMs,
      ...(onExcursion === undefined
        ? {}
        : {
            onExcursion: (excursion: Span) => {
              onExcursion(excursion, window)
            },
          }),
    })
  })
}
