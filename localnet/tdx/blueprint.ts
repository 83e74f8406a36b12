import { sha256 } from '@noble/hashes/sha2'
import { concatBytes, fromHex, utf8 } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { keyIdentifier } from './certificate.ts'
import type { CertificateSpec, CrlSpec, Name } from './certificate.ts'
import { sgxComponents, tcbStatuses, tdxComponents, toInstant } from './documents.ts'
import type { QeIdentity, TcbInfo, TcbLevel, TcbStatus } from './documents.ts'
import { localBootEvents, localMrTd, replayLog } from './image.ts'
import { deriveBytes, deriveP256Key, developmentSeed } from './keys.ts'
import type { P256Key, Seed } from './keys.ts'
import { attestationKeyTypeEcdsaP256, intelQeVendorId, teeTypeTdx } from './quote.ts'
import type { QeReport, QuoteBody, QuoteHeader, TdReport } from './quote.ts'
import type { SgxExtension } from './sgxExtension.ts'

/** Raised when an option cannot describe a platform. */
export class InvalidPlatformOptionError extends BaseError {
  override readonly name = 'InvalidPlatformOptionError'
}

export type PlatformOptions = {
  /** Same seed, same platform, byte for byte. Default: {@link developmentSeed}. */
  readonly seed?: Seed
  /** The platform's clock: Unix seconds, integer. Collateral is issued around it. */
  readonly now: number
  /** 6 bytes of hex. Default: ASCII `LOCAL` and a zero, which no Intel platform has. */
  readonly fmspc?: string
  /** 16 bytes of hex. Default: derived from the seed. */
  readonly ppid?: string
  /** 2 bytes of hex. Default `0000`. */
  readonly pceId?: string
  /** How the platform's TCB is judged under its own collateral. Default `UpToDate`. */
  readonly tcbStatus?: TcbStatus
  readonly tcbEvaluationDataNumber?: number
  /** How long TCB info, QE identity and CRLs last from their issue. Default 30 days, as Intel's. */
  readonly validForSeconds?: number
  /** Serial of the PCK certificate, up to 20 bytes of hex. Default: its key identifier. */
  readonly pckSerial?: string
  /** Validity of the PCK certificate, Unix seconds. Default 2020 to 2049. */
  readonly pckValidity?: { readonly notBefore: number; readonly notAfter: number }
}

/** Every statement that a platform makes, before anything is signed. */
export type Blueprint = {
  readonly root: CertificateSpec
  readonly pckCa: CertificateSpec
  readonly pck: CertificateSpec
  readonly tcbSigning: CertificateSpec
  /** `undefined` leaves the extension out of the PCK certificate. */
  readonly sgx: SgxExtension | undefined
  /** The other authority of Intel's hierarchy; it certifies nothing here. */
  readonly processorCa: CertificateSpec
  readonly processorCrl: CrlSpec
  readonly rootCrl: CrlSpec
  readonly pckCrl: CrlSpec
  readonly tcbInfo: TcbInfo
  /** The signed text, when it is not simply `tcbInfo` as JSON. */
  readonly tcbInfoText?: string
  readonly tcbInfoSigner: P256Key
  readonly qeIdentity: QeIdentity
  readonly qeIdentityText?: string
  readonly qeIdentitySigner: P256Key
  readonly header: QuoteHeader
  readonly body: QuoteBody
  readonly tdReport: TdReport
  readonly qeReport: QeReport
  readonly qeReportSigner: P256Key
  readonly qeAuthData: Uint8Array
  /** Signs quotes. */
  readonly attestationKey: P256Key
  /** Written into quotes; x ‖ y of the attestation key. */
  readonly attestationPublicKey: Uint8Array
  /** What the quoting enclave's report vouches for; the same again. */
  readonly boundPublicKey: Uint8Array
}

/**
 * Organisation in every local certificate. Common names are Intel's, because verifiers tell the
 * Platform CA from the Processor CA by them; the organisation says whose they are not.
 */
export const localOrganization = 'Plumbline local platform (not Intel)'

const collateralLifeSeconds = 30 * 86_400
/** Collateral is dated back an hour, so that a clock a little behind the platform's accepts it. */
const backdatingSeconds = 3_600
const notBefore = Date.UTC(2020, 0, 1) / 1000
const notAfter = Date.UTC(2049, 11, 31, 23, 59, 59) / 1000

