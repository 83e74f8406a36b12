import { describe, expect, it } from 'vitest'
import { type Evaluation, evaluate } from '#evaluation/evaluate.ts'
import { findingEffects } from '#evaluation/findings.ts'
import { createStreaming } from '#evaluation/streaming.ts'
import { type Policy, decodePolicy, timeZoneTable } from '#schemas/policy/policy.ts'
import type { PackMark, Reading } from '#schemas/reading.ts'
import { device } from './arbitraries.ts'

const minute = 60_000
const hour = 60 * minute
const quarter = 15 * minute
/** A day on which no wall clock changes. */
const startMs = Date.UTC(2026, 5, 1)
const endMs = startMs + 24 * hour

/** Everything that the language has against lies, switched on. */
const guarded = decodePolicy({
  version: 1,
  name: 'guarded cold chain',
  signal: { series: 'temperature', unit: 'Cel', interval: '15m' },
  window: { kind: 'period' },
  interpolation: { kind: 'hold', max: '15m' },
  gaps: 'unknown',
  minCoverage: '95%',
  predicate: { operator: 'between', low: '2', high: '8' },
  aggregates: [],
  objectives: [{ measure: 'violating_ms', operator: 'le', limit: '0s' }],
  quality: {
    range: { low: '-40', high: '60' },
    step: { limit: '10', within: '15m' },
    flatline: { longest: '3h' },
    faultCodes: ['-33'],
    minimumSpacing: '10m',
    packs: 'required',
    calibration: 'required',
    clock: { maxAhead: '2m', maxBehind: '1h' },
    daylightSaving: { zone: 'Europe/Berlin', timeZoneTable },
    repeats: { run: 16 },
    minimumTier: 'hardware',
  },
  settlement: { measure: 'known_ms', unit: 'ms', rounding: 'down' },
  audience: { kind: 'anyone' },
})

const calibrations = [
  { device, series: 'temperature', validFromMs: startMs - 1000 * hour, validUntilMs: endMs + hour },
]

/** A lively, honest cooler: never twice the same for long, never the same stretch twice. */
function honestValue(index: number): number {
  return 4 + ((index * 7 + Math.floor(index / 5) ** 2) % 23) / 10
}

function honest(from = startMs, count = 96): Reading[] {
  return Array.from({ length: count }, (_, index) => ({
    device,
    series: 'temperature',
    unit: 'Cel',
    timeMs: from + index * quarter,
    valueMicro: Math.round(honestValue(index) * 1e6),
    tier: 1,
  }))
}

function hash(sequence: bigint, variant = 0): `0x${string}` {
  return `0x${sequence.toString(16).padStart(62, '0')}${variant.toString(16).padStart(2, '0')}`
}

/** A pack an hour, each naming the one before it, received a second after its last reading. */
function packsOf(readings: readonly Reading[]): PackMark[] {
  const packs: PackMark[] = []
  for (let from = 0; from < readings.length; from += 4) {
    const part = readings.slice(from, from + 4)
    const sequence = BigInt(packs.length + 1)
    const lastTimeMs = part.at(-1)?.timeMs ?? 0
    packs.push({
      device,
      sequence,
      previous: hash(sequence - 1n),
      hash: hash(sequence),
      bootCount: 1n,
      firstTimeMs: part[0]?.timeMs ?? 0,
      lastTimeMs,
      receivedMs: lastTimeMs + 1000,
    })
  }
  return packs
}

type Stream = { readings: readonly Reading[]; packs?: readonly PackMark[] }

function judge(stream: Stream, policy: Policy = guarded): Evaluation {
  const { readings } = stream
  const packs = stream.packs ?? packsOf(readings)
  const evaluation = evaluate({
    policy,
    periodStartMs: startMs,
    periodEndMs: endMs,
    readings,
    packs,
    calibrations,
  })
  // Whatever the attack is, taking it in as it comes leads to the same conclusion.
  const streaming = createStreaming({
    policy,
    periodStartMs: startMs,
    periodEndMs: endMs,
    latenessMs: 48 * hour,
    calibrations,
  })
  for (const reading of readings) streaming.take(reading)
  for (const pack of packs.toReversed()) streaming.takePack(pack)
  expect(streaming.conclude()).toStrictEqual(evaluation)
  return evaluation
}

