import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { describeShared } from '#test/shared.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { verifyCollateral } from '#verifier/collateral/verifyCollateral.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { portableCrypto } from '#verifier/crypto/portableCrypto.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'
import { verifyQuote, verifyQuoteWithCollateral } from '#verifier/quote/verifyQuote.ts'
import { bareHex } from '#verifier/appraisal/policy.ts'
import { formatIsoTime } from '#verifier/x509/time.ts'
import {
  permissivePolicy,
  permissivePolicyDocument,
  readCollateralFile,
  readQuote,
  refusalOf,
  refusedBy,
} from '../vectors.ts'

type QuoteFields = {
  version: number
  body: string
  signedBytes: number
  bytesAfterAuthData: number
  fmspc: string
  ppid: string
  pckSerial: string
  pckPceSvn: number
  mrTd?: string
  mrConfigId?: string
  rtmr?: string[]
  reportData?: string
  mrServiceTd?: string
}

type Case = { quote: string; collateral: string; now: number; note: string }

/**
 * The answer of a strict verifier to each published case, in the order of the file. The published
 * libraries' own answers stand in the file; where they differ, docs/quote-verifier.md says why.
 */
const strictAnswers = [
  'UpToDate',
  'QeIdentityNotYetValid',
  'UpToDate',
  'UpToDate',
  'PckCrlExpired',
  'PckCrlExpired',
  'UpToDate',
  'OutOfDate INTEL-SA-01192 INTEL-SA-01245 INTEL-SA-01312 INTEL-SA-01313',
  'UpToDate',
  'UpToDate',
  'TcbLevelNotFound',
  'UpToDate',
  'ConfigurationAndSWHardeningNeeded INTEL-SA-00289 INTEL-SA-00615',
  'OutOfDate INTEL-SA-00960 INTEL-SA-00982 INTEL-SA-00986',
  'EnclaveDebug',
  'TcbLevelNotFound',
  'TcbLevelNotFound',
]

