import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { kineticFactor, kineticMeanMicro } from '#evaluation/kinetic.ts'
import { divideRounded } from '#evaluation/rounding.ts'

/** The formula in float64, good to about ten digits: the exact answer has to lie beside it. */
function floatMean(kelvins: readonly number[]): number {
  const sum = kelvins.reduce((total, kelvin) => total + Math.exp(-10_000 / kelvin), 0)
  return 10_000 / -Math.log(sum / kelvins.length)
}

function exactMean(kelvinMicros: readonly number[]): number {
  const sum = kelvinMicros.reduce((total, kelvin) => total + kineticFactor(kelvin), 0n)
  return Number(kineticMeanMicro(sum, BigInt(kelvinMicros.length)))
}

describe('mean kinetic temperature', () => {
  it('lies where the float64 formula lies, to a millionth of a kelvin', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 230_000_000, max: 350_000_000 }), {
          minLength: 1,
          maxLength: 20,
        }),
        (kelvins) => {
          const float = floatMean(kelvins.map((kelvin) => kelvin / 1e6)) * 1e6
          expect(Math.abs(exactMean(kelvins) - float)).toBeLessThanOrEqual(1)
        },
      ),
    )
  })

  it('of one temperature is that temperature, from 150 K to 2000 K', () => {
    fc.assert(
      fc.property(fc.integer({ min: 150_000_000, max: 2_000_000_000 }), (kelvin) => {
        expect(exactMean([kelvin])).toBe(kelvin)
      }),
    )
  })

  it('is never below the arithmetic mean in the range of stored goods', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 230_000_000, max: 350_000_000 }), {
          minLength: 1,
          maxLength: 20,
        }),
        (kelvins) => {
          const mean = kelvins.reduce((sum, kelvin) => sum + kelvin, 0) / kelvins.length
          expect(exactMean(kelvins)).toBeGreaterThanOrEqual(Math.floor(mean))
        },
      ),
    )
  })

  it('reproduces a value worked by hand: equal times at 20 and 30 degrees', () => {
    // e^(-10000/293.15) = 1.53196e-15 and e^(-10000/303.15) = 4.71999e-15. Their mean, 3.12597e-15, has
    // the logarithm -33.39903, and 10000/33.39903 = 299.41 K, more than the arithmetic 298.15 K.
    expect(exactMean([293_150_000, 303_150_000])).toBe(299_409_887)
  })

  it('does not exist where it cannot be told from zero', () => {
    expect(kineticMeanMicro(kineticFactor(50_000_000), 1n)).toBeNull()
  })
})

describe('rounding', () => {
  it('down goes towards minus infinity, half-even to the nearest and from the middle to the even', () => {
    const both = (numerator: bigint): [bigint, bigint] => [
      divideRounded(numerator, 2n, 'down'),
      divideRounded(numerator, 2n, 'half-even'),
    ]
    expect([-3n, -1n, 1n, 3n, 4n].map(both)).toStrictEqual([
      [-2n, -2n],
      [-1n, 0n],
      [0n, 0n],
      [1n, 2n],
      [2n, 2n],
    ])
  })

  it('is never further than half a step away, and mirrors at zero', () => {
    fc.assert(
      fc.property(
        fc.bigInt(),
        fc.bigInt({ min: 1n, max: 10n ** 20n }),
        (numerator, denominator) => {
          const rounded = divideRounded(numerator, denominator, 'half-even')
          const error = 2n * (rounded * denominator - numerator)
          expect(error <= denominator && error >= -denominator).toBe(true)
          expect(divideRounded(-numerator, denominator, 'half-even')).toBe(-rounded)
        },
      ),
    )
  })
})
