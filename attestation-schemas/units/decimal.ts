import type { LinearMap } from './unit.ts'

/** A decimal number `mantissa · 10^exponent`, exactly. */
export type Decimal = { readonly mantissa: number; readonly exponent: number }

/** A decimal whose mantissa may be too long for a machine number: a float of 17 digits. */
export type WideDecimal = { readonly mantissa: number | bigint; readonly exponent: number }

/** Bounds of the numbers a reading may be sent as: |mantissa| below 2^53, exponent −9 to +9. */
export const maxMantissa = Number.MAX_SAFE_INTEGER
export const maxExponent = 9

const powers = Array.from({ length: 16 }, (_, exponent) => 10 ** exponent)

/**
 * A decimal in integer steps of 10^-`places`, rounded half to even where it is finer.
 *
 * @returns NaN when the result is not below 2^53 in magnitude.
 */
export function scaleDecimal(mantissa: number | bigint, exponent: number, places: number): number {
  const shift = exponent + places
  if (typeof mantissa === 'bigint') {
    return shift >= 0
      ? divideHalfEven(mantissa * 10n ** BigInt(shift), 1n)
      : divideHalfEven(mantissa, 10n ** BigInt(-shift))
  }
  if (shift === 0) return mantissa
  if (shift > 0) {
    if (mantissa === 0) return 0
    const factor = powers[shift] ?? Infinity
    const scaled = mantissa * factor
    // A product below 2^53 of two integers is exact, and one above it never rounds below it.
    return scaled <= Number.MAX_SAFE_INTEGER && scaled >= -Number.MAX_SAFE_INTEGER ? scaled : NaN
  }
  const divisor = powers[-shift]
  if (divisor === undefined) return divideHalfEven(BigInt(mantissa), 10n ** BigInt(-shift))
  // Truncation is exact: a fraction of at least 1/divisor is more than half a step of the float.
  // `+ 0` keeps a small negative number from becoming minus zero.
  const quotient = Math.trunc(mantissa / divisor) + 0
  const remainder = mantissa - quotient * divisor
  if (remainder === 0) return quotient
  const twice = 2 * Math.abs(remainder)
  const isUp = twice > divisor || (twice === divisor && quotient % 2 !== 0)
  return isUp ? quotient + Math.sign(remainder) : quotient
}

/**
 * A decimal in integer steps of 10^-`places`.
 *
 * @returns `undefined` when it is finer than such a step, NaN when the result is not below 2^53.
 */
export function wholeUnits(
  mantissa: number | bigint,
  exponent: number,
  places: number,
): number | undefined {
  const shift = exponent + places
  if (shift >= 0) return scaleDecimal(mantissa, exponent, places)
  if (typeof mantissa === 'bigint') {
    const isWhole = mantissa % 10n ** BigInt(-shift) === 0n
    return isWhole ? scaleDecimal(mantissa, exponent, places) : undefined
  }
  const quotient = mantissa / (powers[-shift] ?? Infinity)
  // A quotient is an integer exactly when the division leaves nothing: both are below 2^53.
  if (mantissa !== 0 && -shift >= powers.length) return undefined
  return Number.isInteger(quotient) ? quotient : undefined
}

/** As {@link scaleDecimal}, after an exact linear map: one rounding, at the end. */
export function scaleMapped(
  mantissa: number | bigint,
  exponent: number,
  places: number,
  map: LinearMap,
): number {
  const power = 10n ** BigInt(Math.abs(exponent))
  const valueNumerator = BigInt(mantissa) * (exponent < 0 ? 1n : power)
  const valueDenominator = exponent < 0 ? power : 1n
  const numerator =
    valueNumerator * map.numerator * map.offsetDenominator +
    map.offsetNumerator * valueDenominator * map.denominator
  const denominator = valueDenominator * map.denominator * map.offsetDenominator
  return divideHalfEven(numerator * 10n ** BigInt(places), denominator)
}

