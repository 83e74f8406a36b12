import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import type { Policy } from '#schemas/policy/policy.ts'
import { parseDuration } from '#schemas/policy/quantities.ts'
import type { PackMark, Reading } from '#schemas/reading.ts'
import { type TrustTier, trustTiers } from '#schemas/trustTier.ts'
import { compilePolicy } from './compile.ts'
import { type Evaluation, conclude } from './conclude.ts'
import { createEngine, finish, note } from './engine.ts'
import { type Calibration, bearsOnWindow, checkPacks, takeInstant } from './intake.ts'

export type { Evaluation, Measures } from './conclude.ts'
export type { Finding, FindingEffect, FindingName } from './findings.ts'
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
 * @throws {@link InvalidPeriodError}
 */
export function evaluate(input: EvaluationInput): Evaluation {
  const { policy, periodStartMs, periodEndMs } = input
  assertPeriod(periodStartMs, periodEndMs)
  const compiled = compilePolicy(policy)
  const { signal, quality } = policy
  const state = createEngine(periodStartMs, periodEndMs, compiled.sliceMs)

  let outOfOrder = 0
  let latestMs = Number.NEGATIVE_INFINITY
  let isAscending = true
  const selected: Reading[] = []
  const devices = new Set<Hex>()
  let tier: TrustTier | 0 = 0
  for (const reading of input.readings) {
    if (reading.series !== signal.series) continue
    if (signal.device !== undefined && reading.device !== signal.device) continue
    if (!bearsOnWindow(reading.timeMs, periodStartMs, periodEndMs, compiled)) continue
    if (reading.tier > compiled.minimumTier) {
      note(state, 'tier_too_weak', reading.timeMs)
      continue
    }
    if (reading.timeMs < latestMs) outOfOrder += 1
    if (reading.timeMs <= latestMs) isAscending = false
    else latestMs = reading.timeMs
    devices.add(reading.device)
    if (reading.tier > tier) tier = reading.tier
    selected.push(reading)
  }
  if (devices.size > 1) note(state, 'several_devices', periodStartMs)
  if (!isAscending) selected.sort((left, right) => left.timeMs - right.timeMs)

  const calibrations = quality.calibration === undefined ? undefined : (input.calibrations ?? [])
  let duplicates = 0
  let from = 0
  while (from < selected.length) {
    const timeMs = selected[from]?.timeMs
    let to = from + 1
    while (selected[to]?.timeMs === timeMs) to += 1
    duplicates += takeInstant(selected.slice(from, to), state, compiled, signal, calibrations)
    from = to
    // One reading beyond the end completes the last piece; what follows cannot matter.
    if (timeMs !== undefined && timeMs >= periodEndMs) break
  }
  finish(state, compiled)

  if (input.packs !== undefined) {
    const packs = input.packs.filter(({ device }) => devices.has(device))
    const skew = quality.clock === undefined ? undefined : parseDuration(quality.clock.maxSkew)
    checkPacks(packs, state, skew)
  }
  if (quality.packs !== undefined && (input.packs ?? []).length === 0) {
    note(state, 'packs_missing', periodStartMs)
  }
  return conclude(state, compiled, tier === 0 ? trustTiers.replay : tier, {
    exactDuplicates: duplicates,
    outOfOrder,
  })
}
