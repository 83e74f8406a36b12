import { equalBytes } from '#schemas/bytes.ts'
import { refusal, type RefusalDetails } from '../appraisal/errors.ts'
import type { RefusalCode } from '../appraisal/rules.ts'
import type { P256PublicKey } from '../crypto/port.ts'
import { keyUsageBit, parseCertificate, type Certificate } from '../x509/certificate.ts'
import type { Crl } from '../x509/crl.ts'

/** A certificate's place in Intel's hierarchy; the first word of its refusal codes. */
export type CertificateRole = 'PckCa' | 'TcbSigning' | 'Pck'

type RoleRules = {
  readonly what: string
  readonly commonNames: readonly string[]
  readonly isCa: boolean
  readonly requiredUsage: number
  readonly forbiddenUsage: number
}

/**
 * Names, kinds and purposes as Intel issues them. The names matter: every certificate under the root
 * could otherwise stand in for every other one.
 *
 * @see Intel SGX PCK Certificate and CRL Profile Specification 1.5, §1.3
 */
const rolesRules: Record<CertificateRole, RoleRules> = {
  PckCa: {
    what: 'The PCK CA certificate',
    commonNames: ['Intel SGX PCK Platform CA', 'Intel SGX PCK Processor CA'],
    isCa: true,
    requiredUsage: keyUsageBit.keyCertSign | keyUsageBit.crlSign,
    forbiddenUsage: 0,
  },
  TcbSigning: {
    what: 'The TCB signing certificate',
    commonNames: ['Intel SGX TCB Signing'],
    isCa: false,
    requiredUsage: keyUsageBit.digitalSignature,
    forbiddenUsage: keyUsageBit.keyCertSign | keyUsageBit.crlSign,
  },
  Pck: {
    what: 'The PCK certificate',
    commonNames: ['Intel SGX PCK Certificate'],
    isCa: false,
    requiredUsage: keyUsageBit.digitalSignature,
    forbiddenUsage: keyUsageBit.keyCertSign | keyUsageBit.crlSign,
  },
}

/** Whoever signs certificates: its certificate, its key made ready, and its revocation list. */
export type Issuer = {
  readonly certificate: Certificate
  readonly key: P256PublicKey
  readonly crl: Crl
}

/**
 * One step of a certification path, in the order of the rules: form, name, issuer, usage, signature,
 * revocation. Validity is looked at elsewhere, with the clock.
 *
 * @param details - Where the certificate came from and what is known beside it, for errors.
 * @throws {@link QuoteRefusedError} with a code that begins with `role`.
 */
export function verifyCertificate(
  der: Uint8Array,
  role: CertificateRole,
  issuer: Issuer,
  details: RefusalDetails,
): Certificate {
  const rules = rolesRules[role]
  const fail = (problem: ProblemOf, message: string, metaMessages: string[] = []) =>
    refusal(`${role}${problem}` satisfies RefusalCode, `${rules.what} ${message}.`, {
      ...details,
      metaMessages,
    })
  let certificate: Certificate
  try {
    certificate = parseCertificate(der, rules.what)
  } catch (cause) {
    throw refusal(`${role}Malformed`, `${rules.what} cannot be read.`, { ...details, cause })
  }
  if (!rules.commonNames.includes(certificate.subjectCommonName)) {
    throw fail('NameMismatch', 'bears another name', [
      `Expected: ${rules.commonNames.join(' or ')}`,
      `Actual: ${certificate.subjectCommonName}`,
    ])
  }
  if (!equalBytes(certificate.issuer, issuer.certificate.subject)) {
    throw fail('IssuerMismatch', 'names another issuer than the one above it', [
      `Expected: ${issuer.certificate.subjectCommonName}`,
    ])
  }
  const constraints = certificate.basicConstraints
  const usage = certificate.keyUsage ?? 0
  if (
    constraints === undefined ||
    !constraints.isCritical ||
    constraints.isCa !== rules.isCa ||
    (usage & rules.requiredUsage) !== rules.requiredUsage ||
    (usage & rules.forbiddenUsage) !== 0
  ) {
    throw fail('UsageInvalid', 'may not be used in this place', [
      `Expected: ${rules.isCa ? 'an authority that signs certificates and lists' : 'no authority, digital signatures only'}`,
      `Actual: CA ${constraints?.isCa ?? 'not stated'}, key usage 0x${usage.toString(16)}`,
    ])
  }
  if (!issuer.key.verify(certificate.signedBytes, certificate.signature)) {
    throw fail('SignatureInvalid', 'is not signed by the key above it')
  }
  if (issuer.crl.revokedSerials.has(certificate.serial)) {
    throw fail('Revoked', 'is revoked', [`Serial number: ${certificate.serial}`])
  }
  return certificate
}

type ProblemOf = 'NameMismatch' | 'IssuerMismatch' | 'UsageInvalid' | 'SignatureInvalid' | 'Revoked'
