import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { toPem } from '#localnet/tdx/pem.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { utf8 } from '#schemas/bytes.ts'
import { describeShared } from '#test/shared.ts'
import { NotForProductionError } from '#verifier/appraisal/notForProductionError.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { decodeQuoteFile } from '#verifier/quote/decodeQuoteFile.ts'
import { parseQuote, type Quote, type TdReport } from '#verifier/quote/parseQuote.ts'
import { assertProductionQuote } from '#verifier/quote/productionQuote.ts'

const platform = createPlatform({ now: 1_790_000_000 })
const minted = parseQuote(
  platform.mintQuote({
    reportData: new Uint8Array(64),
    measurements: { mrConfigId: new Uint8Array(48).fill(1) },
  }),
)

/** The minted body under a chain that ends at Intel's root: as a genuine quote looks from outside. */
function quoteWith(changes: Partial<TdReport>, chain = toPem('CERTIFICATE', intelRootCertificate)) {
  return {
    ...minted,
    body: { ...minted.body, ...changes },
    auth: { ...minted.auth, pckChain: utf8(chain) },
  } as Quote
}

function settingOf(quote: Quote): string {
  try {
    assertProductionQuote(quote)
    return 'accepted'
  } catch (error) {
    if (!(error instanceof NotForProductionError)) throw error
    return error.setting
  }
}

describe('assertProductionQuote', () => {
  it('accepts a measured trust domain under Intel’s root', () => {
    expect(settingOf(quoteWith({}))).toBe('accepted')
  })

  it('refuses a quote of the local platform', () => {
    expect(settingOf(minted)).toBe('LocalRoot')
  })

  it('refuses a chain that ends elsewhere, or nowhere', () => {
    const other = toPem('CERTIFICATE', intelRootCertificate.slice(1))
    expect(settingOf(quoteWith({}, other))).toBe('ForeignRoot')
    expect(settingOf(quoteWith({}, ''))).toBe('ForeignRoot')
  })

  it('refuses a trust domain that its host can debug', () => {
    const tdAttributes = Uint8Array.of(1, 0, 0, 0x10, 0, 0, 0, 0)
    expect(settingOf(quoteWith({ tdAttributes }))).toBe('TdDebug')
  })

  it.each(['mrTd', 'rtmr0', 'rtmr1', 'rtmr2', 'mrConfigId'] as const)(
    'refuses a zero %s',
    (name) => {
      expect(settingOf(quoteWith({ [name]: new Uint8Array(48) }))).toBe('MeasurementZero')
    },
  )

  it('refuses an MRCONFIGID of no known version', () => {
    expect(settingOf(quoteWith({ mrConfigId: new Uint8Array(48).fill(9) }))).toBe(
      'MrConfigIdUnknown',
    )
  })
})

describeShared('assertProductionQuote and real quotes', 'vectors/tdx', (folder) => {
  const read = (name: string) => parseQuote(decodeQuoteFile(readFileSync(join(folder, name))).quote)

  it('an SGX quote is no trust domain', () => {
    expect(settingOf(read('dcap-qvl/sgx_quote'))).toBe('TdxAbsent')
  })

  it('guests of old hosts did not bind their application', () => {
    expect(settingOf(read('dcap-qvl/tdx_quote'))).toBe('MeasurementZero')
  })

  it('a guest of a current host is accepted', () => {
    expect(settingOf(read('near-mpc/quote.json'))).toBe('accepted')
  })
})
