import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromBase64Url, toBase64Url } from '#schemas/adapters/base64Url.ts'
import { concatBytes, utf8 } from '#schemas/bytes.ts'
import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { decodePack, packMark } from '#schemas/pack/decodePack.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { splitPackSequence } from '#schemas/pack/packSequence.ts'
import { createDeviceSigner, portableSignatures } from '#schemas/pack/portableSignatures.ts'
import { encodeJsonPack, encodeJwsPack, jsonPackItem, jwsPackItem } from '#schemas/pack/textPack.ts'
import { verifyPack } from '#schemas/pack/verifyPack.ts'
import { trustTiers } from '#schemas/trustTier.ts'

const stream = `0x${'5a'.repeat(32)}` as const
const firmware = `0x${'0f'.repeat(32)}` as const
const signer = createDeviceSigner('ES256', new Uint8Array(32).fill(7))
const claims = { stream, sequence: 1n, previous: noPrevious, bootCount: 3n, firmware }
const content = { claims, kid: signer.key.id, algorithm: 'ES256' as const, sign: signer.sign }
const senml = '[{"bn":"cold:","n":"temp","u":"Cel","v":4.2,"t":1700000000}]'
const plain = '[{"series":"cold:temp","time_ms":1700000000000,"value":4.2,"unit":"Cel"}]'

const jws = (payload = senml): Uint8Array =>
  jwsPackItem(utf8(encodeJwsPack({ ...content, payload })))
function json(): Uint8Array {
  const { body, signature } = encodeJsonPack({ ...content, readings: plain })
  return jsonPackItem(body, fromBase64Url(signature) ?? new Uint8Array())
}
const cose = encodePack({
  ...content,
  records: [{ name: 'cold:temp', unit: 'Cel', timeMs: 1_700_000_000_000, valueMicro: 4_200_000 }],
}).bytes
const expected = { key: signer.key, stream, verifier: portableSignatures }

describe('a pack in JOSE or JSON', () => {
  it('says the same as one in COSE: claims, readings and who signed', () => {
    const [one, two, three] = [cose, jws(), json()].map((bytes) =>
      verifyPack(decodePack(bytes), expected),
    )
    expect([one?.form, two?.form, three?.form]).toStrictEqual(['cose', 'jws', 'json'])
    for (const pack of [two, three]) {
      expect(pack?.claims).toStrictEqual(one?.claims)
      expect(pack?.readings(trustTiers.hardware)).toStrictEqual(one?.readings(trustTiers.hardware))
      expect(pack?.packHash).not.toBe(one?.packHash)
    }
  })

  it('travels in one sequence with packs of the other forms', () => {
    const packs = splitPackSequence(concatBytes(cose, jws(), json()))
    expect(packs.map((bytes) => decodePack(bytes).form)).toStrictEqual(['cose', 'jws', 'json'])
  })

  it('is identified by what was signed: another signature over it makes no other pack', () => {
    const text = encodeJwsPack({ ...content, payload: senml })
    const resigned = `${text.slice(0, text.lastIndexOf('.'))}.${toBase64Url(new Uint8Array(64))}`
    expect(decodePack(jwsPackItem(utf8(resigned))).packHash).toBe(decodePack(jws()).packHash)
  })

  it('keeps sequences over 64 bits exactly', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 2n, max: (1n << 64n) - 1n }), (sequence) => {
        const previous = `0x${'01'.repeat(32)}` as const
        const text = encodeJwsPack({
          ...content,
          claims: { ...claims, sequence, previous },
          payload: senml,
          sign: () => new Uint8Array(64),
        })
        expect(packMark(decodePack(jwsPackItem(utf8(text)))).sequence).toBe(sequence)
      }),
      { numRuns: 50 },
    )
  })

  it('is refused when any part of it was changed', () => {
    for (const bytes of [jws(), json()]) {
      fc.assert(
        fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
          const changed = bytes.slice()
          changed[at] = (changed[at] ?? 0) ^ change
          expect(() => verifyPack(decodePack(changed), expected)).toThrow(FormatRefusedError)
        }),
        { numRuns: 60 },
      )
    }
  })
})

