import { fromBase64Url, toBase64Url } from '../adapters/base64Url.ts'
import { readJsonReadings } from '../adapters/jsonReadings.ts'
import { senmlJsonToCbor } from '../adapters/senmlJson.ts'
import { JsonNumber, type JsonValue, parseStrictJson } from '../adapters/strictJson.ts'
import { type Hex, fromHex, toHex, utf8 } from '../bytes.ts'
import { CborReader, major } from '../cbor/cborReader.ts'
import { CborWriter } from '../cbor/cborWriter.ts'
import { type SignatureAlgorithm, signatureLength } from '../cose/signatureAlgorithm.ts'
import type { Reading } from '../reading.ts'
import { decodeSenmlCbor } from '../senml/decodeSenmlCbor.ts'
import { type Channel, type SenmlColumns, columnsToReadings } from '../senml/senmlColumns.ts'
import { trustTiers } from '../trustTier.ts'
import type { DecodedPack, Sha256 } from './decodedPack.ts'
import { PackProfileError, type PackRule } from './packErrors.ts'
import { type PackClaims, noPrevious, packVersion } from './packProfile.ts'

/*
 * Packs of devices that speak JOSE or JSON. They carry the same claims as a pack in COSE, inside what
 * is signed, so that they stand in the same chain by the same rules. In a CBOR sequence of packs a
 * compact JWS is a text string, and a signed JSON text is the array [ text as bytes, signature ];
 * neither can be taken for a COSE_Sign1, which is an array of four.
 */

/** `typ` of a pack in JWS: a JWS that the same key signs elsewhere is no pack (RFC 8725 §3.11). */
export const jwsPackType = 'plumbline-pack+jws'

/** JOSE names of the algorithms (RFC 7518 §3.4, RFC 8812 §3.2, RFC 8037 §3.1, RFC 9864 §2). */
const joseAlgorithms: Readonly<Record<string, SignatureAlgorithm>> = {
  ES256: 'ES256',
  ES256K: 'ES256K',
  EdDSA: 'Ed25519',
  Ed25519: 'Ed25519',
}

const senmlTypes = new Set(['senml+json', 'application/senml+json'])
const jsonTypes = new Set(['json', 'application/json'])
const claimNames = ['stream', 'seq', 'prev', 'boot', 'firmware'] as const
const jwsNames = new Set<string>(['alg', 'kid', 'typ', 'cty', 'v', ...claimNames])
const jsonNames = new Set<string>(['plumbline_pack', 'alg', 'device', 'readings', ...claimNames])

/** Whether the first byte is one that only a text form begins with. */
export function isTextPack(bytes: Uint8Array): boolean {
  const first = bytes[0] ?? 0
  return first >> 5 === major.text || first === (major.array << 5) + 2
}

/**
 * A compact JWS as an item of a sequence of packs.
 *
 * @param text - ASCII bytes of the compact serialisation.
 */
export function jwsPackItem(text: Uint8Array): Uint8Array {
  return new CborWriter().head(major.text, text.length).raw(text).finish()
}

/** A signed JSON text, exactly as it was signed, as an item of a sequence of packs. */
export function jsonPackItem(body: Uint8Array, signature: Uint8Array): Uint8Array {
  return new CborWriter().array(2).bytes(body).bytes(signature).finish()
}

/** Decodes a pack in JWS or signed JSON; called by `decodePack` alone. */
export function decodeTextPack(bytes: Uint8Array, sha256: Sha256): DecodedPack {
  const reader = new CborReader(bytes)
  if (reader.peekMajor() === major.text) {
    const text = reader.readText('a compact JWS')
    expectEnd(reader)
    return decodeJws(text, sha256)
  }
  reader.readCount(major.array, 'a text and its signature')
  const body = reader.readBytes('a JSON text')
  const signature = reader.readBytes('its signature')
  expectEnd(reader)
  return decodeSignedJson(body, signature, sha256)
}

function expectEnd(reader: CborReader): void {
  if (reader.position !== reader.end) throw refusal('encoding', 'nothing after the pack')
}

