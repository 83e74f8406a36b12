import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeSenmlJson } from '#schemas/adapters/senmlJson.ts'
import { fromHex, utf8 } from '#schemas/bytes.ts'
import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { decodeSenmlCbor } from '#schemas/senml/decodeSenmlCbor.ts'
import { encodeSenmlCbor } from '#schemas/senml/encodeSenmlCbor.ts'
import type { SenmlColumns } from '#schemas/senml/senmlColumns.ts'
import { knownUnits } from '#schemas/units/unit.ts'
import { describeShared } from '#test/shared.ts'
import { referenceRows } from './referenceResolver.ts'
import {
  type WireField,
  type WireNumber,
  decimal,
  double,
  integer,
  single,
  writeSenml,
} from './senmlWriter.ts'

const start = 1_700_000_000
const time: WireField = [-3, integer(start)]
const name: WireField = [-2, 'cold:temp']
const unit: WireField = [-4, 'Cel']

/** The columns of a pack as rows. */
function rowsOf({ channels, channelOf, timeMs, valueMicro }: SenmlColumns) {
  return timeMs.map((at, row) => ({
    ...channels[channelOf[row] ?? -1],
    timeMs: at,
    value: Number.isNaN(valueMicro[row]) ? null : valueMicro[row],
  }))
}

const decode = (...records: (readonly WireField[])[]) =>
  rowsOf(decodeSenmlCbor(writeSenml(records)))

/** The rule by which bytes are refused. */
function ruleOf(run: () => unknown): string {
  try {
    run()
    return 'accepted'
  } catch (error) {
    if (error instanceof FormatRefusedError) return error.rule
    throw error
  }
}

const refusal = (...records: (readonly WireField[])[]) =>
  ruleOf(() => decodeSenmlCbor(writeSenml(records)))

