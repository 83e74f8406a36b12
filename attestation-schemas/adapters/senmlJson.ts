import { CborWriter } from '../cbor/cborWriter.ts'
import { preferredFloat } from '../cbor/preferredFloat.ts'
import { decodeSenmlCbor } from '../senml/decodeSenmlCbor.ts'
import { InvalidSenmlError } from '../senml/invalidSenmlError.ts'
import { columnsToReadings, type SenmlColumns } from '../senml/senmlColumns.ts'
import { senmlFieldNames } from '../senml/senmlLabels.ts'
import { trustTiers } from '../trustTier.ts'
import { maxExponent, parseDecimal } from '../units/decimal.ts'
import type { AdaptedReadings, AdapterContext } from './formatAdapter.ts'
import { JsonNumber, type JsonValue, parseStrictJson } from './strictJson.ts'

/**
 * Reads SenML-JSON that nobody signed: tier `gateway`, since only who delivered it vouches for it.
 *
 * @throws {@link InvalidJsonError}, {@link InvalidSenmlError}
 */
export function readSenmlJson(bytes: Uint8Array, { device }: AdapterContext): AdaptedReadings {
  const tier = trustTiers.gateway
  return { tier, readings: columnsToReadings(decodeSenmlJson(bytes), device, tier) }
}

/**
 * Decodes and resolves a SenML-JSON pack by the rules of SenML-CBOR: it is rewritten with the CBOR
 * labels and judged by the one reader, so that the two forms cannot drift apart. Fields that SenML
 * does not define are passed over, as RFC 8428 §4.4 demands, unless their name ends in `_`.
 *
 * A number is taken as the decimal that is written; one of more than nine decimals or 2^53 digits
 * is read as a binary64 first, as every JSON library would.
 *
 * @throws {@link InvalidJsonError}, {@link InvalidSenmlError}
 */
export function decodeSenmlJson(bytes: Uint8Array): SenmlColumns {
  return decodeSenmlCbor(senmlJsonToCbor(parseStrictJson(bytes)))
}

/** A parsed SenML-JSON pack as SenML-CBOR. */
export function senmlJsonToCbor(pack: JsonValue): Uint8Array {
  if (!Array.isArray(pack)) throw new InvalidSenmlError('not-a-pack')
  const records = pack as readonly JsonValue[]
  const writer = new CborWriter().array(records.length)
  for (const [index, record] of records.entries()) {
    if (!(record instanceof Map)) throw new InvalidSenmlError('not-a-pack', { record: index })
    const fields = [...(record as ReadonlyMap<string, JsonValue>)].filter(([name]) =>
      isField(name, index),
    )
    writer.map(fields.length)
    for (const [name, value] of fields) {
      writer.integer(senmlFieldNames.findIndex((field) => field === name) - 6)
      writeValue(writer, value, index, name)
    }
  }
  return writer.finish()
}

function isField(name: string, record: number): boolean {
  if (senmlFieldNames.some((field) => field === name)) return true
  if (name.endsWith('_')) throw new InvalidSenmlError('unknown-field', { record, field: name })
  return false
}

function writeValue(writer: CborWriter, value: JsonValue, record: number, field: string): void {
  if (typeof value === 'string') writer.text(value)
  else if (typeof value === 'boolean') writer.boolean(value)
  else if (value instanceof JsonNumber) writeNumber(writer, value.text)
  else throw new InvalidSenmlError('field-type', { record, field })
}

function writeNumber(writer: CborWriter, text: string): void {
  const decimal = parseDecimal(text)
  if (decimal === undefined || Math.abs(decimal.exponent) > maxExponent) {
    writer.raw(preferredBinary64(Number(text)))
  } else if (decimal.exponent === 0) writer.integer(decimal.mantissa)
  else writer.tag(4).array(2).integer(decimal.exponent).integer(decimal.mantissa)
}

/** A float in eight bytes, since in four it would mean a shorter decimal. */
function preferredBinary64(value: number): Uint8Array {
  if (!Number.isFinite(value)) return preferredFloat(value)
  const encoded = new Uint8Array(9)
  encoded[0] = 0xfb
  new DataView(encoded.buffer).setFloat64(1, value)
  return encoded
}
