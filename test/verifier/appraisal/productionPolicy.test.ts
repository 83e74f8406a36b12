import { describe, expect, it } from 'vitest'
import { developmentRootCertificate, isLocalRoot } from '#localnet/tdx/localRoot.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { localImage, strictPolicy } from '#localnet/tdx/strictPolicy.ts'
import {
  developmentKeyProviderIds,
  developmentKmsRoots,
} from '#verifier/appraisal/developmentMarks.ts'
import { NotForProductionError } from '#verifier/appraisal/notForProductionError.ts'
import { createQuotePolicy, type QuotePolicyDocument } from '#verifier/appraisal/policy.ts'
import {
  assertProduction,
  bearsLocalMark,
  type ProductionSetup,
} from '#verifier/appraisal/productionPolicy.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'

const platform = createPlatform({ now: 1_790_000_000 })
const measurements = {
  name: '1.0.0',
  mrTd: '11'.repeat(48),
  rtmr0: '22'.repeat(48),
  rtmr1: '33'.repeat(48),
  rtmr2: '44'.repeat(48),
}
const image = { ...measurements, composeHash: '55'.repeat(32) }
const document: QuotePolicyDocument = {
  ...strictPolicy(platform),
  id: 'production',
  images: [image],
}
const setup: ProductionSetup = {
  rootCertificate: intelRootCertificate,
  policy: createQuotePolicy(document),
  dstack: {
    appId: 'any',
    keyProviders: [{ name: 'kms', id: '3059aa' }],
    zeroMrConfigId: 'refuse',
  },
  kmsRoot: `0x02${'ab'.repeat(32)}`,
}
const policyWith = (changes: Partial<QuotePolicyDocument>) => ({
  policy: createQuotePolicy({ ...document, ...changes }),
})
const tcbWith = (changes: Partial<QuotePolicyDocument['tcb']>) =>
  policyWith({ tcb: { ...document.tcb, ...changes } })
const dstackWith = (changes: Partial<ProductionSetup['dstack']>) => ({
  dstack: { ...setup.dstack, ...changes },
})

function settingOf(changes: Partial<ProductionSetup>): string {
  try {
    assertProduction({ ...setup, ...changes })
    return 'accepted'
  } catch (error) {
    if (!(error instanceof NotForProductionError)) throw error
    return error.setting
  }
}

describe('assertProduction', () => {
  it('accepts Intel’s root, a closed list of images, floors and a pinned KMS', () => {
    expect(settingOf({})).toBe('accepted')
    expect(settingOf({ kmsRoot: undefined })).toBe('accepted')
  })

  it.each<[string, Partial<ProductionSetup>, string]>([
    ['the root of every clone', { rootCertificate: developmentRootCertificate() }, 'LocalRoot'],
    [
      'a local root of another seed',
      { rootCertificate: createPlatform({ now: 1_790_000_000, seed: 'x' }).rootCertificateDer },
      'LocalRoot',
    ],
    [
      'another root',
      { rootCertificate: intelRootCertificate.map((byte) => byte ^ 1) },
      'ForeignRoot',
    ],
    ['no root', { rootCertificate: new Uint8Array() }, 'ForeignRoot'],
    ['a policy for enclaves too', policyWith({ tees: ['TDX', 'SGX'] }), 'SgxAccepted'],
    ['any image', policyWith({ images: 'any' }), 'AnyImage'],
    ['no image', policyWith({ images: [] }), 'NoImage'],
    ['the local image', policyWith({ images: [image, localImage(platform)] }), 'LocalImage'],
    [
      'an image whose MRCONFIGID has no version',
      policyWith({
        images: [{ ...measurements, mrConfigId: '66'.repeat(48) }],
      }),
      'MrConfigIdUnknown',
    ],
    ['no floor for TCB info', tcbWith({ minimumEvaluationDataNumber: 0 }), 'NoEvaluationFloor'],
    ['no floor for the QE', tcbWith({ minimumQeEvaluationDataNumber: 0 }), 'NoEvaluationFloor'],
    [
      'outdated platforms for ever',
      tcbWith({ acceptedStatuses: { OutOfDate: { graceDays: null } } }),
      'UnlimitedGrace',
    ],
    ['any key provider', dstackWith({ keyProviders: 'any' }), 'AnyKeyProvider'],
    ['no key provider', dstackWith({ keyProviders: [] }), 'AnyKeyProvider'],
    [
      'a guest without keys of its own',
      dstackWith({ keyProviders: [{ name: 'none', id: '' }] }),
      'DevelopmentKeyProvider',
    ],
    [
      'keys of an enclave beside the guest',
      dstackWith({ keyProviders: [{ name: 'local-sgx', id: '11' }] }),
      'DevelopmentKeyProvider',
    ],
    [
      'a KMS without an id',
      dstackWith({ keyProviders: [{ name: 'kms', id: '' }] }),
      'DevelopmentKeyProvider',
    ],
    [
      'the KMS of a local platform',
      dstackWith({ keyProviders: [{ name: 'kms', id: developmentKeyProviderIds[0] ?? '' }] }),
      'DevelopmentKeyProvider',
    ],
    ['hosts that bind nothing', dstackWith({ zeroMrConfigId: 'accept' }), 'ZeroMrConfigIdAccepted'],
    ...developmentKmsRoots.map((kmsRoot): [string, Partial<ProductionSetup>, string] => [
      `the published KMS root ${kmsRoot.slice(0, 10)}`,
      { kmsRoot },
      'DevelopmentKmsRoot',
    ]),
  ])('refuses %s', (_, changes, setting) => {
    expect(settingOf(changes)).toBe(setting)
  })

  it('does not take a policy that was not prepared', () => {
    expect(() => {
      assertProduction({ ...setup, policy: { ...setup.policy } })
    }).toThrow('PolicyNotPrepared')
  })

  it('says what to change', () => {
    expect(() => {
      assertProduction({ ...setup, rootCertificate: developmentRootCertificate() })
    }).toThrowErrorMatchingInlineSnapshot(`
      [NotForProductionError: The pinned root belongs to a platform that was minted on somebody’s laptop.
      Field: rootCertificate
      Setting: LocalRoot
      Remedy: Pin Intel SGX Root CA and nothing else.]
    `)
  })

  it('recognises the same roots as the local platform does', () => {
    for (const der of [developmentRootCertificate(), intelRootCertificate, new Uint8Array(7)]) {
      expect(bearsLocalMark(der)).toBe(isLocalRoot(der))
    }
  })
})
