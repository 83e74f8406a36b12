import { concatBytes, utf8 } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { createBlueprint } from './blueprint.ts'
import type { Blueprint, PlatformOptions } from './blueprint.ts'
import { encodeCertificate, encodeCrl } from './certificate.ts'
import { honest } from './distortion.ts'
import type { Distortion } from './distortion.ts'
import { signP256 } from './keys.ts'
import { toPem } from './pem.ts'
import {
  attestationKeyBinding,
  certificationType,
  encodeQeReport,
  encodeQuote,
  encodeSignedPart,
} from './quote.ts'
import type { QuoteBody, QuoteParts, TdReport } from './quote.ts'
import { sgxExtension } from './sgxExtension.ts'

/** Raised when report data is not the 64 bytes that a TD report holds. */
export class ReportDataLengthError extends BaseError {
  override readonly name = 'ReportDataLengthError'
}

/** Collateral in the JSON layout of dcap-qvl, which PCCS clients of dstack speak. */
export type QuoteCollateral = {
  readonly pck_crl_issuer_chain: string
  /** DER, lower-case hex. */
  readonly root_ca_crl: string
  /** DER, lower-case hex. */
  readonly pck_crl: string
  readonly tcb_info_issuer_chain: string
  /** The signed text itself: not one byte of it may change. */
  readonly tcb_info: string
  /** r ‖ s, hex. */
  readonly tcb_info_signature: string
  readonly qe_identity_issuer_chain: string
  readonly qe_identity: string
  readonly qe_identity_signature: string
  /** `null`: the chain is inside the quote. */
  readonly pck_certificate_chain: string | null
}

/** DER of the certificates of a platform. */
export type PlatformCertificates = {
  readonly root: Uint8Array
  readonly pckCa: Uint8Array
  readonly processorCa: Uint8Array
  readonly pck: Uint8Array
  readonly tcbSigning: Uint8Array
}

export type Measurements = Partial<Omit<TdReport, 'reportData'>>

export type MintQuoteOptions = {
  /** 64 bytes, taken as they are. */
  readonly reportData: Uint8Array
  /** What differs from the local image. */
  readonly measurements?: Measurements
  /** Default 4. */
  readonly version?: 4 | 5
  /** Body of a version 5 quote. Default `td15`; version 4 knows `td10` only. */
  readonly body?: QuoteBody
  /** Zero bytes after the signature data, as real quotes carry them. Default 0. */
  readonly paddingLength?: number
}

export type Platform = {
  readonly rootCertificateDer: Uint8Array
  readonly rootCertificatePem: string
  /** x ‖ y, 64 bytes. */
  readonly rootPublicKey: Uint8Array
  readonly certificates: PlatformCertificates
  readonly fmspc: Uint8Array
  readonly ppid: Uint8Array
  /** What {@link Platform.mintQuote} writes where its `measurements` say nothing. */
  readonly localMeasurements: Omit<TdReport, 'reportData'>
  /** Collateral as of `now` (Unix seconds); without it, as of the platform's own `now`. */
  collateral(now?: number): QuoteCollateral
  /** Revocation list of the Processor CA, which no quote of this platform needs. */
  processorCrl(now?: number): Pick<QuoteCollateral, 'pck_crl' | 'pck_crl_issuer_chain'>
  mintQuote(options: MintQuoteOptions): Uint8Array
}

/**
 * A TDX platform of our own making: everything Intel's has, with another root. A verifier that pins
 * {@link Platform.rootCertificateDer} accepts its quotes; one that pins Intel's refuses them.
 *
 * @param distortion - How the platform lies; see `negatives.ts`. An honest platform without it.
 */
