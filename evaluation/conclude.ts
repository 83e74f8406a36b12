import type { Hex } from '#schemas/bytes.ts'
import { utf8, toHex } from '#schemas/bytes.ts'
import { keccak } from '#schemas/keccak.ts'
import { type TrustTier, trustTiers } from '#schemas/trustTier.ts'
import type { VerdictName } from '#schemas/report.ts'
import canonicalize from 'canonicalize'
import type { CompiledPolicy } from './compile.ts'
import { type EngineState, note } from './engine.ts'
import { type Finding, findingEffects } from './findings.ts'
import { kineticMeanMicro } from './kinetic.ts'
import { divideRounded } from './rounding.ts'

/** A measure's whole number in its own unit (milliseconds, ppm, counts, millionths); `null`: none. */
export type Measures = Readonly<Record<string, bigint | null>>

export type Evaluation = {
  readonly periodStartMs: number
  readonly periodEndMs: number
  readonly verdict: VerdictName
  /** The amount to settle on, in millionths of `unit`; zero unless it is determined. */
  readonly valueMicro: bigint
  readonly unit: string
  readonly coveragePpm: number
  /** The weakest tier of all readings that were leaned on. */
  readonly tier: TrustTier
  readonly measures: Measures
  readonly findings: readonly Finding[]
  /** Keccak-256 of {@link measuresBytes}. */
  readonly measuresHash: Hex
}

/** How the readings came; says nothing about the device and is in no hash. */
export type Delivery = { readonly exactDuplicates: number; readonly outOfOrder: number }

/** What the true value can be, given what was not observed; `undefined` where there is no limit. */
type Bounds = { readonly low: bigint | undefined; readonly high: bigint | undefined }

const million = 1_000_000n

/** Parts per million, rounded down; of nothing, none. */
function ppm(part: number, whole: number): bigint {
  return whole === 0 ? 0n : (BigInt(part) * million) / BigInt(whole)
}

function nearestRank(
  counts: ReadonlyMap<number, number>,
  samples: number,
  rankPpm: number,
): bigint {
  const rank = Number((BigInt(rankPpm) * BigInt(samples) + million - 1n) / million)
  let passed = 0
  for (const [value, count] of [...counts].sort(([left], [right]) => left - right)) {
    passed += count
    if (passed >= rank) return BigInt(value)
  }
  return 0n
}

function measure(state: EngineState, policy: CompiledPolicy): Record<string, bigint | null> {
  const lengthMs = state.endMs - state.startMs
  const unknownMs = lengthMs - state.knownMs
  const isViolatingGap = policy.gaps === 'violating'
  const runs = isViolatingGap ? state.bridged : state.known
  const openMs = unknownMs + state.undeterminedMs
  const violatingMs = state.violatingMs + (isViolatingGap ? openMs : 0)
  const compliantMs = lengthMs - openMs - state.violatingMs
  const judgedMs = policy.gaps === 'excluded' ? lengthMs - openMs : lengthMs
  const areaTwice = state.areaTwiceCarry + BigInt(state.areaTwice)
  const clippedTwice = state.clippedTwiceCarry + BigInt(state.clippedTwice)
  const known = BigInt(state.knownMs)
  const has = policy.hasPredicate
  const whole = (value: number): bigint | null => (has ? BigInt(value) : null)
  const measures: Record<string, bigint | null> = {
    known_ms: known,
    unknown_ms: BigInt(unknownMs),
    violating_ms: whole(violatingMs),
    compliant_ms: whole(compliantMs),
    compliance_ppm: has && judgedMs > 0 ? ppm(compliantMs, judgedMs) : null,
    excursions: whole(runs.count),
    excursion_ms: whole(runs.totalMs),
    longest_excursion_ms: whole(runs.longestMs),
    longest_excursion_start_ms: has && runs.count > 0 ? BigInt(runs.longestStartMs) : null,
    time_weighted_mean: known === 0n ? null : divideRounded(areaTwice, 2n * known, 'half-even'),
    min: state.samples === 0 ? null : BigInt(state.min),
    max: state.samples === 0 ? null : BigInt(state.max),
    integral: divideRounded(
      policy.clipsNegative ? clippedTwice : areaTwice,
      2n * BigInt(policy.integralPerMs),
      'half-even',
    ),
    sum: state.sumCarry + BigInt(state.sum),
    samples: BigInt(state.samples),
    good_samples: whole(state.goodSamples),
    good_samples_ppm: has && state.samples > 0 ? ppm(state.goodSamples, state.samples) : null,
    empty_slots: BigInt(state.emptySlots),
    conflicts: BigInt(state.conflicts),
    longest_constant_run_ms: BigInt(state.longestConstantMs),
  }
  for (const { name, rankPpm } of policy.percentiles) {
    measures[name] = state.samples === 0 ? null : nearestRank(state.counts, state.samples, rankPpm)
  }
  if (policy.hasKinetic) {
    const kelvinMicro =
      state.kineticWeight === 0n ? null : kineticMeanMicro(state.kineticSum, state.kineticWeight)
    measures['mean_kinetic_temperature'] =
      kelvinMicro === null ? null : kelvinMicro - BigInt(policy.kelvinOffset)
  }
  if (policy.sliceMs > 0) {
    const bad = state.badSlices + (isViolatingGap ? state.unknownSlices : 0)
    const open = isViolatingGap ? 0 : state.unknownSlices
    const judged = state.goodSlices + bad + (policy.gaps === 'excluded' ? 0 : open)
    measures['good_slices'] = BigInt(state.goodSlices)
    measures['bad_slices'] = BigInt(bad)
    measures['unknown_slices'] = BigInt(open)
    measures['good_slices_ppm'] = judged === 0 ? null : ppm(state.goodSlices, judged)
  }
  return measures
}

