import { CborReader, major } from '../cbor/cborReader.ts'
import {
  type Decimal,
  maxExponent,
  shortestDecimal,
  shortestDecimalOfSingle,
} from '../units/decimal.ts'
import { InvalidSenmlError } from './invalidSenmlError.ts'

const decimalFractionTag = 4

/** A cursor that also reads SenML numbers, exactly. */
export class DecimalReader extends CborReader {
  /** The last number read is `mantissa · 10^exponent`. */
  mantissa = 0
  exponent = 0

  /**
   * Reads an integer, a decimal fraction (tag 4) or a float. A float means the shortest decimal that
   * reads back as the same float of the width it was sent in: 4.2 sent as binary64 is 4.2.
   *
   * @throws {@link InvalidSenmlError} for anything that cannot be taken exactly.
   */
  readDecimal(record: number): void {
    const at = this.position
    const kind = this.readHead()
    if (kind <= major.negative) {
      if (this.argument >= Number.MAX_SAFE_INTEGER) throw numberRange(at, record)
      this.mantissa = kind === major.unsigned ? this.argument : -1 - this.argument
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
    const decimal: Decimal | undefined =
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
    if (kind > major.negative || this.argument >= Number.MAX_SAFE_INTEGER) {
      throw numberRange(at, record)
    }
    this.mantissa = kind === major.unsigned ? this.argument : -1 - this.argument
    this.exponent = exponent
  }
}

function numberRange(offset: number, record: number): InvalidSenmlError {
  return new InvalidSenmlError('number-range', { offset, record })
}
