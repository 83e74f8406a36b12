import { concatBytes } from '#schemas/bytes.ts'
import { maximumQuoteBytes } from '#verifier/quote/parseQuote.ts'
import { readPemCertificates } from '#verifier/x509/pem.ts'

const latin1 = new TextDecoder('latin1')

/**
 * Evidence from bytes that need not be a quote: parts are cut out where a quote has them, whatever they
 * hold and however short the quote is. So a contract sees what a packer that checks everything would
 * never let through.
 */
export function packLoosely(quote: Uint8Array): Uint8Array {
  const signedLength = signedLengthOf(quote)
  const signed = quote.slice(0, signedLength)
  if (quote.length < signedLength + 4 || quote.length > maximumQuoteBytes) return quote.slice()
  // Behind the size: signature 64, key 64, type 2, size 4, QE report 384, its signature 64, size 2.
  const auth = quote.subarray(signedLength + 4)
  const qeAuthLength = (auth[582] ?? 0) | ((auth[583] ?? 0) << 8)
  const qeAuthEnd = 584 + qeAuthLength
  // Type 2 and size 4 of the chain.
  const chain = auth.subarray(qeAuthEnd + 6)
  const packed = concatBytes(
    auth.slice(0, 128),
    auth.slice(134, 584),
    auth.slice(584, qeAuthEnd),
    ...(auth.length > qeAuthEnd ? [firstCertificate(chain)] : []),
  )
  const size = new Uint8Array(4)
  // What is declared is kept in its difference to what is there.
  const view = new DataView(quote.buffer, quote.byteOffset, quote.length)
  const missing = view.getUint32(signedLength, true) - auth.length
  const claimed = Math.min(Math.max(packed.length + missing, 0), 0xffff_ffff)
  new DataView(size.buffer).setUint32(0, claimed, true)
  return concatBytes(signed, size, packed)
}

/** Length of header, descriptor and body, as the first bytes have it. */
export function signedLengthOf(quote: Uint8Array): number {
  if ((quote[0] ?? 0) !== 5) return 632
  // Version 5: body type 2 is TD 1.0.
  return quote[48] === 2 ? 638 : 702
}

function firstCertificate(chain: Uint8Array): Uint8Array {
  const text = latin1.decode(chain)
  const end = text.indexOf('-----END CERTIFICATE-----')
  const first = end < 0 ? text : text.slice(0, end + 25)
  try {
    return readPemCertificates(first, 'chain', 1)[0] ?? new Uint8Array()
  } catch {
    return chain.slice()
  }
}
