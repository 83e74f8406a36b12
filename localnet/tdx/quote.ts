import { sha256 } from '@noble/hashes/sha2'
import { concatBytes } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'

/** Raised when a field of a quote does not have the length that its place in the quote demands. */
export class QuoteFieldLengthError extends BaseError {
  override readonly name = 'QuoteFieldLengthError'
}

/** TEE type of TDX in a quote header. @see Intel TDX DCAP Quoting Library API, A.3.1 */
export const teeTypeTdx = 0x81
/** ECDSA-256 with curve P-256. */
export const attestationKeyTypeEcdsaP256 = 2
/** Intel's quoting enclave vendor id: 939A7233-F79C-4CA9-940A-0DB3957F0607. */
export const intelQeVendorId = Uint8Array.from(
  Buffer.from('939a7233f79c4ca9940a0db3957f0607', 'hex'),
)
/** Certification data types. @see the same document, A.3.9 */
export const certificationType = { pckChain: 5, qeReport: 6 } as const
/** Body types of a version 5 quote. @see the same document, A.4.2 */
const bodyType = { td10: 2, td15: 3 } as const

export type QuoteHeader = {
  readonly version: number
  readonly attestationKeyType: number
  readonly teeType: number
  /** Two reserved words; version 3 quotes keep QE SVN and PCE SVN here. */
  readonly reserved: Uint8Array
  readonly qeVendorId: Uint8Array
  readonly userData: Uint8Array
}

/** A TD report's body: TD 1.0, and the two fields that TD 1.5 appends. */
export type TdReport = {
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
  readonly teeTcbSvn2: Uint8Array
  readonly mrServiceTd: Uint8Array
}

/** The quoting enclave's own report, without the report data, which binds the attestation key. */
export type QeReport = {
  readonly cpuSvn: Uint8Array
  readonly miscSelect: Uint8Array
  readonly attributes: Uint8Array
  readonly mrEnclave: Uint8Array
  readonly mrSigner: Uint8Array
  readonly isvProdId: number
  readonly isvSvn: number
}

/** Name and byte length of each field of a TD report, in order. @see A.3.2, A.4.4 */
const td10Layout = [
  ['teeTcbSvn', 16],
  ['mrSeam', 48],
  ['mrSignerSeam', 48],
  ['seamAttributes', 8],
  ['tdAttributes', 8],
  ['xfam', 8],
  ['mrTd', 48],
  ['mrConfigId', 48],
  ['mrOwner', 48],
  ['mrOwnerConfig', 48],
  ['rtmr0', 48],
  ['rtmr1', 48],
  ['rtmr2', 48],
  ['rtmr3', 48],
  ['reportData', 64],
] as const
const td15Layout = [...td10Layout, ['teeTcbSvn2', 16], ['mrServiceTd', 48]] as const

export type QuoteBody = 'td10' | 'td15'

export function uint16(value: number): Uint8Array {
  const bytes = new Uint8Array(2)
  new DataView(bytes.buffer).setUint16(0, value, true)
  return bytes
}

export function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

function encodeHeader(header: QuoteHeader): Uint8Array {
  return concatBytes(
    uint16(header.version),
    uint16(header.attestationKeyType),
    uint32(header.teeType),
    sized(header.reserved, 4, 'reserved'),
    sized(header.qeVendorId, 16, 'qeVendorId'),
    sized(header.userData, 20, 'userData'),
  )
}

function encodeTdReport(report: TdReport, body: QuoteBody): Uint8Array {
  const layout = body === 'td10' ? td10Layout : td15Layout
  return concatBytes(...layout.map(([name, length]) => sized(report[name], length, name)))
}

/**
 * The quoting enclave's report: 384 bytes. Its report data starts with
 * SHA-256(attestation key ‖ authentication data), which is what ties the key to the enclave.
 */
export function encodeQeReport(report: QeReport, reportData: Uint8Array): Uint8Array {
  return concatBytes(
    sized(report.cpuSvn, 16, 'cpuSvn'),
    sized(report.miscSelect, 4, 'miscSelect'),
    new Uint8Array(28),
    sized(report.attributes, 16, 'attributes'),
    sized(report.mrEnclave, 32, 'mrEnclave'),
    new Uint8Array(32),
    sized(report.mrSigner, 32, 'mrSigner'),
    new Uint8Array(96),
    uint16(report.isvProdId),
    uint16(report.isvSvn),
    new Uint8Array(60),
    sized(reportData, 64, 'reportData'),
  )
}

export function attestationKeyBinding(attestationKey: Uint8Array, authData: Uint8Array) {
  return concatBytes(sha256(concatBytes(attestationKey, authData)), new Uint8Array(32))
}

/** What the attestation key signs: header and body, with version 5's body header between them. */
export function encodeSignedPart(
  header: QuoteHeader,
  report: TdReport,
  body: QuoteBody,
): Uint8Array {
  const reportBytes = encodeTdReport(report, body)
  if (header.version < 5) return concatBytes(encodeHeader(header), reportBytes)
  return concatBytes(
    encodeHeader(header),
    uint16(bodyType[body]),
    uint32(reportBytes.length),
    reportBytes,
  )
}

/** The pieces of a quote, each of which a negative case may exchange. */
export type QuoteParts = {
  readonly signedPart: Uint8Array
  /** r ‖ s of the attestation key over the signed part. */
  readonly signature: Uint8Array
  /** x ‖ y. */
  readonly attestationKey: Uint8Array
  readonly outerType: number
  readonly qeReport: Uint8Array
  readonly qeReportSignature: Uint8Array
  readonly qeAuthData: Uint8Array
  readonly innerType: number
  /** PEM chain, leaf first. */
  readonly pckChain: Uint8Array
}

/** A whole quote: signed part, length of the signature data, signature data. @see A.3.8 */
export function encodeQuote(parts: QuoteParts): Uint8Array {
  const inner = concatBytes(
    parts.qeReport,
    parts.qeReportSignature,
    uint16(parts.qeAuthData.length),
    parts.qeAuthData,
    uint16(parts.innerType),
    uint32(parts.pckChain.length),
    parts.pckChain,
  )
  const signatureData = concatBytes(
    parts.signature,
    parts.attestationKey,
    uint16(parts.outerType),
    uint32(inner.length),
    inner,
  )
  return concatBytes(parts.signedPart, uint32(signatureData.length), signatureData)
}

function sized(bytes: Uint8Array, length: number, field: string): Uint8Array {
  if (bytes.length !== length) {
    throw new QuoteFieldLengthError(`${field} has the wrong length.`, {
      field,
      metaMessages: [`Expected: ${length} bytes`, `Actual: ${bytes.length} bytes`],
    })
  }
  return bytes
}
