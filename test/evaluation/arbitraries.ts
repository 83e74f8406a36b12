import fc from 'fast-check'
import { type Policy, decodePolicy } from '#schemas/policy/policy.ts'
import type { Reading } from '#schemas/reading.ts'

export const device = `0x${'11'.repeat(32)}` as const

/** Small enough for a model that looks at every millisecond by itself. */
export const periodStartMs = 1_000_000
export const periodEndMs = 1_000_300

export function reading(
  timeMs: number,
  value: number | null,
  rest: Partial<Reading> = {},
): Reading {
  return {
    device,
    series: 'x',
    unit: 'Cel',
    timeMs,
    valueMicro: value === null ? null : Math.round(value * 1e6),
    tier: 1,
    ...rest,
  }
}

/** Policies over `x` with every interpolation, gap rule and way of judging. */
export const policyArbitrary: fc.Arbitrary<Policy> = fc
  .record({
    interpolation: fc.oneof(
      fc.record({ kind: fc.constantFrom('hold', 'linear'), max: duration(1, 60) }),
      fc.record({
        kind: fc.constant('interval-mean'),
        step: duration(1, 60),
        stamp: fc.constantFrom('start', 'end'),
      }),
    ),
    gaps: fc.constantFrom('unknown', 'violating', 'excluded'),
    predicate: fc.oneof(
      fc.record({
        operator: fc.constantFrom('lt', 'le', 'gt', 'ge', 'equals'),
        limit: fc.constantFrom('0', '2', '3', '-1'),
      }),
      fc.record({
        operator: fc.constant('between'),
        low: fc.constantFrom('-1', '0', '1'),
        high: fc.constantFrom('3', '4'),
      }),
    ),
    hysteresis: fc.option(fc.constantFrom('0.5', '1'), { nil: undefined }),
    for: fc.option(duration(1, 80), { nil: undefined }),
    negative: fc.constantFrom('net', 'zero'),
    slice: fc.option(duration(7, 120), { nil: undefined }),
  })
  .map(({ interpolation, gaps, predicate, hysteresis, negative, slice, for: lasting }) =>
    decodePolicy({
      version: 1,
      name: 'arbitrary',
      signal: { series: 'x', unit: 'Cel' },
      window: { kind: 'period' },
      interpolation,
      gaps,
      ...(gaps === 'violating' ? {} : { minCoverage: '10%' }),
      predicate,
      ...(hysteresis === undefined || predicate.operator === 'equals' ? {} : { hysteresis }),
      ...(lasting === undefined ? {} : { for: lasting }),
      aggregates: [
        { kind: 'integral', per: 's', unit: 'Cel.s', negative },
        { kind: 'percentile', rank: '90%' },
        { kind: 'mean-kinetic-temperature' },
        ...(slice === undefined ? [] : [{ kind: 'slices', length: slice }]),
      ],
      ...(gaps === 'excluded'
        ? {
            objectives: [{ measure: 'max', operator: 'le', limit: '4' }],
            settlement: { measure: 'integral', unit: 'Cel.s', rounding: 'half-even' },
          }
        : {
            objectives: [{ measure: 'longest_excursion_ms', operator: 'le', limit: '100ms' }],
            settlement: {
              measure: 'excursion_ms',
              unit: 's',
              rounding: 'down',
              factor: { multiply: '1', divide: '1000' },
            },
          }),
      quality: {},
      audience: { kind: 'anyone' },
    }),
  )

function duration(min: number, max: number): fc.Arbitrary<string> {
  return fc.integer({ min, max }).map((length) => `${length}ms`)
}

/** Readings of one device around the window: some slots empty, some instants contradicting themselves. */
export const readingsArbitrary: fc.Arbitrary<Reading[]> = fc.array(
  fc
    .record({
      timeMs: fc.integer({ min: periodStartMs - 80, max: periodEndMs + 80 }),
      value: fc.option(fc.constantFrom(-1.5, 0, 0.25, 1, 1.75, 2, 2.5, 3, 4.000001, 5), {
        nil: null,
        freq: 12,
      }),
      tier: fc.constantFrom(1, 2, 3),
    })
    .map(({ timeMs, value, tier }) => reading(timeMs, value, { tier: tier as 1 })),
  { maxLength: 40 },
)
