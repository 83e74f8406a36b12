import { expect, it } from 'vitest'
import { evaluate, evaluateWindows } from '#evaluation/evaluate.ts'
import { parseInstant } from '#schemas/policy/civilTime.ts'
import { decodePolicy, templates, timeZoneTable } from '#schemas/policy/policy.ts'
import type { Reading } from '#schemas/reading.ts'
import { describeShared } from '#test/shared.ts'
import { linesOf, micro, plainInstant, recorded } from './recordings.ts'

const minute = 60_000
const hour = 60 * minute

/** `2020-05-05T09:21:56+0200` or `2012-03-11 01:45:00-07:00`. */
function stampedInstant(text: string): number {
  const match = /^(\S{10})[ T](\S{8})([+-])(\d\d):?(\d\d)$/.exec(text)
  if (match === null) throw new Error(`Not a stamp: ${text}`)
  const [, day, time, sign, hours, minutes] = match
  const offset = Number(hours) * hour + Number(minutes) * minute
  return plainInstant(`${day} ${time}`) - (sign === '-' ? -offset : offset)
}

/** Scientific notation included, as the files have it; what is finer than a millionth is dropped. */
function roughMicro(text: string): number | null {
  if (text === '') return null
  return micro(text) ?? Math.trunc(Number(text) * 1e6)
}

function at(text: string): number {
  return parseInstant(text) ?? Number.NaN
}

describeShared(
  'a fridge beacon that was silent for hours',
  'datasets/fridge-ruuvi/fridge.csv',
  (path) => {
    const rows = linesOf(path)
      .slice(1)
      .map((line) => line.split(','))
    const readings = recorded(
      'temperature',
      'Cel',
      rows.map(([stamp = '', value = '']) => ({
        timeMs: stampedInstant(stamp),
        valueMicro: micro(value),
      })),
    )
    const judge = (max: string, gaps: 'unknown' | 'excluded') =>
      evaluate({
        policy: decodePolicy({
          ...templates['cold-chain'],
          signal: { series: 'temperature', unit: 'Cel' },
          interpolation: { kind: 'hold', max },
          gaps,
          minCoverage: '95%',
          predicate: { operator: 'le', limit: '5' },
          objectives: [{ measure: 'compliance_ppm', operator: 'ge', limit: '100%' }],
          settlement: { measure: 'known_ms', unit: 'ms', rounding: 'down' },
          quality: {},
        }),
        periodStartMs: at('2020-05-05T07:21:56Z'),
        periodEndMs: at('2020-05-06T07:21:56Z'),
        readings,
      })

    it('a two-hour hold lets the day pass; the honest one of 310 s knows of 61.5 % of it', () => {
      expect(judge('2h', 'excluded').verdict).toBe('PASS')
      expect(judge('2h', 'excluded').coveragePpm).toBeGreaterThan(950_000)
      const honest = judge('5m10s', 'excluded')
      expect(honest.coveragePpm).toBe(614_780)
      expect(honest.verdict).toBe('INCONCLUSIVE')
      expect(judge('5m10s', 'unknown').verdict).toBe('INCONCLUSIVE')
    })
  },
)

describeShared(
  'a machine whose clock was put back by 55 minutes',
  'datasets/machine-temperature/machine_temperature_system_failure.csv.gz',
  (path) => {
    const readings = recorded(
      'temperature',
      'degF',
      linesOf(path)
        .slice(1)
        .map((line) => line.split(','))
        .map(([stamp = '', value = '']) => ({
          timeMs: plainInstant(stamp),
          valueMicro: roughMicro(value),
        })),
    )

    it('twelve instants have two values each: that is equivocation, not repetition', () => {
      const { measures, findings, verdict } = evaluate({
        policy: decodePolicy({
          ...templates['cold-chain'],
          signal: { series: 'temperature', unit: 'degF', interval: '5m' },
          interpolation: { kind: 'hold', max: '7m' },
          predicate: { operator: 'le', limit: '200' },
          aggregates: [],
          quality: {},
        }),
        periodStartMs: at('2013-12-02T21:15Z'),
        periodEndMs: at('2014-02-19T15:30Z'),
        readings,
      })
      expect(measures).toMatchObject({
        conflicts: 12n,
        exact_duplicates: 0n,
        // The clock came back to its first repeated stamp only with the twelfth: that one is not late.
        out_of_order: 11n,
        samples: BigInt(22_695 - 24),
      })
      expect(findings.map(({ name }) => name)).toContain('equivocation')
      expect(verdict).toBe('INCONCLUSIVE')
    })

    it('float64 sums of it depend on the order, ours do not', () => {
      const values = readings.map(({ valueMicro }) => (valueMicro ?? 0) / 1e6)
      const floatSum = (list: readonly number[]): number => list.reduce((sum, x) => sum + x, 0)
      expect(floatSum(values)).not.toBe(floatSum(values.toReversed()))
      const judge = (list: readonly Reading[]) =>
        evaluate({
          policy: decodePolicy({
            ...templates['cold-chain'],
            signal: { series: 'temperature', unit: 'degF' },
            predicate: { operator: 'le', limit: '200' },
            aggregates: [],
            quality: {},
          }),
          periodStartMs: at('2013-12-02T21:15Z'),
          periodEndMs: at('2014-02-19T15:30Z'),
          readings: list,
        })
      expect(judge(readings.toReversed()).measuresHash).toBe(judge(readings).measuresHash)
    })
  },
)

