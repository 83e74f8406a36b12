import {
  type MeasureKind,
  measureCatalogue,
  microPerStep,
  parseLimit,
  percentileName,
} from '#schemas/policy/measures.ts'
import type { Policy } from '#schemas/policy/policy.ts'
import { parseDecimal, parseDuration, parsePercent } from '#schemas/policy/quantities.ts'
import { type TrustTier, trustTiers } from '#schemas/trustTier.ts'

/** Values that fulfil a condition: `low <= v <= high`, in millionths. */
export type Band = { readonly low: number; readonly high: number }

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
  readonly range: Band
  readonly hasRange: boolean
  readonly stepLimit: number
  readonly stepWithinMs: number
  readonly flatlineMs: number
  readonly flatlineExcept: readonly number[]
  readonly faultCodes: readonly number[]
  readonly minimumSpacingMs: number
  readonly repeatsRun: number
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
  if (predicate === undefined) return { low: -largest, high: largest }
  if (predicate.operator === 'between') {
    return { low: micro(predicate.low) + inset, high: micro(predicate.high) - inset }
  }
  const limit = micro(predicate.limit)
  // Values are whole millionths, so that "less than" is "at most the millionth below".
  const bands: Record<typeof predicate.operator, Band> = {
    equals: { low: limit, high: limit },
    lt: { low: -largest, high: limit - 1 - inset },
    le: { low: -largest, high: limit - inset },
    gt: { low: limit + 1 + inset, high: largest },
    ge: { low: limit + inset, high: largest },
  }
  return bands[predicate.operator]
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
