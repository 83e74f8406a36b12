import { CborWriter } from '../cbor/cborWriter.ts'
import { BaseError } from '../errors.ts'
import { type Decimal, maxExponent } from '../units/decimal.ts'
import { unitOf } from '../units/unit.ts'
import {
  firstAbsoluteMs,
  lastTimeMs,
  maxRecords,
  secondaryUnitsVersion,
  senmlLabel,
} from './senmlLabels.ts'
import { isSenmlName } from './senmlName.ts'

/** One value to send. */
export type SenmlRecord = {
  /** Full name of the series within the device. */
  readonly name: string
  /** Registry symbol or accepted UCUM code. */
  readonly unit: string
  /** Unix milliseconds. */
  readonly timeMs: number
} & (
  | {
      /** Millionths of the unit; `null` says that the slot has no value. */
      readonly valueMicro: number | null
    }
  | { readonly decimal: Decimal }
)

/** Records that cannot be sent as they are. */
export class InvalidRecordError extends BaseError {
  override readonly name = 'InvalidRecordError'
}

/**
 * Encodes records as SenML-CBOR, compactly: what they share stands once as base name, base unit and
 * base time; values and times are integers or decimal fractions in their shortest form, never floats.
 * The order of the records is kept.
 *
 * @throws {@link InvalidRecordError} naming the record
 * @throws {@link UnknownUnitError}
 */
export function encodeSenmlCbor(records: readonly SenmlRecord[]): Uint8Array {
  const [first] = records
  if (first === undefined || records.length > maxRecords) {
    throw new InvalidRecordError('The number of records is out of range.', {
      field: 'records',
      metaMessages: [`Expected: 1 to ${maxRecords}`, `Actual: ${records.length}`],
    })
  }
  for (const [index, record] of records.entries()) validateRecord(record, index)
  const baseName = commonPrefix(records.map((record) => record.name))
  const baseUnit = mostFrequent(records.map((record) => record.unit))
  const needsFeature = records.some((record) => unitOf(record.unit).isSecondary)

  const writer = new CborWriter().array(records.length)
  for (const [index, record] of records.entries()) {
    const isFirst = index === 0
    const name = record.name.slice(baseName.length)
    const offsetMs = record.timeMs - first.timeMs
    const hasUnit = record.unit !== baseUnit
    const decimal = 'decimal' in record ? record.decimal : microDecimal(record.valueMicro)
    // A blank slot needs a name or a time to be one.
    const hasTime = offsetMs !== 0 || (decimal === undefined && name === '')
    const bases = isFirst ? 2 + Number(needsFeature) + Number(baseName !== '') : 0
    writer.map(
      bases +
        Number(name !== '') +
        Number(hasUnit) +
        Number(decimal !== undefined) +
        Number(hasTime),
    )
    if (isFirst) {
      if (baseName !== '') writer.integer(senmlLabel.baseName).text(baseName)
      writeDecimal(writer.integer(senmlLabel.baseTime), seconds(first.timeMs))
      writer.integer(senmlLabel.baseUnit).text(baseUnit)
      if (needsFeature) writer.integer(senmlLabel.baseVersion).integer(secondaryUnitsVersion)
    }
    if (name !== '') writer.integer(senmlLabel.name).text(name)
    if (hasUnit) writer.integer(senmlLabel.unit).text(record.unit)
    if (decimal !== undefined) writeDecimal(writer.integer(senmlLabel.value), decimal)
    if (hasTime) writeDecimal(writer.integer(senmlLabel.time), seconds(offsetMs))
  }
  return writer.finish()
}

function validateRecord(record: SenmlRecord, index: number): void {
  const field = (name: string) => `records[${index}].${name}`
  unitOf(record.unit, field('unit'))
  if (!isSenmlName(record.name)) {
    throw new InvalidRecordError('The name is not one that SenML allows.', { field: field('name') })
  }
  const { timeMs } = record
  if (!Number.isInteger(timeMs) || timeMs < firstAbsoluteMs || timeMs > lastTimeMs) {
    throw new InvalidRecordError('The time is out of range.', {
      field: field('timeMs'),
      metaMessages: [
        `Expected: whole Unix milliseconds, ${firstAbsoluteMs} to ${lastTimeMs}`,
        `Actual: ${timeMs}`,
      ],
    })
  }
  if ('decimal' in record) {
    const { mantissa, exponent } = record.decimal
    if (
      !Number.isSafeInteger(mantissa) ||
      !Number.isInteger(exponent) ||
      Math.abs(exponent) > maxExponent
    ) {
      throw new InvalidRecordError('The decimal is out of range.', {
        field: field('decimal'),
        metaMessages: ['Expected: |mantissa| below 2^53, exponent -9 to 9'],
      })
    }
  } else if (record.valueMicro !== null && !Number.isSafeInteger(record.valueMicro)) {
    throw new InvalidRecordError('The value is not a whole number of millionths below 2^53.', {
      field: field('valueMicro'),
    })
  }
}

function writeDecimal(writer: CborWriter, { mantissa, exponent }: Decimal): void {
  if (exponent === 0) writer.integer(mantissa)
  else writer.tag(4).array(2).integer(exponent).integer(mantissa)
}

function seconds(milliseconds: number): Decimal {
  return shortest(milliseconds, -3)
}

function microDecimal(valueMicro: number | null): Decimal | undefined {
  return valueMicro === null ? undefined : shortest(valueMicro, -6)
}

function shortest(mantissa: number, exponent: number): Decimal {
  if (mantissa === 0) return { mantissa: 0, exponent: 0 }
  while (exponent < 0 && mantissa % 10 === 0) {
    mantissa /= 10
    exponent += 1
  }
  return { mantissa, exponent }
}

function commonPrefix(names: readonly string[]): string {
  let [prefix = ''] = names
  for (const name of names) {
    while (!name.startsWith(prefix)) prefix = prefix.slice(0, -1)
  }
  return prefix
}

function mostFrequent(units: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const unit of units) counts.set(unit, (counts.get(unit) ?? 0) + 1)
  let best = ''
  for (const [unit, count] of counts) if (count > (counts.get(best) ?? 0)) best = unit
  return best
}
