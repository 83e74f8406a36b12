import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { areCommensurable, convertMicro } from '#schemas/units/convertMicro.ts'
import {
  divideHalfEven,
  parseDecimal,
  scaleDecimal,
  shortestDecimal,
  shortestDecimalOfSingle,
  wholeUnits,
} from '#schemas/units/decimal.ts'
import {
  UnitMismatchError,
  UnknownUnitError,
  composeMaps,
  invertMap,
  knownUnits,
  unitOf,
} from '#schemas/units/unit.ts'

describe('units', () => {
  it.each([
    ['kWh', 'J', 1, 3_600_000],
    ['kWh', 'Wh', 1.5, 1500],
    ['Wh', 'kWh', 1, 0.001],
    ['MW.h', 'Wh', 1, 1_000_000],
    ['J', 'Wh', 1, 0.000278],
    ['[degF]', 'Cel', 41, 5],
    ['[degF]', 'K', -459.67, 0],
    ['Cel', '[degF]', -40, -40],
    ['Cel', 'K', 0, 273.15],
    ['dBm', 'dBW', 30, 0],
    ['dBW', 'dBm', 0, 30],
    ['km/h', 'm/s', 36, 10],
    ['[mi_i]/h', 'km/h', 100, 160.9344],
    ['hPa', 'Pa', 1013.25, 101_325],
    ['mbar', 'hPa', 1013.25, 1013.25],
    ['/100', '/', 50, 0.5],
    ['%', '/100', 50, 50],
    ['ppm', '/', 400, 0.0004],
    ['[ppb]', 'ppm', 1500, 1.5],
    ['GB', 'KiB', 1, 976_562.5],
    ['MB/s', 'Mbit/s', 1, 8],
    ['Ah', 'C', 1, 3600],
    ['Wh/km', 'J/m', 10, 36],
    ['mm/h', 'm/h', 1, 0.001],
    ['ug/m3', 'kg/m3', 1000, 0.000001],
    ['l', 'm3', 1, 0.001],
    ['L/min', 'm3/s', 60, 0.001],
    ['min', 'ms', 1, 60_000],
    ['d', 's', 1, 86_400],
    ['1/min', '1/s', 60, 1],
    ['kV.A.h', 'VAs', 1, 3_600_000],
    ['[in_i]', 'mm', 1, 25.4],
  ])('%s becomes %s exactly: %d are %d', (from, to, value, expected) => {
    expect(convertMicro(Math.round(value * 1e6), from, to)).toBe(Math.round(expected * 1e6))
  })

  it('are one quantity only when they measure the same', () => {
    expect(areCommensurable('W', 'kW')).toBe(true)
    expect(areCommensurable('W', 'Wh')).toBe(false)
    expect(areCommensurable('VA', 'W')).toBe(false)
    expect(areCommensurable('%RH', '/100')).toBe(false)
    expect(() => convertMicro(1, 'W', 'Wh')).toThrow(UnitMismatchError)
    expect(() => convertMicro(1, 'kW', 'kWh')).toThrowErrorMatchingInlineSnapshot(`
      [UnitMismatchError: A value in kW cannot be expressed in kWh.
      Field: to
      kW measures: W
      kWh measures: J]
    `)
  })

  it.each([
    '',
    'degC',
    '°C',
    'cel',
    'CEL',
    'Celsius',
    'kwh',
    'mWh',
    'constructor',
    '__proto__',
    'W ',
    'W\u0000',
  ])('refuse %j, which is no unit', (symbol) => {
    expect(() => unitOf(symbol)).toThrow(UnknownUnitError)
  })

  it('name the unknown unit and where it stood', () => {
    expect(() => unitOf('furlong', 'records[3].unit')).toThrowErrorMatchingInlineSnapshot(`
      [UnknownUnitError: The unit is not known.
      Field: records[3].unit
      Actual: "furlong"
      Remedy: Use a symbol of the SenML units registry (RFC 8428, RFC 8798) or an accepted UCUM code.]
    `)
  })

  it('hold every primary and secondary unit of RFC 8428 and RFC 8798 as its own reading unit', () => {
    const registry = knownUnits().filter(({ symbol, reading }) => symbol === reading)
    expect(registry.filter(({ isSecondary }) => !isSecondary)).toHaveLength(66)
    expect(registry.filter(({ isSecondary }) => isSecondary)).toHaveLength(33)
  })

  it('lead back to themselves for every pair that is commensurable', () => {
    const all = knownUnits()
    fc.assert(
      fc.property(fc.constantFrom(...all), fc.constantFrom(...all), (left, right) => {
        const there = composeMaps(invertMap(right.toQuantity), left.toQuantity)
        const back = composeMaps(invertMap(left.toQuantity), right.toQuantity)
        const both = composeMaps(back, there)
        expect(both.numerator).toBe(both.denominator)
        expect(both.offsetNumerator).toBe(0n)
      }),
    )
  })

  it('agree on an alias whether it is read or converted', () => {
    for (const { symbol, reading, toReading, toQuantity } of knownUnits()) {
      const through = composeMaps(
        unitOf(reading).toQuantity,
        toReading ?? { numerator: 1n, denominator: 1n, offsetNumerator: 0n, offsetDenominator: 1n },
      )
      expect([symbol, through.numerator * toQuantity.denominator]).toEqual([
        symbol,
        toQuantity.numerator * through.denominator,
      ])
      expect(through.offsetNumerator * toQuantity.offsetDenominator).toBe(
        toQuantity.offsetNumerator * through.offsetDenominator,
      )
    }
  })
})

