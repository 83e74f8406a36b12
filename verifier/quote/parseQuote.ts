import { fromHex } from '#schemas/bytes.ts'
import { refusal } from '../appraisal/errors.ts'

/**
 * Intel DCAP quotes: version 3 (SGX), version 4 (TD 1.0), version 5 (TD 1.0 and TD 1.5).
 *
 * Sources: Intel SGX ECDSA QuoteLibReference, appendix A.4 (version 3); Intel TDX DCAP Quoting
 * Library API, appendix A.3 (version 4 and 5); Intel TDX Module ABI, TDREPORT_STRUCT. All integers
 * are little-endian. Nothing is read outside the length that the fields themselves declare.
 *
 * | version | header | body                                        | signed bytes |
 * |---------|--------|---------------------------------------------|--------------|
 * | 3       | 48     | enclave report 384                          | 432          |
 * | 4       | 48     | TD 1.0 report 584                           | 632          |
 * | 5       | 48     | type 2 ‖ size 4 ‖ TD 1.0 584 or TD 1.5 648  | 638 or 702   |
 *
 * After the signed bytes: size 4 ‖ authentication data of that size; after that only zero padding.
 */
export type Quote = EnclaveQuote | TdQuote

export type EnclaveQuote = QuoteFrame & {
  readonly version: 3
  readonly tee: 'SGX'
  readonly body: EnclaveReport
}

export type TdQuote = QuoteFrame & {
  readonly version: 4 | 5
  readonly tee: 'TDX'
  readonly body: TdReport
}

/** What all versions share. Byte fields are views into the caller's array, not copies. */
export type QuoteFrame = {
  readonly attestationKeyType: number
  /** UUID of the quoting enclave's vendor, 16 bytes; Intel's is {@link intelQeVendorId}. */
  readonly qeVendorId: Uint8Array
  /** 20 bytes, set by the quoting enclave; the first 16 identify the platform to it. */
  readonly userData: Uint8Array
  /** Header and body: what {@link QuoteAuth.signature} signs. The identity of a quote is its hash. */
  readonly signedBytes: Uint8Array
  readonly auth: QuoteAuth
  /** Zero bytes found after the authentication data. */
  readonly paddingLength: number
}

export type QuoteAuth = {
  /** r ‖ s over `signedBytes`, 64 bytes. */
  readonly signature: Uint8Array
  /** x ‖ y of the attestation key, 64 bytes. */
  readonly attestationKey: Uint8Array
  /** The quoting enclave's own report, 384 bytes, as signed. */
  readonly qeReportBytes: Uint8Array
  readonly qeReport: EnclaveReport
  /** r ‖ s of the PCK over the QE report, 64 bytes. */
  readonly qeReportSignature: Uint8Array
  readonly qeAuthData: Uint8Array
  /** PEM text of leaf, intermediate and root, as the quote carries it. */
  readonly pckChain: Uint8Array
}

/** SGX REPORT body, 384 bytes. */
export type EnclaveReport = {
  readonly kind: 'SGX'
  readonly cpuSvn: Uint8Array
  readonly miscSelect: number
  readonly attributes: Uint8Array
  readonly mrEnclave: Uint8Array
  readonly mrSigner: Uint8Array
  readonly isvProdId: number
  readonly isvSvn: number
  readonly reportData: Uint8Array
}

/** TD report body: 584 bytes for TD 1.0; TD 1.5 adds two fields. */
export type TdReport = {
  readonly kind: 'TD10' | 'TD15'
  /** TCB of the TDX module at the launch of the TD: [0] minor SVN, [1] major, [2] microcode. */
  readonly teeTcbSvn: Uint8Array
  readonly mrSeam: Uint8Array
  readonly mrSignerSeam: Uint8Array
  readonly seamAttributes: Uint8Array
  readonly tdAttributes: Uint8Array
  readonly xfam: Uint8Array
  readonly mrTd: Uint8Array
  readonly mrConfigId: Uint8Array
  readonly mrOwner: Uint8Array
  readonly mrOwnerConfig: Uint8Array
  readonly rtmr0: Uint8Array
  readonly rtmr1: Uint8Array
  readonly rtmr2: Uint8Array
  readonly rtmr3: Uint8Array
  readonly reportData: Uint8Array
  /** TD 1.5: TCB of the module that runs now, which may be newer than at launch. */
  readonly teeTcbSvn2: Uint8Array | undefined
  /** TD 1.5: digest over bound service TDs (migration); zero when none. */
  readonly mrServiceTd: Uint8Array | undefined
}

