import type { CborReader } from '../cbor/cborReader.ts'
import { maxExponent } from '../units/decimal.ts'
import { firstAbsoluteMs, lastTimeMs } from './senmlLabels.ts'
import type { SenmlRows } from './senmlColumns.ts'
import type { SenmlSources, Source } from './senmlSources.ts'

const powers = Float64Array.from({ length: 16 }, (_, exponent) => 10 ** exponent)

const nameField = 1
const unitField = 2
const valueField = 4
const timeField = 8

/**
 * Reads as many records as come that look as nearly all records do: name and unit in short texts
 * that the pack has used before, value and time as integers or decimal fractions below 2^32. It is
 * the reader of `readSenml` with everything rare left out, five times as fast because all of its
 * state is in local variables; at the first record that is rare, new or wrong it stops in front of
 * it, so that every judgement is made in one place.
 *
 * @returns How many records were read.
 */
export function readCommonRecords(
  reader: CborReader,
  most: number,
  baseTimeMs: number,
  sources: SenmlSources,
  rows: SenmlRows,
): number {
  const bytes = reader.bytes
  const end = reader.end
  const plain = sources.plain
  const plainChannel = channelOfSource(plain)
  const { channelOf, timeMs, valueMicro } = rows
  let row = rows.count
  let position = reader.position
  let read = 0

  while (read < most) {
    // As encoders write a record, in the order of its labels: name, unit, value, time.
    let at = position + 1
    let left = (bytes[position] ?? 0) - 0xa0
    let nameAt = 0
    let nameStop = 0
    let unitAt = 0
    let unitStop = 0
    if (bytes[at] === 0) {
      const length = (bytes[at + 1] ?? 0) - 0x60
      nameAt = at + 2
      nameStop = nameAt + length
      at = nameStop
      left = length > 0 && length < 24 ? left - 1 : 0
    }
    if (bytes[at] === 1) {
      const length = (bytes[at + 1] ?? 0) - 0x60
      unitAt = at + 2
      unitStop = unitAt + length
      at = unitStop
      left = length > 0 && length < 24 ? left - 1 : 0
    }
    if (left === 2 && bytes[at] === 2) {
      at += 1
      let power = 6
      if (bytes[at] === 0xc4) {
        // Exponents from -6 to -1, 0x25 to 0x20; others are for the other path.
        const encoded = bytes[at + 2] ?? 0
        power = bytes[at + 1] === 0x82 && encoded >= 0x20 ? 0x25 - encoded : -1
        at += 3
      }
      const value = commonInteger(bytes, at)
      const timeAt = at + integerBytes(bytes[at] ?? 0)
      const time = commonInteger(bytes, timeAt + 1)
      const next = timeAt + 1 + integerBytes(bytes[timeAt + 1] ?? 0)
      if (bytes[timeAt] === 6 && power >= 0 && next <= end) {
        const micro = value * (powers[power] ?? 0)
        const milliseconds = baseTimeMs + time * 1000
        // NaN, for what is no such number, fails each comparison.
        if (
          milliseconds >= firstAbsoluteMs &&
          milliseconds <= lastTimeMs &&
          micro <= Number.MAX_SAFE_INTEGER &&
          micro >= -Number.MAX_SAFE_INTEGER
        ) {
          const channel =
            nameAt === 0 && unitAt === 0
              ? plainChannel
              : channelOfSource(sources.known(nameAt, nameStop, unitAt, unitStop))
          if (channel < 0) break
          channelOf[row] = channel
          timeMs[row] = milliseconds
          valueMicro[row] = micro
          row += 1
          read += 1
          position = next
          continue
        }
      }
    }
    let cursor = position
    const pairs = (bytes[cursor] ?? 0) - 0xa0
    cursor += 1
    // Also false for whatever is no map.
    if (!(pairs >= 1 && pairs <= 4)) break
    let fields = 0
    let nameStart = 0
    let nameEnd = 0
    let unitStart = 0
    let unitEnd = 0
    let value = 0
    let time = baseTimeMs
    let isCommon = true

    for (let pair = 0; pair < pairs; pair += 1) {
      const label = bytes[cursor] ?? 0
      let initial = bytes[cursor + 1] ?? 0
      cursor += 2
      if (label <= 1) {
        const field = label === 0 ? nameField : unitField
        const length = initial - 0x60
        if (!(length >= 1 && length < 24) || (fields & field) !== 0) {
          isCommon = false
          break
        }
        fields |= field
        if (label === 0) {
          nameStart = cursor
          nameEnd = cursor + length
        } else {
          unitStart = cursor
          unitEnd = cursor + length
        }
        cursor += length
        continue
      }

      let exponent = 0
      if (initial === 0xc4) {
        const encoded = bytes[cursor + 1] ?? 0
        if (encoded <= maxExponent) exponent = encoded
        else if (encoded >= 0x20 && encoded < 0x20 + maxExponent) exponent = 0x1f - encoded
        else isCommon = false
        if (bytes[cursor] !== 0x82) isCommon = false
        initial = bytes[cursor + 2] ?? 0
        cursor += 3
      }
      const info = initial & 0x1f
      let argument = info
      let least = 0
      if (info === 24) {
        argument = bytes[cursor] ?? 0
        least = 24
        cursor += 1
      } else if (info === 25) {
        argument = ((bytes[cursor] ?? 0) << 8) | (bytes[cursor + 1] ?? 0)
        least = 0x100
        cursor += 2
      } else if (info === 26) {
        argument =
          (bytes[cursor] ?? 0) * 0x100_0000 +
          (((bytes[cursor + 1] ?? 0) << 16) |
            ((bytes[cursor + 2] ?? 0) << 8) |
            (bytes[cursor + 3] ?? 0))
        least = 0x1_0000
        cursor += 4
      } else if (info > 26) isCommon = false
      if (argument < least || initial >= 0x40) isCommon = false
      const mantissa = initial < 0x20 ? argument : -1 - argument

      if (label === 2 && exponent >= -6 && (fields & valueField) === 0) {
        fields |= valueField
        value = mantissa * (powers[exponent + 6] ?? 0)
      } else if (label === 6 && exponent >= -3 && (fields & timeField) === 0) {
        fields |= timeField
        time = baseTimeMs + mantissa * (powers[exponent + 3] ?? 0)
      } else isCommon = false
      if (!isCommon) break
    }
    // Bytes behind the end may have been looked at; they were not taken.
    if (!isCommon || (fields & valueField) === 0 || cursor > end) break
    if (time < firstAbsoluteMs || time > lastTimeMs) break
    if (value > Number.MAX_SAFE_INTEGER || value < -Number.MAX_SAFE_INTEGER) break
    const source: Source | undefined =
      (fields & (nameField | unitField)) === 0
        ? plain
        : sources.known(nameStart, nameEnd, unitStart, unitEnd)
    const channel = channelOfSource(source)
    if (channel < 0) break
    channelOf[row] = channel
    timeMs[row] = time
    valueMicro[row] = value
    row += 1
    read += 1
    position = cursor
  }
  rows.count = row
  reader.position = position
  return read
}

/** -1 for a unit that is converted, or a series that has no channel yet: they are for the other path. */
function channelOfSource(source: Source | undefined): number {
  if (source === undefined || source.unit?.toReading !== undefined) return -1
  return source.valueChannel
}

/** Bytes of an integer by its first one, for those that {@link commonInteger} reads. */
function integerBytes(initial: number): number {
  const info = initial & 0x1f
  return info < 24 ? 1 : info === 24 ? 2 : info === 25 ? 3 : 5
}

/** A strictly encoded integer from -2^32 to 2^32 - 1, or NaN for whatever else stands there. */
function commonInteger(bytes: Uint8Array, at: number): number {
  const initial = bytes[at] ?? 0xff
  if (initial >= 0x40) return NaN
  const info = initial & 0x1f
  let argument = info
  if (info === 25) {
    argument = ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0)
    if (argument < 0x100) return NaN
  } else if (info === 24) {
    argument = bytes[at + 1] ?? 0
    if (argument < 24) return NaN
  } else if (info === 26) {
    argument =
      (bytes[at + 1] ?? 0) * 0x100_0000 +
      (((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0))
    if (argument < 0x1_0000) return NaN
  } else if (info > 26) return NaN
  return initial < 0x20 ? argument : -1 - argument
}
