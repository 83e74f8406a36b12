import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Evaluation, evaluate, evaluateWindows } from '#evaluation/evaluate.ts'
import { createStreaming, resumeStreaming } from '#evaluation/streaming.ts'
import { type Policy, decodePolicy, templates } from '#schemas/policy/policy.ts'
import type { Reading } from '#schemas/reading.ts'
import {
  periodEndMs,
  periodStartMs,
  policyArbitrary,
  reading,
  readingsArbitrary,
} from './arbitraries.ts'

/** Everything but the two counters of how the evidence was delivered. */
function withoutDelivery({ measures, ...evaluation }: Evaluation) {
  const { exact_duplicates: _, out_of_order: __, ...rest } = measures
  return { ...evaluation, measures: rest }
}

function judge(policy: Policy, readings: readonly Reading[]) {
  return evaluate({ policy, periodStartMs, periodEndMs, readings })
}

describe('determinism', () => {
  it('the same readings in any order and with any repetitions give the same evaluation', () => {
    fc.assert(
      fc.property(
        policyArbitrary,
        readingsArbitrary.chain((readings) =>
          fc.tuple(
            fc.constant(readings),
            fc.array(fc.nat(Math.max(0, readings.length - 1)), { maxLength: 20 }),
            fc.array(fc.double({ noNaN: true }), { minLength: 100, maxLength: 100 }),
          ),
        ),
        (policy, [readings, repeats, keys]) => {
          const delivered = [...readings, ...repeats.flatMap((index) => readings[index] ?? [])]
            .map((item, index) => ({ item, key: keys[index] ?? 0 }))
            .sort((left, right) => left.key - right.key)
            .map(({ item }) => item)
          expect(withoutDelivery(judge(policy, delivered))).toStrictEqual(
            withoutDelivery(judge(policy, readings)),
          )
        },
      ),
      { numRuns: 500 },
    )
  })

  it('counts repetitions and disorder as they came, outside the hash', () => {
    const policy = decodePolicy({
      ...templates['cold-chain'],
      signal: { series: 'x', unit: 'Cel' },
    })
    const ordered = [reading(periodStartMs, 3), reading(periodStartMs + 10, 4)]
    const shuffled = [ordered[1], ordered[0], ordered[1]].flatMap((item) => item ?? [])
    const [first, second] = [judge(policy, ordered), judge(policy, shuffled)]
    expect(first.measures).toMatchObject({ exact_duplicates: 0n, out_of_order: 0n })
    expect(second.measures).toMatchObject({ exact_duplicates: 1n, out_of_order: 1n })
    expect(second.measuresHash).toBe(first.measuresHash)
  })
})