const replaceAt = (
  readings: readonly Reading[],
  index: number,
  change: Partial<Reading>,
): Reading[] => readings.map((reading, at) => (at === index ? { ...reading, ...change } : reading))

const degrees = (value: number) => ({ valueMicro: Math.round(value * 1e6) })

/** Every attack with the finding that names it. */
const attacks: Record<string, { finding: string; stream: () => Stream }> = {
  'a bad reading is withheld': {
    finding: 'gap',
    stream: () => ({
      readings: honest().filter((_, index) => index !== 40),
      packs: packsOf(honest()),
    }),
  },
  'a whole pack is withheld': {
    finding: 'sequence_gap',
    stream: () => ({ readings: honest(), packs: packsOf(honest()).filter((_, at) => at !== 7) }),
  },
  'a violating hour is withheld together with its pack': {
    finding: 'sequence_gap',
    stream: () => ({
      readings: honest().filter((_, index) => index < 40 || index >= 44),
      packs: packsOf(honest()).filter((_, at) => at !== 10),
    }),
  },
  'all packs are withheld': {
    finding: 'packs_missing',
    stream: () => ({ readings: honest(), packs: [] }),
  },
  'everything is withheld': {
    finding: 'no_evidence',
    stream: () => ({ readings: [], packs: [] }),
  },
  'the value is frozen': {
    finding: 'flatline',
    stream: () => ({
      readings: honest().map((reading, index) =>
        index < 30 ? reading : { ...reading, ...degrees(5) },
      ),
    }),
  },
  'the morning is played back in the afternoon under new times': {
    finding: 'repeated_values',
    stream: () => {
      const morning = honest()
      return {
        readings: morning.map((reading, index) => ({
          ...reading,
          valueMicro: morning[index % 48]?.valueMicro ?? 0,
        })),
      }
    },
  },
  'yesterday’s readings are sent again': {
    finding: 'no_evidence',
    stream: () => ({ readings: honest(startMs - 24 * hour) }),
  },
  'the device’s clock runs two hours late': {
    finding: 'clock_skew',
    stream: () => ({
      readings: honest(),
      packs: packsOf(honest()).map((pack) => ({
        ...pack,
        receivedMs: pack.lastTimeMs + 2 * hour,
      })),
    }),
  },
  'the device stamps readings that have not been taken yet': {
    finding: 'clock_skew',
    stream: () => ({
      readings: honest(),
      packs: packsOf(honest()).map((pack) => ({ ...pack, receivedMs: pack.lastTimeMs - hour })),
    }),
  },
  'one instant has two values': {
    finding: 'equivocation',
    stream: () => {
      const readings = honest()
      return {
        readings: [
          ...readings,
          ...readings.slice(50, 51).map((one) => ({ ...one, ...degrees(9) })),
        ],
        packs: packsOf(readings),
      }
    },
  },
  'one instant has a value and none': {
    finding: 'equivocation',
    stream: () => {
      const readings = honest()
      return {
        readings: [
          ...readings,
          ...readings.slice(50, 51).map((one) => ({ ...one, valueMicro: null })),
        ],
        packs: packsOf(readings),
      }
    },
  },
  'one sequence number has two packs': {
    finding: 'pack_equivocation',
    stream: () => {
      const packs = packsOf(honest())
      return {
        readings: honest(),
        packs: [...packs, ...packs.slice(5, 6).map((pack) => ({ ...pack, hash: hash(6n, 1) }))],
      }
    },
  },
  'a pack does not name the pack before it': {
    finding: 'chain_broken',
    stream: () => ({
      readings: honest(),
      packs: packsOf(honest()).map((pack, at) =>
        at === 9 ? { ...pack, previous: hash(99n) } : pack,
      ),
    }),
  },
  'the clock steps back between packs': {
    finding: 'clock_step',
    stream: () => ({
      readings: honest(),
      packs: packsOf(honest()).map((pack, at) =>
        at === 9 ? { ...pack, firstTimeMs: pack.firstTimeMs - 2 * hour } : pack,
      ),
    }),
  },
  'an older boot speaks after a newer one': {
    finding: 'boot_count_regressed',
    stream: () => ({
      readings: honest(),
      packs: packsOf(honest()).map((pack, at) => ({ ...pack, bootCount: at === 9 ? 0n : 1n })),
    }),
  },
  'the sensor reports its fault code': {
    finding: 'fault_code',
    stream: () => ({ readings: replaceAt(honest(), 40, degrees(-33)) }),
  },
  'the sensor reports what it cannot measure': {
    finding: 'out_of_range',
    stream: () => ({ readings: replaceAt(honest(), 40, degrees(-127)) }),
  },
  'the sensor reports nothing': {
    finding: 'empty_slot',
    stream: () => ({ readings: replaceAt(honest(), 40, { valueMicro: null }) }),
  },
  'the unit is swapped by name': {
    finding: 'unit_mismatch',
    stream: () => ({ readings: replaceAt(honest(), 40, { unit: 'K', ...degrees(278.15) }) }),
  },
  'the unit is swapped in silence, to degrees Fahrenheit': {
    finding: 'step',
    stream: () => ({
      readings: honest().map((reading, index) =>
        index < 40 ? reading : { ...reading, ...degrees(honestValue(index) * 1.8 + 32) },
      ),
    }),
  },
  'the value is not a number': {
    finding: 'invalid_value',
    stream: () => ({ readings: replaceAt(honest(), 40, { valueMicro: Number.NaN }) }),
  },
  'the value is infinite': {
    finding: 'invalid_value',
    stream: () => ({ readings: replaceAt(honest(), 40, { valueMicro: Infinity }) }),
  },
  'the value has a huge exponent': {
    finding: 'invalid_value',
    stream: () => ({ readings: replaceAt(honest(), 40, { valueMicro: 5e300 }) }),
  },
  'the value has a fraction of a millionth': {
    finding: 'invalid_value',
    stream: () => ({ readings: replaceAt(honest(), 40, { valueMicro: 4_000_000.5 }) }),
  },
  'the time is not a number': {
    finding: 'invalid_value',
    stream: () => ({
      readings: replaceAt(honest(), 40, { timeMs: Number.NaN }),
      packs: packsOf(honest()),
    }),
  },
  'more readings come than the device can take': {
    finding: 'too_frequent',
    stream: () => ({
      readings: [
        ...honest(),
        ...honest().map((reading) => ({ ...reading, timeMs: reading.timeMs + 7 * minute })),
      ],
      packs: packsOf(honest()),
    }),
  },
  'a second device helps out': {
    finding: 'several_devices',
    stream: () => ({
      readings: honest().map((reading, index) =>
        index < 90 ? reading : { ...reading, device: `0x${'22'.repeat(32)}` },
      ),
    }),
  },
  'a gateway makes up for what is missing': {
    finding: 'tier_too_weak',
    stream: () => ({ readings: replaceAt(honest(), 40, { tier: 3 }), packs: packsOf(honest()) }),
  },
}

