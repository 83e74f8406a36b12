import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { evaluateColumns } from '#evaluation/columns.ts'
import { evaluate } from '#evaluation/evaluate.ts'
import { type Policy, decodePolicy } from '#schemas/policy/policy.ts'
import type { Reading } from '#schemas/reading.ts'
import { device, periodEndMs, periodStartMs, policyArbitrary } from './arbitraries.ts'

const qualityArbitrary = fc.record(
  {
    range: fc.constant({ low: '-2', high: '4.5' }),
    step: fc.constant({ limit: '3', within: '20ms' }),
    flatline: fc.constantFrom({ longest: '30ms' }, { longest: '30ms', except: ['0'] }),
    faultCodes: fc.constant(['2.5']),
    minimumSpacing: fc.constant('2ms'),
    minimumTier: fc.constantFrom('hardware', 'gateway'),
  },
  { requiredKeys: [] },
)

/** Runs of like values, so that long steady stretches occur beside everything else. */
const columnsArbitrary = fc
  .array(
    fc.record({
      stepMs: fc.constantFrom(0, 1, 2, 5, 5, 5, 5, 10, 90),
      value: fc.constantFrom(0, -0, 1, 1, 1, 2, 2.5, 3.25, 4, 9, Number.NaN, 0.5, 1e16, Infinity),
      times: fc.integer({ min: 1, max: 8 }),
    }),
    { maxLength: 25 },
  )
  .map((stretches) => {
    let timeMs = periodStartMs - 40
    return stretches.flatMap(({ stepMs, value, times }) =>
      Array.from({ length: times }, () => {
        timeMs += stepMs
        return { timeMs, valueMicro: value * 1e6 }
      }),
    )
  })

function bothWays(policy: Policy, rows: readonly { timeMs: number; valueMicro: number }[]) {
  const readings: Reading[] = rows.map(({ timeMs, valueMicro }) => ({
    device,
    series: 'x',
    unit: 'Cel',
    timeMs,
    valueMicro: Number.isNaN(valueMicro) ? null : valueMicro,
    tier: 2,
  }))
  return [
    evaluate({ policy, periodStartMs, periodEndMs, readings }),
    evaluateColumns({
      policy,
      periodStartMs,
      periodEndMs,
      columns: {
        timesMs: Float64Array.from(rows, ({ timeMs }) => timeMs),
        valuesMicro: Float64Array.from(rows, ({ valueMicro }) => valueMicro),
        tier: 2,
      },
    }),
  ] as const
}

describe('evaluateColumns', () => {
  it('answers as evaluate does, for every policy, quality rule and stream', () => {
    fc.assert(
      fc.property(
        policyArbitrary,
        qualityArbitrary,
        fc.boolean(),
        columnsArbitrary,
        (arbitrary, quality, isPlain, rows) => {
          const { hysteresis, ...rest } = arbitrary
          const policy = decodePolicy({
            ...rest,
            quality,
            // Without these aggregates the shortcut is open.
            ...(isPlain
              ? {
                  aggregates: [],
                  objectives: [],
                  settlement: { measure: 'sum', unit: 'Cel', rounding: 'down' },
                  gaps: 'unknown',
                  minCoverage: '10%',
                  interpolation: { kind: 'hold', max: '12ms' },
                  ...(hysteresis === undefined ? {} : { hysteresis }),
                }
              : {}),
          })
          const [byReadings, byColumns] = bothWays(policy, rows)
          expect(byColumns).toStrictEqual(byReadings)
        },
      ),
      { numRuns: 1_500 },
    )
  })

  it('stays exact where float64 would not', () => {
    const policy = decodePolicy({
      version: 1,
      name: 'large',
      signal: { series: 'x', unit: 'Cel' },
      window: { kind: 'period' },
      interpolation: { kind: 'hold', max: '1d' },
      gaps: 'excluded',
      minCoverage: '10%',
      aggregates: [],
      objectives: [],
      quality: {},
      settlement: { measure: 'sum', unit: 'Cel', rounding: 'down' },
      audience: { kind: 'anyone' },
    })
    const rows = Array.from({ length: 299 }, (_, index) => ({
      timeMs: periodStartMs + index,
      valueMicro: Number.MAX_SAFE_INTEGER - index,
    }))
    const [byReadings, byColumns] = bothWays(policy, rows)
    expect(byColumns).toStrictEqual(byReadings)
    const exact = rows.reduce((sum, { valueMicro }) => sum + BigInt(valueMicro), 0n)
    expect(byColumns.measures['sum']).toBe(exact)
    expect(BigInt(rows.reduce((sum, { valueMicro }) => sum + valueMicro, 0))).not.toBe(exact)
  })
})
