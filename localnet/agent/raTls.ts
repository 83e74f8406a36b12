import { isIP } from 'node:net'
import { sha512 } from '@noble/hashes/sha2'
import { concatBytes, utf8 } from '#schemas/bytes.ts'
import { encodeCertificate, keyIdentifier } from '../tdx/certificate.ts'
import type { Extension, Name } from '../tdx/certificate.ts'
import { derImplicit, derOctetString, derOid, derSequence } from '../tdx/der.ts'
import { deriveP256Key, p256KeyFromSecret, subjectPublicKeyInfo } from '../tdx/keys.ts'
import type { P256Key, Seed } from '../tdx/keys.ts'
import { deriveDstackKey } from './keys.ts'
import { AgentRequestError } from './errors.ts'
import { encodeMessagePackMap } from './messagePack.ts'

/** Certificate extensions of dstack. @see Dstack-TEE/dstack, ra-tls */
const raTlsOids = {
  quote: '1.3.6.1.4.1.62397.1.1',
  eventLog: '1.3.6.1.4.1.62397.1.2',
  appId: '1.3.6.1.4.1.62397.1.3',
  certificateUsage: '1.3.6.1.4.1.62397.1.4',
  appInfo: '1.3.6.1.4.1.62397.1.9',
} as const

export type CertificateAuthority = {
  readonly kmsCa: Uint8Array
  /** SubjectPublicKeyInfo of the KMS CA, the id of the key provider. */
  readonly kmsCaKey: Uint8Array
  readonly kmsSigner: P256Key
}

export type TlsCertificateRequest = {
  readonly key: P256Key
  readonly appId: Uint8Array
  readonly subject: string
  readonly altNames: readonly string[]
  readonly isServer: boolean
  readonly isClient: boolean
  readonly notBefore: number
  readonly notAfter: number
  /** Present for RA-TLS: the quote over this key, and its log as JSON. */
  readonly attestation?: { readonly quote: Uint8Array; readonly eventLog: string }
  readonly appInfo?: Readonly<Record<string, Uint8Array | string>>
}

/** dstack's issuing library dates everything that names no start from here. */
export const defaultNotBefore = Date.UTC(1975, 0, 1) / 1000
/** @see RFC 5280 §4.1.2.5: GeneralizedTime has four digits for the year. */
const lastCertificateInstant = Date.UTC(9999, 11, 31, 23, 59, 59) / 1000
const caNotAfter = Date.UTC(2049, 11, 31, 23, 59, 59) / 1000

const kmsCaName: Name = [
  ['O', 'Dstack'],
  ['CN', 'Dstack KMS CA'],
]
const appCaName: Name = [
  ['O', 'Dstack'],
  ['CN', 'Dstack App CA'],
]

/** The certificate authority of the local key management service. */
export function createCertificateAuthority(seed: Seed): CertificateAuthority {
  const kmsSigner = deriveP256Key(seed, 'kms ca')
  return {
    kmsSigner,
    kmsCaKey: subjectPublicKeyInfo(kmsSigner.publicKey),
    kmsCa: encodeCertificate({
      subject: kmsCaName,
      issuer: kmsCaName,
      serial: keyIdentifier(kmsSigner.publicKey),
      notBefore: defaultNotBefore,
      notAfter: caNotAfter,
      subjectKey: kmsSigner.publicKey,
      signer: kmsSigner,
      basicConstraints: { isCa: true, pathLength: 1 },
      keyUsage: ['digitalSignature', 'keyCertSign', 'cRLSign'],
      subjectKeyIdentifier: keyIdentifier(kmsSigner.publicKey),
    }),
  }
}

/** Report data that binds a TLS key: SHA-512(`ratls-cert:` ‖ SubjectPublicKeyInfo). */
export function raTlsReportData(publicKey: Uint8Array): Uint8Array {
  return sha512(concatBytes(utf8('ratls-cert:'), subjectPublicKeyInfo(publicKey)))
}

