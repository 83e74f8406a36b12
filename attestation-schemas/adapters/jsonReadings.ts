import type { Hex } from '../bytes.ts'
import type { Reading } from '../reading.ts'
import { firstAbsoluteMs, lastTimeMs } from '../senml/senmlLabels.ts'
import { isSenmlName } from '../senml/senmlName.ts'
import type { TrustTier } from '../trustTier.ts'
import { parseDecimal, scaleDecimal, scaleMapped, shortestDecimal } from '../units/decimal.ts'
import { findUnit } from '../units/unit.ts'
import { AdapterRefusedError, type AdapterRule } from './adapterError.ts'
import { JsonNumber, type JsonValue } from './strictJson.ts'

/** Most readings in one message of any adapter but CSV. */
export const maxAdaptedReadings = 1000

const members = new Set(['series', 'time_ms', 'value', 'unit'])

/**
 * Readings in plain JSON: `{"series":"temp","time_ms":1700000000000,"value":4.2,"unit":"Cel"}`, one or
 * an array of them. `value` may be `null` (a slot without a value) or a decimal in a text.
 *
 * @throws {@link AdapterRefusedError}
 */
export function readJsonReadings(
  value: JsonValue,
  device: Hex,
  tier: TrustTier,
): readonly Reading[] {
  const items: readonly JsonValue[] = Array.isArray(value)
    ? (value as readonly JsonValue[])
    : [value]
  if (items.length === 0 || items.length > maxAdaptedReadings) {
    throw refusal('too-many-readings', `1 to ${maxAdaptedReadings} readings`, 'readings')
  }
  return items.map((item, index) => {
    const field = `readings[${index}]`
    if (!(item instanceof Map)) throw refusal('shape', 'an object', field)
    const reading = item as ReadonlyMap<string, JsonValue>
    for (const name of reading.keys()) {
      if (!members.has(name)) {
        throw refusal('unknown-member', 'series, time_ms, value and unit only', field)
      }
    }
    return makeReading({
      device,
      tier,
      field,
      series: textOf(reading.get('series'), `${field}.series`),
      unit: textOf(reading.get('unit'), `${field}.unit`),
      time: numberText(reading.get('time_ms'), `${field}.time_ms`),
      value: valueText(reading.get('value'), `${field}.value`),
    })
  })
}

/**
 * One reading from texts, by the same rules for every format.
 *
 * @param parts.value - A decimal number, or `null` for a slot without a value.
 * @throws {@link AdapterRefusedError}
 */
export function makeReading(parts: {
  readonly device: Hex
  readonly tier: TrustTier
  readonly field: string
  readonly series: string
  readonly unit: string
  readonly time: string
  readonly value: string | null
}): Reading {
  const { device, tier, field, series } = parts
  if (!isSenmlName(series)) {
    throw refusal('name', 'a SenML name: A-Z a-z 0-9 - : . / _', `${field}.series`)
  }
  const unit = findUnit(parts.unit)
  if (unit === undefined) {
    throw refusal('unknown-unit', 'a SenML registry unit or an accepted UCUM code', `${field}.unit`)
  }
  const time = parseDecimal(parts.time)
  const timeMs = time?.exponent === 0 ? time.mantissa : NaN
  if (!(timeMs >= firstAbsoluteMs && timeMs <= lastTimeMs)) {
    throw refusal('time', 'whole Unix milliseconds, not before 1978', `${field}.time_ms`)
  }
  let valueMicro: number | null = null
  if (parts.value !== null) {
    const value = parseDecimal(parts.value) ?? binaryDecimal(parts.value)
    valueMicro =
      value === undefined
        ? NaN
        : unit.toReading === undefined
          ? scaleDecimal(value.mantissa, value.exponent, 6)
          : scaleMapped(value.mantissa, value.exponent, 6, unit.toReading)
    if (Number.isNaN(valueMicro)) {
      throw refusal('number', 'a decimal number below 9007199254 in magnitude', `${field}.value`)
    }
  }
  return { device, series, unit: unit.reading, timeMs, valueMicro, tier }
}

const numberPattern = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,4})?$/

/** A number of too many digits, by way of the nearest binary64. */
function binaryDecimal(text: string): ReturnType<typeof shortestDecimal> {
  return numberPattern.test(text) ? shortestDecimal(Number(text)) : undefined
}

function textOf(value: JsonValue | undefined, field: string): string {
  if (typeof value !== 'string') throw refusal('shape', 'a text', field)
  return value
}

function numberText(value: JsonValue | undefined, field: string): string {
  if (!(value instanceof JsonNumber)) throw refusal('shape', 'a number', field)
  return value.text
}

function valueText(value: JsonValue | undefined, field: string): string | null {
  if (value === null || typeof value === 'string') return value
  return numberText(value, field)
}

function refusal(rule: AdapterRule, expected: string, field: string): AdapterRefusedError {
  return new AdapterRefusedError('The reading is refused.', {
    rule,
    field,
    metaMessages: [`Expected: ${expected}`],
  })
}