function decodeJws(text: string, sha256: Sha256): DecodedPack {
  const parts = text.split('.')
  const [headerText = '', payloadText = '', signatureText = ''] = parts
  const headerBytes = fromBase64Url(headerText)
  const payload = fromBase64Url(payloadText)
  const signature = fromBase64Url(signatureText)
  if (
    parts.length !== 3 ||
    headerBytes === undefined ||
    payload === undefined ||
    signature === undefined
  ) {
    throw refusal('encoding', 'three parts of base64url')
  }
  const header = readObject(headerBytes, 'the JWS header')
  if (header.has('crit')) throw refusal('critical', 'no critical extensions')
  assertNames(header, jwsNames)
  if (header.get('typ') !== jwsPackType) throw refusal('content-type', `typ "${jwsPackType}"`)
  assertVersion(header.get('v'))
  const contentType = header.get('cty')
  const content = parseStrictJson(payload)
  const kid = toHex(base64UrlOf(header.get('kid'), 'kid'))
  let columns: SenmlColumns
  if (typeof contentType === 'string' && senmlTypes.has(contentType)) {
    columns = decodeSenmlCbor(senmlJsonToCbor(content))
  } else if (typeof contentType === 'string' && jsonTypes.has(contentType)) {
    columns = columnsOf(readJsonReadings(content, kid, trustTiers.software))
  } else throw refusal('content-type', 'cty "senml+json" or "json"')
  return createTextPack('jws', {
    algorithm: algorithmOf(header.get('alg')),
    kid,
    claims: claimsOf(header),
    columns,
    signedBytes: utf8(`${headerText}.${payloadText}`),
    signature,
    sha256,
  })
}

function decodeSignedJson(body: Uint8Array, signature: Uint8Array, sha256: Sha256): DecodedPack {
  const message = readObject(body, 'the JSON text')
  assertNames(message, jsonNames)
  assertVersion(message.get('plumbline_pack'))
  const kid = hexOf(message.get('device'), 'device')
  const columns = columnsOf(
    readJsonReadings(message.get('readings') ?? null, kid, trustTiers.software),
  )
  return createTextPack('json', {
    algorithm: algorithmOf(message.get('alg')),
    kid,
    claims: claimsOf(message),
    columns,
    signedBytes: body,
    signature,
    sha256,
  })
}

function createTextPack(
  form: 'jws' | 'json',
  parts: Omit<DecodedPack, 'form' | 'packHash' | 'readings'> & { readonly sha256: Sha256 },
): DecodedPack {
  const { sha256, ...pack } = parts
  if (pack.signature.length !== signatureLength) {
    throw refusal('signature-length', '64 bytes of r ‖ s')
  }
  return {
    form,
    ...pack,
    packHash: toHex(sha256(pack.signedBytes)),
    readings: (tier) => columnsToReadings(pack.columns, pack.kid, tier),
  }
}

type JsonObject = ReadonlyMap<string, JsonValue>

function readObject(bytes: Uint8Array, what: string): JsonObject {
  const value = parseStrictJson(bytes)
  if (!(value instanceof Map)) throw refusal('encoding', `${what} as an object`)
  return value as JsonObject
}

function assertNames(object: JsonObject, known: ReadonlySet<string>): void {
  for (const name of object.keys()) {
    if (!known.has(name)) throw refusal('unknown-header', `${[...known].join(', ')} only`)
  }
}

function assertVersion(value: JsonValue | undefined): void {
  if (value instanceof JsonNumber && value.text === String(packVersion)) return
  throw refusal('version', `version ${packVersion}`)
}

function algorithmOf(value: JsonValue | undefined): SignatureAlgorithm {
  const algorithm =
    typeof value === 'string' && Object.hasOwn(joseAlgorithms, value)
      ? joseAlgorithms[value]
      : undefined
  if (algorithm === undefined) throw refusal('algorithm', Object.keys(joseAlgorithms).join(', '))
  return algorithm
}

function claimsOf(object: JsonObject): PackClaims {
  if (!object.has('seq') || !object.has('prev')) {
    throw new PackProfileError('The message has no place in a chain.', {
      rule: 'missing-claim',
      metaMessages: ['Expected: seq and prev inside what is signed'],
      remedy:
        'Number the messages; a device that cannot do so is enrolled as a source of a platform.',
    })
  }
  const sequence = numberOf(object.get('seq'), 'seq')
  const previous = hexOf(object.get('prev'), 'prev')
  if (sequence === 0n) throw refusal('sequence-range', 'a sequence of at least 1')
  if ((sequence === 1n) !== (previous === noPrevious)) {
    throw refusal('previous-of-first', 'a previous of zero exactly when the sequence is 1')
  }
  return {
    stream: hexOf(object.get('stream'), 'stream'),
    sequence,
    previous,
    bootCount: numberOf(object.get('boot'), 'boot'),
    firmware: object.has('firmware') ? hexOf(object.get('firmware'), 'firmware') : noPrevious,
  }
}

