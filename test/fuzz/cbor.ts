import { isDeepStrictEqual } from 'node:util'
import { cdeDecodeOptions, decode as decodeWithCbor2 } from 'cbor2'
import { decode as decodeWithCborg } from 'cborg'
import { equalBytes, fromHex } from '#schemas/bytes.ts'
import { CborSimple, CborTag, type CborValue } from '#schemas/cbor/cborValue.ts'
import { decodeCbor } from '#schemas/cbor/decodeCbor.ts'
import { encodeCbor } from '#schemas/cbor/encodeCbor.ts'
import { InvalidCborError } from '#schemas/cbor/invalidCborError.ts'
import { plainValue } from '../attestation-schemas/cbor/plainValue.ts'
import { type Fuzzer, fuzzMain } from './harness.ts'
import { mutateCbor } from './mutateCbor.ts'

const corpus = [
  'a56161614161626142616361436164614461656145',
  '8301820203820405',
  'a26161016162820203',
  'a4012803187004582000000000000000000000000000000000000000000000000000000000000000000fa119010b03',
  'd28443a10126a10442313154546869732069732074686520636f6e74656e742e40',
  '84f93c00fb3ff199999999999afa47c350001bffffffffffffffff',
  'c11a514b67b0',
  '9818' + '00'.repeat(24),
  '64f0908591',
].map((hex) => fromHex(hex, 'corpus'))

/** Whether tags or simple values occur, to which the other decoders give meanings of their own. */
function hasMeanings(value: CborValue): boolean {
  if (value instanceof CborTag || value instanceof CborSimple) return true
  if (value instanceof Map)
    return [...value].some(([key, item]) => hasMeanings(key) || hasMeanings(item))
  return Array.isArray(value) && value.some((item: CborValue) => hasMeanings(item))
}

function acceptedBy(decode: () => unknown): boolean {
  try {
    decode()
    return true
  } catch {
    return false
  }
}

/**
 * Laws of `decodeCbor`: only typed errors; what is accepted has one encoding and is what cbor2 and
 * cborg read; what cbor2 accepts as Common Deterministic Encoding is accepted.
 */
export const cborFuzzer: Fuzzer = {
  name: 'cbor',
  attempt(random) {
    const bytes =
      random.below(10) === 0
        ? random.bytes(random.below(40))
        : mutateCbor(random.pick(corpus), random)
    let value: CborValue
    try {
      value = decodeCbor(bytes)
    } catch (error) {
      if (!(error instanceof InvalidCborError)) throw error
      const isOurs = error.rule === 'too-deep' || error.rule === 'non-shortest-float'
      if (
        !isOurs &&
        acceptedBy(() => decodeWithCbor2(bytes, { ...cdeDecodeOptions, ignoreGlobalTags: true }))
      ) {
        throw new Error(`refused by ${error.rule}, accepted as CDE by cbor2`, { cause: error })
      }
      return false
    }
    if (!equalBytes(encodeCbor(value), bytes)) throw new Error('accepted, yet written differently')
    if (!hasMeanings(value)) {
      const plain = comparable(plainValue(value))
      if (!isDeepStrictEqual(comparable(decodeWithCbor2(bytes, { preferMap: true })), plain)) {
        throw new Error('read differently by cbor2')
      }
      if (!isDeepStrictEqual(comparable(decodeWithCborg(bytes, { useMaps: true })), plain)) {
        throw new Error('read differently by cborg')
      }
    }
    return true
  },
}

/**
 * Byte strings as plain arrays of bytes, whichever view a decoder answers them in; integers that a
 * machine number does not hold safely as bigints, where decoders differ at -2^53.
 */
function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return BigInt(Number(value))
  if (value instanceof Map) {
    return new Map([...value].map(([key, item]) => [comparable(key), comparable(item)]))
  }
  return Array.isArray(value) ? value.map(comparable) : value
}

if (import.meta.main) fuzzMain([cborFuzzer])