describe('decodeSenmlCbor', () => {
  // RFC 8428 §6, figure "SenML in CBOR"; also ex3.gen.cbor of the working group.
  const rfcExample = fromHex(
    '87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b00106223614120050067766f6c7461676501615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333a3006763757272656e74062302fb3ff4cccccccccccda3006763757272656e74062202fb3ff6666666666666a3006763757272656e74062102f93e00a3006763757272656e74062002fb3ff999999999999aa3006763757272656e74060002fb3ffb333333333333',
    'example',
  )
  const device = 'urn:dev:ow:10e2073a0108006:'

  it('resolves the CBOR example of RFC 8428 §6, unsorted keys and floats included', () => {
    expect(rowsOf(decodeSenmlCbor(rfcExample))).toEqual([
      { series: `${device}voltage`, unit: 'V', timeMs: 1_276_020_076_001, value: 120_100_000 },
      ...[12, 13, 14, 15, 16, 17].map((tenths, index) => ({
        series: `${device}current`,
        unit: 'A',
        timeMs: 1_276_020_071_001 + index * 1000,
        value: tenths * 100_000,
      })),
    ])
  })

  it('takes a float as the decimal it was meant to be, in the width it was sent in', () => {
    const values = [double(4.2), single(4.2), double(0.1 + 0.2), double(23.450000762939453)]
    expect(
      decode(
        [name, time, unit, [2, integer(0)]],
        ...values.map((value): WireField[] => [[2, value]]),
      ).map(({ value }) => value),
    ).toEqual([0, 4_200_000, 4_200_000, 300_000, 23_450_001])
  })

  it.each([
    ['one millionth and a half', decimal(15, -7), 2],
    ['two millionths and a half', decimal(25, -7), 2],
    ['minus one millionth and a half', decimal(-15, -7), -2],
    ['minus two millionths and a half', decimal(-25, -7), -2],
    ['a little more than two millionths and a half', decimal(2_501, -9), 3],
    ['the smallest', decimal(-9_007_199_254_740_991, -6), -9_007_199_254_740_991],
    ['less than half a millionth below zero', decimal(-4, -7), 0],
    ['the largest', decimal(9_007_199_254_740_991, -6), 9_007_199_254_740_991],
    ['zero with a huge exponent', decimal(0, 9), 0],
    ['a gigaunit', decimal(1, 9), 1_000_000_000_000_000],
  ] as const)('rounds %s half to even', (_, value, expected) => {
    const [row] = decode([name, time, unit, [2, value]])
    expect(Object.is(row?.value, expected)).toBe(true)
  })

  it('books a boolean as zero or one, whatever unit the pack is in', () => {
    expect(decode([name, time, unit, [4, true]], [[4, false]])).toEqual([
      { series: 'cold:temp', unit: '/', timeMs: start * 1000, value: 1_000_000 },
      { series: 'cold:temp', unit: '/', timeMs: start * 1000, value: 0 },
    ])
  })

  it('keeps a slot that was sent without a value', () => {
    expect(decode([name, time, unit, [2, integer(4)]], [[6, integer(60)]])).toEqual([
      { series: 'cold:temp', unit: 'Cel', timeMs: start * 1000, value: 4_000_000 },
      { series: 'cold:temp', unit: 'Cel', timeMs: (start + 60) * 1000, value: null },
    ])
  })

  it('adds base values and base sums exactly', () => {
    expect(
      decode(
        [
          [-2, 'm'],
          time,
          [-4, 'W'],
          [-5, decimal(1, -1)],
          [-6, integer(100)],
          [2, decimal(2, -1)],
          [5, integer(1)],
        ],
        [[6, integer(1)]],
      ),
    ).toEqual([
      { series: 'm', unit: 'W', timeMs: start * 1000, value: 300_000 },
      { series: 'm#sum', unit: 'J', timeMs: start * 1000, value: 101_000_000 },
      { series: 'm', unit: 'W', timeMs: start * 1000 + 1000, value: 100_000 },
      { series: 'm#sum', unit: 'J', timeMs: start * 1000 + 1000, value: 100_000_000 },
    ])
  })

  it('lets base fields stand in a record of their own and change later', () => {
    expect(
      decode(
        [name],
        [time, unit],
        [[2, integer(1)]],
        [
          [-2, 'b'],
          [-4, 'K'],
          [2, integer(2)],
        ],
      ),
    ).toEqual([
      { series: 'cold:temp', unit: 'Cel', timeMs: start * 1000, value: 1_000_000 },
      { series: 'b', unit: 'K', timeMs: start * 1000, value: 2_000_000 },
    ])
  })

  it('reads a UCUM alias in its registry unit and keeps secondary units as they are', () => {
    expect(
      decode(
        [[-2, 'x'], time, [1, '[degF]'], [2, integer(41)]],
        [
          [1, 'kW.h'],
          [2, integer(3)],
        ],
        [
          [1, 'kWh'],
          [2, integer(4)],
        ],
      ).map(({ unit, value }) => [unit, value]),
    ).toEqual([
      ['Cel', 5_000_000],
      ['kWh', 3_000_000],
      ['kWh', 4_000_000],
    ])
  })

  it('tells many series apart, and one series that is written in several ways is one', () => {
    const series = Array.from({ length: 40 }, (_, index) => `s${index}`)
    const rows = decode(
      [[-2, 'dev:'], time, unit, [0, 's0'], [2, integer(0)]],
      ...[...series, ...series].map((text, index): WireField[] => [
        [0, text],
        [2, integer(index)],
      ]),
    )
    expect(rows.slice(1).map(({ series: full }) => full)).toEqual(
      [...series, ...series].map((text) => `dev:${text}`),
    )
    const { channels } = decodeSenmlCbor(
      writeSenml([
        [[-2, 'a'], time, unit, [0, 'b'], [2, integer(0)]],
        [
          [-2, 'ab'],
          [2, integer(1)],
        ],
        [
          [-2, ''],
          [0, 'ab'],
          [1, 'Cel'],
          [2, integer(2)],
        ],
      ]),
    )
    expect(channels).toEqual([{ series: 'ab', unit: 'Cel' }])
  })

  const head: WireField[] = [name, time, unit]
  const value: WireField = [2, integer(4)]
  const refused: readonly (readonly [rule: string, what: string, ...(readonly WireField[])[]])[] = [
    ['empty-pack', 'no record at all'],
    ['empty-pack', 'base fields only', head],
    ['empty-record', 'a record of nothing', [...head, value], []],
    ['empty-record', 'a unit without a value', [...head, value], [[1, 'K']]],
    ['duplicate-field', 'a value twice', [...head, value, value]],
    ['duplicate-field', 'a time twice, equal', [...head, value, [6, integer(0)], [6, integer(0)]]],
    [
      'duplicate-field',
      'a name twice on the short path',
      [...head, [0, 'a'], value],
      [[0, 'a'], value],
      [[0, 'a'], [0, 'a'], value],
    ],
    ['two-values', 'a number and a boolean', [...head, value, [4, true]]],
    ['unsupported-value', 'a string value', [...head, [3, 'Machine Room']]],
    ['unsupported-value', 'a data value', [...head, [8, Uint8Array.of(0x41, 0)]]],
    ['unknown-field', 'label 9', [...head, value, [9, integer(1)]]],
    ['unknown-field', 'label -7', [...head, value, [-7, integer(1)]]],
    ['unknown-field', 'label 4711', [...head, value, [4711, integer(1)]]],
    ['field-type', 'a text for a number', [...head, [2, '4']]],
    ['field-type', 'null for a number', [...head, [2, Uint8Array.of(0xf6)]]],
    ['field-type', 'a number for a name', [[0, integer(1)], time, unit, value]],
    ['field-type', 'a number for a boolean', [...head, [4, integer(1)]]],
    [
      'field-type',
      'a decimal fraction of three',
      [...head, [2, Uint8Array.of(0xc4, 0x83, 0, 0, 0)]],
    ],
    ['field-type', 'a decimal fraction that is a text', [...head, [2, Uint8Array.of(0xc4, 0x60)]]],
    ['number-range', 'NaN', [...head, [2, double(NaN)]]],
    ['number-range', 'infinity', [...head, [2, double(-Infinity)]]],
    ['number-range', 'a half-precision NaN', [...head, [2, Uint8Array.of(0xf9, 0x7e, 0)]]],
    ['number-range', 'a mantissa of 2^53', [...head, [2, integer(2 ** 53)]]],
    ['number-range', 'a mantissa of -2^53', [...head, [2, integer(-(2n ** 53n))]]],
    ['number-range', 'an exponent of 10', [...head, [2, decimal(1, 10)]]],
    ['number-range', 'an exponent of -10', [...head, [2, decimal(1, -10)]]],
    ['number-range', 'an exponent of 2^40', [...head, [2, decimal(1, 2 ** 40)]]],
    ['number-range', 'a bignum', [...head, [2, Uint8Array.of(0xc2, 0x41, 1)]]],
    ['number-range', 'a bigfloat', [...head, [2, Uint8Array.of(0xc5, 0x82, 0, 1)]]],
    [
      'number-range',
      'a bignum in a decimal fraction',
      [...head, [2, Uint8Array.of(0xc4, 0x82, 0x20, 0xc2, 0x41, 1)]],
    ],
    [
      'value-range',
      'a base value beyond 2^53 with its value',
      [...head, [-5, integer(2 ** 53 - 1)], [2, integer(1)]],
    ],
    ['value-range', 'ten gigaunits', [...head, [2, decimal(10, 9)]]],
    ['value-range', 'a huge double', [...head, [2, double(1e300)]]],
    [
      'value-range',
      'too many degrees Fahrenheit',
      [[-2, 'a'], time, [-4, '[degF]'], [2, decimal(2, 10 - 1)], [6, integer(0)]],
      [[2, decimal(9_000_000_000, 1)]],
    ],
    ['relative-time', 'no time at all', [name, unit, value]],
    ['relative-time', 'a time below 2^28', [name, unit, [6, integer(2 ** 28 - 1)], value]],
    [
      'relative-time',
      'a base time and a time that fall below 2^28',
      [...head, [6, integer(-start)], value],
    ],
    ['relative-time', 'a time before 1970', [name, unit, [6, integer(-5)], value]],
    ['time-precision', 'a tenth of a millisecond', [...head, [6, decimal(1, -4)], value]],
    [
      'time-precision',
      'a double with microseconds',
      [name, unit, [6, double(1_700_000_000.123457)], value],
    ],
    ['time-range', 'the year 10000', [name, unit, [6, integer(253_402_300_800)], value]],
    ['time-range', 'a time beyond every clock', [name, unit, [6, double(1e300)], value]],
    ['name-missing', 'no name', [time, unit, value]],
    ['name-missing', 'an empty name', [[0, ''], time, unit, value]],
    ['name-characters', 'a space', [[0, 'a b'], time, unit, value]],
    ['name-characters', 'a leading colon', [[0, ':a'], time, unit, value]],
    ['name-characters', 'an umlaut', [[0, 'kühl'], time, unit, value]],
    ['name-characters', 'the mark of a sum', [[0, 'a#sum'], time, unit, value]],
    ['name-characters', '256 characters', [[-2, 'a'.repeat(255)], [0, 'b'], time, unit, value]],
    ['unit-missing', 'a number without a unit', [name, time, value]],
    ['unit-missing', 'a blank slot without a unit', [name, [6, integer(start)]]],
    ['unknown-unit', 'a unit of nobody', [name, time, [1, 'furlong'], value]],
    ['unknown-unit', 'a unit in another case', [name, time, [1, 'cel'], value]],
    ['sum-without-unit', 'a sum of degrees', [...head, [5, integer(1)]]],
    ['sum-without-unit', 'a sum without a unit', [name, time, [5, integer(1)]]],
    ['version', 'version 11', [...head, [-1, integer(11)], value]],
    ['version', 'feature 5', [...head, [-1, integer(10 + 32)], value]],
    ['version', 'version 0', [...head, [-1, integer(0)], value]],
    ['version', 'a negative version', [...head, [-1, integer(-1)], value]],
    [
      'version',
      'two versions in one pack',
      [...head, [-1, integer(10)], value],
      [[-1, integer(26)], value],
    ],
  ]
  it.each(refused.map(([rule, what, ...records]) => ({ rule, what, records })))(
    'refuses by rule $rule: $what',
    ({ rule, records }) => {
      expect(refusal(...records)).toBe(rule)
    },
  )

  it.each([
    ['not-a-pack', 'a map', 'a0'],
    ['not-a-pack', 'a record that is an array', '8180'],
    ['too-many-records', 'more records than allowed', `9903e9${'a0'.repeat(1001)}`],
    ['too-many-items', 'an array longer than its bytes', '9a00ffffff'],
    ['too-many-items', 'a record longer than its bytes', '81b8ff00'],
    ['truncated', 'a name that ends early', '81a1006461'],
    ['truncated', 'a number that ends early', '81a10219'],
    ['trailing-bytes', 'a byte behind the pack', '81a4006161061a65538f00016143020100'],
    ['indefinite-length', 'an array without a length', '9fff'],
    ['indefinite-length', 'a record without a length', '81bfff'],
    ['indefinite-length', 'a name in chunks', '81a1007f6161ff'],
    ['non-shortest-head', 'a length in two bytes', '9800'],
    ['non-shortest-head', 'a number in two bytes', '81a1021801'],
    ['non-shortest-head', 'a label in two bytes', '81a2020118020100'],
    ['invalid-utf8', 'a base name that is no UTF-8', '81a12161ff'],
    ['unknown-field', 'a text label', '81a1616c01'],
  ])('refuses by rule %s: %s', (rule, _, hex) => {
    expect(ruleOf(() => decodeSenmlCbor(fromHex(hex, 'bytes')))).toBe(rule)
  })

  it('names the record, the field, what was expected and what to do', () => {
    expect(() => decode([...head, value], [[6, decimal(1, -4)], value]))
      .toThrowErrorMatchingInlineSnapshot(`
      [InvalidSenmlError: The SenML pack is refused: a time is finer than a millisecond.
      Field: pack[1].t
      Rule: time-precision
      Remedy: Round times to whole milliseconds.]
    `)
  })

  const wireNumbers: fc.Arbitrary<WireNumber> = fc.oneof(
    fc.integer().map(integer),
    fc.integer({ min: -8_000_000_000, max: 8_000_000_000 }).map(integer),
    fc
      .tuple(fc.integer(), fc.integer({ min: -9, max: 2 }))
      .map(([mantissa, exponent]) => decimal(mantissa, exponent)),
    fc
      .tuple(fc.maxSafeInteger(), fc.integer({ min: -9, max: -6 }))
      .map(([mantissa, exponent]) => decimal(mantissa, exponent)),
    fc.double({ min: -1e6, max: 1e6, noNaN: true }).map(double),
    fc.integer({ min: -99_999, max: 99_999 }).map((hundredths) => double(hundredths / 100)),
    fc.float({ min: -1e6, max: 1e6, noNaN: true }).map(single),
  )
  const times: fc.Arbitrary<WireNumber> = fc.oneof(
    fc.integer({ min: -10_000, max: 10_000 }).map(integer),
    fc.integer({ min: -10_000_000, max: 10_000_000 }).map((value) => decimal(value, -3)),
    fc.integer({ min: -10_000, max: 10_000 }).map((value) => double(value / 10)),
  )
  const field = (label: number, values: fc.Arbitrary<WireField[1]>) =>
    fc.option(
      values.map((value): WireField => [label, value]),
      { nil: undefined },
    )
  const recordArbitrary = fc
    .tuple(
      field(0, fc.constantFrom('a', 'b', 'temp', 'door/1', 'x:y_z')),
      field(1, fc.constantFrom('Cel', 'W', 'kWh', '[degF]', '/', 'MW.h', 'K')),
      fc
        .constantFrom(true, false)
        .chain((isValue) => (isValue ? field(2, wireNumbers) : field(4, fc.boolean()))),
      field(6, times),
      field(7, fc.constant(integer(60))),
      fc.nat(4711),
    )
    .map(([...parts]) => {
      const seed = parts.pop() as number
      const fields = parts.filter((part) => part !== undefined) as WireField[]
      // Keys come in any order.
      return seed % 2 === 0 ? fields : fields.reverse()
    })
  const baseArbitrary = fc
    .tuple(
      fc.constantFrom<WireField>([-2, 'dev:'], [-2, 'a']),
      fc.constantFrom<WireField>([-4, 'Cel'], [-4, 'W']),
      fc.constantFrom<WireField>([-3, integer(start)], [-3, decimal(start * 1000 + 7, -3)]),
      field(-5, wireNumbers),
      field(-1, fc.constantFrom(integer(10), integer(26))),
    )
    .map((parts) => parts.filter((part) => part !== undefined))
  const packs = fc
    .tuple(baseArbitrary, fc.array(recordArbitrary, { minLength: 1, maxLength: 30 }))
    .map(([base, records]) =>
      writeSenml(records.map((record, index) => (index === 0 ? [...base, ...record] : record))),
    )

  it('resolves every pack it accepts exactly as a plain reference over cbor2 does', () => {
    let accepted = 0
    fc.assert(
      fc.property(packs, (bytes) => {
        // Anything but a refusal by name fails here.
        if (ruleOf(() => decodeSenmlCbor(bytes)) !== 'accepted') return
        const columns = decodeSenmlCbor(bytes)
        accepted += 1
        const found = rowsOf(columns)
        const reference = referenceRows(bytes)
        expect(found.map(({ series, unit, timeMs }) => ({ series, unit, timeMs }))).toEqual(
          reference.map(({ series, unit, timeMs }) => ({ series, unit, timeMs })),
        )
        for (const [row, { micro }] of reference.entries()) {
          expect(micro).toContain(found[row]?.value)
        }
      }),
      { numRuns: 2000 },
    )
    expect(accepted).toBeGreaterThan(200)
  })

  const registry = knownUnits()
    .filter(({ symbol, reading }) => symbol === reading)
    .map(({ symbol }) => symbol)
  const records = fc.array(
    fc.record({
      name: fc.constantFrom('dev:a', 'dev:b', 'dev:temp', 'other'),
      unit: fc.constantFrom(...registry),
      timeMs: fc.integer({ min: 2 ** 28 * 1000, max: 4_000_000_000_000 }),
      valueMicro: fc.option(fc.maxSafeInteger()),
    }),
    { minLength: 1, maxLength: 60 },
  )

  it('reads back every record that the encoder wrote, in order', () => {
    fc.assert(
      fc.property(records, (sent) => {
        expect(rowsOf(decodeSenmlCbor(encodeSenmlCbor(sent)))).toEqual(
          sent.map(({ name, unit, timeMs, valueMicro }) => ({
            series: name,
            unit,
            timeMs,
            value: valueMicro === null ? null : valueMicro + 0,
          })),
        )
      }),
    )
  })

  it('gives the same columns for a pack whose records are all pushed off the short path', () => {
    fc.assert(
      fc.property(records, (sent) => {
        const plain = encodeSenmlCbor(sent)
        // A base value of zero changes nothing, but is not for the short path.
        const { channels: _, ...columns } = decodeSenmlCbor(plain)
        const slow = writeSenml(
          sent.map(({ name, unit, timeMs, valueMicro }, index): WireField[] => [
            ...(index === 0 ? [[-5, integer(0)] as const] : []),
            [0, name],
            [1, unit],
            [6, decimal(timeMs, -3)],
            [2, decimal(valueMicro ?? 0, -6)],
          ]),
        )
        const { channels: __, ...slowColumns } = decodeSenmlCbor(slow)
        expect(slowColumns.timeMs).toEqual(columns.timeMs)
        expect(slowColumns.valueMicro).toEqual(
          columns.valueMicro.map((value) => (Number.isNaN(value) ? 0 : value)),
        )
      }),
    )
  })

  it('judges a thousand distinct names without comparing each with each', () => {
    const many = writeSenml([
      [[-2, 'n'.repeat(40)], time, unit],
      ...Array.from({ length: 999 }, (_, index): WireField[] => [
        [0, `${index}`],
        [2, integer(index)],
      ]),
    ])
    const before = performance.now()
    expect(decodeSenmlCbor(many).channels).toHaveLength(999)
    expect(performance.now() - before).toBeLessThan(500)
  })
})

