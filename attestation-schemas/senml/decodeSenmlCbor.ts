import { major } from '../cbor/cborReader.ts'
import {
  addDecimals,
  type WideDecimal,
  scaleDecimal,
  scaleMapped,
  wholeUnits,
} from '../units/decimal.ts'
import { findUnit, type Unit } from '../units/unit.ts'
import { sumUnits } from '../units/unitTables.ts'
import { readCommonRecords } from './commonRecords.ts'
import { DecimalReader } from './decimalReader.ts'
import { InvalidSenmlError } from './invalidSenmlError.ts'
import { addRow, createRows, finishRows, type SenmlColumns } from './senmlColumns.ts'
import {
  firstAbsoluteMs,
  isKnownVersion,
  lastTimeMs,
  maxRecords,
  senmlFieldNames,
  senmlLabel,
} from './senmlLabels.ts'
import { SenmlSources } from './senmlSources.ts'

/** After so many records that were not common, common ones are no longer looked for. */
const maxMisses = 8

const has = (label: number) => 1 << (label + 6)
const hasName = has(senmlLabel.name)
const hasUnit = has(senmlLabel.unit)
const hasValue = has(senmlLabel.value)
const hasBoolean = has(senmlLabel.booleanValue)
const hasTime = has(senmlLabel.time)
const hasNameOrUnit = hasName | hasUnit
/** Fields that make a record without a value a slot that was left empty. */
const hasSlot = hasName | hasTime
/** The base fields and the version: labels below zero. */
const hasBases = hasName - 1

/**
 * Decodes and resolves an untrusted SenML-CBOR pack in one pass, strictly.
 *
 * Numbers and booleans become readings (a boolean as 0 or 1 of unit `/`), a sum becomes a reading of
 * the series `<name>#sum` in unit × second, and a record with a name or time but no value becomes a
 * blank slot. Order of keys is free: the CBOR example of RFC 8428 itself is unsorted.
 *
 * @throws {@link InvalidCborError} when the bytes are no strict CBOR
 * @throws {@link InvalidSenmlError} naming the rule and the record
 * @see RFC 8428 §4 to §6
 */
export function decodeSenmlCbor(bytes: Uint8Array): SenmlColumns {
  return readSenml(new DecimalReader(bytes))
}

