import { isDeepStrictEqual } from 'node:util'
import { readCsv } from '#schemas/adapters/csv.ts'
import { readJws } from '#schemas/adapters/jws.ts'
import { readSenmlJson } from '#schemas/adapters/senmlJson.ts'
import { readSignedJson } from '#schemas/adapters/signedJson.ts'
import { toBase64Url } from '#schemas/adapters/base64Url.ts'
import { JsonNumber, type JsonValue, parseStrictJson } from '#schemas/adapters/strictJson.ts'
import { utf8 } from '#schemas/bytes.ts'
import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import type { Reading } from '#schemas/reading.ts'
import { trustTiers } from '#schemas/trustTier.ts'
import { type Fuzzer, type Random, fuzzMain } from './harness.ts'

const tokens = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '\\',
  '\\u00',
  '\\ud83d',
  '\\ude00',
  'null',
  'true',
  '-',
  '.',
  'e',
  '0',
  '1',
  '1e400',
  '9007199254740993',
  '1700000000',
  '1700000000.0001',
  '0.1',
  'NaN',
  '"n"',
  '"v"',
  '"t"',
  '"u"',
  '"Cel"',
  '"series"',
  '"must_"',
  '\u0000',
  '\ufeff',
  'ü',
  '\r\n',
  '\n',
  ' ',
  '__proto__',
]

/** A text changed in one to four places, by tokens of its own kind. */
export function mutateText(text: string, random: Random): string {
  let mutated = text
  for (let round = random.below(4); round >= 0; round -= 1) {
    const at = random.below(mutated.length + 1)
    const length = random.below(6)
    const piece = [
      '',
      random.pick(tokens),
      mutated.slice(random.below(mutated.length + 1)).slice(0, 12),
    ][random.below(3)]
    mutated =
      mutated.slice(0, at) + piece + mutated.slice(at + (random.below(2) === 0 ? length : 0))
  }
  return mutated
}

/** Runs a reader; a refusal by name is one outcome, anything else breaks a law. */
function readingsOf(read: () => readonly Reading[]): readonly Reading[] | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof FormatRefusedError) return undefined
    throw error
  }
}

function checkReadings(readings: readonly Reading[] | undefined): boolean {
  for (const reading of readings ?? []) {
    const { timeMs, valueMicro } = reading
    if (
      !Number.isSafeInteger(timeMs) ||
      !(valueMicro === null || Number.isSafeInteger(valueMicro))
    ) {
      throw new Error(`unsound reading ${JSON.stringify(reading)}`)
    }
  }
  return readings !== undefined
}

const device = `0x${'d0'.repeat(32)}` as const
const senml =
  '[{"bn":"a:","bt":1700000000,"bu":"Cel","n":"t","v":4.20,"x":"y"},{"n":"t","t":1},{"n":"d","vb":true,"t":2e0}]'
const plain =
  '[{"series":"temp","time_ms":1700000000000,"value":"4.2","unit":"Cel"},{"series":"p","time_ms":1700000000000,"value":null,"unit":"kW.h"}]'

function revive(value: JsonValue): unknown {
  if (value instanceof JsonNumber) return Number(value.text)
  if (value instanceof Map) {
    return Object.fromEntries(
      [...(value as ReadonlyMap<string, JsonValue>)].map(([name, item]) => [name, revive(item)]),
    )
  }
  return Array.isArray(value) ? (value as readonly JsonValue[]).map(revive) : value
}

/** Whatever is accepted, `JSON.parse` reads as the same. */
export const jsonFuzzer: Fuzzer = {
  name: 'json',
  attempt(random) {
    const text = mutateText(random.pick([senml, plain]), random)
    let value: JsonValue
    try {
      value = parseStrictJson(utf8(text))
    } catch (error) {
      if (error instanceof FormatRefusedError) return false
      throw error
    }
    // Lone surrogates of the text itself became replacement characters on the way to bytes.
    if (!isDeepStrictEqual(revive(value), JSON.parse(new TextDecoder().decode(utf8(text))))) {
      throw new Error(`read differently: ${text}`)
    }
    return true
  },
}

export const senmlJsonFuzzer: Fuzzer = {
  name: 'senml-json',
  attempt: (random) =>
    checkReadings(
      readingsOf(() => readSenmlJson(utf8(mutateText(senml, random)), { device }).readings),
    ),
}

const csv =
  'series,ts_ms,value,unit\ntemp,1700000000000,4.2,Cel\r\ntemp,1700000060000,,Cel\nw,1700000060000,-1e3,kW\n'

export const csvFuzzer: Fuzzer = {
  name: 'csv',
  attempt: (random) =>
    checkReadings(readingsOf(() => readCsv(mutateText(csv, random), { device }).readings)),
}

const signer = createDeviceSigner('Ed25519', new Uint8Array(32).fill(7))
/** Says yes, so that what stands behind the signature is reached. */
const context = { key: signer.key, keyTier: trustTiers.hardware, verifier: { verify: () => true } }

export const signedJsonFuzzer: Fuzzer = {
  name: 'signed-json',
  attempt: (random) =>
    checkReadings(
      readingsOf(
        () =>
          readSignedJson(utf8(mutateText(plain, random)), toBase64Url(new Uint8Array(64)), context)
            .readings,
      ),
    ),
}

export const jwsFuzzer: Fuzzer = {
  name: 'jws',
  attempt(random) {
    const header = mutateText('{"alg":"EdDSA","cty":"senml+json"}', random)
    const payload = mutateText(senml, random)
    const text = `${toBase64Url(utf8(header))}.${toBase64Url(utf8(payload))}.${toBase64Url(new Uint8Array(64))}`
    const mutated = random.below(4) === 0 ? mutateText(text, random) : text
    return checkReadings(readingsOf(() => readJws(mutated, context).readings))
  },
}

if (import.meta.main) {
  fuzzMain([jsonFuzzer, senmlJsonFuzzer, csvFuzzer, signedJsonFuzzer, jwsFuzzer])
}