/** 939a7233-f79c-4ca9-940a-0db3957f0607, Intel's quoting enclaves. */
export const intelQeVendorId: Uint8Array = fromHex('939a7233f79c4ca9940a0db3957f0607', 'qeVendorId')

/** Real quotes measure 4.6 to 5.1 kB, padded ones 8000 bytes. */
export const maximumQuoteBytes = 16_384

/** Where the fields of a quote stand, in bytes; for tools that patch or point at one. */
export const quoteOffsets = {
  header: {
    version: 0,
    attestationKeyType: 2,
    teeType: 4,
    qeSvn: 8,
    pceSvn: 10,
    qeVendorId: 12,
    userData: 28,
    length: 48,
  },
  /** Version 5 only, behind the header: type (1 SGX, 2 TD 1.0, 3 TD 1.5) and size of the body. */
  bodyDescriptor: { type: 0, size: 2, length: 6 },
  enclaveReport: {
    cpuSvn: 0,
    miscSelect: 16,
    attributes: 48,
    mrEnclave: 64,
    mrSigner: 128,
    isvProdId: 256,
    isvSvn: 258,
    reportData: 320,
    length: 384,
  },
  tdReport: {
    teeTcbSvn: 0,
    mrSeam: 16,
    mrSignerSeam: 64,
    seamAttributes: 112,
    tdAttributes: 120,
    xfam: 128,
    mrTd: 136,
    mrConfigId: 184,
    mrOwner: 232,
    mrOwnerConfig: 280,
    rtmr0: 328,
    rtmr1: 376,
    rtmr2: 424,
    rtmr3: 472,
    reportData: 520,
    td10Length: 584,
    teeTcbSvn2: 584,
    mrServiceTd: 600,
    td15Length: 648,
  },
  /** Behind the 4-byte size of the authentication data. */
  auth: { signature: 0, attestationKey: 64, rest: 128 },
} as const

const teeTypeSgx = 0x00
const teeTypeTdx = 0x81
/** ECDSA-256 with curve P-256, the only kind in use. */
const attestationKeyTypeP256 = 2
/** Certification data types: the PCK chain in PEM, and the QE report that wraps one. */
const certificationTypePckChain = 5
const certificationTypeQeReport = 6

/**
 * Reads a quote, strictly: every length field must lead exactly to the next one, and what follows
 * the authentication data may only be zero padding. Nothing is verified yet.
 *
 * @throws {@link QuoteMalformedError} with a code of stage `format`.
 */
export function parseQuote(bytes: Uint8Array): Quote {
  if (bytes.length > maximumQuoteBytes) {
    throw refusal('QuoteTooLarge', 'The quote is larger than any real one.', {
      field: 'quote',
      metaMessages: [`Expected: at most ${maximumQuoteBytes} bytes`, `Actual: ${bytes.length}`],
    })
  }
  const header = quoteOffsets.header
  need(bytes, header.length, 'quote.header')
  const version = uint16(bytes, header.version)
  if (version !== 3 && version !== 4 && version !== 5) {
    throw refusal('QuoteVersionUnsupported', `Quotes of version ${version} are not supported.`, {
      field: 'quote.header.version',
      remedy: 'Versions 3 (SGX), 4 and 5 (TDX) are read.',
    })
  }
  const attestationKeyType = uint16(bytes, header.attestationKeyType)
  if (attestationKeyType !== attestationKeyTypeP256) {
    throw refusal(
      'AttestationKeyTypeUnsupported',
      `Attestation keys of type ${attestationKeyType} are not supported.`,
      { field: 'quote.header.attestationKeyType', remedy: 'Type 2 is ECDSA over P-256.' },
    )
  }
  const teeType = uint32(bytes, header.teeType)
  const expectedTeeType = version === 3 ? teeTypeSgx : teeTypeTdx
  if (teeType !== expectedTeeType) {
    throw refusal('TeeTypeUnsupported', `TEE type ${teeType} is not read in version ${version}.`, {
      field: 'quote.header.teeType',
      metaMessages: [`Expected: ${expectedTeeType}`],
    })
  }

  const { bodyStart, bodyEnd, kind } = locateBody(bytes, version)
  const authStart = bodyEnd + 4
  need(bytes, authStart, 'quote.authDataSize')
  const authEnd = authStart + uint32(bytes, bodyEnd)
  need(bytes, authEnd, 'quote.authData')
  for (let index = authEnd; index < bytes.length; index += 1) {
    if (bytes[index] !== 0) {
      throw refusal(
        'TrailingBytesNotZero',
        'Behind the quote stands something else than padding.',
        {
          field: 'quote',
          metaMessages: [`Quote ends at byte ${authEnd}, byte ${index} is not zero`],
        },
      )
    }
  }

  const frame = {
    attestationKeyType,
    qeVendorId: bytes.subarray(header.qeVendorId, header.userData),
    userData: bytes.subarray(header.userData, header.length),
    signedBytes: bytes.subarray(0, bodyEnd),
    auth: readAuth(bytes, authStart, authEnd, version),
    paddingLength: bytes.length - authEnd,
  }
  if (version === 3) {
    return { ...frame, version, tee: 'SGX', body: readEnclaveReport(bytes, bodyStart) }
  }
  return {
    ...frame,
    version,
    tee: 'TDX',
    body: readTdReport(bytes, bodyStart, kind === 'TD15' ? 'TD15' : 'TD10'),
  }
}