/** Sum of two decimals, exactly. */
export function addDecimals(left: WideDecimal, right: WideDecimal): WideDecimal {
  const exponent = Math.min(left.exponent, right.exponent)
  const sum =
    BigInt(left.mantissa) * 10n ** BigInt(left.exponent - exponent) +
    BigInt(right.mantissa) * 10n ** BigInt(right.exponent - exponent)
  const mantissa = Number(sum)
  return { mantissa: Number.isSafeInteger(mantissa) ? mantissa : sum, exponent }
}

/** Quotient rounded half to even, or NaN when it is not below 2^53 in magnitude. */
export function divideHalfEven(numerator: bigint, denominator: bigint): number {
  const isNegative = numerator < 0n !== denominator < 0n
  const top = numerator < 0n ? -numerator : numerator
  const bottom = denominator < 0n ? -denominator : denominator
  let quotient = top / bottom
  const twice = (top % bottom) * 2n
  if (twice > bottom || (twice === bottom && quotient % 2n === 1n)) quotient += 1n
  if (quotient > BigInt(Number.MAX_SAFE_INTEGER)) return NaN
  // `0 -` keeps a zero from becoming minus zero.
  return isNegative ? 0 - Number(quotient) : Number(quotient)
}

/**
 * The shortest decimal that reads back as the same binary64: what ECMAScript's Number::toString
 * writes, so every engine agrees.
 *
 * @returns `undefined` for NaN and infinities.
 */
export function shortestDecimal(value: number): WideDecimal | undefined {
  if (!Number.isFinite(value)) return undefined
  if (Number.isSafeInteger(value)) return { mantissa: value + 0, exponent: 0 }
  // Six places at 15 digits or fewer: two decimals that short never share a binary64, so the
  // candidate that reads back is the shortest one.
  const candidate = Math.round(value * 1e6)
  if (Math.abs(candidate) < 1e15 && candidate / 1e6 === value) {
    return { mantissa: candidate, exponent: -6 }
  }
  return parseDecimal(String(value)) ?? wideDecimal(String(value))
}

/**
 * The decimal of the fewest digits (1 to 9) whose nearest binary32 is `value`, for a float that was
 * sent as binary32 or binary16: 23.45 sent in four bytes means 23.45, not 23.450000762939453.
 */
export function shortestDecimalOfSingle(value: number): Decimal | undefined {
  if (!Number.isFinite(value)) return undefined
  if (Number.isSafeInteger(value)) return { mantissa: value + 0, exponent: 0 }
  for (let digits = 1; digits <= 9; digits += 1) {
    const text = value.toPrecision(digits)
    if (Math.fround(Number(text)) === value) return parseDecimal(text)
  }
  return undefined
}

type DecimalText = { readonly sign: string; readonly digits: string; readonly exponent: number }

const decimalPattern = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,4}))?$/

/** Sign, significant digits and exponent of a number as JSON writes it. */
function splitDecimal(text: string): DecimalText | undefined {
  const match = decimalPattern.exec(text)
  if (match === null) return undefined
  const [, sign = '', whole = '', fraction = '', power = '0'] = match
  const all = whole + fraction
  const digits = all.replace(/0+$/, '')
  return {
    sign,
    digits: digits.replace(/^0+/, ''),
    exponent: Number(power) - fraction.length + (all.length - digits.length),
  }
}

/**
 * Reads a decimal number as JSON writes it, exactly; trailing zeros are dropped.
 *
 * @returns `undefined` when the text is no such number or its mantissa is not below 2^53.
 */
export function parseDecimal(text: string): Decimal | undefined {
  const parts = splitDecimal(text)
  if (parts === undefined) return undefined
  if (parts.digits === '') return { mantissa: 0, exponent: 0 }
  let mantissa = Number(parts.sign + parts.digits)
  let { exponent } = parts
  if (parts.digits.length > 16 || !Number.isSafeInteger(mantissa)) return undefined
  // Zeros go back into the mantissa while they fit, so that whole numbers stay whole.
  while (exponent > 0 && Number.isSafeInteger(mantissa * 10)) {
    mantissa *= 10
    exponent -= 1
  }
  return { mantissa, exponent }
}

/** A decimal of more digits than a machine number holds. */
function wideDecimal(text: string): WideDecimal | undefined {
  const parts = splitDecimal(text)
  return parts && { mantissa: BigInt(parts.sign + parts.digits), exponent: parts.exponent }
}
