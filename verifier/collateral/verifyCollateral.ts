import { equalBytes, toHex, utf8 } from '#schemas/bytes.ts'
import { refusal, type RefusalDetails } from '../appraisal/errors.ts'
import type { RefusalCode } from '../appraisal/rules.ts'
import { portableCrypto } from '../crypto/portableCrypto.ts'
import type { P256PublicKey, VerifierCrypto } from '../crypto/port.ts'
import { keyUsageBit, parseCertificate, type Certificate } from '../x509/certificate.ts'
import { parseCrl, type Crl } from '../x509/crl.ts'
import { readPemCertificates } from '../x509/pem.ts'
import { formatIsoTime } from '../x509/time.ts'
import { verifyCertificate, type Issuer } from './authority.ts'
import { expectClock } from './clock.ts'
import { fieldOf, readCollateral, type Collateral } from './collateral.ts'
import { parseQeIdentity, type QeIdentity } from './qeIdentity.ts'
import { parseTcbInfo, type TcbInfo } from './tcbInfo.ts'

export type CollateralOptions = {
  /** The pinned root, DER: {@link intelRootCertificate}, or the root of a rehearsal platform. */
  readonly rootCertificate: Uint8Array
  /** Instant of appraisal, whole Unix seconds. */
  readonly now: number
  /** Default: portable code; servers pass `nodeCrypto`. */
  readonly crypto?: VerifierCrypto
}

/**
 * Collateral whose every signature, name and revocation was checked; quotes are verified against it
 * as often as one likes. Only {@link verifyCollateral} makes one.
 */
export type VerifiedCollateral = {
  readonly tee: 'TDX' | 'SGX'
  /** As Intel writes it, upper-case hex. */
  readonly fmspc: string
  readonly tcbInfo: TcbInfo
  readonly qeIdentity: QeIdentity
  readonly root: Issuer
  readonly pckCa: Issuer
  /** In force from this second … */
  readonly validFromUnixSeconds: number
  /** … to this one, both included: the narrowest of all windows. */
  readonly validUntilUnixSeconds: number
  readonly windows: readonly ValidityWindow[]
}

export type ValidityWindow = {
  readonly what: string
  readonly notYet: RefusalCode
  readonly expired: RefusalCode
  readonly fromUnixSeconds: number
  readonly untilUnixSeconds: number
}

const made = new WeakSet<VerifiedCollateral>()

/**
 * Verifies collateral up to the pinned root: revocation lists of both levels, the PCK CA, the TCB
 * signing certificate, TCB info and QE identity, and that all of it is in force at `now`.
 *
 * Nothing is optional. A list that is empty, unreadable, forged or out of its window refuses the
 * whole collateral, since a revocation nobody can see is no revocation.
 *
 * @throws {@link CollateralRefusedError}, {@link CollateralNotCurrentError},
 * {@link VerifierInputError}; the codes of `refusalRules` 100 to 199 in their order.
 */
