import { type Hex, toHex } from '#schemas/bytes.ts'
import { parseQuote } from './parseQuote.ts'

/**
 * A quote as the contracts take it: its own bytes, without the zero padding that quoting enclaves
 * leave behind them (several kilobytes of calldata otherwise).
 *
 * @throws {@link QuoteMalformedError} when it is not a quote
 */
export function packQuoteEvidence(quote: Uint8Array): Hex {
  return toHex(quote.subarray(0, quote.length - parseQuote(quote).paddingLength))
}
