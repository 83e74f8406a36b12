import { sha256 } from '@noble/hashes/sha2'
import { type Hex, toHex } from '../bytes.ts'
import { readSign1, type Sign1Layout } from '../cose/readSign1.ts'
import { type SignatureAlgorithm, signatureLength } from '../cose/signatureAlgorithm.ts'
import type { PackMark, Reading } from '../reading.ts'
import { DecimalReader } from '../senml/decimalReader.ts'
import { readSenml } from '../senml/decodeSenmlCbor.ts'
import { columnsToReadings, type SenmlColumns } from '../senml/senmlColumns.ts'
import type { TrustTier } from '../trustTier.ts'
import type { DecodedPack, Sha256 } from './decodedPack.ts'
import { hex32 } from './hex32.ts'
import { PackProfileError } from './packErrors.ts'
import { maxPackBytes, packAadLength, type PackClaims, packDomain } from './packProfile.ts'
import { type PackHeader, packRefusal, readPackHeader } from './readPackHeader.ts'
import { decodeTextPack, isTextPack } from './textPack.ts'

export type { DecodedPack, Sha256 } from './decodedPack.ts'

/** A pack in COSE. */
class CosePack implements DecodedPack {
  readonly form = 'cose'
  readonly algorithm: SignatureAlgorithm
  /** The readings in columns, in the order sent. */
  readonly columns: SenmlColumns
  private readonly bytes: Uint8Array
  private readonly layout: Sign1Layout
  private readonly header: PackHeader
  private readonly sha256: Sha256
  // Texts and copies are made when they are asked for, and once.
  private madeKid: Hex | undefined
  private madeClaims: PackClaims | undefined
  private madeSignedBytes: Uint8Array | undefined
  private madeHash: Hex | undefined

  constructor(
    bytes: Uint8Array,
    layout: Sign1Layout,
    header: PackHeader,
    columns: SenmlColumns,
    sha256: Sha256,
  ) {
    this.algorithm = header.algorithm
    this.columns = columns
    this.bytes = bytes
    this.layout = layout
    this.header = header
    this.sha256 = sha256
  }

  /** Device id of the key that is said to have signed. */
  get kid(): Hex {
    this.madeKid ??= hex32(this.bytes, this.header.kidStart)
    return this.madeKid
  }

  get claims(): PackClaims {
    const { sequence, bootCount, streamStart, previousStart, firmwareStart } = this.header.claims
    this.madeClaims ??= {
      stream: hex32(this.bytes, streamStart),
      sequence,
      previous: hex32(this.bytes, previousStart),
      bootCount,
      firmware: hex32(this.bytes, firmwareStart),
    }
    return this.madeClaims
  }

  /** The bytes the signature is made over: the COSE Sig_structure, stream id included. */
  get signedBytes(): Uint8Array {
    this.madeSignedBytes ??= buildSignedBytes(
      this.bytes,
      this.layout,
      this.header.claims.streamStart,
    )
    return this.madeSignedBytes
  }

  /** `r ‖ s` or `R ‖ S`, 64 bytes. */
  get signature(): Uint8Array {
    return this.bytes.subarray(this.layout.signatureStart, this.layout.signatureEnd)
  }

  /** Identity of the pack: SHA-256 of the signed bytes, never of the signature. */
  get packHash(): Hex {
    this.madeHash ??= toHex(this.sha256(this.signedBytes))
    return this.madeHash
  }

  /** The readings as objects. The tier is the caller's: it knows how the key was enrolled. */
  readings(tier: TrustTier): readonly Reading[] {
    return columnsToReadings(this.columns, this.kid, tier)
  }
}

/**
 * Decodes one pack from untrusted bytes, without judging its signature: a COSE_Sign1, or one of the
 * text forms of `textPack.ts`.
 *
 * @param options.sha256 - A faster SHA-256, where there is one.
 * @throws {@link InvalidCborError}, {@link InvalidSign1Error}, {@link PackProfileError},
 *   {@link InvalidSenmlError}, {@link InvalidJsonError}, {@link AdapterRefusedError}: all of them {@link FormatRefusedError} naming a rule
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
  if (isTextPack(bytes)) return decodeTextPack(bytes, options.sha256 ?? sha256)
  const reader = new DecimalReader(bytes)
  const layout = readSign1(reader)
  reader.expectEnd()
  if (layout.unprotectedEnd - layout.unprotectedStart !== 1) {
    // Anybody on the way could write there: nothing that counts may stand outside the signature.
    throw packRefusal('unprotected-header', 'an empty unprotected header', layout.unprotectedStart)
  }
  if (layout.signatureEnd - layout.signatureStart !== signatureLength) {
    throw packRefusal('signature-length', '64 bytes of r ‖ s', layout.signatureStart)
  }
  const header = readPackHeader(reader.enter(layout.protectedStart, layout.protectedEnd))
  const columns = readSenml(reader.enter(layout.payloadStart, layout.payloadEnd))
  return new CosePack(bytes, layout, header, columns, options.sha256 ?? sha256)
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

/** `["Signature1", …]` as far as the protected byte string: array of four, text of ten. */
const signaturePrefix = Uint8Array.of(0x84, 0x6a, ...new TextEncoder().encode('Signature1'))
/** The external AAD as far as the stream id: head of 17 + 32 bytes, domain separator. */
const aadPrefix = Uint8Array.of(0x58, packAadLength, ...packDomain)

/**
 * The Sig_structure. Heads have one form only, so those of the message are those of the structure
 * and both byte strings are copied with their heads.
 */
function buildSignedBytes(bytes: Uint8Array, layout: Sign1Layout, streamStart: number): Uint8Array {
  const protectedHead =
    layout.protectedStart - headLength(layout.protectedEnd - layout.protectedStart)
  const payloadHead = layout.payloadStart - headLength(layout.payloadEnd - layout.payloadStart)
  const afterProtected = signaturePrefix.length + layout.protectedEnd - protectedHead
  const afterAad = afterProtected + aadPrefix.length + 32
  const signedBytes = new Uint8Array(afterAad + layout.payloadEnd - payloadHead)
  signedBytes.set(signaturePrefix)
  signedBytes.set(bytes.subarray(protectedHead, layout.protectedEnd), signaturePrefix.length)
  signedBytes.set(aadPrefix, afterProtected)
  signedBytes.set(bytes.subarray(streamStart, streamStart + 32), afterAad - 32)
  signedBytes.set(bytes.subarray(payloadHead, layout.payloadEnd), afterAad)
  return signedBytes
}

/** Bytes of the head of a byte string of this length. */
function headLength(length: number): number {
  if (length < 24) return 1
  if (length < 0x100) return 2
  return length < 0x1_0000 ? 3 : 5
}
