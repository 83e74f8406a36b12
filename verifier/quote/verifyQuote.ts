import { concatBytes, equalBytes, toHex } from '#schemas/bytes.ts'
import { applyPolicy } from '../appraisal/applyPolicy.ts'
import type { EnclaveClaims, QuoteAppraisal, TdClaims } from '../appraisal/appraisal.ts'
import { refusal, type RefusalDetails } from '../appraisal/errors.ts'
import { expectPrepared, type QuotePolicy } from '../appraisal/policy.ts'
import { verifyCertificate } from '../collateral/authority.ts'
import { expectClock } from '../collateral/clock.ts'
import type { Collateral } from '../collateral/collateral.ts'
import type { QeIdentity } from '../collateral/qeIdentity.ts'
import {
  expectInForce,
  expectVerified,
  fmspcText,
  verifyCollateral,
  type VerifiedCollateral,
} from '../collateral/verifyCollateral.ts'
import { portableCrypto } from '../crypto/portableCrypto.ts'
import type { VerifierCrypto } from '../crypto/port.ts'
import { extensionOid, findExtension, type Certificate } from '../x509/certificate.ts'
import { readPemCertificates } from '../x509/pem.ts'
import { parseSgxExtension, type SgxExtension } from '../x509/sgxExtension.ts'
import { appraiseTcb, equalUnderMask } from './appraiseTcb.ts'
import {
  intelQeVendorId,
  parseQuote,
  type EnclaveReport,
  type Quote,
  type QuoteAuth,
  type TdReport,
} from './parseQuote.ts'

export type QuoteOptions = {
  /** Instant of appraisal, whole Unix seconds. */
  readonly now: number
  /** From {@link createQuotePolicy}. */
  readonly policy: QuotePolicy
  /** When given, the quote's 64 bytes of report data must be these. */
  readonly expectedReportData?: Uint8Array
  /** Default: portable code; servers pass `nodeCrypto`. */
  readonly crypto?: VerifierCrypto
}

/**
 * Verifies and appraises a quote against collateral that was verified before.
 *
 * Returns what it proved or throws: the first rule of `refusalRules` (170 to 399, in their order)
 * that fails. The same quote, collateral, policy and instant always give the same answer.
 *
 * @param quote - Raw bytes; zero padding behind the quote is tolerated.
 * @throws {@link QuoteRefusedError} of the class that the failed rule's stage demands.
 * @see Intel SGX DCAP QuoteVerificationLibrary; Intel TDX DCAP Quoting Library API
 */
export function verifyQuote(
  quote: Uint8Array,
  collateral: VerifiedCollateral,
  { now, policy, expectedReportData, crypto = portableCrypto }: QuoteOptions,
): QuoteAppraisal {
  expectClock(now)
  expectVerified(collateral)
  expectPrepared(policy)
  const about = {
    fmspc: collateral.fmspc,
    evaluationDataNumber: collateral.tcbInfo.evaluationDataNumber,
  }
  expectInForce(collateral.windows, now, about)

  const parsed = parseQuote(quote)
  expectKind(parsed, collateral, about)
  const pck = verifyPck(parsed.auth, collateral, now, about)
  const platform = identifyPlatform(pck, collateral, about)
  verifySignatures(parsed, pck, crypto, about)
  expectQuotingEnclave(parsed.auth.qeReport, collateral.qeIdentity, about)
  const tcb = appraiseTcb(parsed, platform, collateral)
  const image = applyPolicy(policy, {
    quote: parsed,
    collateral,
    platform,
    tcb,
    now,
    expectedReportData,
  })
  const qe = parsed.auth.qeReport
  return {
    policyId: policy.id,
    appraisedAtUnixSeconds: now,
    validUntilUnixSeconds: Math.min(collateral.validUntilUnixSeconds, pck.notAfterUnixSeconds),
    tee: parsed.tee,
    quoteVersion: parsed.version,
    quoteId: toHex(crypto.sha256(parsed.signedBytes)),
    platform: {
      ppid: toHex(platform.ppid),
      fmspc: collateral.fmspc,
      pceId: toHex(platform.pceId),
      cpuSvn: toHex(platform.cpuSvn),
      pceSvn: platform.pceSvn,
      pckSerial: `0x${pck.serial}`,
      issuer: collateral.pckCa.certificate.subjectCommonName.includes('Platform')
        ? 'platform'
        : 'processor',
    },
    tcb,
    qe: { mrEnclave: toHex(qe.mrEnclave), mrSigner: toHex(qe.mrSigner), isvSvn: qe.isvSvn },
    td: parsed.tee === 'TDX' ? tdClaims(parsed.body) : undefined,
    enclave: parsed.tee === 'SGX' ? enclaveClaims(parsed.body) : undefined,
    image,
    reportData: toHex(parsed.body.reportData),
  }
}

/** Both steps at once, for one quote with its own collateral, as an archived bundle carries them. */
export function verifyQuoteWithCollateral(
  quote: Uint8Array,
  collateral: Collateral,
  options: QuoteOptions & { readonly rootCertificate: Uint8Array },
): QuoteAppraisal {
  return verifyQuote(quote, verifyCollateral(collateral, options), options)
}