export function verifyCollateral(
  collateral: Collateral,
  { rootCertificate, now, crypto = portableCrypto }: CollateralOptions,
): VerifiedCollateral {
  expectClock(now)
  const { certificate: rootParsed, key: rootKey } = readRoot(rootCertificate, crypto)
  const parts = readCollateral(collateral)
  const chainOf = (text: string, field: string) => readIssuerChain(text, field, rootCertificate)
  const pckCaDer = chainOf(parts.pckCrlIssuerChain, 'collateral.pck_crl_issuer_chain')
  const tcbSigningDer = chainOf(parts.tcbInfoIssuerChain, 'collateral.tcb_info_issuer_chain')
  const qeSigningDer = chainOf(parts.qeIdentityIssuerChain, 'collateral.qe_identity_issuer_chain')

  const rootCrl = verifyCrl(parts.rootCrl, 'RootCrl', rootParsed, rootKey)
  const root: Issuer = { certificate: rootParsed, key: rootKey, crl: rootCrl }
  if (rootCrl.revokedSerials.has(rootParsed.serial)) {
    throw refusal('RootCertificateRevoked', 'The root certificate is on its own revocation list.', {
      field: 'collateral.root_ca_crl',
    })
  }
  const pckCaCertificate = verifyCertificate(pckCaDer, 'PckCa', root, {
    field: 'collateral.pck_crl_issuer_chain',
  })
  const pckCaKey = importKey(pckCaCertificate, crypto, 'PckCaMalformed')
  const pckCrl = verifyCrl(parts.pckCrl, 'PckCrl', pckCaCertificate, pckCaKey)

  const signing = (der: Uint8Array, field: string): SigningKey => {
    const certificate = verifyCertificate(der, 'TcbSigning', root, { field })
    return { certificate, key: importKey(certificate, crypto, 'TcbSigningMalformed') }
  }
  const tcbSigning = signing(tcbSigningDer, 'collateral.tcb_info_issuer_chain')
  // Intel signs both documents with one key; two are allowed, each checked in full.
  const qeSigning = equalBytes(qeSigningDer, tcbSigningDer)
    ? tcbSigning
    : signing(qeSigningDer, 'collateral.qe_identity_issuer_chain')

  const tcbInfo = readTcbInfo(parts.tcbInfo, parts.tcbInfoSignature, tcbSigning.key)
  const about = {
    fmspc: fmspcText(tcbInfo.fmspc),
    evaluationDataNumber: tcbInfo.evaluationDataNumber,
  }
  const tee = tcbInfo.id === 'TDX' ? 'TDX' : 'SGX'
  const qeIdentity = readQeIdentity(
    parts.qeIdentity,
    parts.qeIdentitySignature,
    qeSigning.key,
    tee,
    about,
  )

  const windows = [
    certificateWindow('The root certificate', 'RootCertificate', rootParsed),
    crlWindow('The root revocation list', 'RootCrl', rootCrl),
    certificateWindow('The PCK CA certificate', 'PckCa', pckCaCertificate),
    crlWindow('The PCK revocation list', 'PckCrl', pckCrl),
    certificateWindow('The TCB signing certificate', 'TcbSigning', tcbSigning.certificate),
    certificateWindow("The QE identity's signing certificate", 'TcbSigning', qeSigning.certificate),
    documentWindow('The TCB info', 'TcbInfo', tcbInfo),
    documentWindow('The QE identity', 'QeIdentity', qeIdentity),
  ]
  expectInForce(windows, now, about)
  const verified: VerifiedCollateral = Object.freeze({
    tee,
    fmspc: about.fmspc,
    tcbInfo,
    qeIdentity,
    root,
    pckCa: { certificate: pckCaCertificate, key: pckCaKey, crl: pckCrl },
    validFromUnixSeconds: Math.max(...windows.map((window) => window.fromUnixSeconds)),
    validUntilUnixSeconds: Math.min(...windows.map((window) => window.untilUnixSeconds)),
    windows,
  })
  made.add(verified)
  return verified
}

/** @throws {@link VerifierInputError} `CollateralNotVerified` for look-alikes. */
export function expectVerified(collateral: VerifiedCollateral): void {
  if (made.has(collateral)) return
  throw refusal('CollateralNotVerified', 'This collateral was not verified here.', {
    field: 'collateral',
    remedy: 'Pass the very object that verifyCollateral returned.',
  })
}

/**
 * Every window must contain `now`, ends included. The order is that of the rules, so that several
 * lapsed items always give the same answer.
 *
 * @throws {@link CollateralNotCurrentError}
 */
export function expectInForce(
  windows: readonly ValidityWindow[],
  now: number,
  about: RefusalDetails,
): void {
  for (const window of windows) {
    const isEarly = now < window.fromUnixSeconds
    if (!isEarly && now <= window.untilUnixSeconds) continue
    throw refusal(
      isEarly ? window.notYet : window.expired,
      isEarly ? `${window.what} is not in force yet.` : `${window.what} has expired.`,
      {
        ...about,
        metaMessages: [
          `In force: ${formatIsoTime(window.fromUnixSeconds)} to ${formatIsoTime(window.untilUnixSeconds)}`,
          `Appraised at: ${formatIsoTime(now)}`,
        ],
      },
    )
  }
}

