import { describe, expect, it } from 'vitest'
import { writeBundle } from '#schemas/bundle.ts'
import { bundlePlatform, makeBundle } from '#test/support/makeBundle.ts'
import { plainQuotePolicy } from '#verifier/appraisal/plainQuotePolicy.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { createBundleMemory } from '#verifier/bundle/bundleMemory.ts'
import { type BundleOptions, verifyBundle } from '#verifier/bundle/verifyBundle.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'

const { text, content } = makeBundle()
const options: BundleOptions = {
  rootCertificate: bundlePlatform.rootCertificateDer,
  quotePolicy: createQuotePolicy(plainQuotePolicy),
  crypto: nodeCrypto,
}
const attestation = content['attestation'] as Record<string, unknown>

/** One hex digit turned into another. */
function nudged(value: unknown): string {
  const hex = String(value)
  const at = Math.floor(hex.length / 2)
  return `${hex.slice(0, at)}${hex[at] === '1' ? '2' : '1'}${hex.slice(at + 1)}`
}

const forgeries: readonly (readonly [string, Record<string, unknown>])[] = [
  ['another instant', { recordedAtSeconds: 1_700_000_000 }],
  ['another quote', { attestation: { ...attestation, quote: nudged(attestation['quote']) } }],
  [
    'another possession',
    { attestation: { ...attestation, possession: nudged(attestation['possession']) } },
  ],
  ['another batch signature', { signature: nudged(content['signature']) }],
  [
    'other collateral',
    {
      attestation: {
        ...attestation,
        collateral: {
          ...(attestation['collateral'] as Record<string, unknown>),
          tcb_info_signature: '00'.repeat(64),
        },
      },
    },
  ],
]

describe('a memory', () => {
  it('gives a genuine bundle the same answer every time', () => {
    const memory = createBundleMemory()
    const plain = verifyBundle(JSON.parse(text), options)
    expect(plain.isAccepted).toBe(true)
    for (let times = 0; times < 3; times += 1) {
      expect(verifyBundle(JSON.parse(text), { ...options, memory })).toStrictEqual(plain)
    }
  })

  it.each(forgeries)('of a genuine bundle excuses no forged one: %s', (_, changes) => {
    const memory = createBundleMemory()
    verifyBundle(JSON.parse(text), { ...options, memory })
    const forged = JSON.parse(writeBundle({ ...content, ...changes })) as unknown
    const plain = verifyBundle(forged, options)
    expect(plain.isAccepted).toBe(false)
    expect(verifyBundle(forged, { ...options, memory })).toStrictEqual(plain)
    // And the forged one leaves nothing behind that spoils the genuine.
    expect(verifyBundle(JSON.parse(text), { ...options, memory }).isAccepted).toBe(true)
  })
})
