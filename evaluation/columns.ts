import type { Hex } from '#schemas/bytes.ts'
import { type Policy, assertWindow } from '#schemas/policy/policy.ts'
import type { Reading } from '#schemas/reading.ts'
import type { TrustTier } from '#schemas/trustTier.ts'
import { compilePolicy } from './compile.ts'
import { type Evaluation, conclude } from './conclude.ts'
import { advance, createEngine, finish, note, slots } from './engine.ts'
import { assertPeriod, evaluate } from './evaluate.ts'
import type { FindingName } from './findings.ts'
import { bearsOnWindow } from './intake.ts'
import { advanceSteadily } from './steady.ts'

/** Readings of one device and of the policy's series and unit, as two columns of equal length. */
export type Columns = {
  /** Unix milliseconds. */
  readonly timesMs: Float64Array
  /** Millionths of the policy's unit; `NaN` for a slot without a value. */
  readonly valuesMicro: Float64Array
  readonly tier: TrustTier
  readonly device?: Hex
}

const anyDevice: Hex = `0x${'00'.repeat(32)}`

/** Index of the first time that is not below `sought` in an ascending column. */
function lowerBound(timesMs: Float64Array, sought: number): number {
  let low = 0
  let high = timesMs.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((timesMs[middle] ?? 0) < sought) low = middle + 1
    else high = middle
  }
  return low
}

function isStrictlyAscending(timesMs: Float64Array): boolean {
  let previous = Number.NEGATIVE_INFINITY
  for (const timeMs of timesMs) {
    if (!(timeMs > previous)) return false
    previous = timeMs
  }
  return true
}

function toReadings({ timesMs, valuesMicro, tier, device }: Columns, policy: Policy): Reading[] {
  return Array.from(timesMs, (timeMs, index): Reading => {
    const value = valuesMicro[index] ?? Number.NaN
    return {
      device: device ?? (policy.signal.device as Hex | undefined) ?? anyDevice,
      series: policy.signal.series,
      unit: policy.signal.unit,
      timeMs,
      valueMicro: Number.isNaN(value) ? null : value,
      tier,
    }
  })
}

/**
 * {@link evaluate} for long recordings: the same engine and the same answer without an object for
 * each reading. Columns that are not in strictly ascending order, and policies that need more than
 * times and values, take the ordinary way.
 *
 * @throws {@link InvalidPeriodError} | {@link NotAWindowError}
 */
export function evaluateColumns(input: {
  readonly policy: Policy
  readonly periodStartMs: number
  readonly periodEndMs: number
  readonly columns: Columns
}): Evaluation {
  const { policy, periodStartMs, periodEndMs, columns } = input
  const { timesMs, valuesMicro, tier, device } = columns
  assertPeriod(periodStartMs, periodEndMs)
  const compiled = compilePolicy(policy)
  const isOrdinary =
    compiled.needsCalibration ||
    compiled.needsPacks ||
    tier > compiled.minimumTier ||
    (policy.signal.device !== undefined &&
      device !== undefined &&
      policy.signal.device !== device) ||
    !isStrictlyAscending(timesMs)
  if (isOrdinary) {
    return evaluate({
      policy,
      periodStartMs,
      periodEndMs,
      readings: toReadings(columns, policy),
    })
  }
  assertWindow(policy, { startMs: periodStartMs, endMs: periodEndMs })
  const state = createEngine(periodStartMs, periodEndMs, compiled)
  const { range, faultCodes } = compiled
  let index = lowerBound(timesMs, periodStartMs - compiled.reachMs)
  while (index < timesMs.length) {
    index = advanceSteadily(state, compiled, timesMs, valuesMicro, index)
    const timeMs = timesMs[index]
    if (timeMs === undefined) break
    const value = valuesMicro[index] ?? Number.NaN
    index += 1
    if (!Number.isSafeInteger(timeMs)) {
      note(state, 'invalid_value', state.startMs)
      continue
    }
    if (bearsOnWindow(timeMs, state, compiled)) {
      let refusal: FindingName | undefined
      if (!Number.isSafeInteger(value)) refusal = 'invalid_value'
      else if (faultCodes.includes(value)) refusal = 'fault_code'
      else if (value < range.low || value > range.high) refusal = 'out_of_range'
      if (Number.isNaN(value)) advance(state, compiled, timeMs, 0, slots.empty)
      else if (refusal === undefined) {
        advance(state, compiled, timeMs, value === 0 ? 0 : value, slots.value)
      } else {
        note(state, refusal, timeMs)
        advance(state, compiled, timeMs, 0, slots.refused)
      }
      if (state.tier === 0) state.tier = tier
    }
    if (timeMs >= periodEndMs) break
  }
  finish(state, compiled)
  return conclude(state, compiled, { exactDuplicates: 0, outOfOrder: 0 })
}
