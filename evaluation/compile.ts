import {
  type MeasureKind,
  measureCatalogue,
  microPerStep,
  parseLimit,
  percentileName,
} from '#schemas/policy/measures.ts'
import type { Policy } from '#schemas/policy/policy.ts'
import { zoneOffsets } from '#schemas/policy/timeZones.ts'
import { parseDecimal, parseDuration, parsePercent } from '#schemas/policy/quantities.ts'
import { type TrustTier, trustTiers } from '#schemas/trustTier.ts'

/**
 * Values that fulfil a condition: `low <= v <= high`, in whole millionths. A line passes between
 * them as well: where the limit itself is excluded, all up to the next millionth still fulfils.
 */
export type Band = { readonly low: number; readonly high: number; readonly isOpen: boolean }

/** A policy with every text turned into the integer that it stands for. */
export type CompiledPolicy = {
  readonly kind: 'hold' | 'linear' | 'end'
  /** How long a value reaches, in milliseconds. */
  readonly reachMs: number
  readonly isIntervalMean: boolean
  readonly gaps: Policy['gaps']
  readonly minCoveragePpm: number
  readonly hasPredicate: boolean
  /** What fulfils the predicate. */
  readonly good: Band
  /** What ends a violation; lies within `good`. */
  readonly clear: Band
  readonly forMs: number
  readonly range: { readonly low: number; readonly high: number }
  readonly hasRange: boolean
  readonly stepLimit: number
  readonly stepWithinMs: number
  readonly flatlineMs: number
  readonly flatlineExcept: readonly number[]
  readonly faultCodes: readonly number[]
  readonly minimumSpacingMs: number
  readonly repeatsRun: number
  /** Expected time between readings; 0 when the policy names none. */
  readonly intervalMs: number
  readonly needsPacks: boolean
  readonly needsCalibration: boolean
  /** How far a pack's last stamp may lie after, or before, its receipt. */
  readonly maxAheadMs: number
  readonly maxBehindMs: number
  /** Changes of the wall clock whose traces are looked for. */
  readonly clockChanges: readonly { readonly atMs: number; readonly shiftMs: number }[]
  readonly minimumTier: TrustTier
  readonly integralPerMs: number
  readonly clipsNegative: boolean
  readonly percentiles: readonly { readonly name: string; readonly rankPpm: number }[]
  readonly hasKinetic: boolean
  /** Added to a value in Celsius to make it Kelvin, in millionths. */
  readonly kelvinOffset: number
  readonly sliceMs: number
  readonly objectives: readonly {
    readonly measure: string
    readonly operator: 'lt' | 'le' | 'gt' | 'ge'
    readonly limit: bigint
  }[]
  readonly settlement: {
    readonly measure: string
    readonly kind: MeasureKind
    readonly stepMicro: bigint
    readonly above: bigint | undefined
    readonly below: bigint | undefined
    readonly multiply: bigint
    readonly divide: bigint
    readonly rounding: 'half-even' | 'down'
    readonly unit: string
  }
}