export function createPlatform(
  options: PlatformOptions,
  distortion: Distortion = honest,
): Platform {
  const blueprintAt = (now: number) =>
    distortion.blueprint(createBlueprint({ ...options, now }), options)
  const blueprint = blueprintAt(options.now)
  const certificates = distortion.certificates(encodeCertificates(blueprint), options)
  // One attestation key for the platform's life, as with a real quoting enclave: certified once.
  const certification = certifyAttestationKey(blueprint, certificates)
  const { sgx } = blueprint
  const { reportData: _, ...localMeasurements } = blueprint.tdReport
  return {
    rootCertificateDer: certificates.root,
    rootCertificatePem: toPem('CERTIFICATE', certificates.root),
    rootPublicKey: blueprint.root.subjectKey,
    certificates,
    fmspc: sgx?.fmspc ?? new Uint8Array(6),
    ppid: sgx?.ppid ?? new Uint8Array(16),
    localMeasurements,
    collateral(now = options.now) {
      const dated = now === options.now ? blueprint : blueprintAt(now)
      return distortion.collateral(encodeCollateral(dated, certificates), options)
    },
    processorCrl(now = options.now) {
      return {
        pck_crl: hex(encodeCrl(blueprintAt(now).processorCrl)),
        pck_crl_issuer_chain: pemChain(certificates.processorCa, certificates.root),
      }
    },
    mintQuote({ reportData, measurements, version, body, paddingLength = 0 }) {
      if (reportData.length !== 64) {
        throw new ReportDataLengthError('Report data must be exactly 64 bytes.', {
          field: 'reportData',
          metaMessages: [`Actual: ${reportData.length} bytes`],
          remedy: 'Pad on the right with zeros, as dstack does.',
        })
      }
      const form = quoteForm(distortion.form ?? { version, body })
      const signedPart = encodeSignedPart(
        { ...blueprint.header, version: form.version },
        distortion.report({ ...blueprint.tdReport, ...measurements, reportData }),
        form.body,
      )
      const signature = signP256(blueprint.attestationKey, signedPart)
      const parts = distortion.parts({ ...certification, signedPart, signature }, options)
      const quote = encodeQuote(parts)
      const padded = paddingLength === 0 ? quote : concatBytes(quote, new Uint8Array(paddingLength))
      return distortion.bytes(padded)
    },
  }
}

function quoteForm({
  version = 4,
  body = 'td15',
}: {
  version?: 4 | 5 | undefined
  body?: QuoteBody | undefined
}): { version: 4 | 5; body: QuoteBody } {
  return version === 4 ? { version, body: 'td10' } : { version, body }
}

function encodeCertificates(blueprint: Blueprint): PlatformCertificates {
  const { sgx, pck } = blueprint
  const extensions = [...(pck.extensions ?? []), ...(sgx === undefined ? [] : [sgxExtension(sgx)])]
  return {
    root: encodeCertificate(blueprint.root),
    pckCa: encodeCertificate(blueprint.pckCa),
    processorCa: encodeCertificate(blueprint.processorCa),
    pck: encodeCertificate({ ...pck, extensions }),
    tcbSigning: encodeCertificate(blueprint.tcbSigning),
  }
}

/** The quoting enclave's part of a quote: its report over the attestation key, signed by the PCK. */
function certifyAttestationKey(
  blueprint: Blueprint,
  certificates: PlatformCertificates,
): Omit<QuoteParts, 'signedPart' | 'signature'> {
  const { qeAuthData } = blueprint
  const qeReport = encodeQeReport(
    blueprint.qeReport,
    attestationKeyBinding(blueprint.boundPublicKey, qeAuthData),
  )
  return {
    attestationKey: blueprint.attestationPublicKey,
    outerType: certificationType.qeReport,
    qeReport,
    qeReportSignature: signP256(blueprint.qeReportSigner, qeReport),
    qeAuthData,
    innerType: certificationType.pckChain,
    pckChain: quotePckChain(certificates.pck, certificates.pckCa, certificates.root),
  }
}

/** A chain as quotes carry it: PEM blocks and a zero byte, which real ones close with. */
export function quotePckChain(...certificates: readonly Uint8Array[]): Uint8Array {
  return concatBytes(utf8(pemChain(...certificates)), Uint8Array.of(0))
}

function encodeCollateral(
  blueprint: Blueprint,
  certificates: PlatformCertificates,
): QuoteCollateral {
  const tcbInfo = blueprint.tcbInfoText ?? JSON.stringify(blueprint.tcbInfo)
  const qeIdentity = blueprint.qeIdentityText ?? JSON.stringify(blueprint.qeIdentity)
  const tcbChain = pemChain(certificates.tcbSigning, certificates.root)
  return {
    pck_crl_issuer_chain: pemChain(certificates.pckCa, certificates.root),
    root_ca_crl: hex(encodeCrl(blueprint.rootCrl)),
    pck_crl: hex(encodeCrl(blueprint.pckCrl)),
    tcb_info_issuer_chain: tcbChain,
    tcb_info: tcbInfo,
    tcb_info_signature: hex(signP256(blueprint.tcbInfoSigner, utf8(tcbInfo))),
    qe_identity_issuer_chain: tcbChain,
    qe_identity: qeIdentity,
    qe_identity_signature: hex(signP256(blueprint.qeIdentitySigner, utf8(qeIdentity))),
    pck_certificate_chain: null,
  }
}

export function pemChain(...certificates: readonly Uint8Array[]): string {
  return certificates.map((certificate) => toPem('CERTIFICATE', certificate)).join('')
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