/** FMSPC the way Intel's service is asked for it. */
export function fmspcText(fmspc: Uint8Array): string {
  return toHex(fmspc).slice(2).toUpperCase()
}

type SigningKey = { readonly certificate: Certificate; readonly key: P256PublicKey }

function readRoot(der: Uint8Array, crypto: VerifierCrypto): SigningKey {
  let certificate: Certificate
  try {
    certificate = parseCertificate(der, 'The root certificate')
  } catch (cause) {
    throw refusal('RootCertificateUnusable', 'The pinned root certificate cannot be read.', {
      field: 'rootCertificate',
      cause,
      remedy: 'Pass the DER of one X.509 certificate.',
    })
  }
  const usage = keyUsageBit.keyCertSign | keyUsageBit.crlSign
  const key = crypto.importP256(certificate.publicKey)
  const isRoot =
    certificate.basicConstraints?.isCa === true &&
    ((certificate.keyUsage ?? 0) & usage) === usage &&
    equalBytes(certificate.issuer, certificate.subject) &&
    certificate.subjectCommonName === 'Intel SGX Root CA'
  if (!isRoot || key === undefined || !key.verify(certificate.signedBytes, certificate.signature)) {
    throw refusal('RootCertificateUnusable', 'The pinned certificate is not an SGX root.', {
      field: 'rootCertificate',
      metaMessages: [
        'Expected: a self-signed authority named Intel SGX Root CA',
        `Actual: ${certificate.subjectCommonName}`,
      ],
    })
  }
  return { certificate, key }
}

/** Two certificates, the second of them the pinned root itself; returns the first. */
function readIssuerChain(text: string, field: string, root: Uint8Array): Uint8Array {
  let chain: Uint8Array[]
  try {
    chain = readPemCertificates(text, field, 2)
  } catch (cause) {
    throw refusal('IssuerChainMalformed', 'An issuer chain cannot be read.', { field, cause })
  }
  const [issuer, top] = chain
  if (issuer === undefined || top === undefined) {
    throw refusal('IssuerChainMalformed', 'An issuer chain is too short.', {
      field,
      metaMessages: ['Expected: 2 certificates', `Actual: ${chain.length}`],
    })
  }
  if (!equalBytes(top, root)) {
    throw refusal('IssuerChainRootMismatch', 'An issuer chain leads to another root.', {
      field,
      remedy: 'Pin the root that issued this collateral; production pins Intel’s and no other.',
    })
  }
  return issuer
}

function verifyCrl(
  der: Uint8Array,
  role: 'RootCrl' | 'PckCrl',
  issuer: Certificate,
  key: P256PublicKey,
): Crl {
  const field = role === 'RootCrl' ? 'collateral.root_ca_crl' : 'collateral.pck_crl'
  const what = role === 'RootCrl' ? 'The root revocation list' : 'The PCK revocation list'
  let crl: Crl
  try {
    crl = parseCrl(der, what)
  } catch (cause) {
    throw refusal(`${role}Malformed`, `${what} cannot be read.`, { field, cause })
  }
  if (!equalBytes(crl.issuer, issuer.subject)) {
    throw refusal(`${role}IssuerMismatch`, `${what} names another issuer.`, {
      field,
      metaMessages: [`Expected: ${issuer.subjectCommonName}`],
    })
  }
  if (!key.verify(crl.signedBytes, crl.signature)) {
    throw refusal(`${role}SignatureInvalid`, `${what} is not signed by its issuer.`, { field })
  }
  return crl
}

function importKey(
  certificate: Certificate,
  crypto: VerifierCrypto,
  code: RefusalCode,
): P256PublicKey {
  const key = crypto.importP256(certificate.publicKey)
  if (key !== undefined) return key
  throw refusal(code, 'A certified public key is not a point of P-256.', {
    metaMessages: [`Certificate: ${certificate.subjectCommonName}`],
  })
}

