import type { TrustTier } from '#schemas/trustTier.ts'
import type { Band, CompiledPolicy } from './compile.ts'
import type { FindingName } from './findings.ts'
import { kineticFactor } from './kinetic.ts'
import { type RepeatsState, createRepeats, takeValue } from './repeats.ts'
import { divideRounded } from './rounding.ts'

/**
 * The one place where readings become measures. Readings come in ascending time, one per instant;
 * the batch and the streaming evaluator differ only in how they bring them into that order.
 *
 * Time is discrete: a value holds or is interpolated for every whole millisecond, and the predicate
 * is judged at each of them on the exact rational value. Sums are exact: they live in safe integers
 * and are carried into big ones before they could lose a bit.
 */

/** From `startMs`, inclusive, to `endMs`, exclusive. */
export type Span = { readonly startMs: number; readonly endMs: number }

/** A run of violating milliseconds, as seen under one reading of the gaps. */
type Runs = {
  /** All of them one by one, where somebody wants to see them. */
  readonly trace: Span[] | undefined
  /** -1 while none is open. */
  startMs: number
  longestMs: number
  longestStartMs: number
  count: number
  totalMs: number
}

export const fine = 0
const bad = 1
export const silent = 2
type Judgement = typeof fine | typeof bad | typeof silent

/** What one instant can hold: a value, none, two that contradict each other, or one that is no evidence. */
export const slots = { value: 0, empty: 1, conflict: 2, refused: 3 } as const
export type Slot = (typeof slots)[keyof typeof slots]

/** All that is remembered between two readings: plain numbers, so that it can be stored. */
export type EngineState = {
  readonly startMs: number
  readonly endMs: number
  /** Everything before it (and from `startMs` on) has been judged. */
  cursorMs: number
  /** -1 before the first reading. */
  lastMs: number
  lastValue: number
  /** Whether the last slot carried a value that is evidence. */
  lastIsValue: boolean
  /**
   * `bad` until a value clears it. A gap makes it `silent`: a value that neither violates nor clears
   * says nothing after it, since nobody saw what happened in between.
   */
  latch: Judgement
  isInGap: boolean
  knownMs: number
  /** Known values of which hysteresis cannot say whether they belong to a violation. */
  undeterminedMs: number
  violatingMs: number
  /** Twice the sum of value × time, because a linear piece contributes half its ends. */
  areaTwice: number
  areaTwiceCarry: bigint
  /** The same with values below zero taken as zero. */
  clippedTwice: number
  clippedTwiceCarry: bigint
  sum: number
  sumCarry: bigint
  kineticSum: bigint
  kineticWeight: bigint
  min: number
  max: number
  samples: number
  goodSamples: number
  emptySlots: number
  conflicts: number
  /** Violations with gaps left open. */
  readonly known: Runs
  /** Violations as they would be if every gap were one. */
  readonly bridged: Runs
  constantStartMs: number
  longestConstantMs: number
  sliceEndMs: number
  sliceIsBad: boolean
  sliceIsUnknown: boolean
  goodSlices: number
  badSlices: number
  unknownSlices: number
  /** Last instant with a value; -1 before the first. */
  lastValueMs: number
  /** The weakest tier leaned on; 0 while there is none. */
  tier: TrustTier | 0
  /** Changes of the wall clock near the window, with how much looked like a doubled hour there. */
  readonly clockChanges: { readonly atMs: number; readonly shiftMs: number; doubled: number }[]
  readonly repeats: RepeatsState | undefined
  readonly counts: Map<number, number>
  readonly findings: Map<FindingName, FindingState>
}

export type FindingState = { count: number; firstMs: number; lastMs: number }

function noRuns(isTraced: boolean): Runs {
  return {
    trace: isTraced ? [] : undefined,
    startMs: -1,
    longestMs: 0,
    longestStartMs: -1,
    count: 0,
    totalMs: 0,
  }
}

/**
 * How far from a change of the wall clock its traces can lie: a device may have taken its local time
 * for UTC or for the time of another zone.
 */
const clockChangeReachMs = 14 * 3_600_000