describeShared('the SenML examples of RFC 8428', 'vectors/senml', (folder) => {
  type Resolved = { n: string; u?: string; t: number; v?: number }
  const read = (file: string) => readFileSync(join(folder, file), 'utf8')
  const resolved = (example: string) =>
    (JSON.parse(read(`${example}.gen.resolved.json`)) as Resolved[]).map(({ n, u, t, v }) => ({
      series: n,
      unit: u,
      timeMs: Math.round(t * 1000),
      value: v === undefined ? undefined : Math.round(v * 1e6),
    }))
  const sorted = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).sort()

  it.each(['ex3', 'ex4', 'ex5', 'ex6', 'ex8', 'ex10', 'ex11', 'ex12'])(
    '%s in JSON resolves to the published records',
    (example) => {
      for (const form of [`${example}.json`, `${example}.gen.json`]) {
        expect(sorted(rowsOf(decodeSenmlJson(utf8(read(form)))))).toEqual(sorted(resolved(example)))
      }
    },
  )

  it.each(['ex3', 'ex5'])('%s in CBOR resolves to the published records', (example) => {
    const bytes = new Uint8Array(readFileSync(join(folder, `${example}.gen.cbor`)))
    expect(sorted(rowsOf(decodeSenmlCbor(bytes)))).toEqual(sorted(resolved(example)))
  })

  it('ex13, which has no published resolution, resolves to tenths of a second', () => {
    for (const form of ['ex13.json', 'ex13.gen.json']) {
      expect(rowsOf(decodeSenmlJson(utf8(read(form)))).map(({ timeMs }) => timeMs)).toEqual([
        1_320_078_429_000, 1_320_078_429_000, 1_320_078_429_100, 1_320_078_429_100,
      ])
    }
  })

  it.each([
    ['ex1', 'relative-time'],
    ['ex2', 'relative-time'],
    ['ex7', 'relative-time'],
    ['ex9', 'relative-time'],
  ])('%s is refused on purpose, by rule %s', (example, rule) => {
    for (const form of [`${example}.json`, `${example}.gen.json`]) {
      expect(ruleOf(() => decodeSenmlJson(utf8(read(form))))).toBe(rule)
    }
  })

  it('are thirteen, and all of them are looked at above', () => {
    const examples = readdirSync(folder).filter((file) => /^ex\d+\.json$/.test(file))
    expect(examples).toHaveLength(13)
  })
})