const maxUint64 = (1n << 64n) - 1n

function numberOf(value: JsonValue | undefined, name: string): bigint {
  const text = value instanceof JsonNumber ? value.text : ''
  const number = /^(0|[1-9]\d{0,19})$/.test(text) ? BigInt(text) : -1n
  if (number < 0n || number > maxUint64) {
    throw refusal('claim-type', `${name} as an unsigned 64-bit integer`)
  }
  return number
}

function hexOf(value: JsonValue | undefined, name: string): Hex {
  if (typeof value === 'string' && /^0x[0-9a-f]{64}$/.test(value)) return value as Hex
  throw refusal('claim-type', `${name} as 0x and 32 bytes of lower-case hex`)
}

function base64UrlOf(value: JsonValue | undefined, name: string): Uint8Array {
  const bytes = typeof value === 'string' ? fromBase64Url(value) : undefined
  if (bytes?.length === 32) return bytes
  throw refusal('key-id', `${name} as the device id, 32 bytes in base64url`)
}

/** Readings as columns: a channel for each pair of series and unit. */
function columnsOf(readings: readonly Reading[]): SenmlColumns {
  const channels: Channel[] = []
  const places = new Map<string, number>()
  const channelOf = readings.map(({ series, unit }) => {
    // Units hold no space, so that two pairs never read alike.
    const key = `${unit} ${series}`
    const known = places.get(key)
    if (known !== undefined) return known
    places.set(key, channels.length)
    return channels.push({ series, unit }) - 1
  })
  return {
    channels,
    channelOf,
    timeMs: readings.map(({ timeMs }) => timeMs),
    valueMicro: readings.map(({ valueMicro }) => valueMicro ?? NaN),
  }
}

function refusal(rule: PackRule, expected: string): PackProfileError {
  return new PackProfileError('The message is not a pack of this profile.', {
    rule,
    metaMessages: [`Expected: ${expected}`],
    remedy: 'See docs/packs.md, "Packs in JOSE and JSON".',
  })
}

/** What a device puts into a pack in text. */
export type TextPackContent = {
  readonly claims: PackClaims
  /** Device id of the key that signs. */
  readonly kid: Hex
  readonly algorithm: SignatureAlgorithm
  /** Signs the exact bytes, hashing as the algorithm demands. */
  readonly sign: (signedBytes: Uint8Array) => Uint8Array
}

/** Claims as members; the numbers are written by hand, since JSON.stringify would round them. */
function claimMembers({ stream, sequence, previous, bootCount, firmware }: PackClaims): string {
  return `"stream":"${stream}","seq":${sequence},"prev":"${previous}","boot":${bootCount},"firmware":"${firmware}"`
}

/**
 * Builds a pack as a compact JWS, for tests, tools and devices in TypeScript.
 *
 * @param payload - SenML-JSON, or plain readings where `cty` is "json".
 * @returns The JWS as it is posted.
 */
export function encodeJwsPack(
  content: TextPackContent & { readonly payload: string; readonly cty?: 'senml+json' | 'json' },
): string {
  const { claims, kid, algorithm, sign, payload, cty = 'senml+json' } = content
  const header = `{"alg":"${algorithm}","kid":"${toBase64Url(fromHex(kid, 'kid', 32))}","typ":"${jwsPackType}","cty":"${cty}","v":${packVersion},${claimMembers(claims)}}`
  const signed = `${toBase64Url(utf8(header))}.${toBase64Url(utf8(payload))}`
  return `${signed}.${toBase64Url(sign(utf8(signed)))}`
}

/**
 * Builds a pack as signed JSON.
 *
 * @param readings - A JSON array of plain readings.
 * @returns The body as it is posted, and the value of its `x-signature` header.
 */
export function encodeJsonPack(content: TextPackContent & { readonly readings: string }): {
  readonly body: Uint8Array
  readonly signature: string
} {
  const { claims, kid, algorithm, sign, readings } = content
  const body = utf8(
    `{"plumbline_pack":${packVersion},"alg":"${algorithm}","device":"${kid}",${claimMembers(claims)},"readings":${readings}}`,
  )
  return { body, signature: toBase64Url(sign(body)) }
}
