import { toHex } from '#schemas/bytes.ts'
import {
  DerReader,
  derTag,
  InvalidDerError,
  readBoolean,
  readObjectIdentifier,
  smallUnsigned,
  unsignedMagnitude,
} from './der.ts'
import { unixSecondsOf } from './time.ts'

/**
 * An X.509 version 3 certificate over P-256 with SHA-256: the only kind in Intel's and dstack's
 * hierarchies, and the only kind read here. Byte fields are views into `der`.
 *
 * @see RFC 5280 §4.1, RFC 5480
 */
export type Certificate = {
  readonly der: Uint8Array
  /** The TBSCertificate, which `signature` signs. */
  readonly signedBytes: Uint8Array
  /** Magnitude of the serial number, as hex without leading zero bytes. */
  readonly serial: string
  /** DER of the names; equality of names is equality of these bytes. */
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  readonly subjectCommonName: string
  readonly notBeforeUnixSeconds: number
  readonly notAfterUnixSeconds: number
  /** x ‖ y, 64 bytes; not yet known to lie on the curve. */
  readonly publicKey: Uint8Array
  /** r ‖ s, 64 bytes. */
  readonly signature: Uint8Array
  /** `undefined` when the extension is absent. */
  readonly basicConstraints: BasicConstraints | undefined
  /** Bits in the order of RFC 5280 §4.2.1.3, digitalSignature as 0x80; absent when not stated. */
  readonly keyUsage: number | undefined
  readonly extensions: readonly Extension[]
}

export type BasicConstraints = {
  readonly isCritical: boolean
  readonly isCa: boolean
  readonly pathLength: number | undefined
}

export type Extension = {
  readonly oid: string
  readonly isCritical: boolean
  readonly value: Uint8Array
}

/** Bits of the first byte of KeyUsage. */
export const keyUsageBit = {
  digitalSignature: 0x80,
  keyCertSign: 0x04,
  crlSign: 0x02,
} as const

export const extensionOid = {
  subjectAltName: '2.5.29.17',
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  sgx: '1.2.840.113741.1.13.1',
} as const

/** Extensions that may be critical because they are understood here or bear on nothing here. */
const understoodCritical: readonly string[] = [
  extensionOid.keyUsage,
  extensionOid.basicConstraints,
  extensionOid.subjectAltName,
  extensionOid.extendedKeyUsage,
]

/** Larger than any certificate of these hierarchies; RA-TLS certificates carry a quote and a log. */
export const maximumCertificateBytes = 65_535

// Contents of fixed AlgorithmIdentifiers, compared as bytes.
const ecdsaWithSha256 = Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02)
const p256KeyAlgorithm = Uint8Array.of(
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
)
const commonNameOid = Uint8Array.of(0x55, 0x04, 0x03)

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads a certificate and refuses what is not exact DER, not version 3, not ECDSA P-256 with SHA-256,
 * or critical and not understood. No signature, name or time is judged here.
 *
 * @param what - Named in errors: `the PCK certificate`.
 * @throws {@link InvalidDerError}
 */
