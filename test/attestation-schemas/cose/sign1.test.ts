import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { CborWriter } from '#schemas/cbor/cborWriter.ts'
import { decodeSign1, verifySign1 } from '#schemas/cose/decodeSign1.ts'
import { sigStructure } from '#schemas/cose/sigStructure.ts'
import { type DeviceKey, deviceKeyFromJwk, importDeviceKey } from '#schemas/pack/deviceKey.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import { portableSignatures } from '#schemas/pack/portableSignatures.ts'
import { describeShared } from '#test/shared.ts'

const verifiers = [
  ['portable', portableSignatures],
  ['Node', createNodeSignatures()],
] as const

/** Key "11" of the examples: P-256, from the KeySet of cose-wg/Examples and RFC 8152 appendix C.7. */
const key11 = deviceKeyFromJwk({
  kty: 'EC',
  crv: 'P-256',
  x: 'usWxHK2PmfnHKwXPS54m0kTcGJ90UiglWiGahtagnv8',
  y: 'IBOL-C3BttVivg-lSreASjpkttcsz-1rb7btKLv8EX4',
})

/** The rule by which something refuses, or `accepted`. */
function outcomeOf(run: () => void): string {
  try {
    run()
    return 'accepted'
  } catch (error) {
    if (error instanceof FormatRefusedError) return error.rule
    throw error
  }
}

function outcome(
  hex: string,
  key: DeviceKey,
  externalAad: Uint8Array = new Uint8Array(),
): string[] {
  return verifiers.map(([, verifier]) =>
    outcomeOf(() => {
      verifySign1(decodeSign1(fromHex(hex, 'vector')), { key, verifier, externalAad })
    }),
  )
}

describe('a COSE_Sign1 of cose-wg/Examples', () => {
  // sign1-tests/sign-pass-02 and its relatives, commit 53c9d634, public domain.
  const passing =
    'D28443A10126A10442313154546869732069732074686520636F6E74656E742E584010729CD711CB3813D8D8E944A8DA7111E7B258C9BDCA6135F7AE1ADBEE9509891267837E1E33BD36C150326AE62755C6BD8E540C3E8F92D7D225E8DB72B8820B'
  const externalAad = fromHex('11aa22bb33cc44dd55006699', 'aad')

  it('verifies under its external AAD and under no other', () => {
    expect(outcome(passing, key11, externalAad)).toEqual(['accepted', 'accepted'])
    expect(outcome(passing, key11)).toEqual(['signature', 'signature'])
  })

  it('verifies without its tag', () => {
    expect(outcome(passing.slice(2), key11, externalAad)).toEqual(['accepted', 'accepted'])
  })

  it('is signed over the Sig_structure of RFC 9052 §4.4', () => {
    const { protectedBytes, payload } = decodeSign1(fromHex(passing, 'vector'))
    expect(toHex(sigStructure({ protectedBytes, payload, externalAad }))).toBe(
      '0x846a5369676e61747572653143a101264c11aa22bb33cc44dd5500669954546869732069732074686520636f6e74656e742e',
    )
  })

  it('verifies when it is a CWT: RFC 8392 appendix A.3', () => {
    const key = importDeviceKey(
      'ES256',
      fromHex(
        '143329cce7868e416927599cf65a34f3ce2ffda55a7eca69ed8919a394d42f0f60f7f1a780d8a783bfb7a2dd6b2796e8128dbbcef9d3d168db9529971a36e7b9',
        'key',
      ),
    )
    const token =
      'D28443A10126A05850A70175636F61703A2F2F61732E6578616D706C652E636F6D02656572696B77037818636F61703A2F2F6C696768742E6578616D706C652E636F6D041A5612AEB0051A5610D9F0061A5610D9F007420B7158405427C1FF28D23FBAD1F29C4C7C6A555E601D6FA29F9179BC3D7438BACACA5ACD08C8D4D4F96131680C429A01F85951ECEE743A52B9B63632C57209120E1C9E30'
    expect(outcome(token, key)).toEqual(['accepted', 'accepted'])
    expect(outcome(token, key11)).toEqual(['signature', 'signature'])
  })

  it('gives an empty protected map the place of no bytes', () => {
    const parts = { externalAad: new Uint8Array(), payload: utf8('x') }
    const empty = sigStructure({ ...parts, protectedBytes: new Uint8Array() })
    expect(sigStructure({ ...parts, protectedBytes: Uint8Array.of(0xa0) })).toEqual(empty)
  })
})

