import { type Hex, concatBytes, fromHex, utf8 } from '../bytes.ts'
import type { CborMap, CborValue } from '../cbor/cborValue.ts'
import { CborWriter } from '../cbor/cborWriter.ts'
import { encodeCbor } from '../cbor/encodeCbor.ts'
import { type SignatureAlgorithm, coseIdentifiers } from '../cose/signatureAlgorithm.ts'
import {
  type CalibrationCertificate,
  calibrationClaim,
  calibrationHeader,
  calibrationType,
  calibrationVersion,
} from './calibrationCertificate.ts'
import { CalibrationFormatError } from './calibrationErrors.ts'

const secondMs = 1000

function seconds(milliseconds: number, field: string): number {
  const whole = milliseconds / secondMs
  if (Number.isSafeInteger(whole)) return whole
  throw new CalibrationFormatError(`${field} is no whole second.`, { rule: 'time-range', field })
}

/** Tag 18 and an array of four items. */
const sign1Head = Uint8Array.of(0xd2, 0x84)

/** The claims in core deterministic encoding: a certificate has one form. */
export function encodeCalibrationClaims(certificate: CalibrationCertificate): Uint8Array {
  const { document, replaces } = certificate
  const claims = new Map<CborValue, CborValue>([
    [calibrationClaim.laboratory, certificate.laboratory],
    [calibrationClaim.validUntil, seconds(certificate.validUntilMs, 'validUntil')],
    [calibrationClaim.validFrom, seconds(certificate.validFromMs, 'validFrom')],
    [calibrationClaim.issued, seconds(certificate.issuedMs, 'issued')],
    [calibrationClaim.number, utf8(certificate.number)],
    [calibrationClaim.version, calibrationVersion],
    [calibrationClaim.device, fromHex(certificate.device, 'device', 32)],
    [calibrationClaim.series, certificate.series],
    [calibrationClaim.unit, certificate.unit],
    ...(document === undefined
      ? []
      : [[calibrationClaim.document, fromHex(document, 'document', 32)] as const]),
    ...(replaces === undefined ? [] : [[calibrationClaim.replaces, replaces] as const]),
  ])
  return encodeCbor(claims, { sortKeys: true })
}

/** The protected header: algorithm, key and type, and nothing else. */
export function encodeCalibrationHeader(
  algorithm: SignatureAlgorithm,
  laboratoryKey: Hex,
): Uint8Array {
  const header: CborMap = new Map<CborValue, CborValue>([
    [calibrationHeader.algorithm, coseIdentifiers[algorithm]],
    [calibrationHeader.keyId, fromHex(laboratoryKey, 'kid', 32)],
    [calibrationHeader.type, calibrationType],
  ])
  return encodeCbor(header, { sortKeys: true })
}

/** The one message that these parts make. */
export function encodeCalibrationMessage(parts: {
  readonly protectedBytes: Uint8Array
  readonly payload: Uint8Array
  readonly signature: Uint8Array
}): Uint8Array {
  const body = new CborWriter()
    .bytes(parts.protectedBytes)
    .map(0)
    .bytes(parts.payload)
    .bytes(parts.signature)
    .finish()
  return concatBytes(sign1Head, body)
}
