import { concatBytes, type Hex, toHex } from '#schemas/bytes.ts'
import { refusal } from '../appraisal/errors.ts'
import { readPemCertificates } from '../x509/pem.ts'
import { parseQuote, type Quote } from './parseQuote.ts'

/** How the PCK certificate follows in evidence: as DER, or as the facts of a remembered one. */
const evidenceForm = { certificate: 0, facts: 1 } as const

const latin1 = new TextDecoder('latin1')

/**
 * A TDX quote as the contracts take it: signed part, size of all that follows, signature,
 * attestation key, QE report with its signature and authentication data, and the PCK certificate in
 * DER. What is left out (padding, PEM, the upper certificates, inner length fields) is two thirds of a
 * quote, and nothing that a contract could not know better.
 *
 * The table of offsets stands in `contracts/attestation/dcap/TdxQuote.sol`.
 *
 * @throws {@link QuoteMalformedError} when it is not a quote, {@link QuoteNotGenuineError} when it
 * carries no PCK certificate.
 */
export function packQuoteEvidence(quote: Uint8Array): Hex {
  const parsed = parseQuote(quote)
  return packEvidence(parsed, evidenceForm.certificate, readPckCertificate(parsed))
}

/**
 * The same with the facts of a PCK certificate that the verifier contract remembers, for renewals.
 *
 * @param facts - From `packPckFacts`, 168 bytes.
 */
export function packRenewalEvidence(quote: Uint8Array, facts: Uint8Array): Hex {
  return packEvidence(parseQuote(quote), evidenceForm.facts, facts)
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

function packEvidence({ signedBytes, auth }: Quote, form: number, pck: Uint8Array): Hex {
  const qeAuthSize = Uint8Array.of(auth.qeAuthData.length & 0xff, auth.qeAuthData.length >> 8)
  const signature = concatBytes(
    auth.signature,
    auth.attestationKey,
    auth.qeReportBytes,
    auth.qeReportSignature,
    qeAuthSize,
    auth.qeAuthData,
    Uint8Array.of(form),
    pck,
  )
  const size = new Uint8Array(4)
  new DataView(size.buffer).setUint32(0, signature.length, true)
  return toHex(concatBytes(signedBytes, size, signature))
}