type BodyPlace = { bodyStart: number; bodyEnd: number; kind: 'SGX' | 'TD10' | 'TD15' }

function locateBody(bytes: Uint8Array, version: 3 | 4 | 5): BodyPlace {
  const start = quoteOffsets.header.length
  if (version === 3) {
    const bodyEnd = start + quoteOffsets.enclaveReport.length
    need(bytes, bodyEnd, 'quote.body')
    return { bodyStart: start, bodyEnd, kind: 'SGX' }
  }
  if (version === 4) {
    const bodyEnd = start + quoteOffsets.tdReport.td10Length
    need(bytes, bodyEnd, 'quote.body')
    return { bodyStart: start, bodyEnd, kind: 'TD10' }
  }
  const descriptor = quoteOffsets.bodyDescriptor
  const bodyStart = start + descriptor.length
  need(bytes, bodyStart, 'quote.bodyDescriptor')
  const type = uint16(bytes, start + descriptor.type)
  const size = uint32(bytes, start + descriptor.size)
  const kind = type === 2 ? 'TD10' : type === 3 ? 'TD15' : undefined
  const length =
    kind === 'TD10' ? quoteOffsets.tdReport.td10Length : quoteOffsets.tdReport.td15Length
  if (kind === undefined || size !== length) {
    throw refusal('QuoteBodyUnsupported', 'The body of this version 5 quote is not a TD report.', {
      field: 'quote.bodyDescriptor',
      metaMessages: [
        'Expected: type 2 of 584 bytes or type 3 of 648 bytes',
        `Actual: type ${type} of ${size} bytes`,
      ],
    })
  }
  need(bytes, bodyStart + length, 'quote.body')
  return { bodyStart, bodyEnd: bodyStart + length, kind }
}

/**
 * Authentication data. Version 3: signature 64 ‖ key 64 ‖ QE report 384 ‖ its signature 64 ‖ auth
 * size 2 ‖ auth ‖ type 2 ‖ size 4 ‖ chain. Versions 4 and 5 wrap what follows the key once more in
 * type 2 (6) ‖ size 4.
 */
function readAuth(bytes: Uint8Array, start: number, end: number, version: 3 | 4 | 5): QuoteAuth {
  const auth = quoteOffsets.auth
  let cursor = start + auth.rest
  within(cursor, end, 'quote.authData.attestationKey')
  if (version !== 3) {
    within(cursor + 6, end, 'quote.authData.certificationData')
    certificationType(bytes, cursor, certificationTypeQeReport)
    const size = uint32(bytes, cursor + 2)
    cursor += 6
    exactly(cursor + size, end, 'quote.authData.certificationData.size')
  }
  const reportStart = cursor
  cursor += quoteOffsets.enclaveReport.length
  const reportSignatureStart = cursor
  cursor += 64
  within(cursor + 2, end, 'quote.authData.qeReport')
  const qeAuthStart = cursor + 2
  cursor = qeAuthStart + uint16(bytes, cursor)
  within(cursor + 6, end, 'quote.authData.qeAuthData')
  const qeAuthEnd = cursor
  certificationType(bytes, cursor, certificationTypePckChain)
  const chainSize = uint32(bytes, cursor + 2)
  cursor += 6
  exactly(cursor + chainSize, end, 'quote.authData.pckChain.size')
  return {
    signature: bytes.subarray(start, start + auth.attestationKey),
    attestationKey: bytes.subarray(start + auth.attestationKey, start + auth.rest),
    qeReportBytes: bytes.subarray(reportStart, reportSignatureStart),
    qeReport: readEnclaveReport(bytes, reportStart),
    qeReportSignature: bytes.subarray(reportSignatureStart, reportSignatureStart + 64),
    qeAuthData: bytes.subarray(qeAuthStart, qeAuthEnd),
    pckChain: bytes.subarray(cursor, end),
  }
}

