import { decodeUtf8, major } from '../cbor/cborReader.ts'
import { addDecimals, type Decimal, scaleDecimal, scaleMapped } from '../units/decimal.ts'
import { findUnit, type Unit } from '../units/unit.ts'
import { sumUnits } from '../units/unitTables.ts'
import { DecimalReader } from './decimalReader.ts'
import { InvalidSenmlError } from './invalidSenmlError.ts'
import type { Channel, SenmlColumns } from './senmlColumns.ts'
import {
  firstAbsoluteMs,
  isKnownVersion,
  lastTimeMs,
  maxNameLength,
  maxRecords,
  senmlFieldNames,
  senmlLabel,
} from './senmlLabels.ts'

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
const hasBaseOnly = has(senmlLabel.name) - 1

/** Up to so many series are told apart by comparing bytes. */
const maxComparedSources = 8

/** A combination of base name, name and unit as sent, and the channels its readings go to. */
type Source = {
  readonly nameStart: number
  readonly nameEnd: number
  readonly unitStart: number
  readonly unitEnd: number
  readonly name: string
  readonly unit: Unit | undefined
  valueChannel: number
  booleanChannel: number
  sumChannel: number
}

/**
 * Decodes and resolves an untrusted SenML-CBOR pack in one pass, strictly.
 *
 * Numbers and booleans become readings (a boolean as 0 or 1 of unit `/`), a sum becomes a reading of
 * the series `<name>#sum` in unit × second, and a record with a name or time but no value
 * becomes a blank slot. Order of keys is free: the CBOR example of RFC 8428 itself is unsorted.
 *
 * @throws {@link InvalidCborError} when the bytes are no strict CBOR
 * @throws {@link InvalidSenmlError} naming the rule and the record
 * @see RFC 8428 §4 to §6
 */