const largest = Number.MAX_SAFE_INTEGER
const timeBaseMs = { s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const

const micro = (text: string): number => parseDecimal(text) ?? Number.NaN
const ms = (text: string): number => parseDuration(text) ?? Number.NaN

function band(predicate: Policy['predicate'], inset: number): Band {
  if (predicate === undefined) return { low: -largest, high: largest, isOpen: false }
  if (predicate.operator === 'between') {
    return { low: micro(predicate.low) + inset, high: micro(predicate.high) - inset, isOpen: false }
  }
  const limit = micro(predicate.limit)
  // Values are whole millionths, so that "less than" is "at most the millionth below".
  const bands: Record<typeof predicate.operator, Band> = {
    equals: { low: limit, high: limit, isOpen: false },
    lt: { low: -largest, high: limit - 1 - inset, isOpen: true },
    le: { low: -largest, high: limit - inset, isOpen: false },
    gt: { low: limit + 1 + inset, high: largest, isOpen: true },
    ge: { low: limit + inset, high: largest, isOpen: false },
  }
  return bands[predicate.operator]
}

function clockChanges(
  rule: Policy['quality']['daylightSaving'],
): { atMs: number; shiftMs: number }[] {
  if (rule === undefined) return []
  const offsets = zoneOffsets(rule.zone, rule.timeZoneTable)
  return offsets.slice(1).map(({ fromMs, offsetMs }, index) => ({
    atMs: fromMs,
    shiftMs: Math.abs(offsetMs - (offsets[index]?.offsetMs ?? 0)),
  }))
}

/** Turns a decoded policy into integers. The policy has to come from `decodePolicy`. */
export function compilePolicy(policy: Policy): CompiledPolicy {
  const { interpolation, quality, settlement } = policy
  const catalogue = measureCatalogue(policy)
  const integral = policy.aggregates.find(({ kind }) => kind === 'integral')
  const slices = policy.aggregates.find(({ kind }) => kind === 'slices')
  const settledKind = catalogue.get(settlement.measure)?.kind ?? 'instant'
  const limit = (text: string | undefined, kind: MeasureKind): bigint | undefined =>
    text === undefined ? undefined : parseLimit(text, kind)
  return {
    kind:
      interpolation.kind === 'interval-mean'
        ? interpolation.stamp === 'end'
          ? 'end'
          : 'hold'
        : interpolation.kind,
    reachMs: ms(interpolation.kind === 'interval-mean' ? interpolation.step : interpolation.max),
    isIntervalMean: interpolation.kind === 'interval-mean',
    gaps: policy.gaps,
    minCoveragePpm: policy.minCoverage === undefined ? 0 : (parsePercent(policy.minCoverage) ?? 0),
    hasPredicate: policy.predicate !== undefined,
    good: band(policy.predicate, 0),
    clear: band(policy.predicate, policy.hysteresis === undefined ? 0 : micro(policy.hysteresis)),
    forMs: policy.for === undefined ? 0 : ms(policy.for),
    range:
      quality.range === undefined
        ? { low: -largest, high: largest }
        : { low: micro(quality.range.low), high: micro(quality.range.high) },
    hasRange: quality.range !== undefined,
    stepLimit: quality.step === undefined ? Number.POSITIVE_INFINITY : micro(quality.step.limit),
    stepWithinMs: quality.step === undefined ? 0 : ms(quality.step.within),
    flatlineMs:
      quality.flatline === undefined ? Number.POSITIVE_INFINITY : ms(quality.flatline.longest),
    flatlineExcept: (quality.flatline?.except ?? []).map(micro),
    faultCodes: (quality.faultCodes ?? []).map(micro),
    minimumSpacingMs: quality.minimumSpacing === undefined ? 0 : ms(quality.minimumSpacing),
    repeatsRun: quality.repeats?.run ?? 0,
    intervalMs: policy.signal.interval === undefined ? 0 : ms(policy.signal.interval),
    needsPacks: quality.packs === 'required',
    needsCalibration: quality.calibration === 'required',
    maxAheadMs: quality.clock === undefined ? Number.POSITIVE_INFINITY : ms(quality.clock.maxAhead),
    maxBehindMs:
      quality.clock === undefined ? Number.POSITIVE_INFINITY : ms(quality.clock.maxBehind),
    clockChanges: clockChanges(quality.daylightSaving),
    minimumTier: trustTiers[quality.minimumTier ?? 'replay'],
    integralPerMs: integral?.kind === 'integral' ? timeBaseMs[integral.per] : timeBaseMs.s,
    clipsNegative: integral?.kind === 'integral' && integral.negative === 'zero',
    percentiles: policy.aggregates.flatMap((aggregate) =>
      aggregate.kind === 'percentile'
        ? [{ name: percentileName(aggregate.rank), rankPpm: parsePercent(aggregate.rank) ?? 0 }]
        : [],
    ),
    hasKinetic: policy.aggregates.some(({ kind }) => kind === 'mean-kinetic-temperature'),
    kelvinOffset: policy.signal.unit === 'Cel' ? 273_150_000 : 0,
    sliceMs: slices?.kind === 'slices' ? ms(slices.length) : 0,
    objectives: policy.objectives.map(({ measure, operator, limit: text }) => ({
      measure,
      operator,
      limit: limit(text, catalogue.get(measure)?.kind ?? 'instant') ?? 0n,
    })),
    settlement: {
      measure: settlement.measure,
      kind: settledKind,
      stepMicro: microPerStep(settledKind),
      above: limit(settlement.above, settledKind),
      below: limit(settlement.below, settledKind),
      multiply: BigInt(settlement.factor?.multiply ?? '1'),
      divide: BigInt(settlement.factor?.divide ?? '1'),
      rounding: settlement.rounding,
      unit: settlement.unit,
    },
  }
}
