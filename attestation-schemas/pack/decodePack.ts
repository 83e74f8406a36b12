import { sha256 } from '@noble/hashes/sha2'
import { type Hex, toHex } from '../bytes.ts'
import { CborReader, major } from '../cbor/cborReader.ts'
import { readSign1, type Sign1Layout } from '../cose/readSign1.ts'
import {
  type SignatureAlgorithm,
  signatureAlgorithmOf,
  signatureLength,
} from '../cose/signatureAlgorithm.ts'
import type { PackMark, Reading } from '../reading.ts'
import { decodeSenmlCbor } from '../senml/decodeSenmlCbor.ts'
import { columnsToReadings, type SenmlColumns } from '../senml/senmlColumns.ts'
import type { TrustTier } from '../trustTier.ts'
import { PackProfileError, type PackRule } from './packErrors.ts'
import {
  claimKey,
  headerLabel,
  maxPackBytes,
  packAad,
  packAadLength,
  type PackClaims,
  packVersion,
  senmlCborContentFormat,
} from './packProfile.ts'

/** SHA-256 of bytes; the portable one unless a faster one is handed in. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array

/**
 * A pack that is well-formed and within the profile. Nothing about it is proved yet: see
 * `verifyPack`.
 */
export class DecodedPack {
  readonly claims: PackClaims
  /** Device id of the key that is said to have signed. */
  readonly kid: Hex
  readonly algorithm: SignatureAlgorithm
  /** The bytes the signature is made over: the COSE Sig_structure, stream id included. */
  readonly signedBytes: Uint8Array
  readonly signature: Uint8Array
  /** The readings in columns, in the order sent. */
  readonly columns: SenmlColumns
  private readonly sha256: Sha256
  private hash: Hex | undefined

  constructor(
    parts: Pick<
      DecodedPack,
      'claims' | 'kid' | 'algorithm' | 'signedBytes' | 'signature' | 'columns'
    >,
    sha256: Sha256,
  ) {
    this.claims = parts.claims
    this.kid = parts.kid
    this.algorithm = parts.algorithm
    this.signedBytes = parts.signedBytes
    this.signature = parts.signature
    this.columns = parts.columns
    this.sha256 = sha256
  }

  /** Identity of the pack: SHA-256 of the signed bytes, never of the signature. */
  get packHash(): Hex {
    this.hash ??= toHex(this.sha256(this.signedBytes))
    return this.hash
  }

  /** The readings as objects. The tier is the caller's: it knows how the key was enrolled. */
  readings(tier: TrustTier): readonly Reading[] {
    return columnsToReadings(this.columns, this.kid, tier)
  }
}

/**
 * Decodes one pack from untrusted bytes, without judging its signature.
 *
 * @param options.sha256 - A faster SHA-256, where there is one.
 * @throws {@link InvalidCborError}, {@link InvalidSign1Error}, {@link PackProfileError},
 *   {@link InvalidSenmlError}: all of them {@link FormatRefusedError} naming a rule
 */
export function decodePack(
  bytes: Uint8Array,
  options: { readonly sha256?: Sha256 } = {},
): DecodedPack {
  if (bytes.length > maxPackBytes) {
    throw new PackProfileError('The pack is too large.', {
      rule: 'pack-too-large',
      metaMessages: [`Expected: at most ${maxPackBytes} bytes`, `Actual: ${bytes.length} bytes`],
    })
  }
  const reader = new CborReader(bytes)
  const layout = readSign1(reader)
  reader.expectEnd()
  if (layout.unprotectedEnd - layout.unprotectedStart !== 1) {
    // Anybody on the way could write there: nothing that counts may stand outside the signature.
    throw refusal('unprotected-header', 'an empty unprotected header', layout.unprotectedStart)
  }
  if (layout.signatureEnd - layout.signatureStart !== signatureLength) {
    throw refusal('signature-length', '64 bytes of r ‖ s', layout.signatureStart)
  }
  const header = readProtected(bytes, layout)
  return new DecodedPack(
    {
      claims: header.claims,
      kid: header.kid,
      algorithm: header.algorithm,
      signedBytes: buildSignedBytes(bytes, layout, header.streamStart),
      signature: bytes.subarray(layout.signatureStart, layout.signatureEnd),
      columns: decodeSenmlCbor(bytes, layout.payloadStart, layout.payloadEnd),
    },
    options.sha256 ?? sha256,
  )
}

