import { describe, expect, it } from 'vitest'
import { equalBytes } from '#schemas/bytes.ts'
import {
  createNegativePlatform,
  mintNegative,
  negativeNames,
  negatives,
} from '#localnet/tdx/negatives.ts'
import type { NegativeEvidence, NegativeName } from '#localnet/tdx/negatives.ts'
import { mintNegativesFile } from '#localnet/tdx/negativesFile.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { strictPolicy } from '#localnet/tdx/strictPolicy.ts'
import { QuoteRefusedError } from '#verifier/appraisal/errors.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { refusalCodes, refusalRules } from '#verifier/appraisal/rules.ts'
import type { RefusalCode } from '#verifier/appraisal/rules.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { verifyQuoteWithCollateral } from '#verifier/quote/verifyQuote.ts'

const now = Date.UTC(2026, 8, 1, 12) / 1000
const honest = createPlatform({ now })
const policy = createQuotePolicy(strictPolicy(honest))

const minted = new Map<NegativeName, NegativeEvidence>()

/** Minted once for all tests: signing two hundred platforms takes seconds. */
function evidenceOf(name: NegativeName): NegativeEvidence {
  const evidence = minted.get(name) ?? mintNegative(name, { now })
  minted.set(name, evidence)
  return evidence
}

function refusalOf(name: NegativeName): RefusalCode | 'accepted' {
  const evidence = evidenceOf(name)
  try {
    verifyQuoteWithCollateral(evidence.quote, evidence.collateral, {
      rootCertificate: evidence.rootCertificateDer,
      now: evidence.now,
      policy,
      expectedReportData: evidence.reportData,
      crypto: nodeCrypto,
    })
  } catch (error) {
    if (error instanceof QuoteRefusedError) return error.code
    throw error
  }
  return 'accepted'
}

describe('localnet/tdx/negatives', () => {
  it.each(negativeNames.map((name) => [name, negatives[name].rule] as const))(
    '%s is refused as %s',
    (name, rule) => {
      expect(refusalOf(name)).toBe(rule)
    },
  )

  it('every rule on TDX evidence is broken by at least one case', () => {
    const broken = new Set<RefusalCode>(negativeNames.map((name) => negatives[name].rule))
    // What no evidence can break: the caller's own mistakes, and rules on SGX enclaves.
    const onEvidence = refusalCodes.filter((code) => refusalRules[code].id < 400)
    expect(onEvidence.filter((code) => !broken.has(code))).toEqual([
      'ClockInvalid',
      'CollateralNotVerified',
      'PolicyNotPrepared',
      'EnclaveDebug',
      'TeeNotAllowed',
      'EnclaveNotAllowed',
    ])
  })

  it('a case is minted alike twice and unlike the honest evidence', () => {
    const collateral = JSON.stringify(honest.collateral())
    const quote = honest.mintQuote({ reportData: evidenceOf('tdDebug').reportData })
    for (const name of negativeNames) {
      const evidence = evidenceOf(name)
      const isHonest =
        equalBytes(evidence.quote, quote) && JSON.stringify(evidence.collateral) === collateral
      expect({ name, isHonest }).toEqual({ name, isHonest: false })
    }
    expect(mintNegative('pckRevoked', { now })).toEqual(evidenceOf('pckRevoked'))
  })

  it('a case holds for any seed, family and instant', () => {
    const options = { now: now + 12_345_678, seed: 'another', fmspc: '00906ED50000' }
    const other = createPlatform(options)
    const otherPolicy = createQuotePolicy(strictPolicy(other))
    for (const name of ['pckExpired', 'tdDebug', 'tcbInfoForged', 'fmspcMismatch'] as const) {
      const { quote, collateral, rootCertificateDer, rule } = mintNegative(name, options)
      expect(() =>
        verifyQuoteWithCollateral(quote, collateral, {
          rootCertificate: rootCertificateDer,
          now: options.now,
          policy: otherPolicy,
        }),
      ).toThrow(`Rule: ${rule}`)
    }
  })

  it("a lying platform keeps lying over an application's own measurements", () => {
    const platform = createNegativePlatform('mrConfigIdZero', { now })
    const quote = platform.mintQuote({
      reportData: new Uint8Array(64),
      measurements: { mrConfigId: new Uint8Array(48).fill(1) },
    })
    expect(quote.subarray(48 + 184, 48 + 232)).toEqual(new Uint8Array(48))
  })

  it('the file for other languages holds every case with its rule', () => {
    const file = mintNegativesFile({ now })
    expect(file.negatives.map((record) => record.name)).toEqual(negativeNames)
    expect(file.negatives.length).toBeGreaterThanOrEqual(60)
    const record = file.negatives.find(({ name }) => name === 'tdDebug')
    expect(record).toMatchObject({ rule: 'TdDebug', ruleId: 271, stage: 'tcb', where: 'both' })
    expect(record?.quote).toMatch(/^0x[0-9a-f]+$/)
    const [x, y] = [file.rootPublicKey.x, file.rootPublicKey.y].map((half) => half.slice(2))
    expect(`${x}${y}`).toBe(Buffer.from(honest.rootPublicKey).toString('hex'))
  })
})