/** Reads the pack that fills the reader's bounds; see {@link decodeSenmlCbor}. */
export function readSenml(reader: DecimalReader): SenmlColumns {
  const start = reader.position
  if (reader.peekMajor() !== major.array) {
    throw new InvalidSenmlError('not-a-pack', { offset: start })
  }
  const records = reader.readCount(major.array, 'an array of records')
  if (records > maxRecords) throw new InvalidSenmlError('too-many-records', { offset: start })

  const sources = new SenmlSources(reader.bytes)
  const rows = createRows(records)

  let baseTimeMs = 0
  let baseValue: WideDecimal | undefined
  let baseSum: WideDecimal | undefined
  let version = -1

  let misses = 0
  for (let record = 0; record < records; record += 1) {
    if (record > 0 && misses < maxMisses && baseValue === undefined && baseSum === undefined) {
      const read = readCommonRecords(reader, records - record, baseTimeMs, sources, rows)
      if (read === 0) misses += 1
      record += read
      if (record === records) break
    }
    const pairs = readRecordHead(reader, record)
    let fields = 0
    let nameStart = 0
    let nameEnd = 0
    let unitStart = 0
    let unitEnd = 0
    let mantissa: number | bigint = 0
    let exponent = 0
    let isTrue = false
    let recordTimeMs = 0
    let sum: WideDecimal | undefined

    for (let pair = 0; pair < pairs; pair += 1) {
      const at = reader.position
      const label = readLabel(reader, record)
      const field = 1 << (label + 6)
      if ((fields & field) !== 0) throw duplicateField(at, record, label)
      fields |= field
      switch (label) {
        case senmlLabel.value:
          reader.readDecimal(record)
          mantissa = reader.mantissa
          exponent = reader.exponent
          break
        case senmlLabel.time:
          reader.readDecimal(record)
          recordTimeMs = toMilliseconds(reader.mantissa, reader.exponent, record, 't')
          break
        case senmlLabel.name:
          nameStart = passText(reader, record, 'n')
          nameEnd = reader.position
          break
        case senmlLabel.unit:
          unitStart = passText(reader, record, 'u')
          unitEnd = reader.position
          break
        case senmlLabel.booleanValue:
          isTrue = readBoolean(reader, record)
          break
        case senmlLabel.baseName:
          sources.setBaseName(passText(reader, record, 'bn'), reader.position)
          break
        case senmlLabel.baseTime:
          reader.readDecimal(record)
          baseTimeMs = toMilliseconds(reader.mantissa, reader.exponent, record, 'bt')
          break
        case senmlLabel.baseUnit:
          sources.setBaseUnit(passText(reader, record, 'bu'), reader.position)
          break
        case senmlLabel.baseValue:
          reader.readDecimal(record)
          baseValue = { mantissa: reader.mantissa, exponent: reader.exponent }
          break
        case senmlLabel.baseSum:
          reader.readDecimal(record)
          baseSum = { mantissa: reader.mantissa, exponent: reader.exponent }
          break
        case senmlLabel.sum:
          reader.readDecimal(record)
          sum = { mantissa: reader.mantissa, exponent: reader.exponent }
          break
        case senmlLabel.updateTime:
          // When to expect the next reading at the latest; no evidence, so it is checked and passed.
          reader.readDecimal(record)
          break
        case senmlLabel.baseVersion:
          version = readVersion(reader, record, version)
          break
        default:
          throw new InvalidSenmlError('unsupported-value', {
            offset: at,
            record,
            field: senmlFieldNames[label + 6] ?? '',
          })
      }
    }

    const isBoolean = (fields & hasBoolean) !== 0
    const isNumber = !isBoolean && ((fields & hasValue) !== 0 || baseValue !== undefined)
    if (isBoolean && (fields & hasValue) !== 0) {
      throw new InvalidSenmlError('two-values', { record })
    }
    if (baseSum !== undefined) {
      sum = sum === undefined ? baseSum : addDecimals(baseSum, sum)
    }
    const isBlank = !isNumber && !isBoolean && sum === undefined
    if (isBlank && (fields & hasSlot) === 0) {
      // Base fields alone set the base for what follows, as in the last example of RFC 8428 §5.1.
      if (fields === 0 || (fields & ~hasBases) !== 0) {
        throw new InvalidSenmlError('empty-record', { record })
      }
      continue
    }

    const time = baseTimeMs + recordTimeMs
    if (time < firstAbsoluteMs) throw new InvalidSenmlError('relative-time', { record })
    if (time > lastTimeMs) throw new InvalidSenmlError('time-range', { record })

    const source =
      (fields & hasNameOrUnit) === 0
        ? sources.plainSource(record)
        : sources.sourceOf(nameStart, nameEnd, unitStart, unitEnd, record)

    if (isNumber || isBlank) {
      const unit = source.unit
      if (unit === undefined) throw new InvalidSenmlError('unit-missing', { record, field: 'u' })
      if (source.valueChannel < 0) source.valueChannel = sources.channel(source.name, unit.reading)
      if (baseValue !== undefined) {
        const total = addDecimals(baseValue, { mantissa, exponent })
        mantissa = total.mantissa
        exponent = total.exponent
      }
      addRow(
        rows,
        source.valueChannel,
        time,
        isBlank ? NaN : toMicro(mantissa, exponent, unit, record, 'v'),
      )
    } else if (isBoolean) {
      if (source.booleanChannel < 0) source.booleanChannel = sources.channel(source.name, '/')
      addRow(rows, source.booleanChannel, time, isTrue ? 1_000_000 : 0)
    }
    if (sum !== undefined) {
      const unit = sumUnitOf(source.unit, record)
      if (source.sumChannel < 0) {
        source.sumChannel = sources.channel(`${source.name}#sum`, unit.reading)
      }
      addRow(rows, source.sumChannel, time, toMicro(sum.mantissa, sum.exponent, unit, record, 's'))
    }
  }
  reader.expectEnd()
  if (rows.count === 0) throw new InvalidSenmlError('empty-pack', { offset: start })
  return finishRows(rows, sources.channels)
}