function signedHeader(header: string, payload = senml): Uint8Array {
  const signed = `${toBase64Url(utf8(header))}.${toBase64Url(utf8(payload))}`
  return jwsPackItem(utf8(`${signed}.${toBase64Url(signer.sign(utf8(signed)))}`))
}
function signedBody(body: string, signature = signer.sign(utf8(body))): Uint8Array {
  return jsonPackItem(utf8(body), signature)
}

const kid = toBase64Url(Buffer.from(signer.key.id.slice(2), 'hex'))
const places = `"stream":"${stream}","seq":1,"prev":"${noPrevious}","boot":0`
const header = (changes = '', rest = places): string =>
  `{"alg":"ES256","kid":"${kid}","typ":"plumbline-pack+jws","cty":"senml+json","v":1,${rest}${changes}}`
const body = (rest = places, head = '"plumbline_pack":1,"alg":"ES256"'): string =>
  `{${head},"device":"${signer.key.id}",${rest},"readings":${plain}}`

describe('a message that is no such pack is refused:', () => {
  it.each([
    ['a JWS of another type', signedHeader(header().replace('+jws', '+other')), 'content-type'],
    ['a JWS of another content', signedHeader(header().replace('senml+json', 'x')), 'content-type'],
    ['a critical extension', signedHeader(header(',"crit":["b64"]')), 'critical'],
    ['an unknown member', signedHeader(header(',"x5u":"https://a"')), 'unknown-header'],
    [
      'an algorithm that is no signature',
      signedHeader(header().replace('ES256', 'none')),
      'algorithm',
    ],
    ['a key id of another length', signedHeader(header().replace(kid, 'AAAA')), 'key-id'],
    ['another version', signedHeader(header().replace('"v":1', '"v":2')), 'version'],
    [
      'a JWS without a place in a chain',
      signedHeader(header('', `"stream":"${stream}","boot":0`)),
      'missing-claim',
    ],
    [
      'a first pack with a predecessor',
      signedHeader(header('', places.replace('"0x00', '"0x01'))),
      'previous-of-first',
    ],
    [
      'a sequence of zero',
      signedHeader(header('', places.replace('"seq":1', '"seq":0'))),
      'sequence-range',
    ],
    [
      'a sequence that is a text',
      signedHeader(header('', places.replace('"seq":1', '"seq":"1"'))),
      'claim-type',
    ],
    ['two parts instead of three', jwsPackItem(utf8('e30.e30')), 'encoding'],
    ['a header that is no object', signedHeader('[]'), 'encoding'],
    ['JSON without a place in a chain', signedBody(body('"boot":0')), 'missing-claim'],
    [
      'JSON of another version',
      signedBody(body(places, '"plumbline_pack":2,"alg":"ES256"')),
      'version',
    ],
    ['JSON with an unknown member', signedBody(body(`${places},"x":1`)), 'unknown-header'],
    ['a signature of another length', signedBody(body(), new Uint8Array(63)), 'signature-length'],
    ['JSON that names a member twice', signedBody(body(`${places},"boot":1`)), 'duplicate-key'],
    ['bytes behind the text', concatBytes(jws(), Uint8Array.of(0)), 'encoding'],
  ])('%s', (_, bytes, rule) => {
    expect(() => decodePack(bytes)).toThrow(expect.objectContaining({ rule }))
  })

  it('a pack for another stream, or under an algorithm that the key does not have', () => {
    const other = { ...expected, stream: `0x${'00'.repeat(32)}` as const }
    expect(() => verifyPack(decodePack(jws()), other)).toThrow(
      expect.objectContaining({ rule: 'other-stream' }),
    )
    const pack = decodePack(signedHeader(header().replace('ES256', 'EdDSA')))
    expect(() => verifyPack(pack, expected)).toThrow(
      expect.objectContaining({ rule: 'other-algorithm' }),
    )
  })
})
