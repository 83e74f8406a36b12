import type { CompiledPolicy } from './compile.ts'
import { type EngineState, exactLimit, fine, silent } from './engine.ts'

/**
 * The engine's shortcut through the common case: value after value, inside the window, no gap between
 * them, nothing suspicious, the predicate answering as before. It keeps the engine's sums in local
 * variables and hands back to the engine at the first reading that is anything else; that reading has
 * not been touched. A property test holds both ways against each other.
 *
 * @returns Index of the first reading that the engine has to take itself.
 */
export function advanceSteadily(
  state: EngineState,
  policy: CompiledPolicy,
  timesMs: Float64Array,
  valuesMicro: Float64Array,
  fromIndex: number,
): number {
  const isCommon =
    policy.kind === 'hold' &&
    !policy.isIntervalMean &&
    !policy.clipsNegative &&
    !policy.hasKinetic &&
    policy.sliceMs === 0 &&
    policy.percentiles.length === 0 &&
    policy.faultCodes.length === 0 &&
    state.repeats === undefined &&
    state.clockChanges.length === 0
  // After a reading inside the window the cursor stands on it, and whatever was silent is settled.
  const isSettled = state.lastIsValue && state.cursorMs === state.lastMs && !state.isInGap
  if (!isCommon || !isSettled || state.latch === silent) return fromIndex
  const { reachMs, minimumSpacingMs, stepLimit, stepWithinMs, flatlineMs, hasPredicate } = policy
  const { low, high } = policy.range
  const { low: goodLow, high: goodHigh } = policy.good
  const { low: clearLow, high: clearHigh } = policy.clear
  const { endMs, latch } = state
  const startMs = state.lastMs
  let { lastMs, lastValue, areaTwice, sum, min, max, violatingMs, constantStartMs } = state
  let { longestConstantMs, goodSamples } = state
  let index = fromIndex
  for (; index < timesMs.length; index += 1) {
    const timeMs = timesMs[index] ?? Number.NaN
    const value = valuesMicro[index] ?? Number.NaN
    const spanMs = timeMs - lastMs
    // Written so that NaN fails it.
    if (!(spanMs <= reachMs && timeMs < endMs && value >= low && value <= high)) break
    if (
      spanMs < minimumSpacingMs ||
      !Number.isSafeInteger(value) ||
      !Number.isSafeInteger(timeMs)
    ) {
      break
    }
    if (spanMs <= stepWithinMs && Math.abs(value - lastValue) > stepLimit) break
    const nextArea = areaTwice + 2 * lastValue * spanMs
    const nextSum = sum + value
    // Both terms of either sum stay below 2^53, so that a sum within the limit is exact.
    if (!(Math.abs(nextArea) <= exactLimit && Math.abs(nextSum) <= exactLimit)) break
    if (Math.abs(2 * lastValue * spanMs) > exactLimit) break
    const isGood = lastValue >= goodLow && lastValue <= goodHigh
    const isClear = isGood && lastValue >= clearLow && lastValue <= clearHigh
    if (hasPredicate && (latch === fine ? !isGood : isClear)) break
    const isConstant = value === lastValue
    if (isConstant && timeMs - constantStartMs > flatlineMs) break

    // Nothing below this line can hand the reading back: it is taken.
    if (hasPredicate && latch !== fine) violatingMs += spanMs
    if (value >= goodLow && value <= goodHigh) goodSamples += 1
    if (!isConstant) constantStartMs = timeMs
    else if (timeMs - constantStartMs > longestConstantMs)
      longestConstantMs = timeMs - constantStartMs
    areaTwice = nextArea
    sum = nextSum
    if (value < min) min = value
    if (value > max) max = value
    lastMs = timeMs
    lastValue = value
  }
  if (index === fromIndex) return index
  state.knownMs += lastMs - startMs
  state.samples += index - fromIndex
  state.goodSamples = goodSamples
  state.violatingMs = violatingMs
  state.areaTwice = areaTwice
  state.sum = sum
  state.min = min
  state.max = max
  state.constantStartMs = constantStartMs
  state.longestConstantMs = longestConstantMs
  state.lastMs = lastMs
  state.lastValueMs = lastMs
  state.lastValue = lastValue === 0 ? 0 : lastValue
  state.cursorMs = lastMs
  return index
}
