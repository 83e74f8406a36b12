import { type CborReader, major } from '../cbor/cborReader.ts'
import { type SignatureAlgorithm, signatureAlgorithmOf } from '../cose/signatureAlgorithm.ts'
import { PackProfileError, type PackRule } from './packErrors.ts'
import { claimKey, headerLabel, packVersion, senmlCborContentFormat } from './packProfile.ts'

/** What the signed header of a pack says; byte strings of 32 bytes by where they start. */
export type PackHeader = {
  readonly algorithm: SignatureAlgorithm
  readonly kidStart: number
  readonly claims: PackClaimsAt
}

export type PackClaimsAt = {
  readonly sequence: bigint
  readonly bootCount: bigint
  readonly streamStart: number
  readonly previousStart: number
  readonly firmwareStart: number
}

const algorithmBit = 1
const contentTypeBit = 2
const keyIdBit = 4
const claimsBit = 8
const criticalBit = 16
const requiredHeaders = algorithmBit | contentTypeBit | keyIdBit | claimsBit

/**
 * Reads the protected header that fills the reader's bounds.
 *
 * @throws {@link PackProfileError}, {@link InvalidCborError}
 * @see RFC 9052 §3.1, RFC 9597 §2, RFC 8392 §3
 */
export function readPackHeader(reader: CborReader): PackHeader {
  const start = reader.position
  if (start === reader.end) throw packRefusal('missing-header', 'a protected header', start)
  const pairs = reader.readCount(major.map, 'the protected header as a map')
  let seen = 0
  let algorithm: SignatureAlgorithm | undefined
  let kidStart = 0
  let claims: PackClaimsAt | undefined
  for (let pair = 0; pair < pairs; pair += 1) {
    const at = reader.position
    const kind = reader.readHead()
    const label = kind === major.unsigned ? reader.argument : -1
    const bit = headerBit(label)
    if (bit === 0) throw packRefusal('unknown-header', 'labels 1, 2, 3, 4 and 15 only', at)
    if ((seen & bit) !== 0) throw packRefusal('duplicate-header', 'every header once', at)
    seen |= bit
    switch (bit) {
      case algorithmBit:
        algorithm = readAlgorithm(reader)
        break
      case contentTypeBit:
        readContentType(reader)
        break
      case keyIdBit: {
        if (reader.expect(major.bytes, 'kid as 32 bytes') !== 32) {
          throw packRefusal('key-id', 'the 32 bytes of a SHA-256 COSE Key Thumbprint', at)
        }
        kidStart = reader.position
        reader.skipBytes(32)
        break
      }
      case claimsBit:
        claims = readClaims(reader)
        break
      default:
        readCritical(reader)
    }
  }
  reader.expectEnd()
  if (
    (seen & requiredHeaders) !== requiredHeaders ||
    algorithm === undefined ||
    claims === undefined
  ) {
    throw missingHeader(seen, start)
  }
  return { algorithm, kidStart, claims }
}

function headerBit(label: number): number {
  switch (label) {
    case headerLabel.algorithm:
      return algorithmBit
    case headerLabel.contentType:
      return contentTypeBit
    case headerLabel.keyId:
      return keyIdBit
    case headerLabel.cwtClaims:
      return claimsBit
    case headerLabel.critical:
      return criticalBit
    default:
      return 0
  }
}

function missingHeader(seen: number, offset: number): PackProfileError {
  const names = ['alg (1)', 'content type (3)', 'kid (4)', 'CWT claims (15)']
  const missing = names.filter((_, index) => (seen & (1 << index)) === 0)
  return packRefusal('missing-header', missing.join(', '), offset)
}

function readAlgorithm(reader: CborReader): SignatureAlgorithm {
  const at = reader.position
  const kind = reader.readHead()
  const identifier = kind === major.negative ? -1 - reader.argument : undefined
  const algorithm = identifier === undefined ? undefined : signatureAlgorithmOf(identifier)
  if (algorithm === undefined) {
    throw packRefusal('algorithm', '-7, -8, -9, -19 or -47', at)
  }
  return algorithm
}

const contentTypeText = 'application/senml+cbor'

function readContentType(reader: CborReader): void {
  const at = reader.position
  const kind = reader.readHead()
  if (kind === major.unsigned && reader.argument === senmlCborContentFormat) return
  if (kind === major.text) {
    reader.position = at
    if (reader.readText('content type') === contentTypeText) return
  }
  throw packRefusal('content-type', `${senmlCborContentFormat} or "${contentTypeText}"`, at)
}