describe('streams that lie', () => {
  it('an honest stream passes, so that every refusal below is the attack’s doing', () => {
    expect(judge({ readings: honest() })).toMatchObject({ verdict: 'PASS', findings: [] })
  })

  it.each(Object.entries(attacks))('%s: never PASS, and named', (_name, { finding, stream }) => {
    const { verdict, findings } = judge(stream())
    expect(findings.map(({ name }) => name)).toContain(finding)
    expect(verdict).toBe('INCONCLUSIVE')
  })

  it('the sensor’s calibration has run out: what follows is no evidence', () => {
    const expired = calibrations.map((calibration) => ({
      ...calibration,
      validUntilMs: startMs + 20 * hour,
    }))
    const { verdict, findings, measures } = evaluate({
      policy: guarded,
      periodStartMs: startMs,
      periodEndMs: endMs,
      readings: honest(),
      packs: packsOf(honest()),
      calibrations: expired,
    })
    expect(verdict).toBe('INCONCLUSIVE')
    expect(findings.map(({ name }) => name)).toStrictEqual([
      'coverage_below_minimum',
      'gap',
      'outside_calibration',
    ])
    expect(measures['known_ms']).toBe(BigInt(20 * hour))
  })

  it('another device’s packs do not cover for missing ones', () => {
    const foreign = packsOf(honest()).map((pack) => ({
      ...pack,
      device: `0x${'22'.repeat(32)}` as const,
    }))
    const { verdict, findings } = judge({ readings: honest(), packs: foreign })
    expect(verdict).toBe('INCONCLUSIVE')
    expect(findings.map(({ name }) => name)).toStrictEqual(['packs_missing'])
  })

  it('a voided stream fails as little as it passes: a claim cannot be provoked by lying either', () => {
    const warm = honest().map((reading, index) =>
      index < 40 || index > 60 ? reading : { ...reading, ...degrees(9) },
    )
    const { verdict, findings } = judge({ readings: warm })
    expect(findings.map(({ name }) => name)).toStrictEqual(['flatline'])
    expect(verdict).toBe('INCONCLUSIVE')
  })

  it('a failure that is certain stays one, however much is withheld beside it', () => {
    const warm = replaceAt(honest(), 10, degrees(9)).filter((_, index) => index < 48)
    const { verdict, findings } = judge({ readings: warm })
    expect(findings.map(({ name }) => name)).toStrictEqual(['coverage_below_minimum', 'gap'])
    expect(verdict).toBe('FAIL')
  })

  it('every finding of the language that voids or blocks is provoked by some attack', () => {
    const provoked = new Set(
      Object.values(attacks).flatMap(({ stream }) =>
        judge(stream()).findings.map(({ name }) => name as string),
      ),
    )
    const elsewhere = ['too_late', 'interval_overlap', 'below_absolute_zero', 'daylight_saving']
    const missing = Object.entries(findingEffects)
      .filter(([, effect]) => effect !== 'note')
      .map(([name]) => name)
      .filter((name) => !provoked.has(name) && !elsewhere.includes(name))
    // Neither is a property of the stream: both have a test of their own below.
    expect(missing).toStrictEqual(['settlement_undetermined', 'settlement_out_of_range'])
  })
})