/** What the evaluation keeps of a pack: the links that make silence visible. */
export function packMark(pack: DecodedPack, receivedMs?: number): PackMark {
  let firstTimeMs = Infinity
  let lastTimeMs = -Infinity
  for (const timeMs of pack.columns.timeMs) {
    if (timeMs < firstTimeMs) firstTimeMs = timeMs
    if (timeMs > lastTimeMs) lastTimeMs = timeMs
  }
  return {
    device: pack.kid,
    sequence: pack.claims.sequence,
    previous: pack.claims.previous,
    hash: pack.packHash,
    bootCount: pack.claims.bootCount,
    firstTimeMs,
    lastTimeMs,
    ...(receivedMs === undefined ? {} : { receivedMs }),
  }
}

type ProtectedHeader = {
  readonly algorithm: SignatureAlgorithm
  readonly kid: Hex
  readonly claims: PackClaims
  /** Where the 32 bytes of the stream id lie. */
  readonly streamStart: number
}

const algorithmBit = 1
const contentTypeBit = 2
const keyIdBit = 4
const claimsBit = 8
const criticalBit = 16
const requiredHeaders = algorithmBit | contentTypeBit | keyIdBit | claimsBit

function readProtected(bytes: Uint8Array, layout: Sign1Layout): ProtectedHeader {
  const reader = new CborReader(bytes, layout.protectedStart, layout.protectedEnd)
  if (layout.protectedStart === layout.protectedEnd) {
    throw refusal('missing-header', 'a protected header', layout.protectedStart)
  }
  const pairs = reader.readCount(major.map, 'the protected header as a map')
  let seen = 0
  let algorithm: SignatureAlgorithm | undefined
  let kid: Hex | undefined
  let claims: ClaimsAt | undefined
  for (let pair = 0; pair < pairs; pair += 1) {
    const at = reader.position
    const kind = reader.readHead()
    const label = kind === major.unsigned ? reader.argument : -1
    const bit = headerBit(label)
    if (bit === 0) throw refusal('unknown-header', 'labels 1, 2, 3, 4 and 15 only', at)
    if ((seen & bit) !== 0) throw refusal('duplicate-header', 'every header once', at)
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
          throw refusal('key-id', 'the 32 bytes of a SHA-256 COSE Key Thumbprint', at)
        }
        kid = toHex(reader.take(32))
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
  if (algorithm === undefined || kid === undefined || claims === undefined) {
    throw missingHeader(seen, layout.protectedStart)
  }
  if ((seen & requiredHeaders) !== requiredHeaders) throw missingHeader(seen, layout.protectedStart)
  return { algorithm, kid, claims: claims.claims, streamStart: claims.streamStart }
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
  return refusal('missing-header', missing.join(', '), offset)
}

function readAlgorithm(reader: CborReader): SignatureAlgorithm {
  const at = reader.position
  const kind = reader.readHead()
  const identifier = kind === major.negative ? -1 - reader.argument : undefined
  const algorithm = identifier === undefined ? undefined : signatureAlgorithmOf(identifier)
  if (algorithm === undefined) {
    throw refusal('algorithm', '-7, -8, -9, -19 or -47', at)
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
  throw refusal('content-type', `${senmlCborContentFormat} or "${contentTypeText}"`, at)
}

/** A critical list is honoured: whatever it names must be a header this profile understands. */
function readCritical(reader: CborReader): void {
  const at = reader.position
  const count = reader.readCount(major.array, 'crit as an array of labels')
  if (count === 0) throw refusal('critical', 'at least one label (RFC 9052 §3.1)', at)
  for (let index = 0; index < count; index += 1) {
    const labelAt = reader.position
    const kind = reader.readHead()
    const bit = kind === major.unsigned ? headerBit(reader.argument) : 0
    if ((bit & requiredHeaders) === 0) {
      throw refusal('critical', 'labels 1, 3, 4 and 15 only', labelAt)
    }
  }
}

type ClaimsAt = { readonly claims: PackClaims; readonly streamStart: number }

const allClaims = 0b11_1111

function readClaims(reader: CborReader): ClaimsAt {
  const mapAt = reader.position
  const pairs = reader.readCount(major.map, 'the CWT claims as a map')
  let seen = 0
  let bootCount = 0n
  let sequence = 0n
  let stream: Hex = '0x'
  let streamStart = 0
  let previous: Hex = '0x'
  let isPreviousZero = false
  let firmware: Hex = '0x'
  for (let pair = 0; pair < pairs; pair += 1) {
    const at = reader.position
    const kind = reader.readHead()
    const key = kind === major.unsigned ? reader.argument : -1 - reader.argument
    const bit = kind > major.negative ? 0 : claimBit(key)
    if (bit === 0) throw refusal('unknown-claim', 'the six claims of the profile only', at)
    if ((seen & bit) !== 0) throw refusal('duplicate-claim', 'every claim once', at)
    seen |= bit
    switch (key) {
      case claimKey.bootCount:
        bootCount = readClaimNumber(reader)
        break
      case claimKey.sequence:
        sequence = readClaimNumber(reader)
        if (sequence === 0n) throw refusal('sequence-range', 'a sequence of at least 1', at)
        break
      case claimKey.version:
        readVersion(reader)
        break
      case claimKey.stream:
        streamStart = readClaimBytes(reader)
        stream = toHex(reader.bytes.subarray(streamStart, reader.position))
        break
      case claimKey.previous: {
        const start = readClaimBytes(reader)
        const content = reader.bytes.subarray(start, reader.position)
        isPreviousZero = content.every((byte) => byte === 0)
        previous = toHex(content)
        break
      }
      default: {
        const start = readClaimBytes(reader)
        firmware = toHex(reader.bytes.subarray(start, reader.position))
      }
    }
  }
  if (seen !== allClaims) throw refusal('missing-claim', 'all six claims of the profile', mapAt)
  if ((sequence === 1n) !== isPreviousZero) {
    throw refusal('previous-of-first', 'a previous of zero exactly when the sequence is 1', mapAt)
  }
  return { claims: { stream, sequence, previous, bootCount, firmware }, streamStart }
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
    throw refusal('claim-type', 'an unsigned 64-bit integer', at)
  }
  return reader.exactArgument()
}