/** DER of the chain: leaf, application CA, KMS CA. */
export function issueTlsCertificate(
  authority: CertificateAuthority,
  request: TlsCertificateRequest,
): [leaf: Uint8Array, appCa: Uint8Array, kmsCa: Uint8Array] {
  if (request.notAfter <= request.notBefore) {
    throw new AgentRequestError('not_after must be later than not_before', { field: 'not_after' })
  }
  if (request.notAfter > lastCertificateInstant) {
    throw new AgentRequestError('not_after must not be later than the year 9999', {
      field: 'not_after',
    })
  }
  const { kmsSigner } = authority
  const appCaKey = p256KeyFromSecret(
    deriveDstackKey(kmsSigner.secret, request.appId, utf8('app-ca')),
  )
  const appIdExtension = dstackExtension(raTlsOids.appId, request.appId)
  const appCa = encodeCertificate({
    subject: appCaName,
    issuer: kmsCaName,
    serial: keyIdentifier(appCaKey.publicKey),
    notBefore: defaultNotBefore,
    notAfter: caNotAfter,
    subjectKey: appCaKey.publicKey,
    signer: kmsSigner,
    basicConstraints: { isCa: true, pathLength: 0 },
    keyUsage: ['digitalSignature', 'keyCertSign', 'cRLSign'],
    subjectKeyIdentifier: keyIdentifier(appCaKey.publicKey),
    authorityKeyIdentifier: keyIdentifier(kmsSigner.publicKey),
    extensions: [appIdExtension, dstackExtension(raTlsOids.certificateUsage, utf8('app:ca'))],
  })
  const leaf = encodeCertificate({
    subject: [['CN', request.subject]],
    issuer: appCaName,
    serial: keyIdentifier(request.key.publicKey),
    notBefore: request.notBefore,
    notAfter: request.notAfter,
    subjectKey: request.key.publicKey,
    signer: appCaKey,
    basicConstraints: undefined,
    keyUsage: ['digitalSignature'],
    authorityKeyIdentifier: keyIdentifier(appCaKey.publicKey),
    extensions: leafExtensions(request, appIdExtension),
  })
  return [leaf, appCa, authority.kmsCa]
}

function leafExtensions(request: TlsCertificateRequest, appId: Extension): Extension[] {
  const { attestation, appInfo } = request
  const purposes = [
    ...(request.isServer ? [derOid('1.3.6.1.5.5.7.3.1')] : []),
    ...(request.isClient ? [derOid('1.3.6.1.5.5.7.3.2')] : []),
  ]
  return [
    ...(request.altNames.length === 0
      ? []
      : [{ oid: '2.5.29.17', value: derSequence(...request.altNames.map(generalName)) }]),
    ...(purposes.length === 0 ? [] : [{ oid: '2.5.29.37', value: derSequence(...purposes) }]),
    appId,
    ...(appInfo === undefined
      ? []
      : [dstackExtension(raTlsOids.appInfo, encodeMessagePackMap(appInfo))]),
    dstackExtension(raTlsOids.certificateUsage, utf8('app:custom')),
    ...(attestation === undefined
      ? []
      : [
          dstackExtension(raTlsOids.quote, attestation.quote),
          dstackExtension(raTlsOids.eventLog, utf8(attestation.eventLog)),
        ]),
  ]
}

/** dstack wraps every value of its own in one more OCTET STRING. */
function dstackExtension(oid: string, content: Uint8Array): Extension {
  return { oid, value: derOctetString(content) }
}

function generalName(name: string): Uint8Array {
  const kind = isIP(name)
  if (kind === 4) return derImplicit(7, Uint8Array.from(name.split('.').map(Number)))
  if (kind === 6) return derImplicit(7, ipv6Bytes(name))
  if (!/^[\x21-\x7e]{1,253}$/.test(name)) {
    throw new AgentRequestError(`${JSON.stringify(name)} is not a DNS name`, { field: 'alt_names' })
  }
  return derImplicit(2, utf8(name))
}

function ipv6Bytes(address: string): Uint8Array {
  // The URL parser writes an IPv6 address canonically, with at most one run of zeros left out.
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1)
  const [head = '', tail] = canonical.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const left = groups(head)
  const right = tail === undefined ? [] : groups(tail)
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0')
  return Uint8Array.from(
    [...left, ...zeros, ...right].flatMap((group) => {
      const value = Number.parseInt(group, 16)
      return [value >> 8, value & 0xff]
    }),
  )
}
