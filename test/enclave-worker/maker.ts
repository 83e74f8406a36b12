import { createPrivateKey, sign } from 'node:crypto'
import { encodeCertificate } from '#localnet/tdx/certificate.ts'
import { derExplicit, derImplicit, derOctetString, derOid, derSequence } from '#localnet/tdx/der.ts'
import { type P256Key, deriveP256Key, pkcs8 } from '#localnet/tdx/keys.ts'
import { type Hex, concatBytes, toHex } from '#schemas/bytes.ts'
import { importDeviceKey } from '#schemas/pack/deviceKey.ts'
import { enrolmentMessage } from '#worker/enrolment/appraiseEnrolment.ts'

/** A maker of devices with a certificate authority of its own, as honest as a test wants it. */

export const hwType = '1.3.6.1.4.1.99999.1'
const year = 366 * 86_400

type Authority = { readonly key: P256Key; readonly der: Uint8Array; readonly name: string }

export type DeviceCertificate = {
  readonly key: P256Key
  readonly id: Hex
  readonly chain: readonly Uint8Array[]
}

export type CertificateOptions = {
  readonly serial: Uint8Array
  readonly certificateSerial?: Uint8Array
  readonly hwType?: string
  readonly notBefore?: number
  readonly notAfter?: number
  readonly isCa?: boolean
  readonly withoutHardware?: boolean
}

export function numberBytes(value: number, length = 4): Uint8Array {
  const bytes = new Uint8Array(length)
  new DataView(bytes.buffer).setUint32(length - 4, value)
  return bytes
}

function hardwareName(type: string, serial: Uint8Array): Uint8Array {
  // SubjectAltName: SEQUENCE { otherName [0] { id-on-hardwareModuleName, [0] HardwareModuleName } }
  const module = derSequence(derOid(type), derOctetString(serial))
  return derSequence(derImplicit(0x20, derOid('1.3.6.1.5.5.7.8.4'), derExplicit(0, module)))
}

export function createMaker(name: string, nowSeconds: number, pathLength = 1) {
  const rootKey = deriveP256Key(`maker ${name}`, 'root')
  const root: Authority = {
    key: rootKey,
    name: `${name} root`,
    der: encodeCertificate({
      subject: [['CN', `${name} root`]],
      issuer: [['CN', `${name} root`]],
      serial: Uint8Array.of(1),
      notBefore: nowSeconds - year,
      notAfter: nowSeconds + 20 * year,
      subjectKey: rootKey.publicKey,
      signer: rootKey,
      basicConstraints: { isCa: true, pathLength },
      keyUsage: ['keyCertSign'],
    }),
  }

  function certify(device: P256Key, issuer: Authority, options: CertificateOptions): Uint8Array {
    return encodeCertificate({
      subject: [['CN', `device ${toHex(options.serial)}`]],
      issuer: [['CN', issuer.name]],
      serial: options.certificateSerial ?? concatBytes(Uint8Array.of(0x40), options.serial),
      notBefore: options.notBefore ?? nowSeconds - 1000,
      notAfter: options.notAfter ?? nowSeconds + 10 * year,
      subjectKey: device.publicKey,
      signer: issuer.key,
      basicConstraints: { isCa: options.isCa ?? false },
      keyUsage: ['digitalSignature'],
      ...(options.withoutHardware === true
        ? {}
        : {
            extensions: [
              { oid: '2.5.29.17', value: hardwareName(options.hwType ?? hwType, options.serial) },
            ],
          }),
    })
  }

  return {
    root,
    /** An intermediate authority under the root. */
    intermediate(pathLengthBelow: number | undefined, mayIssue = true): Authority {
      const key = deriveP256Key(`maker ${name}`, 'factory')
      return {
        key,
        name: `${name} factory`,
        der: encodeCertificate({
          subject: [['CN', `${name} factory`]],
          issuer: [['CN', root.name]],
          serial: Uint8Array.of(2),
          notBefore: nowSeconds - year,
          notAfter: nowSeconds + 20 * year,
          subjectKey: key.publicKey,
          signer: rootKey,
          basicConstraints: {
            isCa: mayIssue,
            ...(pathLengthBelow === undefined ? {} : { pathLength: pathLengthBelow }),
          },
          keyUsage: mayIssue ? ['keyCertSign'] : ['digitalSignature'],
        }),
      }
    },
    device(
      label: string,
      options: CertificateOptions,
      issuer: Authority = root,
    ): DeviceCertificate {
      const key = deriveP256Key(`device ${label}`, 'identity')
      const leaf = certify(key, issuer, options)
      return {
        key,
        id: importDeviceKey('ES256', key.publicKey).id,
        chain: issuer === root ? [leaf] : [leaf, issuer.der],
      }
    },
    statement(overrides: Record<string, unknown> = {}, model: Record<string, unknown> = {}) {
      return {
        name,
        root: toHex(root.der),
        models: [
          {
            hwType,
            name: 'model one',
            quantity: 100_000,
            maxPerDay: 100_000,
            intervalMs: 1000,
            series: ['power'],
            ...model,
          },
        ],
        ...overrides,
      }
    },
  }
}

/** Signs with node:crypto: a fleet of thousands is made in seconds. */
export function signWith(key: P256Key, message: Uint8Array): Uint8Array {
  const privateKey = createPrivateKey({
    key: Buffer.from(pkcs8(key)),
    format: 'der',
    type: 'pkcs8',
  })
  return new Uint8Array(sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' }))
}

/** The JSON of an enrolment, its possession proved by `prover` (the device's own key if honest). */
export function enrolmentOf(
  stream: Hex,
  device: DeviceCertificate,
  subject: string,
  nonce: Hex,
  prover: P256Key = device.key,
): Record<string, unknown> {
  return {
    certificates: device.chain.map(toHex),
    subject,
    nonce,
    proof: toHex(signWith(prover, enrolmentMessage(stream, nonce, device.id, subject))),
  }
}