export function parseCertificate(der: Uint8Array, what: string): Certificate {
  if (der.length > maximumCertificateBytes) throw new InvalidDerError(`${what} is too large.`)
  const outer = new DerReader(der, what)
  const certificate = outer.enter(derTag.sequence)
  outer.finish()
  const signedBytes = certificate.readWhole(derTag.sequence)
  expectAlgorithm(certificate, ecdsaWithSha256)
  const signature = readSignature(certificate.read(derTag.bitString), what)
  certificate.finish()

  const frame = new DerReader(signedBytes, what)
  const fields = frame.enter(derTag.sequence)
  const versionFrame = fields.enter(0xa0)
  if (smallUnsigned(versionFrame.read(derTag.integer), what) !== 2) {
    throw new InvalidDerError(`${what} is not of version 3.`)
  }
  versionFrame.finish()
  const serial = readSerial(fields.read(derTag.integer), what)
  expectAlgorithm(fields, ecdsaWithSha256)
  const issuer = fields.readWhole(derTag.sequence)
  const validity = fields.enter(derTag.sequence)
  const notBeforeUnixSeconds = readTime(validity)
  const notAfterUnixSeconds = readTime(validity)
  validity.finish()
  const subject = fields.readWhole(derTag.sequence)
  const publicKey = readPublicKey(fields.enter(derTag.sequence))
  const extensionFrame = fields.enter(0xa3)
  const extensions = readExtensions(extensionFrame.enter(derTag.sequence))
  extensionFrame.finish()
  fields.finish()

  for (const extension of extensions) {
    if (extension.isCritical && !understoodCritical.includes(extension.oid)) {
      throw new InvalidDerError(`${what} has a critical extension that is not understood.`, {
        metaMessages: [`Extension: ${extension.oid}`],
      })
    }
  }
  return {
    der,
    signedBytes,
    serial,
    issuer,
    subject,
    subjectCommonName: readCommonName(subject, what),
    notBeforeUnixSeconds,
    notAfterUnixSeconds,
    publicKey,
    signature,
    basicConstraints: readBasicConstraints(extensions, what),
    keyUsage: readKeyUsage(extensions, what),
    extensions,
  }
}

/** Value of an extension, or `undefined` when the certificate does not carry it. */
export function findExtension(certificate: Certificate, oid: string): Uint8Array | undefined {
  return certificate.extensions.find((extension) => extension.oid === oid)?.value
}

/** The AlgorithmIdentifier must hold exactly these bytes: no parameters, no alternatives. */
export function expectAlgorithm(reader: DerReader, expected = ecdsaWithSha256): void {
  const actual = reader.read(derTag.sequence)
  if (actual.length !== expected.length || actual.some((byte, at) => byte !== expected[at])) {
    reader.fail('uses another algorithm than ECDSA P-256 with SHA-256')
  }
}

/** ECDSA-Sig-Value in a BIT STRING (RFC 3279 §2.2.3) as r ‖ s. */
export function readSignature(contents: Uint8Array, what: string): Uint8Array {
  if (contents[0] !== 0) throw new InvalidDerError(`${what} has a signature with unused bits.`)
  const frame = new DerReader(contents, what, 1)
  const pair = frame.enter(derTag.sequence)
  frame.finish()
  const signature = new Uint8Array(64)
  for (const end of [32, 64]) {
    const part = unsignedMagnitude(pair.read(derTag.integer), `${what}: signature`)
    if (part.length > 32) throw new InvalidDerError(`${what} has a signature that is too long.`)
    signature.set(part, end - part.length)
  }
  pair.finish()
  return signature
}

/** RFC 5280 §4.1.2.2: positive, at most 20 octets. */
export function readSerial(contents: Uint8Array, what: string): string {
  const magnitude = unsignedMagnitude(contents, `${what}: serial number`)
  if (magnitude.length > 20) throw new InvalidDerError(`${what} has a serial number too long.`)
  return toHex(magnitude).slice(2)
}

/** UTCTime or GeneralizedTime in the one form that RFC 5280 §4.1.2.5 allows. */
export function readTime(reader: DerReader): number {
  const isUtc = reader.nextIs(derTag.utcTime)
  const contents = reader.read(isUtc ? derTag.utcTime : derTag.generalizedTime)
  const yearDigits = isUtc ? 2 : 4
  if (contents.length !== yearDigits + 11 || contents[contents.length - 1] !== 0x5a) {
    reader.fail('has a time that is not in Zulu seconds')
  }
  const number = (start: number, digits: number) => {
    let value = 0
    for (let index = start; index < start + digits; index += 1) {
      const digit = (contents[index] ?? 0) - 0x30
      if (digit < 0 || digit > 9) reader.fail('has a time with other characters than digits')
      value = value * 10 + digit
    }
    return value
  }
  const written = number(0, yearDigits)
  const year = isUtc ? written + (written < 50 ? 2000 : 1900) : written
  const at = (index: number) => number(yearDigits + index * 2, 2)
  return (
    unixSecondsOf(year, at(0), at(1), at(2), at(3), at(4)) ??
    reader.fail('has a time that does not exist')
  )
}