describe('decodeSign1', () => {
  const message = (
    options: {
      protectedMap?: Uint8Array
      unprotectedMap?: Uint8Array
      tag?: number
      items?: number
      payload?: Uint8Array
    } = {},
  ): Uint8Array =>
    new CborWriter()
      .tag(options.tag ?? 18)
      .array(options.items ?? 4)
      .bytes(options.protectedMap ?? fromHex('a10126', 'header'))
      .raw(options.unprotectedMap ?? Uint8Array.of(0xa0))
      .raw(options.payload ?? Uint8Array.of(0x40))
      .bytes(new Uint8Array(64))
      .finish()
  const decode = (options: Parameters<typeof message>[0]) =>
    outcomeOf(() => decodeSign1(message(options)))

  it.each([
    ['wrong-tag', { tag: 98 }],
    ['not-sign1', { items: 5 }],
    ['detached-payload', { payload: Uint8Array.of(0xf6) }],
    ['not-sign1', { unprotectedMap: Uint8Array.of(0x80) }],
    ['header-twice', { unprotectedMap: fromHex('a10126', 'header') }],
    ['header-type', { protectedMap: fromHex('a1410126', 'header') }],
    ['duplicate-key', { protectedMap: fromHex('a201260126', 'header') }],
    ['trailing-bytes', { protectedMap: fromHex('a1012600', 'header') }],
    ['unexpected-type', { protectedMap: fromHex('8101', 'header') }],
    ['critical-unprotected', { unprotectedMap: fromHex('a1028101', 'header') }],
    ['critical-malformed', { protectedMap: fromHex('a201260280', 'header') }],
    ['critical-malformed', { protectedMap: fromHex('a201260201', 'header') }],
    ['critical-malformed', { protectedMap: fromHex('a20126028140', 'header') }],
    ['critical-unknown', { protectedMap: fromHex('a30126028118631863f5', 'header') }],
    ['critical-unknown', { protectedMap: fromHex('a20126028104', 'header') }],
    ['too-deep', { unprotectedMap: fromHex('a118218181818100', 'header') }],
  ] as const)('refuses by rule %s: %j', (rule, options) => {
    expect(decode(options)).toBe(rule)
  })

  it('takes a critical header that the caller understands', () => {
    const critical = message({ protectedMap: fromHex('a30126028118631863f5', 'header') })
    expect(decodeSign1(critical, { understood: [99] }).protectedHeader.get(99)).toBe(true)
  })

  it('takes no bytes as an empty protected header', () => {
    const { protectedHeader } = decodeSign1(message({ protectedMap: new Uint8Array() }))
    expect(protectedHeader.size).toBe(0)
  })
})

describe('verifySign1', () => {
  const signed = (protectedMap: string, unprotectedMap = 'a0') =>
    toHex(
      new CborWriter()
        .array(4)
        .bytes(fromHex(protectedMap, 'header'))
        .raw(fromHex(unprotectedMap, 'header'))
        .bytes(utf8('x'))
        .bytes(new Uint8Array(64))
        .finish(),
    )

  it.each([
    ['algorithm-missing', 'a0', 'a0'],
    ['algorithm-unprotected', 'a0', 'a10126'],
    ['algorithm-unknown', 'a1013822', 'a0'],
    ['algorithm-unknown', 'a10161', 'a0'],
    ['other-algorithm', 'a10132', 'a0'],
    ['signature', 'a10126', 'a0'],
    ['signature', 'a10128', 'a0'],
  ])('refuses by rule %s', (rule, protectedMap, unprotectedMap) => {
    const headers = protectedMap === 'a10161' ? 'a1016161' : protectedMap
    expect(outcome(signed(headers, unprotectedMap), key11)).toEqual([rule, rule])
  })
})

type CoseExample = {
  readonly title: string
  readonly fail?: boolean
  readonly input: {
    readonly sign0: {
      readonly key: Record<string, string>
      readonly external?: string
    }
  }
  readonly intermediates: { readonly ToBeSign_hex: string }
  readonly output: { readonly cbor: string }
}

/** Every published COSE_Sign1 under ECDSA or EdDSA, and what becomes of it here. */
const published = [
  ['sign1-tests/sign-pass-01', 'algorithm-unprotected', 'stricter: alg must be protected'],
  ['sign1-tests/sign-pass-02', 'accepted', 'as published'],
  ['sign1-tests/sign-pass-03', 'accepted', 'as published'],
  ['sign1-tests/sign-fail-01', 'wrong-tag', 'as published'],
  ['sign1-tests/sign-fail-02', 'signature', 'as published'],
  ['sign1-tests/sign-fail-03', 'algorithm-unknown', 'as published'],
  ['sign1-tests/sign-fail-04', 'algorithm-unknown', 'as published'],
  ['sign1-tests/sign-fail-06', 'signature', 'as published'],
  ['sign1-tests/sign-fail-07', 'signature', 'as published'],
  ['ecdsa-examples/ecdsa-sig-01', 'accepted', 'as published'],
  ['eddsa-examples/eddsa-sig-01', 'accepted', 'as published'],
  ['RFC8152/Appendix_C_2_1', 'accepted', 'as published'],
  ['CWT/A_3', 'accepted', 'as published'],
  ['countersign/signed1-01', 'accepted', 'as published'],
  ['countersign/signed1-02', 'accepted', 'as published'],
  ['countersign1/signed1-01', 'accepted', 'as published'],
] as const

