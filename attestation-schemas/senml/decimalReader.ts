import { CborReader, major } from '../cbor/cborReader.ts'
import {
  type WideDecimal,
  maxExponent,
  maxMantissa,
  shortestDecimal,
  shortestDecimalOfSingle,
} from '../units/decimal.ts'
import { InvalidSenmlError } from './invalidSenmlError.ts'

const decimalFractionTag = 4
/** Tag, array head and exponent in one byte each, then a mantissa of at most five. */
const longestCommonNumber = 8

/** A cursor that also reads SenML numbers, exactly. */
export class DecimalReader extends CborReader {
  /** The last number read is `mantissa · 10^exponent`. */
  mantissa: number | bigint = 0
  exponent = 0

  /**
   * Reads an integer, a decimal fraction (tag 4) or a float. A float means the shortest decimal that
   * reads back as the same float of the width it was sent in: 4.2 sent as binary64 is 4.2.
   *
   * @throws {@link InvalidSenmlError} for anything that cannot be taken exactly.
   */
  readDecimal(record: number): void {
    if (this.end - this.position < longestCommonNumber || !this.readCommonDecimal()) {
      this.readAnyDecimal(record)
    }
  }

  /**
   * The numbers that nearly all sensors send, without the detour of a head at a time: integers and
   * decimal fractions with a mantissa below 2^32. Answers false, with nothing read, for all others
   * and for whatever is not strictly encoded.
   */
  private readCommonDecimal(): boolean {
    const bytes = this.bytes
    let position = this.position
    let initial = bytes[position] ?? 0
    let exponent = 0
    if (initial === 0xc4) {
      if (bytes[position + 1] !== 0x82) return false
      const encoded = bytes[position + 2] ?? 0
      if (encoded <= maxExponent) exponent = encoded
      else if (encoded >= 0x20 && encoded < 0x20 + maxExponent) exponent = 0x1f - encoded
      else return false
      position += 3
      initial = bytes[position] ?? 0
    }
    if (initial >= 0x40) return false
    const info = initial & 0x1f
    let argument = info
    if (info < 24) position += 1
    else if (info === 24) {
      argument = bytes[position + 1] ?? 0
      if (argument < 24) return false
      position += 2
    } else if (info === 25) {
      argument = ((bytes[position + 1] ?? 0) << 8) | (bytes[position + 2] ?? 0)
      if (argument < 0x100) return false
      position += 3
    } else if (info === 26) {
      argument =
        (bytes[position + 1] ?? 0) * 0x100_0000 +
        (((bytes[position + 2] ?? 0) << 16) |
          ((bytes[position + 3] ?? 0) << 8) |
          (bytes[position + 4] ?? 0))
      if (argument < 0x1_0000) return false
      position += 5
    } else return false
    this.mantissa = initial < 0x20 ? argument : -1 - argument
    this.exponent = exponent
    this.position = position
    return true
  }

  private readAnyDecimal(record: number): void {
    const at = this.position
    const kind = this.readHead()
    if (kind <= major.negative) {
      this.takeMantissa(kind, at, record)
      this.exponent = 0
      return
    }
    if (kind === major.tag && this.argument === decimalFractionTag) {
      this.readFraction(at, record)
      return
    }
    if (kind !== major.simple || this.info < 25) {
      // Bignums are numbers of CBOR, but never of a sensor.
      if (kind === major.tag) throw numberRange(at, record)
      throw new InvalidSenmlError('field-type', { offset: at, record, actual: 'not a number' })
    }
    const value = this.floatValue()
    const decimal: WideDecimal | undefined =
      this.info === 27 ? shortestDecimal(value) : shortestDecimalOfSingle(value)
    if (decimal === undefined) throw numberRange(at, record)
    this.mantissa = decimal.mantissa
    this.exponent = decimal.exponent
  }

  private readFraction(at: number, record: number): void {
    if (this.readHead() !== major.array || this.argument !== 2) {
      throw new InvalidSenmlError('field-type', {
        offset: at,
        record,
        actual: 'a decimal fraction that is no pair',
      })
    }
    let kind = this.readHead()
    const exponent = kind === major.unsigned ? this.argument : -1 - this.argument
    if (kind > major.negative || exponent > maxExponent || exponent < -maxExponent) {
      throw numberRange(at, record)
    }
    kind = this.readHead()
    if (kind > major.negative) throw numberRange(at, record)
    this.takeMantissa(kind, at, record)
    this.exponent = exponent
  }

  /** The integer whose head was just read; its magnitude must be below 2^53. */
  private takeMantissa(kind: number, at: number, record: number): void {
    const isNegative = kind === major.negative
    if (this.argument > (isNegative ? maxMantissa - 1 : maxMantissa)) throw numberRange(at, record)
    this.mantissa = isNegative ? -1 - this.argument : this.argument
  }
}

function numberRange(offset: number, record: number): InvalidSenmlError {
  return new InvalidSenmlError('number-range', { offset, record })
}