const localName = (commonName: string): Name => [
  ['CN', commonName],
  ['O', localOrganization],
  ['L', 'localhost'],
  ['ST', 'ZZ'],
  ['C', 'ZZ'],
]

export const commonNames = {
  root: 'Intel SGX Root CA',
  pckPlatformCa: 'Intel SGX PCK Platform CA',
  pckProcessorCa: 'Intel SGX PCK Processor CA',
  pck: 'Intel SGX PCK Certificate',
  tcbSigning: 'Intel SGX TCB Signing',
} as const

export const localNames = {
  root: localName(commonNames.root),
  pckPlatformCa: localName(commonNames.pckPlatformCa),
  pckProcessorCa: localName(commonNames.pckProcessorCa),
  pck: localName(commonNames.pck),
  tcbSigning: localName(commonNames.tcbSigning),
} as const

/** PCESVN at which the local TCB info gives each status; the platform takes the one asked for. */
const pceSvnByStatus: Readonly<Record<TcbStatus, number>> = {
  UpToDate: 13,
  SWHardeningNeeded: 12,
  ConfigurationNeeded: 11,
  ConfigurationAndSWHardeningNeeded: 10,
  OutOfDate: 8,
  OutOfDateConfigurationNeeded: 6,
  Revoked: 4,
}

const tcbDates: Readonly<Record<TcbStatus, string>> = {
  UpToDate: '2025-08-13T00:00:00Z',
  SWHardeningNeeded: '2025-08-13T00:00:00Z',
  ConfigurationNeeded: '2025-08-13T00:00:00Z',
  ConfigurationAndSWHardeningNeeded: '2025-08-13T00:00:00Z',
  OutOfDate: '2024-03-13T00:00:00Z',
  OutOfDateConfigurationNeeded: '2023-08-09T00:00:00Z',
  Revoked: '2018-01-04T00:00:00Z',
}

const platformSvns = [3, 3, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]
const zero48 = '00'.repeat(48)