function expectKind(quote: Quote, collateral: VerifiedCollateral, about: RefusalDetails): void {
  if (!equalBytes(quote.qeVendorId, intelQeVendorId)) {
    throw refusal(
      'QeVendorUnknown',
      'The quote comes from a quoting enclave that is not Intel’s.',
      {
        ...about,
        field: 'quote.header.qeVendorId',
        metaMessages: [`Expected: ${toHex(intelQeVendorId)}`, `Actual: ${toHex(quote.qeVendorId)}`],
      },
    )
  }
  if (quote.tee !== collateral.tee) {
    throw refusal(
      'TeeMismatch',
      `${collateral.tee} collateral says nothing of ${quote.tee} quotes.`,
      {
        ...about,
        remedy: `Fetch the ${quote.tee} TCB info and QE identity for this FMSPC.`,
      },
    )
  }
}

const latin1 = new TextDecoder('latin1')

/**
 * The platform's certificate, from the chain inside the quote. The chain must end in the pinned root
 * and pass through the authority that the collateral's revocation list belongs to.
 */
function verifyPck(
  auth: QuoteAuth,
  collateral: VerifiedCollateral,
  now: number,
  about: RefusalDetails,
): Certificate {
  const field = 'quote.pckChain'
  let chain: Uint8Array[]
  try {
    chain = readPemCertificates(latin1.decode(auth.pckChain), field, 3)
  } catch (cause) {
    throw refusal('PckChainMalformed', 'The PCK chain in the quote cannot be read.', {
      ...about,
      field,
      cause,
    })
  }
  const [leaf, ca, root] = chain
  if (leaf === undefined || ca === undefined || root === undefined) {
    throw refusal('PckChainMalformed', 'The PCK chain in the quote is too short.', {
      ...about,
      field,
      metaMessages: ['Expected: 3 certificates', `Actual: ${chain.length}`],
    })
  }
  if (!equalBytes(root, collateral.root.certificate.der)) {
    throw refusal('PckChainRootMismatch', 'The PCK chain leads to another root.', {
      ...about,
      field,
      remedy: 'A quote of a rehearsal platform verifies under that platform’s root only.',
    })
  }
  const { pckCa } = collateral
  if (!equalBytes(ca, pckCa.certificate.der)) {
    const other = verifyCertificate(ca, 'PckCa', collateral.root, {
      ...about,
      field: `${field}[1]`,
    })
    // A reissued certificate for the same authority is fine; another authority has another list.
    if (
      !equalBytes(other.publicKey, pckCa.certificate.publicKey) ||
      !equalBytes(other.subject, pckCa.certificate.subject)
    ) {
      throw refusal('PckChainCaMismatch', 'The collateral lists revocations of another PCK CA.', {
        ...about,
        field,
        metaMessages: [
          `Quote: ${other.subjectCommonName}`,
          `Collateral: ${pckCa.certificate.subjectCommonName}`,
        ],
        remedy: 'Fetch the PCK revocation list of the authority that the quote names.',
      })
    }
    expectInForce(
      [
        {
          what: 'The PCK CA certificate in the quote',
          notYet: 'PckCaNotYetValid',
          expired: 'PckCaExpired',
          fromUnixSeconds: other.notBeforeUnixSeconds,
          untilUnixSeconds: other.notAfterUnixSeconds,
        },
      ],
      now,
      { ...about, field: `${field}[1]` },
    )
  }
  const pck = verifyCertificate(leaf, 'Pck', pckCa, { ...about, field: `${field}[0]` })
  expectInForce(
    [
      {
        what: 'The PCK certificate',
        notYet: 'PckNotYetValid',
        expired: 'PckExpired',
        fromUnixSeconds: pck.notBeforeUnixSeconds,
        untilUnixSeconds: pck.notAfterUnixSeconds,
      },
    ],
    now,
    {
      ...about,
      field: `${field}[0]`,
      remedy: 'Appraise at an instant within the life of the certificate, or take a new quote.',
    },
  )
  return pck
}

function identifyPlatform(
  pck: Certificate,
  collateral: VerifiedCollateral,
  about: RefusalDetails,
): SgxExtension {
  const field = 'quote.pckChain[0].extensions'
  let platform: SgxExtension
  try {
    platform = parseSgxExtension(findExtension(pck, extensionOid.sgx) ?? new Uint8Array())
  } catch (cause) {
    throw refusal('PckExtensionMalformed', 'The PCK certificate does not describe its platform.', {
      ...about,
      field,
      cause,
    })
  }
  const { tcbInfo } = collateral
  if (!equalBytes(platform.fmspc, tcbInfo.fmspc)) {
    const fmspc = fmspcText(platform.fmspc)
    throw refusal('FmspcMismatch', 'The collateral belongs to another family of platforms.', {
      ...about,
      field,
      metaMessages: [`Platform: ${fmspc}`, `Collateral: ${collateral.fmspc}`],
      remedy: `Fetch the TCB info for FMSPC ${fmspc}.`,
    })
  }
  if (!equalBytes(platform.pceId, tcbInfo.pceId)) {
    throw refusal('PceIdMismatch', 'The collateral belongs to another provisioning enclave.', {
      ...about,
      field,
      metaMessages: [`Platform: ${toHex(platform.pceId)}`, `Collateral: ${toHex(tcbInfo.pceId)}`],
    })
  }
  return platform
}