describeShared(
  'a service whose latency log repeats instants',
  'datasets/request-latency/ec2_request_latency_system_failure.csv',
  (path) => {
    const readings = recorded(
      'latency',
      'ms',
      linesOf(path)
        .slice(1)
        .map((line) => line.split(','))
        .map(([stamp = '', value = '']) => ({
          timeMs: plainInstant(stamp),
          valueMicro: roughMicro(value),
        })),
    )

    it('one instant has twelve values; each other day has its percentile', () => {
      const policy = decodePolicy({
        ...templates['service-level'],
        window: { kind: 'calendar', every: 'day', zone: 'UTC', timeZoneTable },
        minCoverage: '90%',
        predicate: { operator: 'le', limit: '47.5' },
        objectives: [{ measure: 'percentile_95', operator: 'le', limit: '47.5' }],
      })
      const days = evaluateWindows({
        policy,
        fromMs: at('2014-03-07T00:00Z'),
        toMs: at('2014-03-22T00:00Z'),
        readings,
      })
      expect(days).toHaveLength(15)
      expect(days.reduce((sum, { measures }) => sum + Number(measures['conflicts']), 0)).toBe(1)
      const expected = days.map(({ measures, coveragePpm }) => {
        if (measures['conflicts'] !== 0n || coveragePpm < 900_000) return 'INCONCLUSIVE'
        return Number(measures['percentile_95']) <= 47_500_000 ? 'PASS' : 'FAIL'
      })
      expect(days.map(({ verdict }) => verdict)).toStrictEqual(expected)
      expect(new Set(expected)).toStrictEqual(new Set(['PASS', 'FAIL', 'INCONCLUSIVE']))
      // Nearest rank, worked apart from the evaluator: the ⌈0.95·n⌉-th smallest of the day.
      const [, first] = days
      const values = readings
        .filter(
          ({ timeMs }) =>
            timeMs >= (first?.periodStartMs ?? 0) && timeMs < (first?.periodEndMs ?? 0),
        )
        .map(({ valueMicro }) => valueMicro ?? 0)
        .sort((left, right) => left - right)
      expect(first?.measures['percentile_95']).toBe(
        BigInt(values[Math.ceil(values.length * 0.95) - 1] ?? 0),
      )
    })
  },
)

describeShared(
  'a line that is probed once an hour',
  'datasets/internet-speed/speedtest-part1.csv',
  (path) => {
    const readings = recorded(
      'download',
      'Mbit/s',
      linesOf(path)
        .map((line) => line.split(','))
        .map(([seconds = '', down = '']) => ({
          timeMs: Number(seconds) * 1000,
          valueMicro: micro(down),
        })),
    )
    const judge = (max: string) =>
      evaluate({
        policy: decodePolicy({
          ...templates['service-level'],
          signal: { series: 'download', unit: 'Mbit/s' },
          interpolation: { kind: 'hold', max },
          gaps: 'violating',
          minCoverage: undefined,
          predicate: { operator: 'ge', limit: '15' },
          aggregates: [],
          objectives: [{ measure: 'compliance_ppm', operator: 'ge', limit: '90%' }],
          quality: {},
          settlement: { measure: 'compliant_ms', unit: 'ms', rounding: 'down' },
        }),
        periodStartMs: readings[0]?.timeMs ?? 0,
        periodEndMs: (readings.at(-1)?.timeMs ?? 0) + hour,
        readings,
      })

    it('the longer a value is believed, the better the line looks: the hold decides the verdict', () => {
      const [believing, honest] = [judge('12h'), judge('1h5m')]
      expect(believing.verdict).toBe('PASS')
      expect(honest.verdict).toBe('FAIL')
      expect(Number(honest.measures['compliance_ppm'])).toBeLessThan(
        Number(believing.measures['compliance_ppm']) - 30_000,
      )
    })
  },
)