export function createEngine(
  startMs: number,
  endMs: number,
  policy: CompiledPolicy,
  isTraced = false,
): EngineState {
  const { sliceMs } = policy
  return {
    startMs,
    endMs,
    cursorMs: startMs,
    lastMs: -1,
    lastValue: 0,
    lastIsValue: false,
    latch: fine,
    isInGap: false,
    knownMs: 0,
    undeterminedMs: 0,
    violatingMs: 0,
    areaTwice: 0,
    areaTwiceCarry: 0n,
    clippedTwice: 0,
    clippedTwiceCarry: 0n,
    sum: 0,
    sumCarry: 0n,
    kineticSum: 0n,
    kineticWeight: 0n,
    min: Number.POSITIVE_INFINITY,
    max: Number.NEGATIVE_INFINITY,
    samples: 0,
    goodSamples: 0,
    emptySlots: 0,
    conflicts: 0,
    known: noRuns(isTraced),
    bridged: noRuns(isTraced),
    constantStartMs: -1,
    longestConstantMs: 0,
    sliceEndMs: sliceMs === 0 ? Number.POSITIVE_INFINITY : startMs + sliceMs,
    sliceIsBad: false,
    sliceIsUnknown: false,
    goodSlices: 0,
    badSlices: 0,
    unknownSlices: 0,
    lastValueMs: -1,
    tier: 0,
    clockChanges: policy.clockChanges
      .filter(
        ({ atMs }) => atMs > startMs - clockChangeReachMs && atMs < endMs + clockChangeReachMs,
      )
      .map((change) => ({ ...change, doubled: 0 })),
    repeats: policy.repeatsRun === 0 ? undefined : createRepeats(policy.repeatsRun),
    counts: new Map(),
    findings: new Map(),
  }
}

/** Below this a product or sum of machine numbers is exact, and one more of them cannot overflow. */
export const exactLimit = 2 ** 52

/** Notes something suspicious by name, with how often and when. */
export function noteIn(
  findings: Map<FindingName, FindingState>,
  name: FindingName,
  atMs: number,
  times: number,
): void {
  const finding = findings.get(name)
  if (finding === undefined) findings.set(name, { count: times, firstMs: atMs, lastMs: atMs })
  else {
    finding.count += times
    finding.firstMs = Math.min(finding.firstMs, atMs)
    finding.lastMs = Math.max(finding.lastMs, atMs)
  }
}

export function note(state: EngineState, name: FindingName, atMs: number, times = 1): void {
  noteIn(state.findings, name, atMs, times)
}

function closeRun(runs: Runs, atMs: number, forMs: number): void {
  if (runs.startMs < 0) return
  const lengthMs = atMs - runs.startMs
  // Strictly longer: a violation that ends with its allowance has used it, not exceeded it.
  if (lengthMs > forMs) {
    runs.count += 1
    runs.totalMs += lengthMs
    runs.trace?.push({ startMs: runs.startMs, endMs: atMs })
    if (lengthMs > runs.longestMs) {
      runs.longestMs = lengthMs
      runs.longestStartMs = runs.startMs
    }
  }
  runs.startMs = -1
}

function closeSlice(state: EngineState, sliceMs: number): void {
  if (state.sliceIsBad) state.badSlices += 1
  else if (state.sliceIsUnknown) state.unknownSlices += 1
  else state.goodSlices += 1
  state.sliceIsBad = false
  state.sliceIsUnknown = false
  state.sliceEndMs += sliceMs
}

/** Enters [fromMs, toMs) into runs and slices. */
function judge(
  state: EngineState,
  policy: CompiledPolicy,
  fromMs: number,
  toMs: number,
  judgement: Judgement,
): void {
  if (judgement === fine) {
    if (state.known.startMs >= 0) closeRun(state.known, fromMs, policy.forMs)
    if (state.bridged.startMs >= 0) closeRun(state.bridged, fromMs, policy.forMs)
  } else {
    if (judgement === bad) {
      state.violatingMs += toMs - fromMs
      if (state.known.startMs < 0) state.known.startMs = fromMs
    } else if (state.known.startMs >= 0) closeRun(state.known, fromMs, policy.forMs)
    if (state.bridged.startMs < 0) state.bridged.startMs = fromMs
  }
  if (policy.sliceMs === 0) return
  let atMs = fromMs
  while (atMs < toMs) {
    if (judgement === bad) state.sliceIsBad = true
    if (judgement === silent) state.sliceIsUnknown = true
    if (toMs < state.sliceEndMs) return
    atMs = state.sliceEndMs
    closeSlice(state, policy.sliceMs)
  }
}