/** A critical list is honoured: whatever it names must be a header this profile understands. */
function readCritical(reader: CborReader): void {
  const at = reader.position
  const count = reader.readCount(major.array, 'crit as an array of labels')
  if (count === 0) throw packRefusal('critical', 'at least one label (RFC 9052 §3.1)', at)
  for (let index = 0; index < count; index += 1) {
    const labelAt = reader.position
    const kind = reader.readHead()
    const bit = kind === major.unsigned ? headerBit(reader.argument) : 0
    if ((bit & requiredHeaders) === 0) {
      throw packRefusal('critical', 'labels 1, 3, 4 and 15 only', labelAt)
    }
  }
}

const allClaims = 0b11_1111

function readClaims(reader: CborReader): PackClaimsAt {
  const mapAt = reader.position
  const pairs = reader.readCount(major.map, 'the CWT claims as a map')
  let seen = 0
  let bootCount = 0n
  let sequence = 0n
  let streamStart = 0
  let previousStart = 0
  let firmwareStart = 0
  for (let pair = 0; pair < pairs; pair += 1) {
    const at = reader.position
    const kind = reader.readHead()
    const key = kind === major.unsigned ? reader.argument : -1 - reader.argument
    const bit = kind > major.negative ? 0 : claimBit(key)
    if (bit === 0) throw packRefusal('unknown-claim', 'the six claims of the profile only', at)
    if ((seen & bit) !== 0) throw packRefusal('duplicate-claim', 'every claim once', at)
    seen |= bit
    switch (key) {
      case claimKey.bootCount:
        bootCount = readClaimNumber(reader)
        break
      case claimKey.sequence:
        sequence = readClaimNumber(reader)
        if (sequence === 0n) throw packRefusal('sequence-range', 'a sequence of at least 1', at)
        break
      case claimKey.version:
        readVersion(reader)
        break
      case claimKey.stream:
        streamStart = readClaimBytes(reader)
        break
      case claimKey.previous:
        previousStart = readClaimBytes(reader)
        break
      default:
        firmwareStart = readClaimBytes(reader)
    }
  }
  if (seen !== allClaims) throw packRefusal('missing-claim', 'all six claims of the profile', mapAt)
  if ((sequence === 1n) !== isZero(reader.bytes, previousStart, 32)) {
    throw packRefusal(
      'previous-of-first',
      'a previous of zero exactly when the sequence is 1',
      mapAt,
    )
  }
  return { sequence, bootCount, streamStart, previousStart, firmwareStart }
}

function isZero(bytes: Uint8Array, start: number, length: number): boolean {
  for (let index = start; index < start + length; index += 1) {
    if (bytes[index] !== 0) return false
  }
  return true
}

function claimBit(key: number): number {
  switch (key) {
    case claimKey.bootCount:
      return 1
    case claimKey.version:
      return 2
    case claimKey.stream:
      return 4
    case claimKey.sequence:
      return 8
    case claimKey.previous:
      return 16
    case claimKey.firmware:
      return 32
    default:
      return 0
  }
}

function readClaimNumber(reader: CborReader): bigint {
  const at = reader.position
  if (reader.readHead() !== major.unsigned) {
    throw packRefusal('claim-type', 'an unsigned 64-bit integer', at)
  }
  return reader.exactArgument()
}

/** Passes a claim of 32 bytes and answers where they start. */
function readClaimBytes(reader: CborReader): number {
  const at = reader.position
  if (reader.readHead() !== major.bytes || reader.argument !== 32) {
    throw packRefusal('claim-type', 'a byte string of 32 bytes', at)
  }
  const start = reader.position
  reader.skipBytes(32)
  return start
}

function readVersion(reader: CborReader): void {
  const at = reader.position
  if (reader.readHead() !== major.unsigned)
    throw packRefusal('claim-type', 'an unsigned integer', at)
  if (reader.argument !== packVersion) {
    throw new PackProfileError('The pack is of a version that is not known here.', {
      rule: 'version',
      offset: at,
      metaMessages: [`Expected: ${packVersion}`, `Actual: ${reader.argument}`],
    })
  }
}

/** A refusal by the profile, with what was expected instead. */
export function packRefusal(rule: PackRule, expected: string, offset: number): PackProfileError {
  return new PackProfileError('The message is not a pack of this profile.', {
    rule,
    offset,
    metaMessages: [`Expected: ${expected}`],
    remedy: 'See docs/packs.md for the profile.',
  })
}