describe('streaming', () => {
  it('draws the conclusion of the batch from any arrival within the lateness, stored and resumed anywhere', () => {
    fc.assert(
      fc.property(
        policyArbitrary,
        readingsArbitrary,
        fc.integer({ min: 0, max: 60 }),
        fc.array(fc.nat(60), { minLength: 40, maxLength: 40 }),
        fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }),
        (policy, readings, latenessMs, delays, pauses) => {
          const arriving = readings
            .map((item, index) => ({
              item,
              arrivalMs: item.timeMs + ((delays[index] ?? 0) % (latenessMs + 1)),
            }))
            .sort((left, right) => left.arrivalMs - right.arrivalMs)
            .map(({ item }) => item)
          let streaming = createStreaming({ policy, periodStartMs, periodEndMs, latenessMs })
          for (const [index, item] of arriving.entries()) {
            streaming.take(item)
            if (pauses[index] === true) streaming = resumeStreaming(streaming.save(), { policy })
          }
          expect(streaming.conclude()).toStrictEqual(judge(policy, arriving))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('refuses to pass on a stream of which a reading came too late', () => {
    const policy = decodePolicy({
      ...templates['cold-chain'],
      signal: { series: 'x', unit: 'Cel' },
    })
    const streaming = createStreaming({ policy, periodStartMs, periodEndMs, latenessMs: 10 })
    streaming.take(reading(periodStartMs, 3))
    streaming.take(reading(periodStartMs + 100, 3))
    streaming.take(reading(periodStartMs + 50, 9))
    const { verdict, findings } = streaming.conclude()
    expect(verdict).toBe('INCONCLUSIVE')
    expect(findings.map(({ name }) => name)).toStrictEqual(['too_late'])
  })

  it('keeps its memory constant, however long the stream is', () => {
    const policy = decodePolicy({
      ...templates['cold-chain'],
      signal: { series: 'x', unit: 'Cel' },
      aggregates: [],
    })
    const streaming = createStreaming({
      policy,
      periodStartMs: 0,
      periodEndMs: 10_000_000,
      latenessMs: 1_000,
    })
    const sizes: number[] = []
    for (let index = 0; index < 20_000; index += 1) {
      streaming.take(reading(index * 100, 3 + (index % 7)))
      if (index === 1_000 || index === 19_999) sizes.push(streaming.save().length)
    }
    // Digits of counters may grow, the number of things kept may not.
    expect(sizes[1]).toBeLessThan((sizes[0] ?? 0) + 100)
  })

  it('does not resume under another policy, and takes nothing after its conclusion', () => {
    const policy = decodePolicy(templates['cold-chain'])
    const input = { policy, periodStartMs, periodEndMs, latenessMs: 0 }
    const saved = createStreaming(input).save()
    expect(() => resumeStreaming(saved, { policy: decodePolicy(templates.uptime) })).toThrow(
      'The stored evaluation belongs to another policy.',
    )
    const streaming = createStreaming(input)
    streaming.conclude()
    expect(() => {
      streaming.take(reading(periodStartMs, 3))
    }).toThrow('This evaluation has been concluded.')
  })
})

describe('gaps that stay open', () => {
  /** One reading every 10 ms, each good for exactly 10 ms, so that a missing one leaves a hole. */
  const policy = (objective: object): Policy =>
    decodePolicy({
      ...templates['cold-chain'],
      signal: { series: 'x', unit: 'Cel', interval: '10ms' },
      interpolation: { kind: 'hold', max: '10ms' },
      minCoverage: '0%',
      hysteresis: '0.5',
      for: '25ms',
      aggregates: [
        { kind: 'integral', per: 's', unit: 'Cel.s', negative: 'net' },
        { kind: 'percentile', rank: '90%' },
        { kind: 'mean-kinetic-temperature' },
        { kind: 'slices', length: '50ms' },
      ],
      objectives: [objective],
      quality: { range: { low: '-10', high: '20' } },
      settlement: { measure: 'known_ms', unit: 'ms', rounding: 'down' },
    })
  const objectives = fc.constantFrom(
    ...[
      { measure: 'excursions', limit: '1' },
      { measure: 'excursion_ms', limit: '40ms' },
      { measure: 'longest_excursion_ms', limit: '30ms' },
      { measure: 'compliance_ppm', limit: '80%' },
      { measure: 'time_weighted_mean', limit: '5' },
      { measure: 'integral', limit: '1.5' },
      { measure: 'min', limit: '1.5' },
      { measure: 'max', limit: '8' },
      { measure: 'percentile_90', limit: '6' },
      { measure: 'mean_kinetic_temperature', limit: '5' },
      { measure: 'good_slices_ppm', limit: '50%' },
      { measure: 'bad_slices', limit: '2' },
      { measure: 'samples', limit: '29' },
      { measure: 'good_samples', limit: '20' },
    ].flatMap((objective) =>
      ['lt', 'le', 'gt', 'ge'].map((operator) => ({ ...objective, operator })),
    ),
  )

  it('whatever is withheld, a verdict never turns into its opposite', () => {
    const seen = new Map<string, number>()
    fc.assert(
      fc.property(
        objectives,
        fc.array(fc.constantFrom(1, 2, 2.3, 4, 7.8, 8, 9), { minLength: 30, maxLength: 30 }),
        fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }),
        (objective, values, kept) => {
          const all = values.map((value, index) => reading(periodStartMs + index * 10, value))
          const whole = judge(policy(objective), all).verdict
          const part = judge(
            policy(objective),
            all.filter((_, index) => kept[index]),
          ).verdict
          expect([whole, 'INCONCLUSIVE']).toContain(part)
          seen.set(part, (seen.get(part) ?? 0) + 1)
        },
      ),
      { numRuns: 1_000 },
    )
    // The law would be empty if everything were inconclusive.
    expect(seen.get('PASS')).toBeGreaterThan(10)
    expect(seen.get('FAIL')).toBeGreaterThan(10)
  })
})

describe('windows of one policy', () => {
  it('are judged as if each were alone, whatever order the readings come in', () => {
    const policy = decodePolicy({
      ...templates['cold-chain'],
      signal: { series: 'x', unit: 'Cel' },
      window: { kind: 'sliding', length: '100ms', step: '20ms', anchorMs: 0 },
      interpolation: { kind: 'linear', max: '30ms' },
      for: '10ms',
    })
    fc.assert(
      fc.property(readingsArbitrary, fc.boolean(), (readings, isSorted) => {
        const given = isSorted
          ? readings.toSorted((left, right) => left.timeMs - right.timeMs)
          : readings
        const excursions: unknown[] = []
        const windows = evaluateWindows({
          policy,
          fromMs: periodStartMs,
          toMs: periodEndMs,
          readings: given,
          onExcursion: (excursion, window) => excursions.push({ ...excursion, of: window.startMs }),
        })
        const alone: unknown[] = []
        expect(windows).toStrictEqual(
          Array.from({ length: 11 }, (_, index) => {
            const startMs = periodStartMs + index * 20
            return evaluate({
              policy,
              periodStartMs: startMs,
              periodEndMs: startMs + 100,
              readings: given,
              onExcursion: (excursion) => alone.push({ ...excursion, of: startMs }),
            })
          }),
        )
        expect(excursions).toStrictEqual(alone)
      }),
      { numRuns: 200 },
    )
  })

  it('silence that counts as violation leans on no weak source', () => {
    const uptime = decodePolicy({ ...templates.uptime, signal: { series: 'x', unit: '/' } })
    expect(judge(uptime, [])).toMatchObject({ verdict: 'FAIL', tier: 1, coveragePpm: 0 })
    const cold = decodePolicy(templates['cold-chain'])
    expect(judge(cold, [])).toMatchObject({ verdict: 'INCONCLUSIVE', tier: 4 })
  })
})