/** PCK over QE report, QE report over attestation key, attestation key over the quote. */
function verifySignatures(
  { auth, signedBytes }: Quote,
  pck: Certificate,
  crypto: VerifierCrypto,
  about: RefusalDetails,
): void {
  if (!crypto.verifyP256(pck.publicKey, auth.qeReportBytes, auth.qeReportSignature)) {
    throw refusal('QeReportSignatureInvalid', 'The platform did not sign this QE report.', {
      ...about,
      field: 'quote.authData.qeReportSignature',
    })
  }
  const binding = crypto.sha256(concatBytes(auth.attestationKey, auth.qeAuthData))
  const { reportData } = auth.qeReport
  const isBound =
    equalBytes(reportData.subarray(0, 32), binding) &&
    reportData.subarray(32).every((byte) => byte === 0)
  if (!isBound) {
    throw refusal('AttestationKeyNotBound', 'The QE report vouches for another attestation key.', {
      ...about,
      field: 'quote.authData.attestationKey',
    })
  }
  if (crypto.verifyP256(auth.attestationKey, signedBytes, auth.signature)) return
  if (crypto.importP256(auth.attestationKey) === undefined) {
    throw refusal('AttestationKeyInvalid', 'The attestation key is not a point of P-256.', {
      ...about,
      field: 'quote.authData.attestationKey',
    })
  }
  throw refusal('QuoteSignatureInvalid', 'The quote was altered after it was signed.', {
    ...about,
    field: 'quote.authData.signature',
  })
}

function expectQuotingEnclave(
  qe: EnclaveReport,
  identity: QeIdentity,
  about: RefusalDetails,
): void {
  if (!equalBytes(qe.mrSigner, identity.mrSigner)) {
    throw refusal('QeMrSignerMismatch', 'The quoting enclave is not signed by Intel.', {
      ...about,
      metaMessages: [`Expected: ${toHex(identity.mrSigner)}`, `Actual: ${toHex(qe.mrSigner)}`],
    })
  }
  if (qe.isvProdId !== identity.isvProdId) {
    throw refusal('QeIsvProdIdMismatch', 'The enclave that signed is not the quoting enclave.', {
      ...about,
      metaMessages: [`Expected: ${identity.isvProdId}`, `Actual: ${qe.isvProdId}`],
    })
  }
  const miscSelect = Uint8Array.from([0, 8, 16, 24], (shift) => (qe.miscSelect >>> shift) & 0xff)
  if (!equalUnderMask(miscSelect, identity.miscSelect, identity.miscSelectMask)) {
    throw refusal(
      'QeMiscSelectMismatch',
      'The quoting enclave runs with another MISCSELECT.',
      about,
    )
  }
  if (!equalUnderMask(qe.attributes, identity.attributes, identity.attributesMask)) {
    throw refusal('QeAttributesMismatch', 'The quoting enclave runs with other attributes.', {
      ...about,
      metaMessages: [`Expected: ${toHex(identity.attributes)}`, `Actual: ${toHex(qe.attributes)}`],
    })
  }
  // Intel's mask covers the bit; this holds whatever a mask says.
  if (((qe.attributes[0] ?? 0) & 0x02) !== 0) {
    throw refusal('QeDebug', 'The quoting enclave runs in debug mode.', about)
  }
}

function tdClaims(td: TdReport): TdClaims {
  return {
    kind: td.kind,
    teeTcbSvn: toHex(td.teeTcbSvn),
    mrSeam: toHex(td.mrSeam),
    mrSignerSeam: toHex(td.mrSignerSeam),
    seamAttributes: toHex(td.seamAttributes),
    tdAttributes: toHex(td.tdAttributes),
    xfam: toHex(td.xfam),
    mrTd: toHex(td.mrTd),
    mrConfigId: toHex(td.mrConfigId),
    mrOwner: toHex(td.mrOwner),
    mrOwnerConfig: toHex(td.mrOwnerConfig),
    rtmr: [toHex(td.rtmr0), toHex(td.rtmr1), toHex(td.rtmr2), toHex(td.rtmr3)],
    teeTcbSvn2: td.teeTcbSvn2 === undefined ? undefined : toHex(td.teeTcbSvn2),
    mrServiceTd: td.mrServiceTd === undefined ? undefined : toHex(td.mrServiceTd),
  }
}

function enclaveClaims(enclave: EnclaveReport): EnclaveClaims {
  return {
    mrEnclave: toHex(enclave.mrEnclave),
    mrSigner: toHex(enclave.mrSigner),
    isvProdId: enclave.isvProdId,
    isvSvn: enclave.isvSvn,
    attributes: toHex(enclave.attributes),
    miscSelect: enclave.miscSelect,
  }
}
