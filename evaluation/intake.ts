import type { Hex } from '#schemas/bytes.ts'
import type { Policy } from '#schemas/policy/policy.ts'
import type { Reading } from '#schemas/reading.ts'
import type { CompiledPolicy } from './compile.ts'
import { type EngineState, advance, note, slots } from './engine.ts'

/** A span in which a sensor's calibration is valid. */
export type Calibration = {
  readonly device: Hex
  readonly series: string
  readonly validFromMs: number
  /** Exclusive. */
  readonly validUntilMs: number
}

/** What decides which readings are evidence. */
export type Intake = {
  readonly policy: CompiledPolicy
  readonly signal: Policy['signal']
  readonly calibrations: readonly Calibration[]
}

/**
 * Whether a reading can bear on the window: what reaches into it from before or behind included. Of
 * those behind the end only the first is taken.
 */
export function bearsOnWindow(
  timeMs: number,
  { startMs, endMs }: { readonly startMs: number; readonly endMs: number },
  { kind, reachMs }: CompiledPolicy,
): boolean {
  if (kind === 'end') return timeMs > startMs && timeMs < endMs + reachMs
  return timeMs > startMs - reachMs && timeMs < (kind === 'linear' ? endMs + reachMs : endMs)
}

/**
 * Whether the policy listens to this reading at all. What is too weak is passed over rather than
 * taken as an empty slot: anybody could send it, and nobody may end another's value by it.
 */
export function isHeard(reading: Reading, state: EngineState, intake: Intake): boolean {
  const { signal, policy } = intake
  if (reading.series !== signal.series) return false
  if (signal.device !== undefined && reading.device !== signal.device) return false
  if (!Number.isSafeInteger(reading.timeMs)) {
    note(state, 'invalid_value', state.startMs)
    return false
  }
  if (!bearsOnWindow(reading.timeMs, state, policy)) return false
  if (reading.tier > policy.minimumTier) {
    note(state, 'tier_too_weak', reading.timeMs)
    return false
  }
  return true
}

/** The value if the reading is evidence, otherwise `null` and a finding that says why. */
function admit(reading: Reading, state: EngineState, intake: Intake): number | null {
  const { policy, signal, calibrations } = intake
  const { timeMs, valueMicro } = reading
  if (reading.unit !== signal.unit) {
    note(state, 'unit_mismatch', timeMs)
    return null
  }
  if (valueMicro === null) return null
  if (!Number.isSafeInteger(valueMicro)) {
    note(state, 'invalid_value', timeMs)
    return null
  }
  if (policy.faultCodes.includes(valueMicro)) {
    note(state, 'fault_code', timeMs)
    return null
  }
  if (valueMicro < policy.range.low || valueMicro > policy.range.high) {
    note(state, 'out_of_range', timeMs)
    return null
  }
  if (
    policy.needsCalibration &&
    !calibrations.some(
      (calibration) =>
        calibration.device === reading.device &&
        calibration.series === reading.series &&
        timeMs >= calibration.validFromMs &&
        timeMs < calibration.validUntilMs,
    )
  ) {
    note(state, 'outside_calibration', timeMs)
    return null
  }
  // -0 and 0 are one value, and a sum of zeros must have one sign.
  return valueMicro === 0 ? 0 : valueMicro
}

function isSameStatement(left: Reading, right: Reading): boolean {
  return left.device === right.device && left.unit === right.unit && sameValue(left, right)
}

function sameValue(left: Reading, right: Reading): boolean {
  // Object.is would tell -0 from 0 and === would tell NaN from NaN.
  return (
    left.valueMicro === right.valueMicro ||
    (Number.isNaN(left.valueMicro) && Number.isNaN(right.valueMicro))
  )
}

/** Everything that was said about one instant, each statement once. */
export type Instant = { readonly timeMs: number; readonly statements: Reading[] }

/**
 * Adds a reading to its instant. Of two copies of a statement the stronger tier is kept: what a
 * device has signed is not weakened by a gateway that says the same.
 *
 * @returns Whether it was a repetition.
 */
export function addStatement({ statements }: Instant, reading: Reading): boolean {
  for (const [index, known] of statements.entries()) {
    if (!isSameStatement(known, reading)) continue
    if (reading.tier < known.tier) statements[index] = reading
    return true
  }
  statements.push(reading)
  return false
}

/**
 * Enters one instant. Two statements that differ contradict each other, and then there is no value.
 */
export function takeInstant(instant: Instant, state: EngineState, intake: Intake): void {
  const { timeMs, statements } = instant
  let [first] = statements
  if (first === undefined) return
  if (statements.length > 1) {
    for (const statement of statements) {
      if (statement.tier > state.tier) state.tier = statement.tier
      if (statement.device < first.device) first = statement
    }
    const [one, ...others] = statements
    if (
      one !== undefined &&
      others.some((other) => other.unit !== one.unit || !sameValue(other, one))
    ) {
      note(state, 'equivocation', timeMs)
      advance(state, intake.policy, timeMs, 0, slots.conflict)
      return
    }
  }
  takeStatement(first, state, intake)
}

/** Enters the only statement of an instant. */
export function takeStatement(reading: Reading, state: EngineState, intake: Intake): void {
  if (reading.tier > state.tier) state.tier = reading.tier
  const value = admit(reading, state, intake)
  const refused = reading.valueMicro === null ? slots.empty : slots.refused
  advance(state, intake.policy, reading.timeMs, value ?? 0, value === null ? refused : slots.value)
}
