import type { Hex } from '#schemas/bytes.ts'
import type { Policy } from '#schemas/policy/policy.ts'
import type { PackMark, Reading } from '#schemas/reading.ts'
import type { CompiledPolicy } from './compile.ts'
import { type EngineState, advance, note } from './engine.ts'

/** A span in which a sensor's calibration is valid. */
export type Calibration = {
  readonly device: Hex
  readonly series: string
  readonly validFromMs: number
  /** Exclusive. */
  readonly validUntilMs: number
}

/** Whether a reading can bear on the window: what reaches into it from before or behind included. */
export function bearsOnWindow(
  timeMs: number,
  startMs: number,
  endMs: number,
  { kind, reachMs }: CompiledPolicy,
): boolean {
  if (kind === 'end') return timeMs > startMs && timeMs < endMs + reachMs
  return timeMs > startMs - reachMs && timeMs < (kind === 'linear' ? endMs + reachMs : endMs)
}

/** The value if the reading is evidence, otherwise `null` and a finding that says why. */
function admit(
  reading: Reading,
  state: EngineState,
  policy: CompiledPolicy,
  signal: Policy['signal'],
  calibrations: readonly Calibration[] | undefined,
): number | null {
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
    calibrations !== undefined &&
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
  // -0 and 0 are one value, but not one in a set of counters.
  return valueMicro === 0 ? 0 : valueMicro
}

/**
 * Enters everything that was said about one instant. The same thing said twice is one statement; two
 * different ones contradict each other, and then there is no value.
 *
 * @param group - At least one reading; all of one instant.
 * @returns How many were repetitions.
 */
export function takeInstant(
  group: readonly Reading[],
  state: EngineState,
  policy: CompiledPolicy,
  signal: Policy['signal'],
  calibrations: readonly Calibration[] | undefined,
): number {
  const [first] = group
  if (first === undefined) return 0
  let duplicates = 0
  if (group.length > 1) {
    const statements = new Set(group.map(({ unit, valueMicro }) => `${valueMicro} ${unit}`))
    duplicates = group.length - statements.size
    if (statements.size > 1) {
      note(state, 'equivocation', first.timeMs)
      state.conflicts += 1
      advance(state, policy, first.timeMs, 0, false)
      return duplicates
    }
  }
  const value = admit(first, state, policy, signal, calibrations)
  advance(state, policy, first.timeMs, value ?? 0, value !== null)
  return duplicates
}

/**
 * Checks the chain of packs: numbering without gaps, every pack naming the one before it, clocks that
 * never run backwards and agree with the receiver's.
 *
 * Packs are taken in the order of their sequence numbers, not of their arrival, so that the findings
 * are a property of what was signed.
 */
export function checkPacks(
  packs: readonly PackMark[],
  state: EngineState,
  maxSkewMs: number | undefined,
): void {
  const sorted = [...packs].sort((left, right) => {
    if (left.device !== right.device) return left.device < right.device ? -1 : 1
    if (left.sequence !== right.sequence) return left.sequence < right.sequence ? -1 : 1
    return left.hash < right.hash ? -1 : 1
  })
  let previous: PackMark | undefined
  for (const pack of sorted) {
    if (maxSkewMs !== undefined && pack.receivedMs !== undefined) {
      // A pack may be late, but no reading can come from the future, and the last one in it is taken
      // as fresh: a device that buffers has to be given the skew that its buffering needs.
      if (Math.abs(pack.receivedMs - pack.lastTimeMs) > maxSkewMs) {
        note(state, 'clock_skew', pack.lastTimeMs)
      }
    }
    if (previous?.device === pack.device) {
      if (pack.sequence === previous.sequence) {
        if (pack.hash === previous.hash) continue
        note(state, 'pack_equivocation', pack.firstTimeMs)
      } else if (pack.sequence !== previous.sequence + 1n) {
        note(
          state,
          'sequence_gap',
          pack.firstTimeMs,
          Number(pack.sequence - previous.sequence - 1n),
        )
      } else if (pack.previous !== previous.hash) note(state, 'chain_broken', pack.firstTimeMs)
      if (pack.firstTimeMs < previous.lastTimeMs || pack.bootCount < previous.bootCount) {
        note(state, 'clock_step', pack.firstTimeMs)
      }
    }
    previous = pack
  }
}