function readPublicKey(reader: DerReader): Uint8Array {
  expectAlgorithm(reader, p256KeyAlgorithm)
  const bits = reader.read(derTag.bitString)
  reader.finish()
  // 66 = unused bits 1 + form 1 (04, uncompressed) + x 32 + y 32
  if (bits.length !== 66 || bits[0] !== 0 || bits[1] !== 0x04) {
    reader.fail('has a public key that is not an uncompressed P-256 point')
  }
  return bits.subarray(2)
}

/** Extension ::= SEQUENCE { OID, critical BOOLEAN DEFAULT FALSE, OCTET STRING }, each OID once. */
export function readExtensions(reader: DerReader): Extension[] {
  const extensions: Extension[] = []
  while (!reader.isDone) {
    const entry = reader.enter(derTag.sequence)
    const oid = readObjectIdentifier(entry.read(derTag.objectIdentifier), reader.what)
    let isCritical = false
    if (entry.nextIs(derTag.boolean)) {
      isCritical = readBoolean(entry.read(derTag.boolean), reader.what)
      if (!isCritical) reader.fail('spells out a default')
    }
    const value = entry.read(derTag.octetString)
    entry.finish()
    if (extensions.some((other) => other.oid === oid)) reader.fail(`has extension ${oid} twice`)
    extensions.push({ oid, isCritical, value })
  }
  return extensions
}

function readBasicConstraints(
  extensions: readonly Extension[],
  what: string,
): BasicConstraints | undefined {
  const extension = extensions.find((candidate) => candidate.oid === extensionOid.basicConstraints)
  if (extension === undefined) return undefined
  const frame = new DerReader(extension.value, `${what}: basic constraints`)
  const reader = frame.enter(derTag.sequence)
  frame.finish()
  let isCa = false
  if (reader.nextIs(derTag.boolean)) {
    isCa = readBoolean(reader.read(derTag.boolean), what)
    if (!isCa) reader.fail('spells out a default')
  }
  let pathLength: number | undefined
  if (reader.nextIs(derTag.integer)) {
    if (!isCa) reader.fail('limits a path without being an authority')
    pathLength = smallUnsigned(reader.read(derTag.integer), what)
  }
  reader.finish()
  return { isCritical: extension.isCritical, isCa, pathLength }
}

function readKeyUsage(extensions: readonly Extension[], what: string): number | undefined {
  const extension = extensions.find((candidate) => candidate.oid === extensionOid.keyUsage)
  if (extension === undefined) return undefined
  const reader = new DerReader(extension.value, `${what}: key usage`)
  const bits = reader.read(derTag.bitString)
  reader.finish()
  if (bits.length < 2 || bits.length > 3 || (bits[0] ?? 8) > 7) reader.fail('is not a bit string')
  return bits[1]
}

/** The one common name of a Name; other attributes are not interpreted. */
function readCommonName(name: Uint8Array, what: string): string {
  const frame = new DerReader(name, `${what}: name`)
  const sets = frame.enter(derTag.sequence)
  let commonName: string | undefined
  while (!sets.isDone) {
    const set = sets.enter(derTag.set)
    const attribute = set.enter(derTag.sequence)
    set.finish()
    const type = attribute.read(derTag.objectIdentifier)
    const isUtf8 = attribute.nextIs(derTag.utf8String)
    if (type.length !== 3 || type.some((byte, at) => byte !== commonNameOid[at])) continue
    if (commonName !== undefined) sets.fail('has two common names')
    const text = attribute.read(isUtf8 ? derTag.utf8String : derTag.printableString)
    attribute.finish()
    try {
      commonName = decoder.decode(text)
    } catch (cause) {
      throw new InvalidDerError(`${what} has a common name that is not UTF-8.`, { cause })
    }
  }
  return commonName ?? ''
}