describeShared('solar plants', 'datasets/solar', (folder) => {
  const solarRows = (name: string): string[][] =>
    linesOf(`${folder}/${name}`)
      .slice(1)
      .map((line) => line.split(','))

  it('the meter draws power at night: net and clipped energy differ, and the policy has to say which', () => {
    const readings = recorded(
      'power',
      'W',
      solarRows('serf_east_15min_ac_power.csv.gz').map(([stamp = '', value = '']) => ({
        timeMs: stampedInstant(stamp),
        valueMicro: roughMicro(value),
      })),
    )
    const energy = (negative: 'net' | 'zero'): bigint | null => {
      const { measures } = evaluate({
        policy: decodePolicy({
          ...templates['energy-above'],
          aggregates: [{ kind: 'integral', per: 'h', unit: 'Wh', negative }],
          quality: {},
        }),
        periodStartMs: readings[0]?.timeMs ?? 0,
        periodEndMs: (readings.at(-1)?.timeMs ?? 0) + 15 * minute,
        readings,
      })
      return measures['integral'] ?? null
    }
    const [net, zero] = [energy('net'), energy('zero')]
    // Worked apart from the evaluator: the plain sum of all values times a quarter of an hour.
    const sum = readings.reduce((total, { valueMicro }) => total + BigInt(valueMicro ?? 0), 0n)
    expect(net).toBe((sum * 2n + 4n) / 8n)
    expect(Number(zero) - Number(net)).toBeGreaterThan(0)
  })

  it('a stuck inverter is found, a long night is not taken for one', () => {
    const rows = solarRows('ac_power_inv_2173_stale_data.csv')
    const readings = recorded(
      'power',
      '/',
      rows.map(([stamp = '', value = '']) => ({
        timeMs: stampedInstant(stamp),
        valueMicro: roughMicro(value),
      })),
    )
    const judge = (except: string[]) =>
      evaluate({
        policy: decodePolicy({
          ...templates.utilisation,
          signal: { series: 'power', unit: '/', interval: '15m' },
          interpolation: { kind: 'hold', max: '20m' },
          predicate: { operator: 'gt', limit: '0' },
          quality: { flatline: { longest: '2h', except } },
        }),
        periodStartMs: readings[0]?.timeMs ?? 0,
        periodEndMs: (readings.at(-1)?.timeMs ?? 0) + 15 * minute,
        readings,
      }).findings.find(({ name }) => name === 'flatline')
    const stuck = judge(['0'])
    const masked = rows.filter(([, , mask]) => mask === 'True')
    expect(masked).toHaveLength(245)
    expect(stuck?.count).toBeGreaterThan(0)
    const maskedTimes = masked.map(([stamp = '']) => stampedInstant(stamp))
    expect(stuck?.firstMs).toBeGreaterThanOrEqual(Math.min(...maskedTimes) - 15 * minute)
    expect(stuck?.lastMs).toBeLessThanOrEqual(Math.max(...maskedTimes))
    // Without the exception for zero, nights are found as well.
    expect(judge([])?.count ?? 0).toBeGreaterThan(stuck?.count ?? 0)
  })

  it('a logger that follows daylight saving under a stamp that does not is named', () => {
    const readings = recorded(
      'power',
      'W',
      solarRows('system_50_ac_power_DST-2011-2012.csv.gz').map(([stamp = '', value = '']) => ({
        timeMs: stampedInstant(stamp),
        valueMicro: roughMicro(value),
      })),
    )
    const days = evaluateWindows({
      policy: decodePolicy({
        ...templates['energy-above'],
        window: { kind: 'tumbling', length: '1d', anchorMs: 7 * hour },
        quality: { daylightSaving: { zone: 'America/Denver', timeZoneTable } },
      }),
      fromMs: at('2012-03-08T07:00Z'),
      toMs: at('2012-03-15T07:00Z'),
      readings,
    })
    const named = days.filter(({ findings }) =>
      findings.some(({ name }) => name === 'daylight_saving'),
    )
    expect(named.map(({ periodStartMs }) => periodStartMs)).toStrictEqual([at('2012-03-11T07:00Z')])
    expect(named[0]?.verdict).toBe('INCONCLUSIVE')
  })
})