function silence(state: EngineState, policy: CompiledPolicy, toMs: number): void {
  const untilMs = Math.min(toMs, state.endMs)
  if (untilMs <= state.cursorMs) return
  if (!state.isInGap) note(state, 'gap', state.cursorMs)
  state.isInGap = true
  state.latch = silent
  judge(state, policy, state.cursorMs, untilMs, silent)
  state.cursorMs = untilMs
}

function addArea(state: EngineState, doubled: number, spanMs: number): void {
  const product = doubled * spanMs
  if (product <= exactLimit && product >= -exactLimit) {
    state.areaTwice += product
    if (state.areaTwice > exactLimit || state.areaTwice < -exactLimit) {
      state.areaTwiceCarry += BigInt(state.areaTwice)
      state.areaTwice = 0
    }
  } else state.areaTwiceCarry += BigInt(doubled) * BigInt(spanMs)
}

function addClipped(state: EngineState, doubled: number, spanMs: number): void {
  const product = doubled * spanMs
  if (product <= exactLimit) {
    state.clippedTwice += product
    if (state.clippedTwice > exactLimit) {
      state.clippedTwiceCarry += BigInt(state.clippedTwice)
      state.clippedTwice = 0
    }
  } else state.clippedTwiceCarry += BigInt(doubled) * BigInt(spanMs)
}

/** Factors by value: pure memory of a pure function, shared by all evaluations, bounded. */
const kineticFactors = new Map<number, bigint>()
const mostKineticFactors = 65_536

function kineticFactorOf(kelvinMicro: number): bigint {
  let factor = kineticFactors.get(kelvinMicro)
  if (factor === undefined) {
    factor = kineticFactor(kelvinMicro)
    if (kineticFactors.size >= mostKineticFactors) kineticFactors.clear()
    kineticFactors.set(kelvinMicro, factor)
  }
  return factor
}

function addKinetic(
  state: EngineState,
  policy: CompiledPolicy,
  value: number,
  weight: number,
  atMs: number,
): void {
  const kelvinMicro = value + policy.kelvinOffset
  if (kelvinMicro <= 0) {
    note(state, 'below_absolute_zero', atMs)
    return
  }
  state.kineticSum += kineticFactorOf(kelvinMicro) * BigInt(weight)
  state.kineticWeight += BigInt(weight)
}

/** [cursor, toMs) has the value `value`. */
function constant(state: EngineState, policy: CompiledPolicy, value: number, toMs: number): void {
  const untilMs = toMs < state.endMs ? toMs : state.endMs
  const fromMs = state.cursorMs
  if (untilMs <= fromMs) return
  const spanMs = untilMs - fromMs
  state.knownMs += spanMs
  addArea(state, 2 * value, spanMs)
  if (policy.clipsNegative && value > 0) addClipped(state, 2 * value, spanMs)
  if (policy.hasKinetic) addKinetic(state, policy, value, 2 * spanMs, fromMs)
  if (policy.hasPredicate) {
    if (value < policy.good.low || value > policy.good.high) state.latch = bad
    else if (value >= policy.clear.low && value <= policy.clear.high) state.latch = fine
    if (state.latch === silent) state.undeterminedMs += spanMs
    judge(state, policy, fromMs, untilMs, state.latch)
  }
  state.isInGap = false
  state.cursorMs = untilMs
}

/**
 * Offsets from the first end at which a straight line over `spanMs` lies inside a band: whole
 * milliseconds `[from, to)`, exact.
 */
function offsetsInside(
  first: number,
  second: number,
  spanMs: number,
  band: Band,
): [number, number] {
  const { low, high, isOpen } = band
  if (first === second) return first >= low && first <= high ? [0, spanMs] : [0, 0]
  // Falling lines are rising ones mirrored at zero.
  const rises = second > first
  const start = BigInt(rises ? first : -first)
  const rise = BigInt(rises ? second : -second) - start
  const span = BigInt(spanMs)
  // An open band reaches up to, but not to, the next millionth.
  const margin = isOpen ? 1n : 0n
  const toLow = (BigInt(rises ? low : -high) - margin - start) * span + margin
  const toHigh = (BigInt(rises ? high : -low) + margin - start) * span - margin
  const from = toLow <= 0n ? 0n : (toLow + rise - 1n) / rise
  const to = toHigh < 0n ? 0n : toHigh / rise + 1n
  const clip = (offset: bigint): number => (offset > span ? spanMs : Number(offset))
  return from >= to ? [0, 0] : [clip(from), clip(to)]
}

