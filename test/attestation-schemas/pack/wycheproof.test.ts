import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { fromHex } from '#schemas/bytes.ts'
import type { SignatureAlgorithm } from '#schemas/cose/signatureAlgorithm.ts'
import { importDeviceKey } from '#schemas/pack/deviceKey.ts'
import { portableSignatures } from '#schemas/pack/portableSignatures.ts'
import { describeShared } from '#test/shared.ts'

const verifiers = [
  ['portable', portableSignatures],
  ['Node', createNodeSignatures()],
] as const

type Group = {
  readonly publicKey: { readonly uncompressed?: string; readonly pk?: string }
  readonly tests: readonly {
    readonly tcId: number
    readonly comment: string
    readonly msg: string
    readonly sig: string
    readonly result: string
  }[]
}

const files = [
  ['ES256', 'ecdsa_secp256r1_sha256_p1363_test.json', 173, 89],
  ['ES256K', 'ecdsa_secp256k1_sha256_p1363_test.json', 167, 85],
  ['Ed25519', 'ed25519_test.json', 88, 63],
] as const satisfies readonly (readonly [SignatureAlgorithm, string, number, number])[]

describeShared('Wycheproof', 'vectors/wycheproof', (folder) => {
  describe.each(verifiers)('by the %s adapter', (_, verifier) => {
    it.each(files)(
      'every %s case gives the published answer',
      (algorithm, file, valid, invalid) => {
        const { testGroups } = JSON.parse(readFileSync(`${folder}/${file}`, 'utf8')) as {
          testGroups: readonly Group[]
        }
        const wrong: string[] = []
        const counts = { valid: 0, invalid: 0 }
        for (const { publicKey, tests } of testGroups) {
          const bytes = fromHex(publicKey.uncompressed ?? publicKey.pk ?? '', 'key')
          const key = importDeviceKey(algorithm, bytes)
          for (const { tcId, comment, msg, sig, result } of tests) {
            counts[result === 'valid' ? 'valid' : 'invalid'] += 1
            const isValid = verifier.verify(key, fromHex(msg, 'msg'), fromHex(sig, 'sig'))
            if (isValid !== (result === 'valid')) wrong.push(`${tcId} ${comment}`)
          }
        }
        expect(wrong).toEqual([])
        expect(counts).toEqual({ valid, invalid })
      },
    )
  })

  it('no DER signature of any case is taken for r ‖ s', () => {
    const { testGroups } = JSON.parse(
      readFileSync(`${folder}/ecdsa_secp256r1_sha256_test.json`, 'utf8'),
    ) as { testGroups: readonly Group[] }
    const accepted = testGroups.flatMap(({ publicKey, tests }) => {
      const key = importDeviceKey('ES256', fromHex(publicKey.uncompressed ?? '', 'key'))
      return tests.filter(({ msg, sig }) =>
        verifiers.some(([, verifier]) =>
          verifier.verify(key, fromHex(msg, 'msg'), fromHex(sig, 'sig')),
        ),
      )
    })
    expect(accepted).toEqual([])
  })
})

// Transcribed from C2SP/wycheproof testvectors_v1, commit dac1dd47, Apache-2.0.
const transcribed = [
  [
    'ES256',
    'a signature with a high s',
    '042927b10512bae3eddcfe467828128bad2903269919f7086069c8c4df6c732838c7787964eaac00e5921fb1498a60f4606766b3d9685001558d1a974e7341513e',
    '313233343030',
    '2ba3a8be6b94d5ec80a6d9d1190a436effe50d85a1eee859b8cc6af9bd5c2e184cd60b855d442f5b3c7b11eb6c4e0ae7525fe710fab9aa7c77a67f79e6fadd76',
    true,
  ],
  [
    'ES256',
    'its twin with n - s',
    '042927b10512bae3eddcfe467828128bad2903269919f7086069c8c4df6c732838c7787964eaac00e5921fb1498a60f4606766b3d9685001558d1a974e7341513e',
    '313233343030',
    '2ba3a8be6b94d5ec80a6d9d1190a436effe50d85a1eee859b8cc6af9bd5c2e18b329f479a2bbd0a5c384ee1493b1f5186a87139cac5df4087c134b49156847db',
    true,
  ],
  [
    'ES256',
    'a signature of zeros',
    '042927b10512bae3eddcfe467828128bad2903269919f7086069c8c4df6c732838c7787964eaac00e5921fb1498a60f4606766b3d9685001558d1a974e7341513e',
    '313233343030',
    '00'.repeat(64),
    false,
  ],
  [
    'ES256K',
    'a signature with a high s',
    '04b838ff44e5bc177bf21189d0766082fc9d843226887fc9760371100b7ee20a6ff0c9d75bfba7b31a6bca1974496eeb56de357071955d83c4b1badaa0b21832e9',
    '313233343030',
    '813ef79ccefa9a56f7ba805f0e478584fe5f0dd5f567bc09b5123ccbc9832365900e75ad233fcc908509dbff5922647db37c21f4afd3203ae8dc4ae7794b0f87',
    true,
  ],
  [
    'Ed25519',
    'a signature of nothing',
    '7d4d0e7f6153a69b6242b522abbee685fda4420f8834b108c3bdae369ef549fa',
    '',
    'd4fbdb52bfa726b44d1786a8c0d171c3e62ca83c9e5bbe63de0bb2483f8fd6cc1429ab72cafc41ab56af02ff8fcc43b99bfe4c7ae940f60f38ebaa9d311c4007',
    true,
  ],
  [
    'Ed25519',
    'the same with a byte too many',
    '7d4d0e7f6153a69b6242b522abbee685fda4420f8834b108c3bdae369ef549fa',
    '',
    'd4fbdb52bfa726b44d1786a8c0d171c3e62ca83c9e5bbe63de0bb2483f8fd6cc1429ab72cafc41ab56af02ff8fcc43b99bfe4c7ae940f60f38ebaa9d311c400700',
    false,
  ],
] as const

describe.each(verifiers)('the %s adapter', (_, verifier) => {
  it.each(transcribed)('%s: %s', (algorithm, _comment, key, message, signature, isValid) => {
    expect(
      verifier.verify(
        importDeviceKey(algorithm, fromHex(key, 'key')),
        fromHex(message, 'message'),
        fromHex(signature, 'signature'),
      ),
    ).toBe(isValid)
  })

  it('refuses a signature of any other length without handing it on', () => {
    const key = importDeviceKey('ES256', fromHex(transcribed[0][2], 'key'))
    for (const length of [0, 1, 63, 65, 71, 128]) {
      expect(verifier.verify(key, new Uint8Array(3), new Uint8Array(length))).toBe(false)
    }
  })
})

describe('the Node adapter', () => {
  it('keeps answering when it holds fewer keys than it is asked about', () => {
    const verifier = createNodeSignatures({ capacity: 1 })
    const answers = [...transcribed, ...transcribed].map(([algorithm, , key, message, signature]) =>
      verifier.verify(
        importDeviceKey(algorithm, fromHex(key, 'key')),
        fromHex(message, 'message'),
        fromHex(signature, 'signature'),
      ),
    )
    expect(answers).toEqual([...transcribed, ...transcribed].map(([, , , , , isValid]) => isValid))
  })
})
