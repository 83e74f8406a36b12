import fc from 'fast-check'
import { ed25519 } from '@noble/curves/ed25519'
import { p256 } from '@noble/curves/p256'
import { secp256k1 } from '@noble/curves/secp256k1'
import { describe, expect, it } from 'vitest'
import { toBase64Url } from '#schemas/adapters/base64Url.ts'
import { concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import { CborTag, type CborValue } from '#schemas/cbor/cborValue.ts'
import { encodeCbor } from '#schemas/cbor/encodeCbor.ts'
import {
  InvalidDeviceKeyError,
  coseKeyBytes,
  deviceKeyFromCose,
  deviceKeyFromJwk,
  importDeviceKey,
} from '#schemas/pack/deviceKey.ts'

// RFC 9679 §6: the key and its SHA-256 thumbprint.
const x = fromHex('65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d', 'x')
const y = fromHex('1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c', 'y')
const thumbprint = '0x496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec'

const secretArbitrary = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((secret) => {
  const [first = 0] = secret
  // Below both group orders, and not zero.
  return first > 0 && first < 0xff
})

describe('a device id', () => {
  it('is the COSE Key Thumbprint that RFC 9679 §6 publishes', () => {
    expect(importDeviceKey('ES256', concatBytes(x, y)).id).toBe(thumbprint)
  })

  it('is the same for every form a P-256 key comes in', () => {
    const forms = [
      importDeviceKey('ES256', concatBytes(Uint8Array.of(4), x, y)),
      importDeviceKey('ES256', concatBytes(Uint8Array.of(2), x)),
      deviceKeyFromJwk({ kty: 'EC', crv: 'P-256', x: toBase64Url(x), y: toBase64Url(y) }),
      deviceKeyFromCose(coseKeyBytes({ algorithm: 'ES256', publicKey: concatBytes(x, y) })),
      deviceKeyFromCose(
        encodeCbor(
          new Map<CborValue, CborValue>([
            [2, Uint8Array.of(1)],
            [1, 2],
            [-1, 1],
            [-2, x],
            [-3, false],
            [3, -7],
          ]),
        ),
      ),
    ]
    expect(forms.map(({ id }) => id)).toEqual(forms.map(() => thumbprint))
    expect(forms.map(({ publicKey }) => toHex(publicKey))).toEqual(
      forms.map(() => toHex(concatBytes(x, y))),
    )
  })

  it('survives the COSE_Key form for every algorithm and key', () => {
    fc.assert(
      fc.property(secretArbitrary, (secret) => {
        for (const key of [
          importDeviceKey('ES256', p256.getPublicKey(secret, true)),
          importDeviceKey('ES256K', secp256k1.getPublicKey(secret, false)),
          importDeviceKey('Ed25519', ed25519.getPublicKey(secret)),
        ]) {
          expect(deviceKeyFromCose(coseKeyBytes(key))).toEqual(key)
        }
      }),
      { numRuns: 25 },
    )
  })

  it('differs between curves for the same bytes', () => {
    const secret = new Uint8Array(32).fill(1)
    const point = ed25519.getPublicKey(secret)
    expect(importDeviceKey('Ed25519', point).id).not.toBe(
      importDeviceKey('ES256K', secp256k1.getPublicKey(secret)).id,
    )
  })
})

describe('a public key is refused when it', () => {
  const offCurve = concatBytes(x, x)
  const cose = (pairs: readonly (readonly [CborValue, CborValue])[]) => encodeCbor(new Map(pairs))

  it.each([
    ['is not on P-256', () => importDeviceKey('ES256', offCurve)],
    ['is not on secp256k1', () => importDeviceKey('ES256K', concatBytes(x, y))],
    ['is the point at infinity', () => importDeviceKey('ES256', Uint8Array.of(0))],
    ['is of the wrong length', () => importDeviceKey('ES256', x)],
    ['is no Ed25519 point', () => importDeviceKey('Ed25519', new Uint8Array(32).fill(0xff))],
    [
      'is of small order',
      () => importDeviceKey('Ed25519', Uint8Array.of(1, ...new Uint8Array(31))),
    ],
    [
      'is of small order, order 8',
      () =>
        importDeviceKey(
          'Ed25519',
          fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', 'key'),
        ),
    ],
    ['is too long for Ed25519', () => importDeviceKey('Ed25519', new Uint8Array(33))],
    [
      'is a JWK with a secret',
      () => deviceKeyFromJwk({ kty: 'OKP', crv: 'Ed25519', x: toBase64Url(x), d: 'AA' }),
    ],
    [
      'is a JWK of another curve',
      () => deviceKeyFromJwk({ kty: 'EC', crv: 'P-384', x: '', y: '' }),
    ],
    [
      'is a JWK with a padded coordinate',
      () =>
        deviceKeyFromJwk({ kty: 'EC', crv: 'P-256', x: `${toBase64Url(x)}=`, y: toBase64Url(y) }),
    ],
    [
      'is a JWK with a short coordinate',
      () => deviceKeyFromJwk({ kty: 'EC', crv: 'P-256', x: 'AA', y: toBase64Url(y) }),
    ],
    [
      'is a COSE_Key with a secret',
      () =>
        deviceKeyFromCose(
          cose([
            [1, 2],
            [-1, 1],
            [-2, x],
            [-3, y],
            [-4, x],
          ]),
        ),
    ],
    [
      'is a COSE_Key of another curve',
      () =>
        deviceKeyFromCose(
          cose([
            [1, 2],
            [-1, 2],
            [-2, x],
            [-3, y],
          ]),
        ),
    ],
    [
      'is a COSE_Key with a short x',
      () =>
        deviceKeyFromCose(
          cose([
            [1, 1],
            [-1, 6],
            [-2, Uint8Array.of(1)],
          ]),
        ),
    ],
    [
      'is a COSE_Key without y',
      () =>
        deviceKeyFromCose(
          cose([
            [1, 2],
            [-1, 1],
            [-2, x],
          ]),
        ),
    ],
    ['is no COSE_Key', () => deviceKeyFromCose(encodeCbor(new CborTag(1, 2)))],
  ])('%s', (_, make) => {
    expect(make).toThrow(InvalidDeviceKeyError)
  })

  it('and the error says what to do', () => {
    expect(() => deviceKeyFromJwk({ kty: 'EC', d: 'AA' })).toThrowErrorMatchingInlineSnapshot(`
      [InvalidDeviceKeyError: The JWK holds a private key.
      Field: jwk.d
      Remedy: Send the public members only and treat this key as leaked.]
    `)
  })
})
