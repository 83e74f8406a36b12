import { divideRounded } from './rounding.ts'

/**
 * Mean kinetic temperature in fixed point, so that every machine gets the same bits.
 *
 *     T_K = (ΔH/R) / -ln( Σ w·e^(-ΔH/(R·T)) / Σ w )
 *
 * with ΔH/R = 10 000 K, the customary 83.144 kJ/mol over 8.3144 J/(mol·K). All quantities carry 128
 * binary places. The exponential is reduced by halving until its argument is below 2^-16, summed as
 * its Taylor series until a term vanishes, and squared back; every product is rounded down. The
 * logarithm takes out powers of two and sums the series of artanh. Errors stay far below a millionth
 * of a kelvin; the answer is rounded half-even to millionths.
 *
 * @see USP <1079.2>, Mean Kinetic Temperature
 */
const places = 128n
const one = 1n << places
const activationKelvin = 10_000n

/** e^-x for x >= 0, both with 128 places. */
function exponentialOfMinus(x: bigint): bigint {
  // 2^-16 is reached from any x below 2^12 by at most 28 halvings.
  let halvings = 0n
  while (x >> halvings >= one >> 16n) halvings += 1n
  // Guard places keep what the squarings double.
  const guard = 32n + halvings
  const scaleOne = one << guard
  const reduced = (x << guard) >> halvings
  let term = scaleOne
  let sum = scaleOne
  for (let n = 1n; term !== 0n; n += 1n) {
    term = (term * reduced) / scaleOne / n
    sum += n % 2n === 1n ? -term : term
  }
  for (let step = 0n; step < halvings; step += 1n) sum = (sum * sum) / scaleOne
  return sum >> guard
}

/** 2·artanh(z) = 2·(z + z³/3 + z⁵/5 + …) for |z| < 1/3. */
function doubleArtanh(z: bigint): bigint {
  const square = (z * z) / one
  let power = z
  let sum = 0n
  for (let n = 1n; power !== 0n; n += 2n) {
    sum += power / n
    power = (power * square) / one
  }
  return 2n * sum
}

const lnOfTwo = doubleArtanh(one / 3n)

/** -ln(x) for 0 < x <= 1, both with 128 places. */
function minusLogarithm(x: bigint): bigint {
  let mantissa = x
  let halvings = 0n
  while (mantissa < one) {
    mantissa <<= 1n
    halvings += 1n
  }
  return halvings * lnOfTwo - doubleArtanh(((mantissa - one) * one) / (mantissa + one))
}

/**
 * One value's factor e^(-ΔH/(R·T)) with 128 extra places kept out of its tiny size.
 *
 * @param kelvinMicro - Above zero.
 */
export function kineticFactor(kelvinMicro: number): bigint {
  return exponentialOfMinus((activationKelvin * 1_000_000n * one) / BigInt(kelvinMicro))
}

/**
 * @param weighted - Sum over time of {@link kineticFactor} times its weight.
 * @param weight - Sum of weights, above zero.
 * @returns Millionths of a kelvin, rounded half-even; `null` when it is too small to be told from zero.
 */
export function kineticMeanMicro(weighted: bigint, weight: bigint): bigint | null {
  const mean = weighted / weight
  if (mean <= 0n) return null
  const minusLog = minusLogarithm(mean)
  if (minusLog <= 0n) return null
  return divideRounded(activationKelvin * 1_000_000n * one, minusLog, 'half-even')
}
