import { describe, expect, it } from 'vitest'
import { mintNegative, negativeNames, negatives } from '#localnet/tdx/negatives.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { strictPolicy } from '#localnet/tdx/strictPolicy.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { refusalCodes, refusalRules } from '#verifier/appraisal/rules.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { portableCrypto } from '#verifier/crypto/portableCrypto.ts'
import { verifyQuoteWithCollateral } from '#verifier/quote/verifyQuote.ts'
import { refusalOf, refusedBy } from '../vectors.ts'

const now = 1_790_000_000
const honest = createPlatform({ now })
const policy = createQuotePolicy(strictPolicy(honest))
const reportData = new Uint8Array(64).fill(0x5a)
const rootCertificate = honest.rootCertificateDer

describe('a platform of our own making', () => {
  it.each([
    { version: 4, body: 'td10', paddingLength: 0 },
    { version: 4, body: 'td10', paddingLength: 70 },
    { version: 5, body: 'td10', paddingLength: 0 },
    { version: 5, body: 'td15', paddingLength: 3 },
  ] as const)('passes every rule with its own root pinned: %o', (form) => {
    const quote = honest.mintQuote({ reportData, ...form })
    const appraisal = verifyQuoteWithCollateral(quote, honest.collateral(), {
      rootCertificate,
      now,
      policy,
      expectedReportData: reportData,
      crypto: nodeCrypto,
    })
    expect(appraisal).toMatchObject({
      tee: 'TDX',
      quoteVersion: form.version,
      image: 'local',
      tcb: { status: 'UpToDate', degradedSinceUnixSeconds: undefined },
      platform: { issuer: 'platform' },
    })
  })

  it('passes with the portable adapter too', () => {
    const quote = honest.mintQuote({ reportData })
    const options = { rootCertificate, now, policy, crypto: portableCrypto }
    expect(verifyQuoteWithCollateral(quote, honest.collateral(), options).image).toBe('local')
  })

  it('is refused with Intel’s root pinned', () => {
    const options = { rootCertificate: intelRootCertificate, now, policy, crypto: nodeCrypto }
    const quote = honest.mintQuote({ reportData })
    expect(refusalOf(() => verifyQuoteWithCollateral(quote, honest.collateral(), options))).toBe(
      'IssuerChainRootMismatch',
    )
  })

  it('has one identity for a quote however it is padded or its signature is written', () => {
    const quote = honest.mintQuote({ reportData })
    const padded = honest.mintQuote({ reportData, paddingLength: 500 })
    const twin = negateSignature(quote)
    expect(twin).not.toEqual(quote)
    const ids = [quote, padded, twin].map(
      (bytes) =>
        verifyQuoteWithCollateral(bytes, honest.collateral(), {
          rootCertificate,
          now,
          policy,
          crypto: nodeCrypto,
        }).quoteId,
    )
    expect(new Set(ids).size).toBe(1)
  })
})

describe('lies', () => {
  it.each(negativeNames.map((name) => ({ name, ...negatives[name] })))(
    '$name is refused as $rule: $description',
    ({ name, rule }) => {
      const evidence = mintNegative(name, { now })
      const error = refusedBy(() =>
        verifyQuoteWithCollateral(evidence.quote, evidence.collateral, {
          rootCertificate: evidence.rootCertificateDer,
          now: evidence.now,
          policy,
          expectedReportData: evidence.reportData,
          crypto: nodeCrypto,
        }),
      )
      expect(error.code).toBe(rule)
      expect(error.remedy).not.toBe(undefined)
    },
  )

  it('there are at least sixty, and every rule about quotes and collateral catches one', () => {
    expect(negativeNames.length).toBeGreaterThanOrEqual(60)
    const caught = new Set<string>(negativeNames.map((name) => negatives[name].rule))
    const elsewhere = [
      // verifyQuote.test.ts
      'ClockInvalid',
      'CollateralNotVerified',
      'PolicyNotPrepared',
      // sgxQuotes.test.ts: the platform mints no SGX quotes
      'EnclaveDebug',
      'TeeNotAllowed',
      'EnclaveNotAllowed',
    ]
    const uncaught = refusalCodes.filter(
      (code) => refusalRules[code].stage !== 'dstack' && !caught.has(code),
    )
    expect(uncaught).toEqual(elsewhere)
  })
})

/** Order of the group of P-256 (FIPS 186-4, D.1.2.3). */
const groupOrder = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

/** The other signature that says the same: (r, n - s). */
function negateSignature(quote: Uint8Array): Uint8Array {
  const twin = Uint8Array.from(quote)
  // 48 header + 584 body + 4 size + 32 r
  const s = twin.subarray(668, 700)
  const negated = groupOrder - BigInt(`0x${Buffer.from(s).toString('hex')}`)
  s.set(Buffer.from(negated.toString(16).padStart(64, '0'), 'hex'))
  return twin
}
