import { sha256 as portableSha256 } from '@noble/hashes/sha2'
import { type Hex, equalBytes, toHex, utf8 } from '../bytes.ts'
import type { CborMap, CborValue } from '../cbor/cborValue.ts'
import { decodeCbor } from '../cbor/decodeCbor.ts'
import { decodeSign1 } from '../cose/decodeSign1.ts'
import { sigStructure } from '../cose/sigStructure.ts'
import {
  type SignatureAlgorithm,
  coseIdentifiers,
  signatureLength,
} from '../cose/signatureAlgorithm.ts'
import type { DeviceKey } from '../pack/deviceKey.ts'
import type { SignatureVerifier } from '../pack/signatureVerifier.ts'
import {
  type CalibrationCertificate,
  calibrationClaim,
  calibrationHeader,
  calibrationType,
  calibrationVersion,
  longestCalibrationText,
  longestValidityMs,
  maxCalibrationBytes,
} from './calibrationCertificate.ts'
import {
  encodeCalibrationClaims,
  encodeCalibrationHeader,
  encodeCalibrationMessage,
} from './calibrationEncoding.ts'
import {
  CalibrationFormatError,
  CalibrationNotAuthenticError,
  type CalibrationRule,
  type CalibrationVerificationRule,
} from './calibrationErrors.ts'

/** A certificate that reads, with what is needed to check who signed it. */
export type DecodedCalibration = {
  readonly certificate: CalibrationCertificate
  /** `kid`: COSE Key Thumbprint of the laboratory's key. */
  readonly laboratoryKey: Hex
  readonly algorithm: SignatureAlgorithm
  readonly signedBytes: Uint8Array
  readonly signature: Uint8Array
  /** SHA-256 of the signed bytes: the certificate's identity, whatever its signature. */
  readonly digest: Hex
}

const secondMs = 1000
/** 9999-12-31T23:59:59Z */
const latestSeconds = 253_402_300_799

const names = new Map<CborValue, string>(
  Object.entries(calibrationClaim).map(([name, key]) => [key, name]),
)

function refuse(rule: CalibrationRule, message: string, field?: string): never {
  throw new CalibrationFormatError(message, { rule, field })
}

function readHeader(header: CborMap): { algorithm: SignatureAlgorithm; laboratoryKey: Hex } {
  const { algorithm: label, keyId, type } = calibrationHeader
  if (header.get(type) !== calibrationType) {
    refuse('type', 'The message does not say that it is a calibration certificate.', 'typ')
  }
  const identifier = header.get(label)
  const algorithm = (Object.keys(coseIdentifiers) as SignatureAlgorithm[]).find(
    (name) => coseIdentifiers[name] === identifier,
  )
  if (algorithm === undefined) {
    refuse('algorithm', 'The algorithm is none that a laboratory may sign with.', 'alg')
  }
  const kid = header.get(keyId)
  if (!(kid instanceof Uint8Array) || kid.length !== 32) {
    refuse('key-id', 'The key id is no thumbprint of 32 bytes.', 'kid')
  }
  return { algorithm, laboratoryKey: toHex(kid) }
}

/** Reads claims by their keys; each refusal names the claim. */
function createClaimReader(claims: CborMap) {
  function required(name: keyof typeof calibrationClaim): CborValue {
    const key = calibrationClaim[name]
    if (!claims.has(key)) refuse('missing-claim', `The claim ${name} is not there.`, name)
    return claims.get(key)
  }
  function assertText(text: string, name: string): string {
    const isPlain = text.length > 0 && !/[\p{Cc}\p{Cs}]/u.test(text)
    if (!isPlain || utf8(text).length > longestCalibrationText) {
      refuse('text', `The claim ${name} is empty, too long, or not plain text.`, name)
    }
    return text
  }
  function text(name: keyof typeof calibrationClaim): string {
    const value = required(name)
    if (typeof value !== 'string') refuse('claim-type', `The claim ${name} is no text.`, name)
    return assertText(value, name)
  }
  return {
    text,
    optionalText: (name: keyof typeof calibrationClaim): string | undefined =>
      claims.has(calibrationClaim[name]) ? text(name) : undefined,
    /** Text in bytes, as `cti` wants it. */
    textBytes(name: keyof typeof calibrationClaim): string {
      const value = required(name)
      if (!(value instanceof Uint8Array)) {
        refuse('claim-type', `The claim ${name} is no byte string.`, name)
      }
      try {
        return assertText(new TextDecoder('utf-8', { fatal: true }).decode(value), name)
      } catch (cause) {
        if (cause instanceof CalibrationFormatError) throw cause
        return refuse('text', `The claim ${name} is not UTF-8.`, name)
      }
    },
    hash(name: keyof typeof calibrationClaim): Hex {
      const value = required(name)
      if (!(value instanceof Uint8Array) || value.length !== 32) {
        refuse('claim-type', `The claim ${name} is not 32 bytes.`, name)
      }
      return toHex(value)
    },
    milliseconds(name: keyof typeof calibrationClaim): number {
      const value = required(name)
      if (typeof value !== 'number') refuse('claim-type', `The claim ${name} is no date.`, name)
      if (value < 0 || value > latestSeconds) {
        refuse('time-range', `The claim ${name} is not between 1970 and 9999.`, name)
      }
      return value * secondMs
    },
  }
}