/**
 * Between which values a measure lies, whatever the unobserved time was. Only gaps that are `unknown`
 * open this question; the other rules have answered it.
 */
function bounds(
  name: string,
  value: bigint | null,
  state: EngineState,
  policy: CompiledPolicy,
): Bounds {
  const open: Bounds = { low: undefined, high: undefined }
  const lengthMs = state.endMs - state.startMs
  const unknownMs = lengthMs - state.knownMs
  if (policy.gaps !== 'unknown' || unknownMs === 0) {
    return value === null ? open : { low: value, high: value }
  }
  const unknown = BigInt(unknownMs)
  const openMs = BigInt(unknownMs + state.undeterminedMs)
  const low = policy.hasRange ? BigInt(policy.range.low) : undefined
  const high = policy.hasRange ? BigInt(policy.range.high) : undefined
  const areaTwice = state.areaTwiceCarry + BigInt(state.areaTwice)
  const filled = (known: bigint, bound: bigint | undefined, divisor: bigint): bigint | undefined =>
    bound === undefined
      ? undefined
      : divideRounded(known + 2n * bound * unknown, 2n * divisor, 'half-even')
  switch (name) {
    case 'known_ms':
    case 'unknown_ms':
    case 'conflicts':
    case 'empty_slots':
      return value === null ? open : { low: value, high: value }
    case 'violating_ms':
    case 'compliant_ms':
      return value === null ? open : { low: value, high: value + openMs }
    case 'compliance_ppm':
      return {
        low: value ?? undefined,
        high: ppm(lengthMs - state.violatingMs, lengthMs),
      }
    case 'excursions':
      return {
        low: state.known.count > 0 ? 1n : 0n,
        high: state.bridged.count === 0 ? 0n : undefined,
      }
    case 'excursion_ms':
      return { low: BigInt(state.known.totalMs), high: BigInt(state.bridged.totalMs) }
    case 'longest_excursion_ms':
      return { low: BigInt(state.known.longestMs), high: BigInt(state.bridged.longestMs) }
    case 'good_slices':
      return value === null ? open : { low: value, high: value + BigInt(state.unknownSlices) }
    case 'bad_slices':
      return value === null ? open : { low: value, high: value + BigInt(state.unknownSlices) }
    case 'good_slices_ppm':
      return {
        low: value ?? undefined,
        high: ppm(
          state.goodSlices + state.unknownSlices,
          state.goodSlices + state.badSlices + state.unknownSlices,
        ),
      }
    case 'time_weighted_mean':
      return {
        low: filled(areaTwice, low, BigInt(lengthMs)),
        high: filled(areaTwice, high, BigInt(lengthMs)),
      }
    case 'integral': {
      const clip = (bound: bigint | undefined): bigint | undefined =>
        bound !== undefined && policy.clipsNegative && bound < 0n ? 0n : bound
      const twice = policy.clipsNegative
        ? state.clippedTwiceCarry + BigInt(state.clippedTwice)
        : areaTwice
      const perMs = BigInt(policy.integralPerMs)
      // Values below zero that count as zero cannot lower the integral, whatever the range says.
      const floor = policy.clipsNegative && low === undefined ? 0n : clip(low)
      return { low: filled(twice, floor, perMs), high: filled(twice, clip(high), perMs) }
    }
    case 'min':
      return { low, high: value ?? high }
    case 'max':
      return { low: value ?? low, high }
    case 'samples':
    case 'good_samples':
    case 'longest_constant_run_ms':
      return { low: value ?? undefined, high: undefined }
    case 'mean_kinetic_temperature':
      return { low, high }
    default:
      return name.startsWith('percentile_') ? { low, high } : open
  }
}

type Answer = 'yes' | 'no' | 'open'

/** Whether a comparison holds for every value between the bounds, for none, or for some. */
function holds({ low, high }: Bounds, operator: 'lt' | 'le' | 'gt' | 'ge', limit: bigint): Answer {
  const isUpper = operator === 'lt' || operator === 'le'
  const fulfils = (value: bigint): boolean =>
    isUpper
      ? value < limit || (operator === 'le' && value === limit)
      : value > limit || (operator === 'ge' && value === limit)
  const worst = isUpper ? high : low
  const best = isUpper ? low : high
  if (worst !== undefined && fulfils(worst)) return 'yes'
  return best !== undefined && !fulfils(best) ? 'no' : 'open'
}

