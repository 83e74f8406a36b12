import { equalBytes } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { importDeviceKey } from '#schemas/pack/deviceKey.ts'
import type { SignatureVerifier } from '#schemas/pack/signatureVerifier.ts'
import {
  type Certificate,
  findExtension,
  keyUsageBit,
  parseCertificate,
} from '#verifier/x509/certificate.ts'
import { DerReader, derTag, readObjectIdentifier } from '#verifier/x509/der.ts'
import { UntrustedDeviceError } from './errors.ts'
import type { MakerStatement } from './makerStatement.ts'

const longestChain = 4
const subjectAltName = '2.5.29.17'
/** id-on-hardwareModuleName, RFC 4108 §5. */
const hardwareModuleName = '1.3.6.1.5.5.7.8.4'

/** A piece of hardware as its maker numbered it. */
export type HardwareModule = { readonly hwType: string; readonly serial: Uint8Array }

export type DevicePath = {
  readonly maker: MakerStatement
  readonly leaf: Certificate
  readonly hardware: HardwareModule
}

function refuse(field: string, message: string, cause?: unknown): never {
  throw new UntrustedDeviceError(message, { field, cause })
}

/**
 * The hardwareModuleName in a device certificate's subjectAltName, as IEEE 802.1AR puts it there.
 *
 * @see RFC 4108 §5; IEEE 802.1AR-2018 §8.10.4
 */
function readHardware(leaf: Certificate): HardwareModule {
  const value = findExtension(leaf, subjectAltName)
  if (value === undefined)
    return refuse('certificates[0]', 'The device certificate names no hardware.')
  const what = 'the subject alternative name'
  const outer = new DerReader(value, what)
  const names = outer.enter(derTag.sequence)
  outer.finish()
  // GeneralName otherName: [0] IMPLICIT SEQUENCE { type-id, value [0] EXPLICIT ANY }
  const otherName = names.enter(0xa0)
  names.finish()
  if (readObjectIdentifier(otherName.read(derTag.objectIdentifier), what) !== hardwareModuleName) {
    return refuse('certificates[0]', 'The device certificate names something else than hardware.')
  }
  const explicit = otherName.enter(0xa0)
  otherName.finish()
  const sequence = explicit.enter(derTag.sequence)
  explicit.finish()
  const hwType = readObjectIdentifier(sequence.read(derTag.objectIdentifier), what)
  const serial = sequence.read(derTag.octetString)
  sequence.finish()
  if (serial.length === 0 || serial.length > 64) {
    return refuse('certificates[0]', 'The hardware serial has no usable length.')
  }
  return { hwType, serial }
}

function assertIssues(
  issuer: Certificate,
  subject: Certificate,
  depth: number,
  nowSeconds: number,
  verifier: SignatureVerifier,
): void {
  const field = `certificates[${depth}]`
  const { basicConstraints, keyUsage } = issuer
  if (basicConstraints?.isCa !== true || !basicConstraints.isCritical) {
    refuse(field, 'An issuer is no certificate authority.')
  }
  if (keyUsage === undefined || (keyUsage & keyUsageBit.keyCertSign) === 0) {
    refuse(field, 'An issuer may not sign certificates.')
  }
  // Path length: intermediates that may follow; `depth` counts those between this and the leaf.
  if (basicConstraints.pathLength !== undefined && basicConstraints.pathLength < depth - 1) {
    refuse(field, 'The path is longer than an issuer allows.')
  }
  if (nowSeconds < issuer.notBeforeUnixSeconds || nowSeconds > issuer.notAfterUnixSeconds) {
    refuse(field, 'An issuer is outside its validity.')
  }
  if (!equalBytes(subject.issuer, issuer.subject)) {
    refuse(`certificates[${depth - 1}].issuer`, 'A certificate names another issuer.')
  }
  const key = importDeviceKey('ES256', issuer.publicKey)
  if (!verifier.verify(key, subject.signedBytes, subject.signature)) {
    refuse(`certificates[${depth - 1}].signature`, 'A certificate is not signed by its issuer.')
  }
}

/**
 * Follows a device's certificates to a pinned root of an enrolled maker.
 *
 * @param certificates - DER, the device's own first; the root itself may be left out.
 * @throws {@link UntrustedDeviceError}
 * @see RFC 5280 §6.1; research: IEEE 802.1AR
 */
export function verifyDevicePath(
  certificates: readonly Uint8Array[],
  makers: readonly MakerStatement[],
  nowSeconds: number,
  verifier: SignatureVerifier,
): DevicePath {
  if (certificates.length === 0 || certificates.length > longestChain) {
    return refuse('certificates', `A chain has 1 to ${longestChain} certificates.`)
  }
  try {
    const chain = certificates.map((der, index) => parseCertificate(der, `certificate ${index}`))
    const leaf = chain[0]
    const top = chain.at(-1)
    if (leaf === undefined || top === undefined) return refuse('certificates', 'No certificate.')
    const maker = makers.find(({ root }) => {
      const pinned = parseCertificate(root, 'the pinned root')
      return equalBytes(pinned.der, top.der) || equalBytes(pinned.subject, top.issuer)
    })
    if (maker === undefined) {
      return refuse('certificates', 'The chain leads to no maker that is known here.')
    }
    const root = parseCertificate(maker.root, 'the pinned root')
    const path = equalBytes(root.der, top.der) ? chain : [...chain, root]
    if (path.length < 2) return refuse('certificates', 'A root is no device.')
    if (leaf.basicConstraints?.isCa === true) {
      return refuse('certificates[0]', 'A certificate authority is no device.')
    }
    if (leaf.keyUsage !== undefined && (leaf.keyUsage & keyUsageBit.digitalSignature) === 0) {
      return refuse('certificates[0]', 'The device’s key may not sign.')
    }
    if (nowSeconds < leaf.notBeforeUnixSeconds || nowSeconds > leaf.notAfterUnixSeconds) {
      return refuse('certificates[0]', 'The device certificate is outside its validity.')
    }
    for (const [index, subject] of path.slice(0, -1).entries()) {
      const issuer = path[index + 1]
      if (issuer !== undefined) assertIssues(issuer, subject, index + 1, nowSeconds, verifier)
    }
    for (const { serial } of path) {
      if (maker.revokedCertificates.includes(serial)) {
        return refuse('certificates', 'A certificate of the chain is revoked.')
      }
    }
    return { maker, leaf, hardware: readHardware(leaf) }
  } catch (error) {
    if (error instanceof UntrustedDeviceError) throw error
    if (error instanceof BaseError) return refuse('certificates', error.shortMessage, error)
    throw error
  }
}
