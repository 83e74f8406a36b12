import { FormatRefusedError } from '../cbor/formatRefusedError.ts'

/** The rules of the SenML profile that a reader here can refuse by. */
export type SenmlRule =
  | 'not-a-pack'
  | 'empty-pack'
  | 'too-many-records'
  | 'unknown-field'
  | 'duplicate-field'
  | 'field-type'
  | 'unsupported-value'
  | 'two-values'
  | 'empty-record'
  | 'number-range'
  | 'value-range'
  | 'relative-time'
  | 'time-precision'
  | 'time-range'
  | 'name-missing'
  | 'name-characters'
  | 'unit-missing'
  | 'unknown-unit'
  | 'sum-without-unit'
  | 'version'

/** What each rule refuses, and what to do about it. */
export const senmlRules: Readonly<Record<SenmlRule, readonly [what: string, remedy: string]>> = {
  'not-a-pack': ['it is not an array of records', 'Send a SenML pack (RFC 8428 §4).'],
  'empty-pack': ['it holds no reading', 'Send at least one record with a value.'],
  'too-many-records': ['it holds too many records', 'Split it: 1 000 records at most.'],
  'unknown-field': ['a record holds a field that SenML does not define', 'Leave it out.'],
  'duplicate-field': ['a record holds the same field twice', 'Send every field once.'],
  'field-type': ['a field holds a value of the wrong type', 'See RFC 8428 §4.3, table 1.'],
  'unsupported-value': [
    'a record holds a string or data value, which no policy can evaluate',
    'Send numbers (v) or booleans (vb).',
  ],
  'two-values': ['a record holds two values', 'Send one of v and vb in a record.'],
  'empty-record': ['a record says nothing', 'Leave it out.'],
  'number-range': [
    'a number cannot be taken exactly',
    'Keep the mantissa below 2^53 and the exponent within -9 to 9; NaN and infinities are no values.',
  ],
  'value-range': [
    'a value is too large to be kept in millionths of its unit',
    'Send it in a larger unit: at most 9007199254.740991 units.',
  ],
  'relative-time': [
    'a time is relative to now, so the signature would not fix it',
    'Send absolute times: Unix seconds of at least 2^28 once base time and time are added.',
  ],
  'time-precision': ['a time is finer than a millisecond', 'Round times to whole milliseconds.'],
  'time-range': ['a time is out of range', 'Send Unix seconds before the year 10000.'],
  'name-missing': ['a record has neither name nor base name', 'Name every series.'],
  'name-characters': [
    'a name holds characters that SenML names may not hold',
    'Use A-Z a-z 0-9 - : . / _ and begin with a letter or digit (RFC 8428 §4.5.1).',
  ],
  'unit-missing': ['a number has no unit', 'Send u or bu; for a plain number the unit is "/".'],
  'unknown-unit': [
    'a unit is neither in the SenML registry nor an accepted UCUM code',
    'Use a symbol of RFC 8428 §12.1 or RFC 8798.',
  ],
  'sum-without-unit': [
    'a sum is sent whose unit times seconds is not in the SenML registry',
    'Send the integrated quantity as a value with its own unit.',
  ],
  version: [
    'it announces a SenML version or feature that is not known here',
    'Use version 10; of the features only secondary units (26) are known.',
  ],
}

/** The bytes are well-formed but no SenML that can be taken as evidence (RFC 8428, and stricter). */
export class InvalidSenmlError extends FormatRefusedError<SenmlRule> {
  override readonly name = 'InvalidSenmlError'
  /** Index of the record that was refused. */
  readonly record: number | undefined

  constructor(
    rule: SenmlRule,
    where: { offset?: number; record?: number; field?: string; actual?: string } = {},
  ) {
    const [what, remedy] = senmlRules[rule]
    super(`The SenML pack is refused: ${what}.`, {
      rule,
      remedy,
      offset: where.offset,
      field:
        where.record === undefined
          ? where.field
          : `pack[${where.record}]${where.field === undefined ? '' : `.${where.field}`}`,
      metaMessages: where.actual === undefined ? [] : [`Actual: ${where.actual.slice(0, 64)}`],
    })
    this.record = where.record
  }
}
