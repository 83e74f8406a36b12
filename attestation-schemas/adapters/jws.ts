import { fromHex, utf8 } from '../bytes.ts'
import { type SignatureAlgorithm, signatureLength } from '../cose/signatureAlgorithm.ts'
import { decodeSenmlCbor } from '../senml/decodeSenmlCbor.ts'
import { columnsToReadings } from '../senml/senmlColumns.ts'
import { trustTiers } from '../trustTier.ts'
import { AdapterRefusedError, type AdapterRule } from './adapterError.ts'
import { fromBase64Url, toBase64Url } from './base64Url.ts'
import { type AdaptedReadings, type SignedAdapterContext, weakerTier } from './formatAdapter.ts'
import { readJsonReadings } from './jsonReadings.ts'
import { senmlJsonToCbor } from './senmlJson.ts'
import { type JsonValue, parseStrictJson } from './strictJson.ts'

/** JOSE names of the algorithms (RFC 7518 §3.4, RFC 8812 §3.2, RFC 8037 §3.1, RFC 9864 §2). */
const joseAlgorithms: Readonly<Record<string, SignatureAlgorithm>> = {
  ES256: 'ES256',
  ES256K: 'ES256K',
  EdDSA: 'Ed25519',
  Ed25519: 'Ed25519',
}

const headerNames = new Set(['alg', 'kid', 'typ', 'cty'])
const senmlContentTypes = new Set(['senml+json', 'application/senml+json'])

/**
 * Reads a compact JWS under an enrolled key: SenML-JSON when `cty` says so, plain JSON readings
 * otherwise. The key fixes the algorithm; `kid`, where given, is the device id in base64url.
 *
 * The tier is at best `software`: without a sequence nobody sees what was withheld.
 *
 * @throws {@link AdapterRefusedError}, {@link InvalidJsonError}, {@link InvalidSenmlError}
 * @see RFC 7515 §5.2
 */
export function readJws(
  text: string,
  { key, keyTier, verifier }: SignedAdapterContext,
): AdaptedReadings {
  const parts = text.split('.')
  const [headerText = '', payloadText = '', signatureText = ''] = parts
  const headerBytes = fromBase64Url(headerText)
  const payload = fromBase64Url(payloadText)
  const signature = fromBase64Url(signatureText)
  if (
    parts.length !== 3 ||
    headerBytes === undefined ||
    payload === undefined ||
    signature?.length !== signatureLength
  ) {
    throw refusal('encoding', 'three parts of base64url, the last of 64 bytes', 'jws')
  }
  const header = parseStrictJson(headerBytes)
  if (!(header instanceof Map)) throw refusal('shape', 'an object', 'jws.header')
  const named = header as ReadonlyMap<string, JsonValue>
  for (const name of named.keys()) {
    if (name === 'crit') throw refusal('critical', 'no critical extensions', 'jws.header.crit')
    if (!headerNames.has(name)) {
      throw refusal('unknown-member', 'alg, kid, typ and cty only', 'jws.header')
    }
  }
  const algorithm = named.get('alg')
  const known =
    typeof algorithm === 'string' && Object.hasOwn(joseAlgorithms, algorithm)
      ? joseAlgorithms[algorithm]
      : undefined
  if (known !== key.algorithm) {
    throw refusal('algorithm', `the algorithm of the key, ${key.algorithm}`, 'jws.header.alg')
  }
  if (named.has('kid') && named.get('kid') !== toBase64Url(fromHex(key.id, 'device', 32))) {
    throw refusal('key-id', 'the device id in base64url', 'jws.header.kid')
  }
  // RFC 7515 §5.1: the signature is over the texts as sent.
  if (!verifier.verify(key, utf8(`${headerText}.${payloadText}`), signature)) {
    throw refusal('signature', 'a signature of the enrolled key', 'jws.signature')
  }
  const tier = weakerTier(keyTier, trustTiers.software)
  const content = parseStrictJson(payload)
  const contentType = named.get('cty')
  if (typeof contentType === 'string' && senmlContentTypes.has(contentType)) {
    const columns = decodeSenmlCbor(senmlJsonToCbor(content))
    return { tier, readings: columnsToReadings(columns, key.id, tier) }
  }
  if (contentType !== undefined && contentType !== 'json') {
    throw refusal('media-type', 'senml+json, json or none', 'jws.header.cty')
  }
  return { tier, readings: readJsonReadings(content, key.id, tier) }
}

function refusal(rule: AdapterRule, expected: string, field: string): AdapterRefusedError {
  return new AdapterRefusedError('The JWS is refused.', {
    rule,
    field,
    metaMessages: [`Expected: ${expected}`],
  })
}