/** Passes a claim of 32 bytes and answers where they start. */
function readClaimBytes(reader: CborReader): number {
  const at = reader.position
  if (reader.readHead() !== major.bytes || reader.argument !== 32) {
    throw refusal('claim-type', 'a byte string of 32 bytes', at)
  }
  const start = reader.position
  reader.skipBytes(32)
  return start
}

function readVersion(reader: CborReader): void {
  const at = reader.position
  if (reader.readHead() !== major.unsigned) throw refusal('claim-type', 'an unsigned integer', at)
  if (reader.argument !== packVersion) {
    throw new PackProfileError('The pack is of a version that is not known here.', {
      rule: 'version',
      offset: at,
      metaMessages: [`Expected: ${packVersion}`, `Actual: ${reader.argument}`],
    })
  }
}

/** `["Signature1", …]` as far as the protected byte string: array of four, text of ten. */
const signaturePrefix = Uint8Array.of(0x84, 0x6a, ...new TextEncoder().encode('Signature1'))
/** Head of the external AAD: a byte string of 17 + 32 bytes. */
const aadHead = Uint8Array.of(0x58, packAadLength)

/**
 * The Sig_structure. Heads have one form only, so those of the message are those of the structure
 * and both byte strings are copied with their heads.
 */
function buildSignedBytes(bytes: Uint8Array, layout: Sign1Layout, streamStart: number): Uint8Array {
  const protectedHead =
    layout.protectedStart - headLength(layout.protectedEnd - layout.protectedStart)
  const payloadHead = layout.payloadStart - headLength(layout.payloadEnd - layout.payloadStart)
  const aad = packAad(bytes.subarray(streamStart, streamStart + 32))
  const protectedPart = bytes.subarray(protectedHead, layout.protectedEnd)
  const payloadPart = bytes.subarray(payloadHead, layout.payloadEnd)
  const afterProtected = signaturePrefix.length + protectedPart.length
  const afterAad = afterProtected + aadHead.length + aad.length
  const signedBytes = new Uint8Array(afterAad + payloadPart.length)
  signedBytes.set(signaturePrefix)
  signedBytes.set(protectedPart, signaturePrefix.length)
  signedBytes.set(aadHead, afterProtected)
  signedBytes.set(aad, afterProtected + aadHead.length)
  signedBytes.set(payloadPart, afterAad)
  return signedBytes
}

/** Bytes of the head of a byte string of this length. */
function headLength(length: number): number {
  if (length < 24) return 1
  if (length < 0x100) return 2
  return length < 0x1_0000 ? 3 : 5
}

function refusal(rule: PackRule, expected: string, offset: number): PackProfileError {
  return new PackProfileError('The message is not a pack of this profile.', {
    rule,
    offset,
    metaMessages: [`Expected: ${expected}`],
    remedy: 'See docs/packs.md for the profile.',
  })
}