describeShared(
  'a pump that is switched on and off',
  'datasets/pump-bench/valve1-0.csv.gz',
  (path) => {
    it('utilisation counts observed seconds only, and missing ones lower the coverage', () => {
      const readings = recorded(
        'flow',
        'l/min',
        linesOf(path)
          .slice(1)
          .map((line) => line.split(';'))
          .map((cells) => ({
            timeMs: plainInstant(cells[0] ?? ''),
            valueMicro: roughMicro(cells[8] ?? ''),
          })),
      )
      const startMs = readings[0]?.timeMs ?? 0
      const endMs = (readings.at(-1)?.timeMs ?? 0) + 1_000
      const { measures, coveragePpm } = evaluate({
        policy: decodePolicy({
          ...templates.utilisation,
          signal: { series: 'flow', unit: 'l/min', interval: '1s' },
          interpolation: { kind: 'hold', max: '1s' },
          predicate: { operator: 'gt', limit: '30' },
          quality: {},
        }),
        periodStartMs: startMs,
        periodEndMs: endMs,
        readings,
      })
      const missing = (endMs - startMs) / 1_000 - readings.length
      expect(missing / ((endMs - startMs) / 1_000)).toBeGreaterThan(0.04)
      expect(measures['unknown_ms']).toBe(BigInt(missing * 1_000))
      expect(coveragePpm).toBe(Math.floor((readings.length * 1e9) / (endMs - startMs)))
      const working = readings.filter(({ valueMicro }) => (valueMicro ?? 0) > 30_000_000).length
      expect(measures['compliant_ms']).toBe(BigInt(working * 1_000))
    })
  },
)

describeShared(
  'a forest whose carbon exchange was measured for three fifths of the time',
  'datasets/eddy-flux/DE-Tha-1998-doy001-181.tsv.gz',
  (path) => {
    const halfHour = 30 * minute
    const yearMs = at('1998-01-01T00:00Z')
    // 12.011 µg of carbon go with each µmol; 1 800 s make a half-hour.
    const gramsMicro = (fluxMicro: number): number => Math.round((fluxMicro * 12.011 * 1_800) / 1e6)
    const rows = linesOf(path)
      .slice(2)
      .map((line) => line.trim().split(/\s+/))
      .map(([, day = '', hours = '', flux = '']) => ({
        timeMs: yearMs + (Number(day) - 1) * 24 * hour + Math.round(Number(hours) * hour),
        flux,
      }))
    const readings = recorded(
      'co2',
      'g',
      rows.map(({ timeMs, flux }) => ({
        timeMs,
        valueMicro: flux === '-9999' ? -9_999_000_000 : gramsMicro(roughMicro(flux) ?? 0),
      })),
    )

    it('what was measured is summed, a fault code is no flux, and nothing is made up for gaps', () => {
      const { measures, coveragePpm, findings } = evaluate({
        policy: decodePolicy(templates['net-flux']),
        periodStartMs: (rows[0]?.timeMs ?? 0) - halfHour,
        periodEndMs: rows.at(-1)?.timeMs ?? 0,
        readings,
      })
      const faults = rows.filter(({ flux }) => flux === '-9999').length
      expect(faults).toBe(2_877)
      expect(measures['samples']).toBe(BigInt(rows.length - faults))
      expect(findings.find(({ name }) => name === 'fault_code')?.count).toBe(faults)
      // Worked apart from the evaluator: 5 810 half-hours make -324.24 g of carbon a square metre.
      expect(Number(measures['sum']) / 1e6).toBeCloseTo(-324.236, 2)
      // Scaled up to all half-hours, as if gaps were like the rest, it would be -484.79: half as much
      // again, for which there is no evidence.
      expect((Number(measures['sum']) / 1e6) * (rows.length / (rows.length - faults))).toBeCloseTo(
        -484.79,
        1,
      )
      expect(coveragePpm).toBe(668_815)
    })
  },
)