describeShared('real quotes', 'vectors/tdx', (folder) => {
  const { quotes, cases } = JSON.parse(readFileSync(join(folder, 'expectations.json'), 'utf8')) as {
    quotes: Record<string, QuoteFields>
    cases: Case[]
  }

  it.each(Object.entries(quotes))('%s is read field by field', (name, expected) => {
    const quote = parseQuote(readQuote(folder, name))
    const { body } = quote
    expect({
      version: quote.version,
      body: body.kind.toLowerCase(),
      signedBytes: quote.signedBytes.length,
      bytesAfterAuthData: quote.paddingLength,
    }).toEqual({
      version: expected.version,
      body: expected.body,
      signedBytes: expected.signedBytes,
      bytesAfterAuthData: expected.bytesAfterAuthData,
    })
    const td = body.kind === 'SGX' ? undefined : body
    const hex = (bytes: Uint8Array | undefined) => bytes && bareHex(bytes)
    expect({
      mrTd: hex(td?.mrTd),
      mrConfigId: hex(td?.mrConfigId),
      rtmr: td && [td.rtmr0, td.rtmr1, td.rtmr2, td.rtmr3].map(bareHex),
      reportData: hex(td?.reportData),
      mrServiceTd: hex(td?.mrServiceTd),
    }).toEqual({
      mrTd: expected.mrTd,
      mrConfigId: expected.mrConfigId,
      rtmr: expected.rtmr,
      reportData: expected.reportData,
      mrServiceTd: expected.mrServiceTd,
    })
  })

  it('there is a strict answer for every published case', () => {
    expect(cases).toHaveLength(strictAnswers.length)
  })

  it.each(
    cases.map((published, index) => ({
      ...published,
      at: formatIsoTime(published.now),
      answer: strictAnswers[index] ?? '',
    })),
  )('$quote with $collateral at $at: $answer ($note)', ({ quote, collateral, now, answer }) => {
    expect(answerTo(quote, collateral, now)).toBe(answer)
  })

  it.each(cases.map(({ quote, collateral, now }) => ({ quote, collateral, now })))(
    'the portable adapter answers as node:crypto does: $quote at $now',
    ({ quote, collateral, now }) => {
      expect(answerTo(quote, collateral, now, portableCrypto)).toBe(
        answerTo(quote, collateral, now),
      )
    },
  )

  it('a quote is refused at an instant before its PCK certificate was issued', () => {
    const error = refusedBy(() =>
      appraiseOrThrow(tooNew, 'dcap-qvl/tdx_quote_outdated_collateral.json', 1_772_707_833),
    )
    expect(error.message).toMatchInlineSnapshot(`
      "The PCK certificate is not in force yet.
      Field: quote.pckChain[0]
      In force: 2026-04-15T00:50:58Z to 2033-04-15T00:50:58Z
      Appraised at: 2026-03-05T10:50:33Z
      Rule: PckNotYetValid (235)
      FMSPC: 90C06F000000
      TCB evaluation data number: 18
      Remedy: Appraise at an instant within the life of the certificate, or take a new quote."
    `)
  })

  it.each(Object.entries(quotes).filter(([name, { body }]) => body !== 'td15' && name !== tooNew))(
    'the platform of %s is named by its certificate',
    (name, expected) => {
      const published = cases.find(({ quote }) => quote === name)
      const collateral = published?.collateral ?? collateralOfFmspc[expected.fmspc] ?? ''
      const now = published?.now ?? instantOfCollateral[collateral] ?? 0
      const answer = tryAppraise(name, collateral, now)
      const { ppid, pckSerial, pckPceSvn: pceSvn, fmspc } = expected
      const platform = { ppid: `0x${ppid}`, pckSerial: `0x${pckSerial}`, pceSvn }
      expect(answer).toEqual({
        fmspc: fmspc.toUpperCase(),
        platform: beyondTrust.has(name) ? undefined : platform,
      })
    },
  )

  describe('collateral is in force from its narrowest beginning to its narrowest end', () => {
    it.each([
      ['dcap-qvl/tdx_quote_collateral.json', '2025-06-19T10:32:27Z', '2025-07-19T10:00:35Z'],
      [
        'dcap-qvl/tdx_quote_outdated_collateral.json',
        '2026-02-18T10:58:51Z',
        '2026-03-20T10:41:15Z',
      ],
      ['dcap-qvl/sgx_quote_collateral.json', '2025-06-19T10:56:11Z', '2025-07-19T10:01:18Z'],
    ])('%s: %s to %s', (name, from, until) => {
      const collateral = readCollateralFile(folder, name)
      const at = (now: number) =>
        verifyCollateral(collateral, {
          rootCertificate: intelRootCertificate,
          now,
          crypto: nodeCrypto,
        })
      const [first, last] = [Date.parse(from) / 1000, Date.parse(until) / 1000]
      const verified = at(first)
      expect(formatIsoTime(verified.validFromUnixSeconds)).toBe(from)
      expect(formatIsoTime(verified.validUntilUnixSeconds)).toBe(until)
      expect(at(last).validUntilUnixSeconds).toBe(last)
      expect(refusalOf(() => at(first - 1))).toMatch(/NotYetValid$/)
      expect(refusalOf(() => at(last + 1))).toMatch(/Expired$/)
    })

    it('collateral that was verified once is judged again at the instant of every quote', () => {
      const collateral = verifyCollateral(
        readCollateralFile(folder, 'dcap-qvl/tdx_quote_collateral.json'),
        { rootCertificate: intelRootCertificate, now: 1_751_624_655, crypto: nodeCrypto },
      )
      const quote = readQuote(folder, 'dcap-qvl/tdx_quote')
      const at = (now: number) =>
        verifyQuote(quote, collateral, { now, policy: permissivePolicy, crypto: nodeCrypto })
      expect(at(1_752_919_235).tcb.status).toBe('UpToDate')
      expect(refusalOf(() => at(1_752_919_236))).toBe('PckCrlExpired')
      expect(refusalOf(() => at(1_750_329_146))).toBe('QeIdentityNotYetValid')
    })
  })

  describe('a TCB recovery', () => {
    const quote = readQuote(folder, 'dcap-qvl/tdx_quote')
    const now = 1_787_184_000
    const appraise = (collateral: string, changes: Partial<typeof permissivePolicyDocument.tcb>) =>
      verifyQuoteWithCollateral(quote, readCollateralFile(folder, collateral), {
        rootCertificate: intelRootCertificate,
        now,
        crypto: nodeCrypto,
        policy: createQuotePolicy({
          ...permissivePolicyDocument,
          tcb: { ...permissivePolicyDocument.tcb, ...changes },
        }),
      })

    it('is invisible to collateral of the number before it, and a floor refuses that', () => {
      const before = 'near-mpc/collateral_eval19.json'
      expect(appraise(before, {}).tcb.status).toBe('UpToDate')
      const error = refusedBy(() => appraise(before, { minimumEvaluationDataNumber: 20 }))
      expect(error.message).toMatchInlineSnapshot(`
        "The TCB info is older than the policy's floor.
        Expected: evaluation data number 20 or later
        Actual: 19
        Rule: EvaluationNumberBelowFloor (301)
        FMSPC: B0C06F000000
        TCB evaluation data number: 19
        Remedy: Fetch the TCB info with update=early or tcbEvaluationDataNumber=20."
      `)
    })

    it('makes the platform OutOfDate since the day of the level above it', () => {
      const { tcb } = appraise('near-mpc/collateral_eval20.json', {})
      expect(tcb.status).toBe('OutOfDate')
      expect(formatIsoTime(tcb.dateUnixSeconds)).toBe('2025-05-14T00:00:00Z')
      expect(formatIsoTime(tcb.degradedSinceUnixSeconds ?? 0)).toBe('2025-08-13T00:00:00Z')
    })

    it('is forgiven for the days of grace to the second, and not longer', () => {
      const after = 'near-mpc/collateral_eval20.json'
      const grace = (graceDays: number) => ({
        acceptedStatuses: { UpToDate: { graceDays: null }, OutOfDate: { graceDays } },
      })
      // 2025-08-13 to 2026-08-20 are 372 days.
      expect(appraise(after, grace(372)).tcb.status).toBe('OutOfDate')
      expect(refusalOf(() => appraise(after, grace(371)))).toBe('TcbGraceExpired')
    })

    it('is refused by status and by advisory', () => {
      const after = 'near-mpc/collateral_eval20.json'
      const upToDate = { acceptedStatuses: { UpToDate: { graceDays: null } } }
      expect(refusalOf(() => appraise(after, upToDate))).toBe('TcbStatusNotAllowed')
      const denied = { deniedAdvisories: ['INTEL-SA-01312'] }
      expect(refusalOf(() => appraise(after, denied))).toBe('AdvisoryDenied')
    })

    it('leaves the platform that was updated UpToDate', () => {
      expect(answerTo('near-mpc/quote.json', 'near-mpc/collateral_eval20.json', now)).toBe(
        'UpToDate',
      )
    })
  })

  it('collateral of one family says nothing of another, and the error says which to fetch', () => {
    const error = refusedBy(() =>
      appraiseOrThrow(
        'dcap-qvl/tdx_quote',
        'dcap-qvl/near_gas_test_collateral.json',
        1_757_894_400,
      ),
    )
    expect(error.message).toMatchInlineSnapshot(`
      "The collateral belongs to another family of platforms.
      Field: quote.pckChain[0].extensions
      Platform: B0C06F000000
      Collateral: 20A06F000000
      Rule: FmspcMismatch (240)
      FMSPC: 20A06F000000
      TCB evaluation data number: 17
      Remedy: Fetch the TCB info for FMSPC B0C06F000000."
    `)
  })

  it('collateral for SGX says nothing of a TD, nor the other way round', () => {
    const sgxAt = 1_751_624_924
    expect(
      refusalOf(() =>
        appraiseOrThrow('dcap-qvl/tdx_quote', 'dcap-qvl/sgx_quote_collateral.json', sgxAt),
      ),
    ).toBe('TeeMismatch')
    expect(
      refusalOf(() =>
        appraiseOrThrow('dcap-qvl/sgx_quote', 'dcap-qvl/tdx_quote_collateral.json', sgxAt),
      ),
    ).toBe('TeeMismatch')
  })

  describe('enclaves', () => {
    const appraise = (changes: Partial<typeof permissivePolicyDocument>) =>
      verifyQuoteWithCollateral(
        readQuote(folder, 'dcap-qvl/sgx_quote'),
        readCollateralFile(folder, 'dcap-qvl/sgx_quote_collateral.json'),
        {
          rootCertificate: intelRootCertificate,
          now: 1_751_624_924,
          crypto: nodeCrypto,
          policy: createQuotePolicy({ ...permissivePolicyDocument, ...changes }),
        },
      )
    const { enclave } = appraise({})
    const { mrSigner = '0x', mrEnclave = '0x', isvProdId = 0, isvSvn = 0 } = enclave ?? {}
    const approved = { name: 'sample', mrSigner, isvProdId, minimumIsvSvn: isvSvn }

    it('are refused where the policy asks for TDX', () => {
      expect(refusalOf(() => appraise({ tees: ['TDX'] }))).toBe('TeeNotAllowed')
    })

    it('are accepted by signer, product and version, or by build', () => {
      expect(appraise({ enclaves: [approved] }).image).toBe('sample')
      expect(appraise({ enclaves: [{ ...approved, mrEnclave }] }).image).toBe('sample')
    })

    it.each([
      ['no entry', []],
      ['another signer', [{ ...approved, mrSigner: `0x${'11'.repeat(32)}` }]],
      ['another product', [{ ...approved, isvProdId: isvProdId + 1 }]],
      ['a later version', [{ ...approved, minimumIsvSvn: isvSvn + 1 }]],
      ['another build', [{ ...approved, mrEnclave: `0x${'11'.repeat(32)}` }]],
    ])('are refused by a list that holds %s', (_, enclaves) => {
      expect(refusalOf(() => appraise({ enclaves }))).toBe('EnclaveNotAllowed')
    })
  })

  function appraiseOrThrow(quote: string, collateral: string, now: number, crypto = nodeCrypto) {
    return verifyQuoteWithCollateral(
      readQuote(folder, quote),
      readCollateralFile(folder, collateral),
      { rootCertificate: intelRootCertificate, now, policy: permissivePolicy, crypto },
    )
  }

  function answerTo(quote: string, collateral: string, now: number, crypto = nodeCrypto): string {
    try {
      const { tcb } = appraiseOrThrow(quote, collateral, now, crypto)
      return [tcb.status, ...tcb.advisoryIds].join(' ')
    } catch (error) {
      return refusalOf(() => {
        throw error
      })
    }
  }

  function tryAppraise(quote: string, collateral: string, now: number) {
    try {
      const { platform } = appraiseOrThrow(quote, collateral, now)
      const { ppid, pckSerial, pceSvn, fmspc } = platform
      return { fmspc, platform: { ppid, pckSerial, pceSvn } }
    } catch (error) {
      const { fmspc } = refusedBy(() => {
        throw error
      })
      return { fmspc, platform: undefined }
    }
  }
})

/** Debug enclaves and platforms below every level: refused, with their family in the error. */
const beyondTrust: ReadonlySet<string> = new Set([
  'automata/quote_sgx_debug.bin',
  'dcap-qvl/quote-from-tappd.hex',
  'dcap-qvl/tdx-quote.hex',
])

/** Its platform was certified in April 2026, after the last published collateral for its family. */
const tooNew = 'dstack/getquote_stripped_digests.json'

/** Quotes without a case of their own are judged with collateral of their family. */
const collateralOfFmspc: Record<string, string> = {
  b0c06f000000: 'near-mpc/collateral_eval20.json',
  '90c06f000000': 'dcap-qvl/tdx_quote_outdated_collateral.json',
}
const instantOfCollateral: Record<string, number> = {
  'near-mpc/collateral_eval20.json': 1_787_184_000,
  'dcap-qvl/tdx_quote_outdated_collateral.json': 1_772_707_833,
}
