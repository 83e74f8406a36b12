import { describe, expect, it } from 'vitest'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { writeBundle } from '#schemas/bundle.ts'
import { bundlePlatform, makeBundle } from '#test/support/makeBundle.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { type BundleOptions, verifyBundle } from '#verifier/bundle/verifyBundle.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'

const quotePolicy = createQuotePolicy({
  id: 'test policy',
  tees: ['TDX'],
  tcb: {
    acceptedStatuses: { UpToDate: { graceDays: null } },
    minimumEvaluationDataNumber: 0,
    minimumQeEvaluationDataNumber: 0,
    deniedAdvisories: [],
    maximumCollateralAgeDays: null,
  },
  platforms: { allowed: 'any', denied: [] },
  allowedTdAttributes: [],
  allowedServiceTds: [],
  images: 'any',
  enclaves: [],
})

const options: BundleOptions = {
  rootCertificate: bundlePlatform.rootCertificateDer,
  quotePolicy,
  crypto: nodeCrypto,
  signatures: createNodeSignatures(),
}

const { text, content } = makeBundle()

/** Sets one field of a copy of the bundle, by path, and gives the result its right digest again. */
function altered(path: readonly (string | number)[], change: (value: unknown) => unknown): unknown {
  const copy = structuredClone(content)
  let holder: Record<string | number, unknown> = copy
  for (const step of path.slice(0, -1)) holder = holder[step] as Record<string, unknown>
  const last = path.at(-1) ?? ''
  holder[last] = change(holder[last])
  return JSON.parse(writeBundle(copy))
}

function failures(bundle: unknown, changed: Partial<BundleOptions> = {}): string[] {
  const verdict = verifyBundle(bundle, { ...options, ...changed })
  expect(verdict.isAccepted).toBe(false)
  return verdict.checks.filter(({ status }) => status === 'failed').map(({ id }) => id)
}

/** Changes one character of a text so that it stays the kind of text that it was. */
function nudge(value: unknown): unknown {
  if (typeof value === 'number') return value + 1
  if (typeof value !== 'string') return value
  const at = Math.floor(value.length / 2)
  const replacement = value[at] === '1' ? '2' : '1'
  return value.slice(0, at) + replacement + value.slice(at + 1)
}

function leafPaths(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (Array.isArray(value)) return value.flatMap((item, index) => leafPaths(item, [...path, index]))
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([key, item]) => leafPaths(item, [...path, key]))
  }
  return [path]
}

describe('a genuine bundle', () => {
  it('passes every line, with Node’s cryptography and with the portable one', () => {
    for (const change of [{}, { crypto: undefined, signatures: undefined }]) {
      const verdict = verifyBundle(JSON.parse(text), {
        ...options,
        ...change,
      } as BundleOptions)
      expect(verdict.checks.filter(({ status }) => status !== 'passed')).toStrictEqual([])
      expect(verdict.checks).toHaveLength(15)
      expect(verdict.isAccepted).toBe(true)
      expect(verdict.report?.valueMicro).toBe(300_000_000n)
    }
  })

  it('holds without the devices’ packs, and says what was not looked at', () => {
    const { devices: _, ...rest } = content
    const verdict = verifyBundle(JSON.parse(writeBundle(rest)), options)
    expect(verdict.isAccepted).toBe(true)
    expect(
      verdict.checks.filter(({ status }) => status === 'not-checked').map(({ id }) => id),
    ).toStrictEqual(['devices', 'evidence', 'evaluation'])
  })

  it('is refused under Intel’s root, because another root vouches for it', () => {
    expect(failures(JSON.parse(text), { rootCertificate: intelRootCertificate })).toStrictEqual([
      'collateral',
    ])
  })
})

describe('a tampered bundle', () => {
  it('a flip of any single byte of the file is found', { timeout: 300_000 }, () => {
    const bytes = Buffer.from(text)
    let looked = 0
    for (let at = 0; at < bytes.length; at += 1) {
      const flipped = Buffer.from(bytes)
      flipped[at] = (flipped[at] ?? 0) ^ 1
      let value: unknown
      try {
        value = JSON.parse(flipped.toString())
      } catch {
        continue
      }
      looked += 1
      const { isAccepted } = verifyBundle(value, options)
      if (isAccepted) throw new Error(`A flip at byte ${at} went unnoticed.`)
    }
    expect(looked).toBeGreaterThan(10_000)
  })

  it('whoever mends the digest too is caught at the field that was changed', () => {
    // These say when and how the file was made, or are covered by none but themselves: an honest
    // change of them proves nothing else, and none of them moves money.
    const free = [
      'recordedAtSeconds',
      'attestation.blockNumber',
      'attestation.collateral.pck_certificate_chain',
    ]
    const unnoticed = leafPaths(content)
      .filter((path) => !free.includes(path.join('.')))
      .filter((path) => verifyBundle(altered(path, nudge), options).isAccepted)
      .map((path) => path.join('.'))
    expect(unnoticed).toStrictEqual([])
  })

  it.each([
    [['report', 'valueMicro'], ['inclusion']],
    [['report', 'verdict'], ['inclusion']],
    [['report', 'exclusiveTo'], ['inclusion']],
    [['batch', 'sequence'], ['batch']],
    [['batch', 'previous'], ['batch']],
    [['signature'], ['batch']],
    [['attestation', 'statement', 'registry'], ['statement']],
    [['attestation', 'blockHash'], ['statement']],
    [['attestation', 'possession'], ['possession']],
    [['attestation', 'appCompose'], ['image']],
    [['policy'], ['policy']],
    [['measures'], ['measures']],
    [['roster', 0, 'entry', 'heardReadings'], ['roster']],
    [['devices', 0, 'packs'], ['devices']],
    [['subjectName'], ['inclusion']],
    [['streamName'], ['batch']],
  ])('a change of %j turns exactly the right line red', (path, expected) => {
    const found = failures(altered(path, nudge))
    expect(found).toStrictEqual(expected)
  })

  it('a reading left out is found, although every remaining pack is genuine', () => {
    const shortened = altered(['devices', 0, 'packs'], (value) => {
      const packs = String(value)
      return packs.slice(0, 2 + (packs.length - 2) / 3 - (((packs.length - 2) / 3) % 2))
    })
    expect(failures(shortened).length).toBeGreaterThan(0)
  })
})

describe('a document that is no bundle', () => {
  it.each([null, 5, [], {}, { kind: 'plumbline-proof-bundle', version: 2 }])(
    '%j is refused at the first line and nothing else is looked at',
    (value) => {
      const verdict = verifyBundle(value, options)
      expect(verdict.checks).toHaveLength(1)
      expect(verdict.isAccepted).toBe(false)
    },
  )
})