function readTcbInfo(text: string, signature: Uint8Array, key: P256PublicKey): TcbInfo {
  const field = 'collateral.tcb_info'
  if (!key.verify(utf8(text), signature)) {
    throw refusal('TcbInfoSignatureInvalid', 'The TCB info is not what Intel signed.', {
      field,
      remedy: 'Keep the signed text byte for byte; JSON that was parsed and written again differs.',
    })
  }
  let tcbInfo: TcbInfo
  try {
    tcbInfo = parseTcbInfo(text)
  } catch (cause) {
    throw refusal('TcbInfoMalformed', 'The TCB info cannot be read.', {
      field: fieldOf(cause) ?? field,
      cause,
    })
  }
  const isKnown = tcbInfo.id === 'TDX' || tcbInfo.id === 'SGX'
  if (!isKnown || tcbInfo.version !== 3 || tcbInfo.tcbType !== 0) {
    throw refusal('TcbInfoUnsupported', 'This kind of TCB info is not supported.', {
      field,
      metaMessages: [
        'Expected: TDX or SGX, version 3, type 0',
        `Actual: ${tcbInfo.id}, version ${tcbInfo.version}, type ${tcbInfo.tcbType}`,
      ],
      remedy: 'Fetch it from version 4 of the PCS API.',
    })
  }
  return tcbInfo
}

function readQeIdentity(
  text: string,
  signature: Uint8Array,
  key: P256PublicKey,
  tee: 'TDX' | 'SGX',
  about: RefusalDetails,
): QeIdentity {
  const field = 'collateral.qe_identity'
  if (!key.verify(utf8(text), signature)) {
    throw refusal('QeIdentitySignatureInvalid', 'The QE identity is not what Intel signed.', {
      ...about,
      field,
      remedy: 'Keep the signed text byte for byte; JSON that was parsed and written again differs.',
    })
  }
  let identity: QeIdentity
  try {
    identity = parseQeIdentity(text)
  } catch (cause) {
    throw refusal('QeIdentityMalformed', 'The QE identity cannot be read.', {
      ...about,
      field: fieldOf(cause) ?? field,
      cause,
    })
  }
  const expectedId = tee === 'TDX' ? 'TD_QE' : 'QE'
  if (identity.id !== expectedId || identity.version !== 2) {
    throw refusal('QeIdentityUnsupported', 'The QE identity does not go with the TCB info.', {
      ...about,
      field,
      metaMessages: [
        `Expected: ${expectedId}, version 2`,
        `Actual: ${identity.id}, version ${identity.version}`,
      ],
    })
  }
  return identity
}

function certificateWindow(
  what: string,
  role: 'RootCertificate' | 'PckCa' | 'TcbSigning',
  certificate: Certificate,
): ValidityWindow {
  return {
    what,
    notYet: `${role}NotYetValid`,
    expired: `${role}Expired`,
    fromUnixSeconds: certificate.notBeforeUnixSeconds,
    untilUnixSeconds: certificate.notAfterUnixSeconds,
  }
}

function crlWindow(what: string, role: 'RootCrl' | 'PckCrl', crl: Crl): ValidityWindow {
  return {
    what,
    notYet: `${role}NotYetValid`,
    expired: `${role}Expired`,
    fromUnixSeconds: crl.thisUpdateUnixSeconds,
    untilUnixSeconds: crl.nextUpdateUnixSeconds,
  }
}

function documentWindow(
  what: string,
  role: 'TcbInfo' | 'QeIdentity',
  document: TcbInfo | QeIdentity,
): ValidityWindow {
  return {
    what,
    notYet: `${role}NotYetValid`,
    expired: `${role}Expired`,
    fromUnixSeconds: document.issueDateUnixSeconds,
    untilUnixSeconds: document.nextUpdateUnixSeconds,
  }
}
