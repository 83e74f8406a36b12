import { describe, expect, it } from 'vitest'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { strictPolicy } from '#localnet/tdx/strictPolicy.ts'
import { createQuotePolicy, InvalidQuotePolicyError } from '#verifier/appraisal/policy.ts'

const document = JSON.parse(
  JSON.stringify(strictPolicy(createPlatform({ now: 1_790_000_000 }))),
) as Record<string, unknown> & {
  tcb: Record<string, unknown>
  platforms: Record<string, unknown>
  images: Record<string, unknown>[]
}
const [image = {}] = document.images
const { mrConfigId, ...imageWithoutConfig } = image
const enclave = { name: 'e', mrSigner: '11'.repeat(32), isvProdId: 1, minimumIsvSvn: 1 }

function without(record: Record<string, unknown>, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => key !== name))
}

describe('a policy', () => {
  it('is read when it says everything', () => {
    expect(createQuotePolicy(document).id).toBe('local-strict')
  })

  it.each(Object.keys(document))('has no default for %s', (name) => {
    expect(() => createQuotePolicy(without(document, name))).toThrow(InvalidQuotePolicyError)
  })

  it.each(Object.keys(document.tcb))('has no default for tcb.%s', (name) => {
    const tcb = without(document.tcb, name)
    expect(() => createQuotePolicy({ ...document, tcb })).toThrow(InvalidQuotePolicyError)
  })

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['a list', []],
    ['an unknown field', { ...document, image: [] }],
    ['an unknown field about the TCB', { ...document, tcb: { ...document.tcb, minimum: 1 } }],
    ['an unknown list of platforms', { ...document, platforms: { ...document.platforms, x: [] } }],
    ['an unknown TEE', { ...document, tees: ['SEV'] }],
    ['a revoked TCB', withStatus({ Revoked: { graceDays: null } })],
    ['an unknown status', withStatus({ Fine: { graceDays: null } })],
    ['a status without days of grace', withStatus({ OutOfDate: {} })],
    ['half a day of grace', withStatus({ OutOfDate: { graceDays: 0.5 } })],
    ['a negative floor', withTcb({ minimumEvaluationDataNumber: -1 })],
    ['a floor in words', withTcb({ minimumEvaluationDataNumber: '20' })],
    ['a PPID of 15 bytes', { ...document, platforms: { allowed: ['11'.repeat(15)], denied: [] } }],
    ['a platform list in words', { ...document, platforms: { allowed: 'all', denied: [] } }],
    ['an unknown TD attribute', { ...document, allowedTdAttributes: ['DEBUG'] }],
    ['a service TD of 47 bytes', { ...document, allowedServiceTds: ['11'.repeat(47)] }],
    ['an image that measures zero', withImage({ rtmr1: '00'.repeat(48) })],
    ['an image of 47 bytes', withImage({ mrTd: '11'.repeat(47) })],
    ['an image with an unknown field', withImage({ rtmr3: '11'.repeat(48) })],
    ['an image with both hashes', withImage({ composeHash: '11'.repeat(32) })],
    ['an image with neither hash', { ...document, images: [imageWithoutConfig] }],
    ['an enclave without signer', { ...document, enclaves: [without(enclave, 'mrSigner')] }],
    ['an enclave with an unknown field', { ...document, enclaves: [{ ...enclave, debug: true }] }],
  ])('is refused with %s', (_, changed) => {
    expect(() => createQuotePolicy(changed)).toThrow(InvalidQuotePolicyError)
  })

  it('takes a compose hash for MRCONFIGID of version 1', () => {
    const composeHash = String(mrConfigId).slice(2, 66)
    const images = [{ ...imageWithoutConfig, composeHash }]
    const byHash = createQuotePolicy({ ...document, images })
    expect(byHash.images).toEqual(createQuotePolicy(document).images)
  })

  it('names the field and where the fields are explained', () => {
    expect(() => createQuotePolicy(withTcb({ minimumEvaluationDataNumber: 1.5 })))
      .toThrowErrorMatchingInlineSnapshot(`
      [InvalidQuotePolicyError: policy.tcb.minimumEvaluationDataNumber is not an integer.
      Field: policy.tcb.minimumEvaluationDataNumber
      Remedy: See docs/quote-verifier.md for the fields; none has a default.]
    `)
  })
})

function withTcb(change: Record<string, unknown>) {
  return { ...document, tcb: { ...document.tcb, ...change } }
}

function withStatus(acceptedStatuses: Record<string, unknown>) {
  return withTcb({ acceptedStatuses })
}

function withImage(change: Record<string, unknown>) {
  return { ...document, images: [{ ...image, ...change }] }
}
