import { parseDecimal, parseDuration, parsePercent } from './quantities.ts'
import type { Policy } from './schema.ts'

/**
 * What a measure counts in, hence how a policy writes a limit on it: `ms` as a duration, `ppm` as a
 * percentage, `count` as a whole number, `quantity` as a decimal of its unit. An `instant` only informs.
 */
export type MeasureKind = 'ms' | 'ppm' | 'count' | 'quantity' | 'instant'

export type MeasureDefinition = {
  readonly kind: MeasureKind
  readonly unit: string
  /** Whether it exists only where the policy has a predicate. */
  readonly needsPredicate: boolean
  /** Whether it is made of values (which a gap does not have) rather than of time. */
  readonly isOfValues: boolean
}

const time = { kind: 'ms', unit: 'ms', needsPredicate: false, isOfValues: false } as const
const judgedTime = { ...time, needsPredicate: true } as const
const count = { kind: 'count', unit: '1', needsPredicate: false, isOfValues: true } as const
const judgedCount = { ...count, needsPredicate: true } as const
const share = { kind: 'ppm', unit: '1', needsPredicate: true, isOfValues: false } as const

/**
 * Counters of how the evidence was delivered. They differ between two deliveries of the same
 * readings, so they are shown but neither hashed nor allowed to decide anything.
 */
export const deliveryMeasures = ['exact_duplicates', 'out_of_order'] as const

/** `95%` becomes `percentile_95`, `99.9%` becomes `percentile_99_9`. */
export function percentileName(rank: string): string {
  return `percentile_${rank.slice(0, -1).replace('.', '_')}`
}

/** Every measure that an evaluation of this policy names, delivery counters excluded. */
export function measureCatalogue(
  policy: Pick<Policy, 'signal' | 'aggregates'>,
): ReadonlyMap<string, MeasureDefinition> {
  const quantity = {
    kind: 'quantity',
    unit: policy.signal.unit,
    needsPredicate: false,
    isOfValues: true,
  } as const
  const catalogue = new Map<string, MeasureDefinition>([
    ['known_ms', time],
    ['unknown_ms', time],
    ['violating_ms', judgedTime],
    ['compliant_ms', judgedTime],
    ['compliance_ppm', share],
    ['excursions', { ...judgedCount, isOfValues: false }],
    ['excursion_ms', judgedTime],
    ['longest_excursion_ms', judgedTime],
    ['longest_excursion_start_ms', { ...judgedTime, kind: 'instant' }],
    ['time_weighted_mean', quantity],
    ['min', quantity],
    ['max', quantity],
    ['integral', { ...quantity, unit: `${policy.signal.unit}.s` }],
    ['sum', quantity],
    ['samples', count],
    ['good_samples', judgedCount],
    ['good_samples_ppm', { ...share, isOfValues: true }],
    ['empty_slots', count],
    ['conflicts', count],
    ['longest_constant_run_ms', { ...time, isOfValues: true }],
  ])
  for (const aggregate of policy.aggregates) {
    switch (aggregate.kind) {
      case 'integral':
        catalogue.set('integral', { ...quantity, unit: aggregate.unit })
        break
      case 'percentile':
        catalogue.set(percentileName(aggregate.rank), quantity)
        break
      case 'mean-kinetic-temperature':
        catalogue.set('mean_kinetic_temperature', quantity)
        break
      case 'slices':
        catalogue.set('good_slices', { ...judgedCount, isOfValues: false })
        catalogue.set('bad_slices', { ...judgedCount, isOfValues: false })
        catalogue.set('unknown_slices', { ...judgedCount, isOfValues: false })
        catalogue.set('good_slices_ppm', share)
        break
    }
  }
  return catalogue
}

const limitParsers: Readonly<Record<MeasureKind, (text: string) => number | undefined>> = {
  ms: (text) => (text === '0s' ? 0 : parseDuration(text)),
  ppm: parsePercent,
  count: (text) => (/^(?:0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : undefined),
  quantity: parseDecimal,
  instant: () => undefined,
}

/**
 * A limit in the measure's own whole numbers (milliseconds, ppm, counts, millionths), or `undefined`
 * when it is not written as its kind demands.
 */
export function parseLimit(text: string, kind: MeasureKind): bigint | undefined {
  const limit = limitParsers[kind](text)
  return limit === undefined ? undefined : BigInt(limit)
}

/** Millionths of a measure's unit that one step of its whole number is. */
export function microPerStep(kind: MeasureKind): bigint {
  return kind === 'ms' || kind === 'count' ? 1_000_000n : 1n
}