/** Heads of maps with up to 15 pairs, 0xa0 to 0xaf, hold every record SenML can define. */
function readRecordHead(reader: DecimalReader, record: number): number {
  const at = reader.position
  const initial = at < reader.end ? (reader.bytes[at] ?? 0) : 0
  if ((initial & 0xf0) === 0xa0) {
    reader.position = at + 1
    return initial & 0x0f
  }
  if (reader.peekMajor() !== major.map) {
    throw new InvalidSenmlError('not-a-pack', { offset: at, record })
  }
  return reader.readCount(major.map, 'a record')
}

/** The label of the next field; every label that SenML defines fits one byte. */
function readLabel(reader: DecimalReader, record: number): number {
  const at = reader.position
  const initial = at < reader.end ? (reader.bytes[at] ?? 0xff) : 0xff
  reader.position = at + 1
  if (initial <= 8) return initial
  if (initial >= 0x20 && initial <= 0x25) return 0x1f - initial
  reader.position = at
  reader.readHead()
  throw new InvalidSenmlError('unknown-field', { offset: at, record })
}

/** Passes a text and answers where its content starts; it ends at the cursor. */
function passText(reader: DecimalReader, record: number, field: string): number {
  const at = reader.position
  if (reader.readHead() !== major.text) {
    throw new InvalidSenmlError('field-type', { offset: at, record, field, actual: 'not a text' })
  }
  const start = reader.position
  reader.skipBytes(reader.argument)
  return start
}

function readBoolean(reader: DecimalReader, record: number): boolean {
  const at = reader.position
  if (reader.readHead() !== major.simple || (reader.info !== 20 && reader.info !== 21)) {
    throw new InvalidSenmlError('field-type', {
      offset: at,
      record,
      field: 'vb',
      actual: 'not a boolean',
    })
  }
  return reader.info === 21
}

function readVersion(reader: DecimalReader, record: number, before: number): number {
  const at = reader.position
  const kind = reader.readHead()
  const version = reader.argument
  // RFC 8428 §4.4: one version for the whole pack.
  if (kind !== major.unsigned || !isKnownVersion(version) || (before >= 0 && before !== version)) {
    throw new InvalidSenmlError('version', {
      offset: at,
      record,
      field: 'bver',
      actual: String(version),
    })
  }
  return version
}

function duplicateField(offset: number, record: number, label: number): InvalidSenmlError {
  const field = senmlFieldNames[label + 6] ?? ''
  return new InvalidSenmlError('duplicate-field', { offset, record, field })
}

function toMilliseconds(
  mantissa: number | bigint,
  exponent: number,
  record: number,
  field: string,
): number {
  const milliseconds = wholeUnits(mantissa, exponent, 3)
  if (milliseconds === undefined) throw new InvalidSenmlError('time-precision', { record, field })
  // NaN stands for a product beyond 2^53, and fails the comparison.
  if (!(milliseconds <= lastTimeMs && milliseconds >= -lastTimeMs)) {
    throw new InvalidSenmlError('time-range', { record, field })
  }
  return milliseconds
}

function toMicro(
  mantissa: number | bigint,
  exponent: number,
  unit: Unit,
  record: number,
  field: string,
): number {
  const micro =
    unit.toReading === undefined
      ? scaleDecimal(mantissa, exponent, 6)
      : scaleMapped(mantissa, exponent, 6, unit.toReading)
  if (Number.isNaN(micro)) throw new InvalidSenmlError('value-range', { record, field })
  return micro
}

/** The unit a sum is measured in: the unit of the value times one second. */
function sumUnitOf(unit: Unit | undefined, record: number): Unit {
  const symbol = unit === undefined ? undefined : sumUnits[unit.symbol]
  const found = symbol === undefined ? undefined : findUnit(symbol)
  if (found === undefined) throw new InvalidSenmlError('sum-without-unit', { record, field: 's' })
  return found
}
