import { describe, expect, it } from 'vitest'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { strictPolicy } from '#localnet/tdx/strictPolicy.ts'
import { CollateralNotCurrentError } from '#verifier/appraisal/errors.ts'
import { createQuotePolicy, type QuotePolicy } from '#verifier/appraisal/policy.ts'
import { verifyCollateral } from '#verifier/collateral/verifyCollateral.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { verifyQuote } from '#verifier/quote/verifyQuote.ts'
import { refusalOf, refusedBy } from '../vectors.ts'

const now = 1_790_000_000
const platform = createPlatform({ now })
const policy = createQuotePolicy(strictPolicy(platform))
const crypto = nodeCrypto
const rootCertificate = platform.rootCertificateDer
const collateral = verifyCollateral(platform.collateral(), { rootCertificate, now, crypto })
const quote = platform.mintQuote({ reportData: new Uint8Array(64) })

describe('verifyQuote', () => {
  it.each([
    Number.NaN,
    Number.POSITIVE_INFINITY,
    0,
    -1,
    now + 0.5,
    now * 1000,
    undefined,
    String(now),
    BigInt(now),
  ])('refuses %s as a clock, for quotes and for collateral', (clock) => {
    const at = clock as number
    expect(refusalOf(() => verifyQuote(quote, collateral, { now: at, policy, crypto }))).toBe(
      'ClockInvalid',
    )
    expect(
      refusalOf(() =>
        verifyCollateral(platform.collateral(), { rootCertificate, now: at, crypto }),
      ),
    ).toBe('ClockInvalid')
  })

  it('refuses collateral that nobody verified, however alike it looks', () => {
    const lookAlike = { ...collateral }
    expect(refusalOf(() => verifyQuote(quote, lookAlike, { now, policy, crypto }))).toBe(
      'CollateralNotVerified',
    )
  })

  it('refuses a policy document that was not prepared', () => {
    for (const unprepared of [strictPolicy(platform), { ...policy }, {}]) {
      const bare = unprepared as unknown as QuotePolicy
      expect(refusalOf(() => verifyQuote(quote, collateral, { now, policy: bare, crypto }))).toBe(
        'PolicyNotPrepared',
      )
    }
  })

  it('gives the same answer to the same question', () => {
    const ask = () => verifyQuote(quote, collateral, { now, policy, crypto })
    expect(ask()).toEqual(ask())
  })

  it('does not touch the quote that it is given', () => {
    const copy = Uint8Array.from(quote)
    verifyQuote(quote, collateral, { now, policy, crypto })
    expect(quote).toEqual(copy)
  })

  it('says of lapsed collateral that fetching it again helps', () => {
    const error = refusedBy(() =>
      verifyQuote(quote, collateral, { now: now + 31 * 86_400, policy, crypto }),
    )
    expect(error).toBeInstanceOf(CollateralNotCurrentError)
    expect(error.retryable).toBe(true)
    expect(error.message).toMatchInlineSnapshot(`
      "The root revocation list has expired.
      In force: 2026-09-21T13:00:00Z to 2026-10-21T13:00:00Z
      Appraised at: 2026-10-22T14:13:20Z
      Rule: RootCrlExpired (173)
      FMSPC: 4C4F43414C00
      TCB evaluation data number: 20
      Remedy: Fetch collateral that is in force at this instant, or verify at an instant it covers."
    `)
  })
})
