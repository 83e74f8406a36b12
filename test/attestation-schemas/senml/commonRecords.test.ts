import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CborWriter } from '#schemas/cbor/cborWriter.ts'
import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { decodeSenmlCbor } from '#schemas/senml/decodeSenmlCbor.ts'

/** An integer as bytes; `width` forces a longer head than it needs. */
function integer(writer: CborWriter, value: number, width: number): void {
  const argument = value < 0 ? -1 - value : value
  const initial = value < 0 ? 0x20 : 0
  if (width === 0) writer.integer(value)
  else {
    writer.byte(initial | (23 + width))
    for (let byte = (1 << (width - 1)) - 1; byte >= 0; byte -= 1) {
      writer.byte(Math.floor(argument / 256 ** byte) & 0xff)
    }
  }
}

type Field = { readonly label: number; readonly write: (writer: CborWriter) => void }

const edges = [0, 1, 22, 23, 24, 25, 0xff, 0x100, 0x101, 0xffff, 0x1_0000, 0xffff_ffff, 2 ** 32]
const integers = fc
  .tuple(fc.oneof(fc.constantFrom(...edges), fc.nat()), fc.boolean())
  .map(([magnitude, isNegative]) => (isNegative ? -1 - magnitude : magnitude))
/** Mostly as strict as it has to be. */
const widths = fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 3 }))
const numbers = fc
  .record({
    mantissa: integers,
    width: widths,
    exponent: fc.option(fc.integer({ min: -9, max: 9 }), { nil: undefined }),
  })
  .map(({ mantissa, width, exponent }) => (writer: CborWriter): void => {
    if (exponent !== undefined) writer.tag(4).array(2).integer(exponent)
    integer(writer, mantissa, width)
  })
const texts = fc.constantFrom('a', 'b', 'humidity', 'x'.repeat(23), 'y'.repeat(24), '')

const records = fc
  .record({
    name: fc.option(texts, { nil: undefined }),
    unit: fc.option(fc.constantFrom('W', 'Cel', 'kWh', 'nothing', ''), { nil: undefined }),
    value: fc.option(numbers, { nil: undefined, freq: 9 }),
    time: fc.option(numbers, { nil: undefined, freq: 9 }),
  })
  .map(({ name, unit, value, time }): readonly Field[] => [
    ...(name === undefined
      ? []
      : [{ label: 0, write: (writer: CborWriter) => void writer.text(name) }]),
    ...(unit === undefined
      ? []
      : [{ label: 1, write: (writer: CborWriter) => void writer.text(unit) }]),
    ...(value === undefined ? [] : [{ label: 2, write: value }]),
    ...(time === undefined ? [] : [{ label: 6, write: time }]),
  ])

/** A pack whose first record sets the bases; `arrange` puts each record's fields in an order. */
function packOf(
  all: readonly (readonly Field[])[],
  arrange: (fields: readonly Field[]) => readonly Field[],
): Uint8Array {
  const writer = new CborWriter().array(all.length + 1)
  writer.map(5).integer(-2).text('dev:').integer(-3).integer(1_700_000_000)
  writer.integer(-4).text('Cel').integer(0).text('t').integer(2).integer(4)
  for (const fields of all) {
    writer.map(fields.length)
    for (const { label, write } of arrange(fields)) {
      writer.integer(label)
      write(writer)
    }
  }
  return writer.finish()
}

/** What a pack comes to, or by which rule it is refused. */
function outcome(bytes: Uint8Array): unknown {
  try {
    return decodeSenmlCbor(bytes)
  } catch (error) {
    if (error instanceof FormatRefusedError) return error.rule
    throw error
  }
}

describe('the short ways through records that are common', () => {
  it('lead where the long one does: the order of fields changes neither a reading nor whether there is one', () => {
    let accepted = 0
    fc.assert(
      fc.property(fc.array(records, { minLength: 1, maxLength: 6 }), (all) => {
        // In reverse no record is one that an encoder would write.
        const expected = outcome(packOf(all, (fields) => [...fields].reverse()))
        const found = outcome(packOf(all, (fields) => fields))
        if (typeof found !== 'string') accepted += 1
        // Of two faults in one record the first that is met is named.
        const isRefused = typeof found === 'string' && typeof expected === 'string'
        expect(isRefused ? 'refused' : found).toStrictEqual(isRefused ? 'refused' : expected)
      }),
      { numRuns: 20_000 },
    )
    expect(accepted).toBeGreaterThan(1000)
  })

  it('see a field that is there twice, one that is missing, and one behind the end', () => {
    const head = (pairs: number) => new CborWriter().array(1).map(pairs)
    const common = head(5).integer(-2).text('dev').integer(-3).integer(1_700_000_000)
    common.integer(-4).text('W').integer(2).integer(4).integer(6).integer(1)
    const start = common.finish()
    const twice = (label: number) =>
      Uint8Array.from([0x82, ...start.subarray(1), 0xa3, 2, 4, 6, 1, label, 1])
    expect(outcome(twice(2))).toBe('duplicate-field')
    expect(outcome(twice(6))).toBe('duplicate-field')
    const cases = [
      [[0xa2, 2, 4, 6], 'truncated'],
      [[0xa2, 2, 4], 'truncated'],
      [[0xa2, 2, 0xc4, 0x82, 0x21], 'truncated'],
      [[0xa3, 2, 4, 6, 1], 'truncated'],
      [[0xa1, 2, 4, 6, 1], 'trailing-bytes'],
      [[0xa2, 2, 0xc4, 0x82, 0x1f, 4, 6, 1], 'indefinite-length'],
      [[0xa2, 2, 0xc4, 0x83, 0x21, 4, 6, 1], 'field-type'],
      [[0xa2, 2, 0x18, 4, 6, 1], 'non-shortest-head'],
      [[0xa2, 2, 4, 6, 0x19, 0, 1], 'non-shortest-head'],
    ] as const
    for (const [bytes, rule] of cases) {
      expect(outcome(Uint8Array.from([0x82, ...start.subarray(1), ...bytes]))).toBe(rule)
    }
  })
})