describe('wall clocks', () => {
  /** Berlin put its clocks forward at 01:00 UTC on 2026-03-29 and back at 01:00 UTC on 2026-10-25. */
  const spring = Date.UTC(2026, 2, 29)
  const autumn = Date.UTC(2026, 9, 25)
  const policy = decodePolicy({
    ...guarded,
    quality: { daylightSaving: { zone: 'Europe/Berlin', timeZoneTable } },
  })
  const judgeDay = (dayMs: number, readings: readonly Reading[]) =>
    evaluate({ policy, periodStartMs: dayMs, periodEndMs: dayMs + 24 * hour, readings })

  it('a device that stays on one time all year passes on both days', () => {
    for (const dayMs of [spring, autumn]) {
      expect(judgeDay(dayMs, honest(dayMs))).toMatchObject({ verdict: 'PASS', findings: [] })
    }
  })

  it('in spring the missing hour of a clock that was put forward is named', () => {
    // Winter time was taken for the whole year, so that stamps jump by an hour with the wall clock.
    const readings = honest(spring).map((reading) =>
      reading.timeMs < spring + hour ? reading : { ...reading, timeMs: reading.timeMs + hour },
    )
    const { verdict, findings } = judgeDay(spring, readings)
    expect(findings.map(({ name }) => name)).toStrictEqual(['daylight_saving', 'gap'])
    expect(verdict).toBe('INCONCLUSIVE')
  })

  it('in autumn the doubled hour of a clock that was put back is named', () => {
    const readings = honest(autumn, 100).map((reading) =>
      reading.timeMs < autumn + 2 * hour ? reading : { ...reading, timeMs: reading.timeMs - hour },
    )
    const { verdict, findings } = judgeDay(autumn, readings)
    expect(findings.map(({ name }) => name)).toStrictEqual([
      'daylight_saving',
      'equivocation',
      'gap',
    ])
    expect(verdict).toBe('INCONCLUSIVE')
  })

  it('an hour of silence on any other day is a gap and nothing else', () => {
    const readings = honest(startMs).filter((_, index) => index < 40 || index >= 44)
    const { findings } = judgeDay(startMs, readings)
    expect(findings.map(({ name }) => name)).toStrictEqual(['gap'])
  })
})