function readEnclaveReport(bytes: Uint8Array, start: number): EnclaveReport {
  const at = quoteOffsets.enclaveReport
  const view = (offset: number, length: number) =>
    bytes.subarray(start + offset, start + offset + length)
  return {
    kind: 'SGX',
    cpuSvn: view(at.cpuSvn, 16),
    miscSelect: uint32(bytes, start + at.miscSelect),
    attributes: view(at.attributes, 16),
    mrEnclave: view(at.mrEnclave, 32),
    mrSigner: view(at.mrSigner, 32),
    isvProdId: uint16(bytes, start + at.isvProdId),
    isvSvn: uint16(bytes, start + at.isvSvn),
    reportData: view(at.reportData, 64),
  }
}

function readTdReport(bytes: Uint8Array, start: number, kind: 'TD10' | 'TD15'): TdReport {
  const at = quoteOffsets.tdReport
  const view = (offset: number, length: number) =>
    bytes.subarray(start + offset, start + offset + length)
  return {
    kind,
    teeTcbSvn: view(at.teeTcbSvn, 16),
    mrSeam: view(at.mrSeam, 48),
    mrSignerSeam: view(at.mrSignerSeam, 48),
    seamAttributes: view(at.seamAttributes, 8),
    tdAttributes: view(at.tdAttributes, 8),
    xfam: view(at.xfam, 8),
    mrTd: view(at.mrTd, 48),
    mrConfigId: view(at.mrConfigId, 48),
    mrOwner: view(at.mrOwner, 48),
    mrOwnerConfig: view(at.mrOwnerConfig, 48),
    rtmr0: view(at.rtmr0, 48),
    rtmr1: view(at.rtmr1, 48),
    rtmr2: view(at.rtmr2, 48),
    rtmr3: view(at.rtmr3, 48),
    reportData: view(at.reportData, 64),
    teeTcbSvn2: kind === 'TD15' ? view(at.teeTcbSvn2, 16) : undefined,
    mrServiceTd: kind === 'TD15' ? view(at.mrServiceTd, 48) : undefined,
  }
}

function need(bytes: Uint8Array, length: number, field: string): void {
  if (bytes.length >= length) return
  throw refusal('QuoteTruncated', 'The quote ends before its fields do.', {
    field,
    metaMessages: [`Expected: at least ${length} bytes`, `Actual: ${bytes.length}`],
  })
}

function within(position: number, end: number, field: string): void {
  if (position <= end) return
  throw refusal('AuthDataMalformed', 'A field reaches beyond the authentication data.', {
    field,
    metaMessages: [`Field ends at byte ${position}, authentication data at ${end}`],
  })
}

function exactly(position: number, end: number, field: string): void {
  if (position === end) return
  throw refusal('AuthDataMalformed', 'A length field does not lead to the end of its data.', {
    field,
    metaMessages: [`Expected: ${end}`, `Actual: ${position}`],
  })
}

function certificationType(bytes: Uint8Array, offset: number, expected: number): void {
  const type = uint16(bytes, offset)
  if (type === expected) return
  throw refusal('CertificationDataUnsupported', `Certification data of type ${type} is not read.`, {
    field: 'quote.authData.certificationData.type',
    metaMessages: [`Expected: ${expected}`],
    remedy: 'Configure the quoting enclave to include the PCK certificate chain (type 5).',
  })
}

function uint16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] ?? 0) | ((bytes[offset + 1] ?? 0) << 8)
}

function uint32(bytes: Uint8Array, offset: number): number {
  return (uint16(bytes, offset) | (uint16(bytes, offset + 2) << 16)) >>> 0
}
