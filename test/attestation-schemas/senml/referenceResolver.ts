import { Tag, decode } from 'cbor2'
import { unitOf } from '#schemas/units/unit.ts'
import { sumUnits } from '#schemas/units/unitTables.ts'

/** An exact fraction; the denominator is positive. */
type Fraction = { readonly top: bigint; readonly bottom: bigint }

/** One resolved record. A float may have been sent in two widths, which mean two decimals. */
export type ReferenceRow = {
  readonly series: string
  readonly unit: string
  readonly timeMs: number
  readonly micro: readonly (number | null)[]
}

const bases = { name: -2, time: -3, unit: -4, value: -5, sum: -6 } as const

/**
 * SenML resolution as RFC 8428 §4.6 tells it, in the plainest way: decoded by cbor2, one fraction
 * at a time. It knows no refusals: it is asked only about packs that were accepted.
 */
export function referenceRows(bytes: Uint8Array): readonly ReferenceRow[] {
  const records = decode(bytes, { preferMap: true }) as readonly ReadonlyMap<number, unknown>[]
  const rows: ReferenceRow[] = []
  let baseName = ''
  let baseUnit = ''
  let baseTime: readonly Fraction[] = [whole(0)]
  let baseValue: readonly Fraction[] | undefined
  let baseSum: readonly Fraction[] | undefined
  for (const record of records) {
    baseName = (record.get(bases.name) as string | undefined) ?? baseName
    baseUnit = (record.get(bases.unit) as string | undefined) ?? baseUnit
    if (record.has(bases.time)) baseTime = fractionsOf(record.get(bases.time))
    if (record.has(bases.value)) baseValue = fractionsOf(record.get(bases.value))
    if (record.has(bases.sum)) baseSum = fractionsOf(record.get(bases.sum))
    const series = baseName + ((record.get(0) as string | undefined) ?? '')
    const symbol = (record.get(1) as string | undefined) || baseUnit
    const time = record.has(6) ? fractionsOf(record.get(6)) : [whole(0)]
    const [at = whole(0)] = sums(baseTime, time)
    const timeMs = Number((at.top * 1000n) / at.bottom)
    const flag = record.get(4)
    const value = record.has(2) ? fractionsOf(record.get(2)) : undefined
    const sum = record.has(5) ? fractionsOf(record.get(5)) : undefined
    const hasValue = value !== undefined || baseValue !== undefined
    const hasSum = sum !== undefined || baseSum !== undefined
    if (typeof flag === 'boolean') {
      rows.push({ series, unit: '/', timeMs, micro: [flag ? 1_000_000 : 0] })
    } else if (hasValue) {
      const total = sums(baseValue ?? [whole(0)], value ?? [whole(0)])
      rows.push({ series, unit: unitOf(symbol).reading, timeMs, micro: microsOf(total, symbol) })
    } else if (!hasSum && (record.has(0) || record.has(6))) {
      rows.push({ series, unit: unitOf(symbol).reading, timeMs, micro: [null] })
    }
    if (hasSum) {
      const unit = sumUnits[symbol] ?? ''
      const total = sums(baseSum ?? [whole(0)], sum ?? [whole(0)])
      rows.push({ series: `${series}#sum`, unit, timeMs, micro: microsOf(total, unit) })
    }
  }
  return rows
}

function whole(value: number): Fraction {
  return { top: BigInt(value), bottom: 1n }
}

function sums(left: readonly Fraction[], right: readonly Fraction[]): readonly Fraction[] {
  return left.flatMap((one) =>
    right.map((other) => ({
      top: one.top * other.bottom + other.top * one.bottom,
      bottom: one.bottom * other.bottom,
    })),
  )
}

/** What a number on the wire can mean. */
function fractionsOf(value: unknown): readonly Fraction[] {
  if (value instanceof Tag) {
    const [exponent, mantissa] = value.contents as [number | bigint, number | bigint]
    return [decimal(BigInt(mantissa), Number(exponent))]
  }
  const number = Number(value)
  if (Number.isInteger(number)) return [{ top: BigInt(number), bottom: 1n }]
  const asDouble = textFraction(String(number))
  if (Math.fround(number) !== number) return [asDouble]
  for (let digits = 1; digits <= 9; digits += 1) {
    const text = number.toPrecision(digits)
    if (Math.fround(Number(text)) === number) return [asDouble, textFraction(text)]
  }
  return [asDouble]
}

function decimal(mantissa: bigint, exponent: number): Fraction {
  return exponent < 0
    ? { top: mantissa, bottom: 10n ** BigInt(-exponent) }
    : { top: mantissa * 10n ** BigInt(exponent), bottom: 1n }
}

function textFraction(text: string): Fraction {
  const [digits = '', power = '0'] = text.split('e')
  const [integer = '', fraction = ''] = digits.split('.')
  return decimal(BigInt(integer + fraction), Number(power) - fraction.length)
}

function microsOf(values: readonly Fraction[], symbol: string): readonly number[] {
  const map = unitOf(symbol).toReading
  return values.map(({ top, bottom }) => {
    if (map === undefined) return roundHalfEven(top * 1_000_000n, bottom)
    const scaled = { top: top * map.numerator, bottom: bottom * map.denominator }
    return roundHalfEven(
      (scaled.top * map.offsetDenominator + map.offsetNumerator * scaled.bottom) * 1_000_000n,
      scaled.bottom * map.offsetDenominator,
    )
  })
}

/** Nearest integer, ties to the even one, by way of the floor. */
function roundHalfEven(top: bigint, bottom: bigint): number {
  let floor = top / bottom
  if (top % bottom < 0n) floor -= 1n
  const twice = 2n * (top - floor * bottom)
  const isUp = twice > bottom || (twice === bottom && floor % 2n !== 0n)
  return Number(isUp ? floor + 1n : floor)
}