/** Twice the area under a line between two instants of it; rounded only where a window cuts it. */
function lineTwice(
  first: number,
  second: number,
  lineStartMs: number,
  lineSpanMs: number,
  fromMs: number,
  toMs: number,
): bigint {
  const span = BigInt(lineSpanMs)
  const offsets = BigInt(fromMs - lineStartMs + (toMs - lineStartMs))
  const heights = 2n * BigInt(first) * span + (BigInt(second) - BigInt(first)) * offsets
  return divideRounded(heights * BigInt(toMs - fromMs), span, 'half-even')
}

/** [cursor, toMs) lies on the line from the last reading to the one at `toMs`. */
function line(state: EngineState, policy: CompiledPolicy, value: number, toMs: number): void {
  const fromMs = state.cursorMs
  const untilMs = Math.min(toMs, state.endMs)
  if (untilMs <= fromMs) return
  const first = state.lastValue
  const startMs = state.lastMs
  const spanMs = toMs - startMs
  state.knownMs += untilMs - fromMs
  if (fromMs === startMs && untilMs === toMs && Math.abs(first + value) <= exactLimit) {
    addArea(state, first + value, spanMs)
  } else state.areaTwiceCarry += lineTwice(first, value, startMs, spanMs, fromMs, untilMs)
  if (policy.clipsNegative) {
    const [low, high] = [Math.max(first, 0), Math.max(value, 0)]
    state.clippedTwiceCarry += lineTwice(low, high, startMs, spanMs, fromMs, untilMs)
  }
  if (policy.hasKinetic) {
    // Each end stands for its half of the piece.
    addKinetic(state, policy, first, untilMs - fromMs, fromMs)
    addKinetic(state, policy, value, untilMs - fromMs, fromMs)
  }
  if (policy.hasPredicate) {
    const good = offsetsInside(first, value, spanMs, policy.good)
    const clear = offsetsInside(first, value, spanMs, policy.clear)
    const cuts = [...good, ...clear].map((offset) => startMs + offset).sort((a, b) => a - b)
    let atMs = fromMs
    for (const cutMs of [...cuts, untilMs]) {
      const nextMs = Math.min(cutMs, untilMs)
      if (nextMs <= atMs) continue
      const offset = atMs - startMs
      if (offset < good[0] || offset >= good[1]) state.latch = bad
      else if (offset >= clear[0] && offset < clear[1]) state.latch = fine
      if (state.latch === silent) state.undeterminedMs += nextMs - atMs
      judge(state, policy, atMs, nextMs, state.latch)
      atMs = nextMs
    }
  }
  state.isInGap = false
  state.cursorMs = untilMs
}

function countSample(state: EngineState, policy: CompiledPolicy, value: number): void {
  state.samples += 1
  state.sum += value
  if (state.sum > exactLimit || state.sum < -exactLimit) {
    state.sumCarry += BigInt(state.sum)
    state.sum = 0
  }
  if (value < state.min) state.min = value
  if (value > state.max) state.max = value
  if (value >= policy.good.low && value <= policy.good.high) state.goodSamples += 1
  if (policy.percentiles.length > 0) {
    state.counts.set(value, (state.counts.get(value) ?? 0) + 1)
  }
}

/**
 * Looks for what a changed wall clock leaves in a stream that should not have one: a hole as long as
 * the shift, or instants that are said twice, both near the change.
 */