/** From a measure to the amount: what is above or below the limit, times the factor, rounded once. */
function amount(value: bigint, { settlement }: CompiledPolicy): bigint {
  let part = value
  if (settlement.above !== undefined) part = value - settlement.above
  if (settlement.below !== undefined) part = settlement.below - value
  const isOneSided = settlement.above !== undefined || settlement.below !== undefined
  if (isOneSided && part < 0n) part = 0n
  return divideRounded(
    part * settlement.stepMicro * settlement.multiply,
    settlement.divide,
    settlement.rounding,
  )
}

/** The part of the amount that is certain: of all amounts still possible, the one nearest to zero. */
function certainAmount({ low, high }: Bounds, policy: CompiledPolicy): bigint | undefined {
  // An amount of what is missing below a limit falls as the measure rises.
  const [least, most] = policy.settlement.below === undefined ? [low, high] : [high, low]
  const isOneSided = policy.settlement.above !== undefined || policy.settlement.below !== undefined
  const smallest = least === undefined ? (isOneSided ? 0n : undefined) : amount(least, policy)
  const largest = most === undefined ? undefined : amount(most, policy)
  if (smallest !== undefined && smallest >= 0n) return smallest
  if (largest !== undefined && largest <= 0n) return largest
  return smallest === undefined || largest === undefined ? undefined : 0n
}

/** The bytes behind `measuresHash`: RFC 8785, numbers as text, delivery counters left out. */
export function measuresBytes(measures: Measures, findings: readonly Finding[]): Uint8Array {
  const texts: Record<string, string | null> = {}
  for (const [name, value] of Object.entries(measures)) {
    if (name === 'exact_duplicates' || name === 'out_of_order') continue
    texts[name] = value === null ? null : value.toString()
  }
  return utf8(canonicalize({ version: 1, measures: texts, findings }) ?? '')
}

function verdictOf(
  answers: readonly Answer[],
  effects: ReadonlySet<string>,
  isCoverageLow: boolean,
  gaps: CompiledPolicy['gaps'],
): VerdictName {
  if (effects.has('void')) return 'INCONCLUSIVE'
  if (answers.includes('no')) {
    // With gaps left open a failure is certain, whatever was not seen; with gaps left out it is not.
    return isCoverageLow && gaps === 'excluded' ? 'INCONCLUSIVE' : 'FAIL'
  }
  if (answers.includes('open') || effects.has('no-pass')) return 'INCONCLUSIVE'
  return 'PASS'
}

/**
 * The weakest tier leaned on. Silence that a policy calls a violation leans on no reading at all: it is
 * proved by what was expected and not heard, and no weak source stands behind it.
 */
function weakestTier(state: EngineState, { gaps }: CompiledPolicy): TrustTier {
  if (state.tier !== 0) return state.tier
  return gaps === 'violating' ? trustTiers.hardware : trustTiers.replay
}

/** Closes a window: measures, verdict, amount, findings. The engine has to be finished. */
export function conclude(
  state: EngineState,
  policy: CompiledPolicy,
  delivery: Delivery,
): Evaluation {
  const lengthMs = state.endMs - state.startMs
  const coveragePpm = Number(ppm(state.knownMs, lengthMs))
  const measures = measure(state, policy)
  const isCoverageLow = coveragePpm < policy.minCoveragePpm
  if (isCoverageLow) note(state, 'coverage_below_minimum', state.startMs)
  if (state.samples === 0 && policy.gaps !== 'violating') note(state, 'no_evidence', state.startMs)
  if (state.emptySlots > 0) note(state, 'empty_slot', state.startMs, state.emptySlots)
  const answers = policy.objectives.map(({ measure: name, operator, limit }) =>
    holds(bounds(name, measures[name] ?? null, state, policy), operator, limit),
  )
  const settled = policy.settlement.measure
  let value = certainAmount(bounds(settled, measures[settled] ?? null, state, policy), policy)
  if (value === undefined) note(state, 'settlement_undetermined', state.startMs)
  else if (BigInt.asIntN(128, value) !== value) {
    note(state, 'settlement_out_of_range', state.startMs)
    value = undefined
  }
  const findings = [...state.findings]
    .map(([name, finding]) => ({
      name,
      effect: findingEffects[name],
      ...finding,
    }))
    .sort((left, right) => (left.name < right.name ? -1 : 1))
  const verdict = verdictOf(
    answers,
    new Set(findings.map(({ effect }) => effect)),
    isCoverageLow,
    policy.gaps,
  )
  return {
    periodStartMs: state.startMs,
    periodEndMs: state.endMs,
    verdict,
    valueMicro: value ?? 0n,
    unit: policy.settlement.unit,
    coveragePpm,
    tier: weakestTier(state, policy),
    measures: {
      ...measures,
      exact_duplicates: BigInt(delivery.exactDuplicates),
      out_of_order: BigInt(delivery.outOfOrder),
    },
    findings,
    measuresHash: toHex(keccak(measuresBytes(measures, findings))),
  }
}
