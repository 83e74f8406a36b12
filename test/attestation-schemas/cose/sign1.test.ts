import { readFileSync } from 'node:fs'
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
    ['too-deep', { unprotectedMap: fromHex('a1182181818100', 'header') }],
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
] as const

/** Examples under curves that no device key here can have. */
const otherCurves = [
  ['ecdsa-examples/ecdsa-sig-02', 'ES384 on P-384'],
  ['ecdsa-examples/ecdsa-sig-03', 'ES512 on P-521'],
  ['ecdsa-examples/ecdsa-sig-04', 'ES512 on P-256'],
  ['eddsa-examples/eddsa-sig-02', 'Ed448'],
] as const

/** The public half of an example's key; the EdDSA ones are written in hex. */
function publishedKey(jwk: Record<string, string>): DeviceKey {
  const { kty, crv, x, y, x_hex: hex } = jwk
  return hex === undefined
    ? deviceKeyFromJwk({ kty, crv, x, y })
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