describe('decimals', () => {
  const mantissas = fc.maxSafeInteger()
  const exponents = fc.integer({ min: -30, max: 12 })

  /** The plain way, in big integers only. */
  function reference(mantissa: number, exponent: number, places: number): number {
    const shift = exponent + places
    return shift >= 0
      ? divideHalfEven(BigInt(mantissa) * 10n ** BigInt(shift), 1n)
      : divideHalfEven(BigInt(mantissa), 10n ** BigInt(-shift))
  }

  it('are scaled as big integers would be, without minus zero', () => {
    fc.assert(
      fc.property(mantissas, exponents, (mantissa, exponent) => {
        const scaled = scaleDecimal(mantissa, exponent, 6)
        expect(scaled).toBe(reference(mantissa, exponent, 6))
        expect(scaleDecimal(BigInt(mantissa), exponent, 6)).toBe(scaled)
        expect(Object.is(scaled, -0)).toBe(false)
      }),
      { numRuns: 5000 },
    )
  })

  it('are whole exactly when nothing is left over', () => {
    fc.assert(
      fc.property(mantissas, exponents, (mantissa, exponent) => {
        const shift = exponent + 3
        const isWhole = shift >= 0 || BigInt(mantissa) % 10n ** BigInt(-shift) === 0n
        const expected = isWhole ? reference(mantissa, exponent, 3) : undefined
        expect(wholeUnits(mantissa, exponent, 3)).toBe(expected)
        expect(wholeUnits(BigInt(mantissa), exponent, 3)).toBe(expected)
      }),
      { numRuns: 5000 },
    )
  })

  it('of a double read back as the same double and are as short as its text', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const decimal = shortestDecimal(value)
        expect(Number(`${decimal?.mantissa}e${decimal?.exponent}`)).toBe(value + 0)
      }),
      { numRuns: 5000 },
    )
    expect([NaN, Infinity, -Infinity].map(shortestDecimal)).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  it('of a double with few digits are those digits', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -(10 ** 15) + 1, max: 10 ** 15 - 1 }),
        fc.integer({ min: -12, max: 0 }),
        (mantissa, exponent) => {
          const value = Number(`${mantissa}e${exponent}`)
          const decimal = shortestDecimal(value)
          expect(
            BigInt(decimal?.mantissa ?? 0) * 10n ** BigInt((decimal?.exponent ?? 0) + 20),
          ).toBe(BigInt(mantissa) * 10n ** BigInt(exponent + 20))
        },
      ),
      { numRuns: 5000 },
    )
  })

  it('of a single read back as the same single and have at most nine digits', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const decimal = shortestDecimalOfSingle(value)
        expect(Math.fround(Number(`${decimal?.mantissa}e${decimal?.exponent}`))).toBe(value + 0)
      }),
      { numRuns: 5000 },
    )
    expect(shortestDecimalOfSingle(Math.fround(23.45))).toEqual({ mantissa: 2345, exponent: -2 })
    expect(shortestDecimalOfSingle(NaN)).toBeUndefined()
  })

  it.each([
    ['0', 0, 0],
    ['-0', 0, 0],
    ['-0.0e5', 0, 0],
    ['1.50', 15, -1],
    ['1.320078429e+09', 1_320_078_429, 0],
    ['100e-2', 1, 0],
    ['-12e3', -12_000, 0],
    ['9007199254740991', 9_007_199_254_740_991, 0],
    ['1e-7', 1, -7],
    ['0.000000000001', 1, -12],
  ])('are parsed from %s', (text, mantissa, exponent) => {
    expect(parseDecimal(text)).toEqual({ mantissa, exponent })
  })

  it.each([
    '',
    '-',
    '1.',
    '.5',
    '1e',
    '+1',
    '0x1',
    'NaN',
    'Infinity',
    '1_000',
    '１',
    '1e99999',
    '9007199254740993',
    ' 1',
  ])('are not parsed from %j', (text) => {
    expect(parseDecimal(text)).toBeUndefined()
  })
})