export function decodeSenmlCbor(
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): SenmlColumns {
  const reader = new DecimalReader(bytes, start, end)
  if (reader.peekMajor() !== major.array)
    throw new InvalidSenmlError('not-a-pack', { offset: start })
  const records = reader.readCount(major.array, 'an array of records')
  if (records > maxRecords) throw new InvalidSenmlError('too-many-records', { offset: start })

  const channels: Channel[] = []
  const channelOf: number[] = []
  const timeMs: number[] = []
  const valueMicro: number[] = []
  const channelIndex = new Map<string, number>()
  /** Sources under the present base name and unit; the many are also found by their text. */
  let sources: Source[] = []
  let sourceIndex: Map<string, Source> | undefined

  let baseName = ''
  let baseUnit = ''
  let baseTimeMs = 0
  let baseValue: Decimal | undefined
  let baseSum: Decimal | undefined
  let version = -1
  /** Source of records that carry neither name nor unit, while base name and unit stay as they are. */
  let plainSource: Source | undefined

  for (let record = 0; record < records; record += 1) {
    if (reader.peekMajor() !== major.map) {
      throw new InvalidSenmlError('not-a-pack', { offset: reader.position, record })
    }
    const pairs = reader.readCount(major.map, 'a record')
    let fields = 0
    let nameStart = 0
    let nameEnd = 0
    let unitStart = 0
    let unitEnd = 0
    let mantissa = 0
    let exponent = 0
    let isTrue = false
    let recordTimeMs = 0
    let sum: Decimal | undefined

    for (let pair = 0; pair < pairs; pair += 1) {
      const at = reader.position
      const label = readLabel(reader, record)
      const field = 1 << (label + 6)
      if ((fields & field) !== 0) {
        throw new InvalidSenmlError('duplicate-field', {
          offset: at,
          record,
          field: senmlFieldNames[label + 6] ?? '',
        })
      }
      fields |= field
      switch (label) {
        case senmlLabel.value:
          reader.readDecimal(record)
          mantissa = reader.mantissa
          exponent = reader.exponent
          break
        case senmlLabel.time:
          reader.readDecimal(record)
          recordTimeMs = toMilliseconds(reader, record, 't')
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
        case senmlLabel.baseName: {
          const textStart = passText(reader, record, 'bn')
          baseName = decodeUtf8(bytes.subarray(textStart, reader.position), textStart)
          forgetSources()
          break
        }
        case senmlLabel.baseTime:
          reader.readDecimal(record)
          baseTimeMs = toMilliseconds(reader, record, 'bt')
          break
        case senmlLabel.baseUnit: {
          const textStart = passText(reader, record, 'bu')
          baseUnit = decodeUtf8(bytes.subarray(textStart, reader.position), textStart)
          forgetSources()
          break
        }
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

    const isNumber = (fields & hasValue) !== 0 || baseValue !== undefined
    const isBoolean = (fields & hasBoolean) !== 0
    if (isBoolean && (fields & hasValue) !== 0)
      throw new InvalidSenmlError('two-values', { record })
    if (baseSum !== undefined) {
      sum = sum === undefined ? baseSum : exactSum(baseSum, sum, record)
    }
    const isBlank = !isNumber && !isBoolean && sum === undefined
    if (isBlank && (fields & hasSlot) === 0) {
      // Base fields alone set the base for what follows (RFC 8428 §5.1.7 shows one).
      if (fields === 0 || (fields & ~hasBaseOnly) !== 0) {
        throw new InvalidSenmlError('empty-record', { record })
      }
      continue
    }

    const time = baseTimeMs + recordTimeMs
    if (time < firstAbsoluteMs) throw new InvalidSenmlError('relative-time', { record })
    if (time > lastTimeMs) throw new InvalidSenmlError('time-range', { record })

    let source: Source | undefined
    if ((fields & hasNameOrUnit) === 0) {
      plainSource ??= addSource(0, 0, 0, 0, record)
      source = plainSource
    } else {
      source =
        findSource(nameStart, nameEnd, unitStart, unitEnd) ??
        addSource(nameStart, nameEnd, unitStart, unitEnd, record)
    }

    if (isBoolean) {
      if (source.booleanChannel < 0) source.booleanChannel = addChannel(source.name, '/')
      push(source.booleanChannel, time, isTrue ? 1_000_000 : 0)
    } else if (isNumber || isBlank) {
      const unit = source.unit
      if (unit === undefined) throw new InvalidSenmlError('unit-missing', { record, field: 'u' })
      if (source.valueChannel < 0) source.valueChannel = addChannel(source.name, unit.reading)
      if (isBlank) push(source.valueChannel, time, NaN)
      else {
        if (baseValue !== undefined) {
          const total = exactSum(baseValue, { mantissa, exponent }, record)
          mantissa = total.mantissa
          exponent = total.exponent
        }
        push(source.valueChannel, time, toMicro(mantissa, exponent, unit, record, 'v'))
      }
    }
    if (sum !== undefined) {
      const unit = sumUnitOf(source.unit, record)
      if (source.sumChannel < 0) {
        source.sumChannel = addChannel(`${source.name}#sum`, unit.reading)
      }
      push(source.sumChannel, time, toMicro(sum.mantissa, sum.exponent, unit, record, 's'))
    }
  }
  reader.expectEnd()
  if (timeMs.length === 0) throw new InvalidSenmlError('empty-pack', { offset: start })
  return { channels, channelOf, timeMs, valueMicro }

  function push(channel: number, time: number, value: number): void {
    channelOf.push(channel)
    timeMs.push(time)
    valueMicro.push(value)
  }

  function addChannel(series: string, unit: string): number {
    // Two spellings of one series (name split differently, unit by alias) are one channel.
    const key = `${unit} ${series}`
    const known = channelIndex.get(key)
    if (known !== undefined) return known
    channelIndex.set(key, channels.length)
    return channels.push({ series, unit }) - 1
  }

  function forgetSources(): void {
    if (sources.length > 0) sources = []
    sourceIndex = undefined
    plainSource = undefined
  }

  /** A few sources are compared byte by byte; more of them are looked up, or a pack could stall. */
  function findSource(
    nameStart: number,
    nameEnd: number,
    unitStart: number,
    unitEnd: number,
  ): Source | undefined {
    if (sourceIndex !== undefined) {
      return sourceIndex.get(sourceKey(bytes, nameStart, nameEnd, unitStart, unitEnd))
    }
    for (const source of sources) {
      if (
        isSameText(bytes, source.nameStart, source.nameEnd, nameStart, nameEnd) &&
        isSameText(bytes, source.unitStart, source.unitEnd, unitStart, unitEnd)
      ) {
        return source
      }
    }
    return undefined
  }

  function addSource(
    nameStart: number,
    nameEnd: number,
    unitStart: number,
    unitEnd: number,
    record: number,
  ): Source {
    const name = fullName(baseName, bytes, nameStart, nameEnd, record)
    const symbol =
      unitEnd > unitStart ? decodeUtf8(bytes.subarray(unitStart, unitEnd), unitStart) : baseUnit
    const unit = symbol === '' ? undefined : findUnit(symbol)
    if (symbol !== '' && unit === undefined) {
      throw new InvalidSenmlError('unknown-unit', {
        record,
        field: 'u',
        actual: JSON.stringify(symbol),
      })
    }
    const source: Source = {
      nameStart,
      nameEnd,
      unitStart,
      unitEnd,
      name,
      unit,
      valueChannel: -1,
      booleanChannel: -1,
      sumChannel: -1,
    }
    sources.push(source)
    if (sources.length > maxComparedSources) {
      sourceIndex ??= new Map(
        sources.map((known) => [
          sourceKey(bytes, known.nameStart, known.nameEnd, known.unitStart, known.unitEnd),
          known,
        ]),
      )
      sourceIndex.set(sourceKey(bytes, nameStart, nameEnd, unitStart, unitEnd), source)
    }
    return source
  }
}

/** The label of the next field; every label that SenML defines fits one byte. */
function readLabel(reader: DecimalReader, record: number): number {
  const at = reader.position
  const kind = reader.readHead()
  if (kind === major.unsigned && reader.argument <= 8) return reader.argument
  if (kind === major.negative && reader.argument <= 5) return -1 - reader.argument
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

function toMilliseconds(reader: DecimalReader, record: number, field: string): number {
  const { mantissa, exponent } = reader
  const shift = exponent + 3
  const milliseconds =
    shift >= 0
      ? scaleDecimal(mantissa, exponent, 3)
      : mantissa % 10 ** -shift === 0
        ? mantissa / 10 ** -shift
        : undefined
  if (milliseconds === undefined) throw new InvalidSenmlError('time-precision', { record, field })
  // Also catches NaN, which stands for a product beyond 2^53.
  if (!(Math.abs(milliseconds) <= lastTimeMs)) {
    throw new InvalidSenmlError('time-range', { record, field })
  }
  return milliseconds
}

function toMicro(
  mantissa: number,
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

function exactSum(left: Decimal, right: Decimal, record: number): Decimal {
  const sum = addDecimals(left, right)
  if (sum === undefined) throw new InvalidSenmlError('number-range', { record })
  return sum
}

/** The unit a sum is measured in: the unit of the value times one second. */
function sumUnitOf(unit: Unit | undefined, record: number): Unit {
  const symbol = unit === undefined ? undefined : sumUnits[unit.symbol]
  const found = symbol === undefined ? undefined : findUnit(symbol)
  if (found === undefined) throw new InvalidSenmlError('sum-without-unit', { record, field: 's' })
  return found
}

function fullName(
  baseName: string,
  bytes: Uint8Array,
  start: number,
  end: number,
  record: number,
): string {
  const name = end > start ? baseName + decodeUtf8(bytes.subarray(start, end), start) : baseName
  if (name === '') throw new InvalidSenmlError('name-missing', { record, field: 'n' })
  if (!isSenmlName(name)) throw new InvalidSenmlError('name-characters', { record, field: 'n' })
  return name
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9\-:./_]*$/

/** Whether a full name is one that SenML allows (RFC 8428 §4.5.1) and at most 255 characters long. */
export function isSenmlName(name: string): boolean {
  return name.length <= maxNameLength && namePattern.test(name)
}

function sourceKey(
  bytes: Uint8Array,
  nameStart: number,
  nameEnd: number,
  unitStart: number,
  unitEnd: number,
): string {
  // Text of CBOR may hold any character, so the length of the name keeps the two apart.
  const name = decodeUtf8(bytes.subarray(nameStart, nameEnd), nameStart)
  return `${name.length} ${name}${decodeUtf8(bytes.subarray(unitStart, unitEnd), unitStart)}`
}

function isSameText(
  bytes: Uint8Array,
  leftStart: number,
  leftEnd: number,
  rightStart: number,
  rightEnd: number,
): boolean {
  const length = leftEnd - leftStart
  if (length !== rightEnd - rightStart) return false
  for (let index = 0; index < length; index += 1) {
    if (bytes[leftStart + index] !== bytes[rightStart + index]) return false
  }
  return true
}
