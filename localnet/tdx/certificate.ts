import { sha1 } from '@noble/hashes/legacy'
import { concatBytes, utf8 } from '#schemas/bytes.ts'
import {
  der,
  derBitString,
  derBoolean,
  derEnumerated,
  derExplicit,
  derImplicit,
  derInteger,
  derNamedBits,
  derOctetString,
  derOid,
  derPrintableString,
  derSequence,
  derSetOf,
  derTime,
  derUtf8String,
} from './der.ts'
import { ecdsaSignatureDer, signP256, subjectPublicKeyInfo } from './keys.ts'
import type { P256Key } from './keys.ts'

/** A distinguished name in the order in which its attributes are written. */
export type Name = readonly (readonly [attribute: keyof typeof nameAttributes, value: string])[]

/** Bits of KeyUsage by name. @see RFC 5280 §4.2.1.3 */
const keyUsageBits = {
  digitalSignature: 0,
  nonRepudiation: 1,
  keyCertSign: 5,
  cRLSign: 6,
} as const

type KeyUsage = keyof typeof keyUsageBits

export type Extension = {
  readonly oid: string
  readonly isCritical?: boolean
  /** DER of the extension's own value, before it is wrapped in an OCTET STRING. */
  readonly value: Uint8Array
}

/** Everything a certificate says. Which of it is honest is the caller's choice. */
export type CertificateSpec = {
  readonly subject: Name
  readonly issuer: Name
  readonly serial: Uint8Array
  readonly notBefore: number
  readonly notAfter: number
  readonly subjectKey: Uint8Array
  readonly signer: P256Key
  /** `undefined` leaves BasicConstraints out. */
  readonly basicConstraints: { isCa: boolean; pathLength?: number } | undefined
  /** `undefined` leaves KeyUsage out. */
  readonly keyUsage: readonly KeyUsage[] | undefined
  readonly subjectKeyIdentifier?: Uint8Array
  readonly authorityKeyIdentifier?: Uint8Array
  readonly crlDistributionPoint?: string
  /** Written after the others, in order. */
  readonly extensions?: readonly Extension[]
}

export type CrlSpec = {
  readonly issuer: Name
  readonly thisUpdate: number
  readonly nextUpdate: number
  readonly signer: P256Key
  readonly authorityKeyIdentifier: Uint8Array
  readonly crlNumber: number
  readonly revoked: readonly { serial: Uint8Array; revokedAt: number }[]
}

const ecdsaWithSha256 = derSequence(derOid('1.2.840.10045.4.3.2'))

const nameAttributes = {
  CN: '2.5.4.3',
  O: '2.5.4.10',
  L: '2.5.4.7',
  ST: '2.5.4.8',
  C: '2.5.4.6',
} as const

/** RFC 5280 method 1: SHA-1 of the public key's bit string, as Intel's certificates carry it. */
export function keyIdentifier(publicKey: Uint8Array): Uint8Array {
  return sha1(concatBytes(Uint8Array.of(0x04), publicKey))
}

function encodeName(name: Name): Uint8Array {
  return derSequence(
    ...name.map(([attribute, value]) =>
      derSetOf(
        derSequence(
          derOid(nameAttributes[attribute]),
          attribute === 'C' ? derPrintableString(value) : derUtf8String(value),
        ),
      ),
    ),
  )
}

/** DER of a version 3 certificate over P-256 with SHA-256. @see RFC 5280 §4.1 */
export function encodeCertificate(spec: CertificateSpec): Uint8Array {
  const extensions = [...standardExtensions(spec), ...(spec.extensions ?? [])]
  const signed = derSequence(
    derExplicit(0, derInteger(2)),
    derInteger(spec.serial),
    ecdsaWithSha256,
    encodeName(spec.issuer),
    derSequence(derTime(spec.notBefore), derTime(spec.notAfter)),
    encodeName(spec.subject),
    subjectPublicKeyInfo(spec.subjectKey),
    derExplicit(3, derSequence(...extensions.map(encodeExtension))),
  )
  return assembleSigned(signed, signP256(spec.signer, signed))
}

/**
 * DER of a version 2 certificate revocation list. @see RFC 5280 §5.1
 *
 * @param signedAs - The list that is really signed, where that is another one.
 */
export function encodeCrl(spec: CrlSpec, signedAs: CrlSpec = spec): Uint8Array {
  const signature = signP256(spec.signer, crlSignedPart(signedAs))
  return assembleSigned(crlSignedPart(spec), signature)
}

function crlSignedPart(spec: CrlSpec): Uint8Array {
  const keyCompromise = encodeExtension({ oid: '2.5.29.21', value: derEnumerated(1) })
  const entries = spec.revoked.map((entry) =>
    derSequence(derInteger(entry.serial), derTime(entry.revokedAt), derSequence(keyCompromise)),
  )
  return derSequence(
    derInteger(1),
    ecdsaWithSha256,
    encodeName(spec.issuer),
    derTime(spec.thisUpdate),
    derTime(spec.nextUpdate),
    // An empty list is left out altogether, never written as an empty sequence.
    ...(entries.length === 0 ? [] : [derSequence(...entries)]),
    derExplicit(
      0,
      derSequence(
        encodeExtension({ oid: '2.5.29.20', value: derInteger(spec.crlNumber) }),
        encodeExtension({
          oid: '2.5.29.35',
          value: derSequence(derImplicit(0, spec.authorityKeyIdentifier)),
        }),
      ),
    ),
  )
}

function assembleSigned(signedPart: Uint8Array, signature: Uint8Array): Uint8Array {
  return derSequence(signedPart, ecdsaWithSha256, derBitString(ecdsaSignatureDer(signature)))
}

function encodeExtension({ oid, isCritical = false, value }: Extension): Uint8Array {
  // DEFAULT FALSE is left out in DER. @see X.690 §11.5
  const criticality = isCritical ? [derBoolean(true)] : []
  return derSequence(derOid(oid), ...criticality, derOctetString(value))
}

/** In the order of Intel's certificates: AKI, CRL distribution point, SKI, key usage, constraints. */
function standardExtensions(spec: CertificateSpec): Extension[] {
  const extensions: Extension[] = []
  if (spec.authorityKeyIdentifier !== undefined) {
    extensions.push({
      oid: '2.5.29.35',
      value: derSequence(derImplicit(0, spec.authorityKeyIdentifier)),
    })
  }
  if (spec.crlDistributionPoint !== undefined) {
    const uri = derImplicit(6, utf8(spec.crlDistributionPoint))
    extensions.push({
      oid: '2.5.29.31',
      value: derSequence(derSequence(derExplicit(0, derExplicit(0, uri)))),
    })
  }
  if (spec.subjectKeyIdentifier !== undefined) {
    extensions.push({ oid: '2.5.29.14', value: derOctetString(spec.subjectKeyIdentifier) })
  }
  if (spec.keyUsage !== undefined) {
    extensions.push({
      oid: '2.5.29.15',
      isCritical: true,
      value: derNamedBits(...spec.keyUsage.map((usage) => keyUsageBits[usage])),
    })
  }
  if (spec.basicConstraints !== undefined) {
    const { isCa, pathLength } = spec.basicConstraints
    extensions.push({
      oid: '2.5.29.19',
      isCritical: true,
      value: der(
        0x30,
        ...(isCa ? [derBoolean(true)] : []),
        ...(pathLength === undefined ? [] : [derInteger(pathLength)]),
      ),
    })
  }
  return extensions
}
