import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes } from '#schemas/bytes.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { QuoteMalformedError } from '#verifier/appraisal/errors.ts'
import { maximumQuoteBytes, parseQuote, quoteOffsets } from '#verifier/quote/parseQuote.ts'
import { refusalOf, refusedBy } from '../vectors.ts'

const platform = createPlatform({ now: 1_790_000_000 })
const reportData = Uint8Array.from({ length: 64 }, (_, index) => index)
const version4 = platform.mintQuote({ reportData })
const version5 = platform.mintQuote({ reportData, version: 5, body: 'td15' })

describe('parseQuote', () => {
  it.each([
    ['version 4', version4],
    ['version 5', version5],
  ])('refuses %s cut anywhere', (_, quote) => {
    fc.assert(
      fc.property(fc.nat(quote.length - 1), (length) => {
        expect(refusedBy(() => parseQuote(quote.subarray(0, length)))).toBeInstanceOf(
          QuoteMalformedError,
        )
      }),
    )
  })

  it('reads any bytes as a quote or refuses them with a code, never otherwise', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(version5.length - 1), fc.nat(255)), { maxLength: 12 }),
        fc.boolean(),
        (changes, isFive) => {
          const quote = Uint8Array.from(isFive ? version5 : version4)
          for (const [at, byte] of changes) if (at < quote.length) quote[at] = byte
          expect(isQuoteOrRefused(quote)).toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('tolerates zero padding of any length up to the limit and tells how much there was', () => {
    fc.assert(
      fc.property(fc.nat(maximumQuoteBytes - version4.length), (length) => {
        const padded = concatBytes(version4, new Uint8Array(length))
        expect(parseQuote(padded).paddingLength).toBe(length)
        expect(parseQuote(padded).signedBytes).toEqual(parseQuote(version4).signedBytes)
      }),
      { numRuns: 20 },
    )
    const tooLarge = concatBytes(version4, new Uint8Array(maximumQuoteBytes))
    expect(refusalOf(() => parseQuote(tooLarge))).toBe('QuoteTooLarge')
  })

  it('refuses a single byte of anything else behind the quote', () => {
    fc.assert(
      fc.property(fc.nat(60), fc.integer({ min: 1, max: 255 }), (zeros, byte) => {
        const tail = concatBytes(new Uint8Array(zeros), Uint8Array.of(byte))
        expect(refusalOf(() => parseQuote(concatBytes(version4, tail)))).toBe(
          'TrailingBytesNotZero',
        )
      }),
      { numRuns: 20 },
    )
  })

  it('finds report data where the table of offsets says it stands', () => {
    const at = quoteOffsets.header.length + quoteOffsets.tdReport.reportData
    expect(version4.subarray(at, at + 64)).toEqual(reportData)
    const at5 = at + quoteOffsets.bodyDescriptor.length
    expect(version5.subarray(at5, at5 + 64)).toEqual(reportData)
  })

  it('explains what it refuses', () => {
    const quote = Uint8Array.from(version4)
    quote[0] = 6
    expect(refusedBy(() => parseQuote(quote)).message).toMatchInlineSnapshot(`
      "Quotes of version 6 are not supported.
      Field: quote.header.version
      Rule: QuoteVersionUnsupported (202)
      Remedy: Versions 3 (SGX), 4 and 5 (TDX) are read."
    `)
  })
})

/** Anything but the verifier's own refusal goes through. */
function isQuoteOrRefused(bytes: Uint8Array): boolean {
  try {
    return parseQuote(bytes).signedBytes.length > 0
  } catch (error) {
    if (error instanceof QuoteMalformedError) return true
    throw error
  }
}