function watchClock(state: EngineState, policy: CompiledPolicy, timeMs: number, slot: Slot): void {
  const { intervalMs } = policy
  for (const change of state.clockChanges) {
    if (Math.abs(timeMs - change.atMs) > clockChangeReachMs) continue
    if (slot === slots.value && state.lastValueMs >= 0) {
      const holeMs = timeMs - state.lastValueMs - intervalMs
      if (Math.abs(holeMs - change.shiftMs) <= intervalMs / 2) {
        note(state, 'daylight_saving', state.lastValueMs + intervalMs)
      }
    }
    const isDoubled =
      slot === slots.conflict || (state.lastMs >= 0 && timeMs - state.lastMs < 0.75 * intervalMs)
    if (!isDoubled) continue
    change.doubled += 1
    if (change.doubled === Math.max(2, Math.floor(change.shiftMs / intervalMs / 2))) {
      note(state, 'daylight_saving', timeMs)
    }
  }
}

function watchQuality(
  state: EngineState,
  policy: CompiledPolicy,
  timeMs: number,
  value: number,
): void {
  const sinceMs = timeMs - state.lastMs
  if (!state.lastIsValue) {
    state.constantStartMs = timeMs
    return
  }
  if (sinceMs < policy.minimumSpacingMs) note(state, 'too_frequent', timeMs)
  if (sinceMs <= policy.stepWithinMs && Math.abs(value - state.lastValue) > policy.stepLimit) {
    note(state, 'step', timeMs)
  }
  // Two equal values with a silence between them are not one constant run: nobody saw it constant.
  if (value !== state.lastValue || sinceMs > policy.reachMs) {
    state.constantStartMs = timeMs
    return
  }
  const lengthMs = timeMs - state.constantStartMs
  if (lengthMs > state.longestConstantMs) state.longestConstantMs = lengthMs
  if (
    lengthMs > policy.flatlineMs &&
    lengthMs - sinceMs <= policy.flatlineMs &&
    !policy.flatlineExcept.includes(value)
  ) {
    note(state, 'flatline', state.constantStartMs)
  }
}

/**
 * Takes the next slot. Instants ascend strictly; the caller has merged what came for one instant.
 *
 * @param slot - What the instant holds. Unless it is `value`, `value` is ignored and whatever was held
 * ends here.
 */
export function advance(
  state: EngineState,
  policy: CompiledPolicy,
  timeMs: number,
  value: number,
  slot: Slot,
): void {
  const { kind, reachMs } = policy
  const isValue = slot === slots.value
  if (state.clockChanges.length > 0) watchClock(state, policy, timeMs, slot)
  let isInside = timeMs >= state.startMs && timeMs < state.endMs
  if (kind === 'hold') {
    if (state.lastIsValue) {
      const heldMs = state.lastMs + reachMs
      constant(state, policy, state.lastValue, heldMs < timeMs ? heldMs : timeMs)
    }
    silence(state, policy, timeMs)
  } else if (kind === 'linear') {
    if (isValue && state.lastIsValue && timeMs - state.lastMs <= reachMs) {
      line(state, policy, value, timeMs)
    } else silence(state, policy, timeMs)
  } else {
    isInside = timeMs > state.startMs && timeMs <= state.endMs
    if (isValue) {
      silence(state, policy, timeMs - reachMs)
      constant(state, policy, value, timeMs)
    } else silence(state, policy, timeMs)
  }
  if (isValue) {
    if (policy.isIntervalMean && state.lastIsValue && timeMs - state.lastMs < reachMs) {
      note(state, 'interval_overlap', timeMs)
    }
    if (isInside) countSample(state, policy, value)
    watchQuality(state, policy, timeMs, value)
    if (state.repeats !== undefined && takeValue(state.repeats, value)) {
      note(state, 'repeated_values', timeMs)
    }
    state.lastValue = value
    state.lastValueMs = timeMs
  } else if (isInside) {
    if (slot === slots.empty) state.emptySlots += 1
    else if (slot === slots.conflict) state.conflicts += 1
  }
  state.lastIsValue = isValue
  state.lastMs = timeMs
}

/** Brings the engine to the end of its window. */
export function finish(state: EngineState, policy: CompiledPolicy): void {
  if (policy.kind === 'hold' && state.lastIsValue) {
    constant(state, policy, state.lastValue, state.lastMs + policy.reachMs)
  }
  silence(state, policy, state.endMs)
  closeRun(state.known, state.endMs, policy.forMs)
  closeRun(state.bridged, state.endMs, policy.forMs)
  if (policy.sliceMs > 0 && state.sliceEndMs - policy.sliceMs < state.endMs) {
    closeSlice(state, policy.sliceMs)
  }
}