describe('rules of single interpolations', () => {
  it('interval means that overlap are named and void', () => {
    const policy = decodePolicy({
      ...guarded,
      interpolation: { kind: 'interval-mean', step: '15m', stamp: 'start' },
      quality: {},
    })
    const readings = [
      ...honest(),
      ...honest()
        .slice(3, 4)
        .map((reading) => ({ ...reading, timeMs: reading.timeMs + 5 * minute })),
    ]
    const { verdict, findings } = judge({ readings, packs: [] }, policy)
    expect(findings.map(({ name }) => name)).toStrictEqual(['interval_overlap'])
    expect(verdict).toBe('INCONCLUSIVE')
  })

  it('a temperature below absolute zero has no kinetic mean and voids', () => {
    const policy = decodePolicy({
      ...guarded,
      aggregates: [{ kind: 'mean-kinetic-temperature' }],
      quality: {},
    })
    const { verdict, findings } = judge(
      { readings: replaceAt(honest(), 4, degrees(-274)), packs: [] },
      policy,
    )
    expect(findings.map(({ name }) => name)).toStrictEqual(['below_absolute_zero'])
    expect(verdict).toBe('INCONCLUSIVE')
  })

  it('an amount that depends on what was not seen is not settled', () => {
    const policy = decodePolicy({
      ...guarded,
      objectives: [{ measure: 'violating_ms', operator: 'le', limit: '1h' }],
      quality: {},
      settlement: { measure: 'time_weighted_mean', unit: 'Cel', rounding: 'half-even' },
    })
    const { verdict, findings, valueMicro } = judge(
      { readings: honest().filter((_, index) => index !== 40), packs: [] },
      policy,
    )
    expect(findings.map(({ name }) => name)).toStrictEqual(['gap', 'settlement_undetermined'])
    expect(verdict).toBe('INCONCLUSIVE')
    expect(valueMicro).toBe(0n)
  })

  it('an amount that does not fit a report is not settled', () => {
    const policy = decodePolicy({
      ...guarded,
      quality: {},
      objectives: [],
      settlement: {
        measure: 'sum',
        unit: 'widgets',
        rounding: 'down',
        factor: { multiply: '999999999999999999', divide: '1' },
      },
    })
    const readings = honest().map((reading) => ({
      ...reading,
      valueMicro: Number.MAX_SAFE_INTEGER,
    }))
    const fitting = judge({ readings, packs: [] }, policy)
    expect(fitting.verdict).toBe('PASS')
    expect(fitting.valueMicro).toBe(
      96n * BigInt(Number.MAX_SAFE_INTEGER) * 999_999_999_999_999_999n,
    )
    const daily = decodePolicy({
      ...policy,
      settlement: { ...policy.settlement, measure: 'integral' },
      aggregates: [{ kind: 'integral', per: 's', unit: 'Cel.s', negative: 'net' }],
    })
    const { verdict, findings, valueMicro } = judge({ readings, packs: [] }, daily)
    expect(findings.map(({ name }) => name)).toStrictEqual(['settlement_out_of_range'])
    expect(verdict).toBe('INCONCLUSIVE')
    expect(valueMicro).toBe(0n)
  })
})
