import { readFileSync } from 'node:fs'
import { sha256 } from '@noble/hashes/sha2'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { describeShared } from '#test/shared.ts'
import { deriveP256Key, signP256 } from '#localnet/tdx/keys.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { portableCrypto } from '#verifier/crypto/portableCrypto.ts'

const adapters = [
  { name: 'node:crypto', crypto: nodeCrypto },
  { name: 'portable', crypto: portableCrypto },
]

type Wycheproof = {
  testGroups: {
    publicKey: { uncompressed: string }
    tests: { tcId: number; comment: string; msg: string; sig: string; result: string }[]
  }[]
}

const key = deriveP256Key('verifier crypto test', 'signer')
const message = Uint8Array.of(1, 2, 3)
const signature = signP256(key, message)

describe.each(adapters)('the $name adapter', ({ crypto }) => {
  it('verifies with an imported key and in one call alike', () => {
    expect(crypto.importP256(key.publicKey)?.verify(message, signature)).toBe(true)
    expect(crypto.verifyP256(key.publicKey, message, signature)).toBe(true)
  })

  it('hashes', () => {
    expect(Uint8Array.from(crypto.sha256(message))).toEqual(sha256(message))
  })

  it.each([
    ['a point off the curve', new Uint8Array(64).fill(1)],
    ['the point at infinity', new Uint8Array(64)],
    ['a coordinate beyond the field', new Uint8Array(64).fill(0xff)],
    ['63 bytes', new Uint8Array(63)],
    ['65 bytes', new Uint8Array(65).fill(4)],
  ])('imports no key from %s', (_, point) => {
    expect(crypto.importP256(point)).toBe(undefined)
    expect(crypto.verifyP256(point, message, signature)).toBe(false)
  })

  it('refuses signatures of any other length', () => {
    for (const length of [0, 63, 65, 71]) {
      const other = new Uint8Array(length)
      other.set(signature.subarray(0, length))
      expect(crypto.importP256(key.publicKey)?.verify(message, other)).toBe(false)
      expect(crypto.verifyP256(key.publicKey, message, other)).toBe(false)
    }
  })

  it('refuses a signature with any bit turned', () => {
    fc.assert(
      fc.property(fc.nat(511), (bit) => {
        const turned = Uint8Array.from(signature)
        turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        expect(crypto.verifyP256(key.publicKey, message, turned)).toBe(false)
      }),
      { numRuns: 20 },
    )
  })
})

describeShared(
  'Project Wycheproof, ECDSA P-256 with SHA-256',
  'vectors/wycheproof/ecdsa_secp256r1_sha256_p1363_test.json',
  (file) => {
    const { testGroups } = JSON.parse(readFileSync(file, 'utf8')) as Wycheproof
    const cases = testGroups.flatMap(({ publicKey, tests }) =>
      tests.map((test) => ({
        ...test,
        point: Buffer.from(publicKey.uncompressed, 'hex').subarray(1),
        isValid: test.result === 'valid',
      })),
    )

    it('holds its 262 cases', () => {
      expect(cases).toHaveLength(262)
    })

    it.each(adapters)('the $name adapter answers all of them as published', ({ crypto }) => {
      const wrong = cases.filter(({ point, msg, sig, isValid }) => {
        const [text, signed] = [Buffer.from(msg, 'hex'), Buffer.from(sig, 'hex')]
        const answers = [
          crypto.verifyP256(point, text, signed),
          crypto.importP256(point)?.verify(text, signed) ?? false,
        ]
        return answers.some((answer) => answer !== isValid)
      })
      expect(wrong.map(({ tcId, comment }) => `${tcId} ${comment}`)).toEqual([])
    })
  },
)
