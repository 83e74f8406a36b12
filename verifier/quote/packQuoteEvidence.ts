import { concatBytes, type Hex, toHex } from '#schemas/bytes.ts'
import { refusal } from '../appraisal/errors.ts'
import { readPemCertificates } from '../x509/pem.ts'
import { parseQuote, type Quote } from './parseQuote.ts'

const latin1 = new TextDecoder('latin1')

/**
 * A TDX quote as the contracts take it: signed part, size of all that follows, signature, attestation
 * key, QE report with its signature and authentication data, and the PCK certificate in DER. What is
 * left out (padding, PEM, the upper certificates, inner length fields) is half of a quote, and nothing
 * that a contract does not know better.
 *
 * The table of offsets stands in `contracts/attestation/dcap/TdxQuote.sol`.
 *
 * @throws {@link QuoteMalformedError} when it is not a quote, {@link QuoteNotGenuineError} when it
 * carries no PCK certificate.
 */
export function packQuoteEvidence(quote: Uint8Array): Hex {
  const parsed = parseQuote(quote)
  const { auth } = parsed
  const { length } = auth.qeAuthData
  return packEvidence(
    parsed,
    auth.qeReportBytes,
    auth.qeReportSignature,
    Uint8Array.of(length & 0xff, length >> 8),
    auth.qeAuthData,
    readPckCertificate(parsed),
  )
}

/**
 * The same for a platform that the verifier contract remembers: facts in place of their proofs.
 *
 * @param facts - From `packPlatformFacts`, 224 bytes.
 * @throws {@link QuoteMalformedError} when it is not a quote.
 */
export function packRenewalEvidence(quote: Uint8Array, facts: Uint8Array): Hex {
  return packEvidence(parseQuote(quote), facts)
}

/**
 * DER of the PCK certificate inside a quote.
 *
 * @throws {@link QuoteNotGenuineError} `PckChainMalformed`.
 */
export function readPckCertificate({ auth }: Pick<Quote, 'auth'>): Uint8Array {
  const field = 'quote.pckChain'
  try {
    const [leaf] = readPemCertificates(latin1.decode(auth.pckChain), field, 3)
    return leaf ?? new Uint8Array()
  } catch (cause) {
    throw refusal('PckChainMalformed', 'The PCK chain in the quote cannot be read.', {
      field,
      cause,
    })
  }
}

function packEvidence({ signedBytes, auth }: Quote, ...proofs: readonly Uint8Array[]): Hex {
  const rest = concatBytes(auth.signature, auth.attestationKey, ...proofs)
  const size = new Uint8Array(4)
  new DataView(size.buffer).setUint32(0, rest.length, true)
  return toHex(concatBytes(signedBytes, size, rest))
}
