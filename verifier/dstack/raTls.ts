import { sha512 } from '@noble/hashes/sha2'
import { concatBytes, equalBytes, toHex, utf8, type Hex } from '#schemas/bytes.ts'
import type { QuoteAppraisal } from '../appraisal/appraisal.ts'
import { refusal } from '../appraisal/errors.ts'
import { expectClock } from '../collateral/clock.ts'
import type { VerifiedCollateral } from '../collateral/verifyCollateral.ts'
import { portableCrypto } from '../crypto/portableCrypto.ts'
import { verifyQuote, type QuoteOptions } from '../quote/verifyQuote.ts'
import { findExtension, parseCertificate, type Certificate } from '../x509/certificate.ts'
import { DerReader, derTag } from '../x509/der.ts'

/** Extensions that dstack puts into its certificates, under 1.3.6.1.4.1.62397.1. */
export const raTlsOid = {
  quote: '1.3.6.1.4.1.62397.1.1',
  eventLog: '1.3.6.1.4.1.62397.1.2',
} as const

export type RaTlsAppraisal = {
  readonly quote: QuoteAppraisal
  /** x ‖ y of the certificate's P-256 key: the key that TLS must prove possession of. */
  readonly publicKey: Hex
  /** The event log inside the certificate, for `verifyDstackEvidence`; absent in newer ones. */
  readonly eventLog: string | undefined
}

export type RaTlsOptions = Omit<QuoteOptions, 'expectedReportData'> & {
  /**
   * Certificate of whoever signed this one, DER; the certificate itself where it is self-signed. The
   * quote is what is believed, this only keeps the rest of the certificate from being altered.
   */
  readonly issuerCertificate: Uint8Array
}

/**
 * Verifies a certificate that carries a quote over its own key: SHA-512 of `ratls-cert:` and the DER of
 * the public key is the quote's report data.
 *
 * Such certificates live for years and the quote in them is as old as they are: freshness is the
 * caller's job, by a challenge inside the session. Never settle on one alone.
 *
 * @param der - The certificate as the peer presented it.
 * @throws {@link DstackEvidenceError} with the codes 440 to 449, and everything that
 * {@link verifyQuote} throws.
 */
export function verifyRaTlsCertificate(
  der: Uint8Array,
  collateral: VerifiedCollateral,
  options: RaTlsOptions,
): RaTlsAppraisal {
  const { now, issuerCertificate, crypto = portableCrypto } = options
  expectClock(now)
  const certificate = readCertificate(der, 'certificate')
  const quote = readOctets(certificate, raTlsOid.quote)
  if (quote === undefined) {
    throw refusal('RaTlsQuoteMissing', 'The certificate carries no quote.', {
      field: 'certificate.extensions',
      remedy: 'Ask the guest agent for the certificate with usage_ra_tls set.',
    })
  }
  if (now < certificate.notBeforeUnixSeconds) {
    throw refusal('RaTlsNotYetValid', 'The certificate is not valid yet.', { field: 'certificate' })
  }
  if (now > certificate.notAfterUnixSeconds) {
    throw refusal('RaTlsExpired', 'The certificate has expired.', { field: 'certificate' })
  }
  const issuer = readCertificate(issuerCertificate, 'issuerCertificate')
  const isSigned =
    equalBytes(certificate.issuer, issuer.subject) &&
    crypto.verifyP256(issuer.publicKey, certificate.signedBytes, certificate.signature)
  if (!isSigned) {
    throw refusal('RaTlsSignatureInvalid', 'The certificate is not signed by its issuer.', {
      field: 'certificate',
    })
  }
  const appraisal = verifyQuote(quote, collateral, options)
  const expected = toHex(raTlsReportData(certificate.publicKey))
  if (appraisal.reportData !== expected) {
    throw refusal(
      'RaTlsKeyNotBound',
      'The quote was made for another key than the certificate’s.',
      {
        field: 'certificate',
        metaMessages: [`Expected: ${expected}`, `Actual: ${appraisal.reportData}`],
      },
    )
  }
  const eventLog = readOctets(certificate, raTlsOid.eventLog)
  return {
    quote: appraisal,
    publicKey: toHex(certificate.publicKey),
    eventLog: eventLog === undefined ? undefined : new TextDecoder().decode(eventLog),
  }
}

/** SubjectPublicKeyInfo of an uncompressed P-256 point, up to x ‖ y (RFC 5480). */
const spkiPrefix = Uint8Array.of(
  0x30,
  0x59,
  0x30,
  0x13,
  0x06,
  0x07,
  0x2a,
  0x86,
  0x48,
  0xce,
  0x3d,
  0x02,
  0x01,
  0x06,
  0x08,
  0x2a,
  0x86,
  0x48,
  0xce,
  0x3d,
  0x03,
  0x01,
  0x07,
  0x03,
  0x42,
  0x00,
  0x04,
)

/** Report data that binds a quote to a TLS key. */
export function raTlsReportData(publicKey: Uint8Array): Uint8Array {
  return sha512(concatBytes(utf8('ratls-cert:'), spkiPrefix, publicKey))
}

function readCertificate(der: Uint8Array, field: string): Certificate {
  try {
    return parseCertificate(der, 'The RA-TLS certificate')
  } catch (cause) {
    throw refusal('RaTlsMalformed', 'The RA-TLS certificate cannot be read.', { field, cause })
  }
}

/** dstack wraps each of its values in one more OCTET STRING. */
function readOctets(certificate: Certificate, oid: string): Uint8Array | undefined {
  const value = findExtension(certificate, oid)
  if (value === undefined) return undefined
  try {
    const reader = new DerReader(value, `Extension ${oid}`)
    const contents = reader.read(derTag.octetString)
    reader.finish()
    return contents
  } catch (cause) {
    throw refusal('RaTlsMalformed', 'An extension of the certificate cannot be read.', {
      field: `certificate.extensions[${oid}]`,
      cause,
    })
  }
}