/** Examples under curves that no device key here can have. */
const otherCurves = [
  ['ecdsa-examples/ecdsa-sig-02', 'ES384 on P-384'],
  ['ecdsa-examples/ecdsa-sig-03', 'ES512 on P-521'],
  ['ecdsa-examples/ecdsa-sig-04', 'ES512 on P-256'],
  ['eddsa-examples/eddsa-sig-02', 'Ed448'],
] as const

/** The public half of an example's key; some are written in hex. */
function publishedKey(jwk: Record<string, string>): DeviceKey {
  const { kty, crv, x, y, x_hex: hex, y_hex: yHex = '' } = jwk
  if (hex === undefined) return deviceKeyFromJwk({ kty, crv, x, y })
  return kty === 'EC'
    ? importDeviceKey('ES256', fromHex(hex + yHex, 'key'))
    : importDeviceKey('Ed25519', fromHex(hex, 'x_hex'))
}

describeShared('the COSE_Sign1 examples of the COSE working group', 'vectors/cose', (folder) => {
  const read = (name: string) =>
    JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as CoseExample

  it.each(published)('%s is %s (%s)', (name, expected) => {
    const { input, output } = read(name)
    const key = publishedKey(input.sign0.key)
    const aad = fromHex(input.sign0.external ?? '', 'external')
    expect(outcome(output.cbor, key, aad)).toEqual([expected, expected])
  })

  it.each(published.filter(([, outcome]) => outcome === 'accepted'))(
    '%s is signed over the published bytes',
    (name) => {
      const { input, intermediates, output } = read(name)
      const { protectedBytes, payload } = decodeSign1(fromHex(output.cbor, 'vector'))
      const externalAad = fromHex(input.sign0.external ?? '', 'external')
      expect(toHex(sigStructure({ protectedBytes, externalAad, payload }))).toBe(
        `0x${intermediates.ToBeSign_hex.toLowerCase()}`,
      )
    },
  )

  it('sign1-tests/sign-pass-01 is signed as published, though its algorithm is not protected', () => {
    const { output } = read('sign1-tests/sign-pass-01')
    const message = decodeSign1(fromHex(output.cbor, 'vector'))
    const signedBytes = sigStructure({ ...message, externalAad: new Uint8Array() })
    expect(
      verifiers.map(([, verifier]) => verifier.verify(key11, signedBytes, message.signature)),
    ).toEqual([true, true])
  })

  it.each(otherCurves)('%s (%s) is refused by its algorithm', (name) => {
    // -8 names no curve, so Ed448 is found out by its signature: 114 bytes, not 64.
    const rule = name === 'eddsa-examples/eddsa-sig-02' ? 'other-algorithm' : 'algorithm-unknown'
    expect(outcome(read(name).output.cbor, key11)).toEqual([rule, rule])
  })

  it('of any other COSE structure are refused as what they are not', () => {
    const known = new Set<string>([...published, ...otherCurves].map(([name]) => name))
    const counts: Record<string, number> = {}
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      const name = file.replaceAll('\\', '/').replace(/\.json$/, '')
      if (!file.endsWith('.json') || known.has(name)) continue
      const bytes = fromHex(read(name).output.cbor, name)
      const asSign1 = outcomeOf(() => {
        verifySign1(decodeSign1(bytes), { key: key11, verifier: portableSignatures })
      })
      const asPack = outcomeOf(() => decodePack(bytes))
      const line = `${name.split('/')[0]}: ${asSign1}, as a pack ${asPack}`
      counts[line] = (counts[line] ?? 0) + 1
    }
    expect(counts).toMatchInlineSnapshot(`
      {
        "CWT: wrong-tag, as a pack wrong-tag": 4,
        "RFC8152: wrong-tag, as a pack wrong-tag": 4,
        "countersign1: wrong-tag, as a pack wrong-tag": 7,
        "countersign: wrong-tag, as a pack wrong-tag": 12,
        "ecdsa-examples: wrong-tag, as a pack wrong-tag": 4,
        "eddsa-examples: wrong-tag, as a pack wrong-tag": 2,
        "hmac-examples: wrong-tag, as a pack wrong-tag": 10,
        "mac0-tests: algorithm-unprotected, as a pack unprotected-header": 1,
        "mac0-tests: wrong-tag, as a pack wrong-tag": 9,
        "sign-tests: unexpected-type, as a pack unexpected-type": 1,
        "sign-tests: wrong-tag, as a pack wrong-tag": 9,
        "x509-examples: wrong-tag, as a pack wrong-tag": 5,
      }
    `)
  })

  it.each([...published, ...otherCurves].map(([name]) => name))(
    '%s is no pack, and the reader of packs says why',
    (name) => {
      const bytes = fromHex(read(name).output.cbor, 'vector')
      expect(['wrong-tag', 'unprotected-header', 'missing-header']).toContain(
        outcomeOf(() => decodePack(bytes)),
      )
    },
  )
})