function readClaims(payload: Uint8Array): CalibrationCertificate {
  const claims = decodeCbor(payload, { maxDepth: 1 })
  if (!(claims instanceof Map)) refuse('not-claims', 'The payload is no map of claims.')
  const map: CborMap = claims
  for (const key of map.keys()) {
    if (!names.has(key)) {
      refuse('unknown-claim', 'The certificate makes a claim that is not known here.')
    }
  }
  if (map.get(calibrationClaim.version) !== calibrationVersion) {
    refuse('version', 'The certificate is of a version that is not known here.', 'version')
  }
  const read = createClaimReader(map)
  const certificate: CalibrationCertificate = {
    laboratory: read.text('laboratory'),
    number: read.textBytes('number'),
    device: read.hash('device'),
    series: read.text('series'),
    unit: read.text('unit'),
    issuedMs: read.milliseconds('issued'),
    validFromMs: read.milliseconds('validFrom'),
    validUntilMs: read.milliseconds('validUntil'),
    document: map.has(calibrationClaim.document) ? read.hash('document') : undefined,
    replaces: read.optionalText('replaces'),
  }
  assertValidity(certificate)
  return certificate
}

function assertValidity({
  number,
  validFromMs,
  validUntilMs,
  replaces,
}: CalibrationCertificate): void {
  if (validUntilMs < validFromMs) {
    refuse('validity', 'The calibration ends before it has begun.', 'validUntil')
  }
  if (validUntilMs === validFromMs && replaces === undefined) {
    refuse('validity', 'A certificate that holds at no time replaces no other.', 'validUntil')
  }
  if (validUntilMs - validFromMs > longestValidityMs) {
    refuse('validity', 'The calibration is said to hold for longer than any does.', 'validUntil')
  }
  if (replaces === number) refuse('validity', 'A certificate replaces itself.', 'replaces')
}

/**
 * Reads a laboratory's calibration certificate: a COSE_Sign1 (RFC 9052) over the claims of a CWT
 * (RFC 8392), in the one encoding that there is of it. Who signed it is for {@link verifyCalibration}.
 *
 * @throws {@link CalibrationFormatError} | InvalidSign1Error | InvalidCborError
 */
export function decodeCalibration(
  bytes: Uint8Array,
  { sha256 = portableSha256 }: { sha256?: (bytes: Uint8Array) => Uint8Array } = {},
): DecodedCalibration {
  if (bytes.length > maxCalibrationBytes) {
    refuse('too-large', `A certificate has at most ${maxCalibrationBytes} bytes.`)
  }
  const message = decodeSign1(bytes, { understood: [calibrationHeader.type] })
  const { protectedHeader, unprotectedHeader, protectedBytes, payload, signature } = message
  if (unprotectedHeader.size > 0 || protectedHeader.size !== 3) {
    refuse('header', 'The headers are not exactly alg, kid and typ, all protected.')
  }
  const { algorithm, laboratoryKey } = readHeader(protectedHeader)
  if (signature.length !== signatureLength) {
    refuse('signature-length', `A signature has ${signatureLength} bytes.`)
  }
  const certificate = readClaims(payload)
  const isCanonical =
    equalBytes(encodeCalibrationHeader(algorithm, laboratoryKey), protectedBytes) &&
    equalBytes(encodeCalibrationClaims(certificate), payload) &&
    equalBytes(encodeCalibrationMessage({ protectedBytes, payload, signature }), bytes)
  if (!isCanonical) {
    refuse('encoding', 'The certificate is not in its one encoding (RFC 8949 §4.2.1, tag 18).')
  }
  const signedBytes = sigStructure({ protectedBytes, externalAad: new Uint8Array(), payload })
  const digest = toHex(sha256(signedBytes))
  return { certificate, laboratoryKey, algorithm, signedBytes, signature, digest }
}

/**
 * Proves that the holder of a laboratory's key signed the certificate.
 *
 * @throws {@link CalibrationNotAuthenticError}
 */
export function verifyCalibration(
  decoded: DecodedCalibration,
  { key, verifier }: { readonly key: DeviceKey; readonly verifier: SignatureVerifier },
): CalibrationCertificate {
  const deny = (rule: CalibrationVerificationRule, message: string): never => {
    throw new CalibrationNotAuthenticError(message, { rule })
  }
  if (decoded.laboratoryKey !== key.id) deny('other-key', 'The certificate names another key.')
  if (decoded.algorithm !== key.algorithm) {
    deny('other-algorithm', 'The certificate names another algorithm than the key has.')
  }
  if (!verifier.verify(key, decoded.signedBytes, decoded.signature)) {
    deny('signature', 'The laboratory did not sign this certificate.')
  }
  return decoded.certificate
}
