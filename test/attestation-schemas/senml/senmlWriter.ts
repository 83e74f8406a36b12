import { CborWriter } from '#schemas/cbor/cborWriter.ts'
import { type Decimal } from '#schemas/units/decimal.ts'

/** A number as it goes on the wire. */
export type WireNumber =
  | { readonly integer: number | bigint }
  | { readonly decimal: Decimal }
  | { readonly double: number }
  | { readonly single: number }

export type WireField = readonly [label: number, value: WireNumber | string | boolean | Uint8Array]

/** Writes SenML-CBOR record by record as told, right or wrong. */
export function writeSenml(records: readonly (readonly WireField[])[]): Uint8Array {
  const writer = new CborWriter().array(records.length)
  for (const record of records) {
    writer.map(record.length)
    for (const [label, value] of record) {
      writer.integer(label)
      if (typeof value === 'string') writer.text(value)
      else if (typeof value === 'boolean') writer.boolean(value)
      else if (value instanceof Uint8Array) writer.raw(value)
      else writeNumber(writer, value)
    }
  }
  return writer.finish()
}

function writeNumber(writer: CborWriter, value: WireNumber): void {
  if ('integer' in value) writer.integer(value.integer)
  else if ('decimal' in value) {
    writer.tag(4).array(2).integer(value.decimal.exponent).integer(value.decimal.mantissa)
  } else if ('double' in value) {
    const bytes = new Uint8Array(9)
    bytes[0] = 0xfb
    new DataView(bytes.buffer).setFloat64(1, value.double)
    writer.raw(bytes)
  } else {
    const bytes = new Uint8Array(5)
    bytes[0] = 0xfa
    new DataView(bytes.buffer).setFloat32(1, value.single)
    writer.raw(bytes)
  }
}

export const integer = (value: number | bigint): WireNumber => ({ integer: value })
export const decimal = (mantissa: number, exponent: number): WireNumber => ({
  decimal: { mantissa, exponent },
})
export const double = (value: number): WireNumber => ({ double: value })
export const single = (value: number): WireNumber => ({ single: value })