/** An honest platform with the given options. */
export function createBlueprint(options: PlatformOptions): Blueprint {
  const { now, seed = developmentSeed, tcbStatus = 'UpToDate' } = options
  if (!Number.isSafeInteger(now) || now < notBefore || now > notAfter) {
    throw new InvalidPlatformOptionError(`A platform cannot live at ${now}.`, {
      field: 'now',
      remedy: 'Pass whole Unix seconds between 2020 and 2049, the life of the local root.',
    })
  }
  const tcbEvaluationDataNumber = options.tcbEvaluationDataNumber ?? 20
  const issuedAt = Math.floor(now / 3_600) * 3_600 - backdatingSeconds
  const nextUpdateAt = issuedAt + (options.validForSeconds ?? collateralLifeSeconds)
  const fmspc = fromHex(options.fmspc ?? '4c4f43414c00', 'fmspc', 6)
  const pceId = fromHex(options.pceId ?? '0000', 'pceId', 2)
  const ppid =
    options.ppid === undefined ? deriveBytes(seed, 'ppid', 16) : fromHex(options.ppid, 'ppid', 16)

  const rootKey = deriveP256Key(seed, 'root')
  const pckCaKey = deriveP256Key(seed, 'pck platform ca')
  const processorCaKey = deriveP256Key(seed, 'pck processor ca')
  const pckKey = deriveP256Key(seed, 'pck')
  const tcbSigningKey = deriveP256Key(seed, 'tcb signing')
  const attestationKey = deriveP256Key(seed, 'attestation')
  const mrSigner = sha256(utf8('plumbline/localnet/quoting enclave signer'))

  const rootCrlUrl = 'http://localhost/IntelSGXRootCA.der'
  const certificateOf = (
    subject: Name,
    key: P256Key,
    issuer: Name,
    signer: P256Key,
  ): Omit<CertificateSpec, 'basicConstraints' | 'keyUsage'> => ({
    subject,
    issuer,
    serial: keyIdentifier(key.publicKey),
    notBefore,
    notAfter,
    subjectKey: key.publicKey,
    signer,
    subjectKeyIdentifier: keyIdentifier(key.publicKey),
    authorityKeyIdentifier: keyIdentifier(signer.publicKey),
    crlDistributionPoint: rootCrlUrl,
  })
  const svns: SgxExtension = {
    ppid,
    sgxSvns: platformSvns,
    pceSvn: pceSvnByStatus[tcbStatus],
    cpuSvn: Uint8Array.from(platformSvns),
    pceId,
    fmspc,
    sgxType: 1,
    platformInstance: deriveBytes(seed, 'platform instance', 16),
    configuration: { isDynamicPlatform: true, hasCachedKeys: true, isSmtEnabled: true },
  }
  const pckSpec = certificateOf(localNames.pck, pckKey, localNames.pckPlatformCa, pckCaKey)

  return {
    root: {
      ...certificateOf(localNames.root, rootKey, localNames.root, rootKey),
      basicConstraints: { isCa: true, pathLength: 1 },
      keyUsage: ['keyCertSign', 'cRLSign'],
    },
    pckCa: {
      ...certificateOf(localNames.pckPlatformCa, pckCaKey, localNames.root, rootKey),
      basicConstraints: { isCa: true, pathLength: 0 },
      keyUsage: ['keyCertSign', 'cRLSign'],
    },
    pck: {
      ...pckSpec,
      serial:
        options.pckSerial === undefined ? pckSpec.serial : fromHex(options.pckSerial, 'pckSerial'),
      ...options.pckValidity,
      crlDistributionPoint: 'http://localhost/pckcrl?ca=platform&encoding=der',
      basicConstraints: { isCa: false },
      keyUsage: ['digitalSignature', 'nonRepudiation'],
    },
    tcbSigning: {
      ...certificateOf(localNames.tcbSigning, tcbSigningKey, localNames.root, rootKey),
      basicConstraints: { isCa: false },
      keyUsage: ['digitalSignature', 'nonRepudiation'],
    },
    sgx: svns,
    processorCa: {
      ...certificateOf(localNames.pckProcessorCa, processorCaKey, localNames.root, rootKey),
      basicConstraints: { isCa: true, pathLength: 0 },
      keyUsage: ['keyCertSign', 'cRLSign'],
    },
    processorCrl: {
      issuer: localNames.pckProcessorCa,
      thisUpdate: issuedAt,
      nextUpdate: nextUpdateAt,
      signer: processorCaKey,
      authorityKeyIdentifier: keyIdentifier(processorCaKey.publicKey),
      crlNumber: 1,
      revoked: [],
    },
    rootCrl: {
      issuer: localNames.root,
      thisUpdate: issuedAt,
      nextUpdate: nextUpdateAt,
      signer: rootKey,
      authorityKeyIdentifier: keyIdentifier(rootKey.publicKey),
      crlNumber: 1,
      revoked: [],
    },
    pckCrl: {
      issuer: localNames.pckPlatformCa,
      thisUpdate: issuedAt,
      nextUpdate: nextUpdateAt,
      signer: pckCaKey,
      authorityKeyIdentifier: keyIdentifier(pckCaKey.publicKey),
      crlNumber: 1,
      // Never issued to anybody: they are here so that the list is walked.
      revoked: [0, 1, 2].map((index) => ({
        serial: deriveBytes(seed, `revoked serial ${index}`, 20),
        revokedAt: notBefore,
      })),
    },
    tcbInfo: {
      id: 'TDX',
      version: 3,
      issueDate: toInstant(issuedAt),
      nextUpdate: toInstant(nextUpdateAt),
      fmspc: upperHex(fmspc),
      pceId: upperHex(pceId),
      tcbType: 0,
      tcbEvaluationDataNumber,
      tdxModule: { mrsigner: zero48, attributes: '00'.repeat(8), attributesMask: 'FF'.repeat(8) },
      tdxModuleIdentities: [
        {
          id: 'TDX_03',
          mrsigner: zero48,
          attributes: '00'.repeat(8),
          attributesMask: 'FF'.repeat(8),
          tcbLevels: [{ tcb: { isvsvn: 3 }, tcbDate: tcbDates.UpToDate, tcbStatus: 'UpToDate' }],
        },
        {
          id: 'TDX_01',
          mrsigner: zero48,
          attributes: '00'.repeat(8),
          attributesMask: 'FF'.repeat(8),
          tcbLevels: [
            { tcb: { isvsvn: 6 }, tcbDate: tcbDates.UpToDate, tcbStatus: 'UpToDate' },
            {
              tcb: { isvsvn: 4 },
              tcbDate: tcbDates.OutOfDate,
              tcbStatus: 'OutOfDate',
              advisoryIDs: ['INTEL-SA-01192', 'INTEL-SA-01245'],
            },
          ],
        },
      ],
      tcbLevels: tcbStatuses.map(tcbLevel),
    },
    tcbInfoSigner: tcbSigningKey,
    qeIdentity: {
      id: 'TD_QE',
      version: 2,
      issueDate: toInstant(issuedAt),
      nextUpdate: toInstant(nextUpdateAt),
      tcbEvaluationDataNumber,
      miscselect: '00000000',
      miscselectMask: 'FFFFFFFF',
      attributes: '11000000000000000000000000000000',
      attributesMask: 'FBFFFFFFFFFFFFFF0000000000000000',
      mrsigner: upperHex(mrSigner),
      isvprodid: 2,
      tcbLevels: [
        { tcb: { isvsvn: 4 }, tcbDate: tcbDates.UpToDate, tcbStatus: 'UpToDate' },
        {
          tcb: { isvsvn: 2 },
          tcbDate: tcbDates.OutOfDate,
          tcbStatus: 'OutOfDate',
          advisoryIDs: ['INTEL-SA-00615'],
        },
      ],
    },
    qeIdentitySigner: tcbSigningKey,
    header: {
      version: 4,
      attestationKeyType: attestationKeyTypeEcdsaP256,
      teeType: teeTypeTdx,
      reserved: new Uint8Array(4),
      qeVendorId: intelQeVendorId,
      userData: concatBytes(deriveBytes(seed, 'quoting enclave id', 16), new Uint8Array(4)),
    },
    body: 'td10',
    tdReport: {
      // Byte 0 is the TDX module's SVN, byte 1 its major version, byte 2 the late microcode's SVN.
      teeTcbSvn: Uint8Array.of(6, 1, 3, ...new Uint8Array(13)),
      mrSeam: deriveBytes('plumbline', 'tdx module', 48),
      mrSignerSeam: new Uint8Array(48),
      seamAttributes: new Uint8Array(8),
      // Bit 28: SEPT_VE_DISABLE.
      tdAttributes: Uint8Array.of(0, 0, 0, 0x10, 0, 0, 0, 0),
      xfam: Uint8Array.of(0xe7, 0x02, 0x06, 0, 0, 0, 0, 0),
      mrTd: localMrTd,
      // Version 1: the compose hash, here of nothing.
      mrConfigId: concatBytes(Uint8Array.of(1), sha256(new Uint8Array(0)), new Uint8Array(15)),
      mrOwner: new Uint8Array(48),
      mrOwnerConfig: new Uint8Array(48),
      rtmr0: replayLog(localBootEvents, 0),
      rtmr1: replayLog(localBootEvents, 1),
      rtmr2: replayLog(localBootEvents, 2),
      rtmr3: new Uint8Array(48),
      reportData: new Uint8Array(64),
      teeTcbSvn2: Uint8Array.of(6, 1, 3, ...new Uint8Array(13)),
      mrServiceTd: new Uint8Array(48),
    },
    qeReport: {
      cpuSvn: Uint8Array.from(platformSvns),
      miscSelect: new Uint8Array(4),
      attributes: Uint8Array.of(0x15, ...new Uint8Array(7), 0xe7, ...new Uint8Array(7)),
      mrEnclave: sha256(utf8('plumbline/localnet/quoting enclave')),
      mrSigner,
      isvProdId: 2,
      isvSvn: 6,
    },
    qeReportSigner: pckKey,
    qeAuthData: Uint8Array.from({ length: 32 }, (_, index) => index),
    attestationKey,
    attestationPublicKey: attestationKey.publicKey,
    boundPublicKey: attestationKey.publicKey,
  }
}

function tcbLevel(status: TcbStatus): TcbLevel {
  const isCurrent = status === 'UpToDate'
  return {
    tcb: {
      sgxtcbcomponents: sgxComponents(3, 3, 2, 2, 4, 1, 0, 5),
      pcesvn: pceSvnByStatus[status],
      tdxtcbcomponents: tdxComponents(5, 0, 3),
    },
    tcbDate: tcbDates[status],
    tcbStatus: status,
    ...(isCurrent
      ? {}
      : { advisoryIDs: [`LOCAL-SA-${String(pceSvnByStatus[status]).padStart(5, '0')}`] }),
  }
}

function upperHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').toUpperCase()
}
