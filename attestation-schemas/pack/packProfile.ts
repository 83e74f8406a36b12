import { fromHex, type Hex, utf8 } from '../bytes.ts'

/** Version of the pack profile; a pack that names another is refused by that name. */
export const packVersion = 1
/** Largest pack in bytes, envelope included. */
export const maxPackBytes = 65_536
/** Media type of one pack, and of a CBOR sequence of packs. */
export const packMediaType = 'application/cose; cose-type="cose-sign1"'
export const packSequenceMediaType = 'application/cbor-seq'
/** CoAP content format of SenML-CBOR (RFC 8428 §12.5), the value of the content type header. */
export const senmlCborContentFormat = 112

/** COSE header labels used (RFC 9052 §3.1; CWT claims: RFC 9597 §2). */
export const headerLabel = {
  algorithm: 1,
  critical: 2,
  contentType: 3,
  keyId: 4,
  cwtClaims: 15,
} as const

/**
 * Claims of a pack. `bootcount` is EAT's (RFC 9711 §4.2.11); the others stand in the private-use range
 * of CWT claim keys, below -65536 (RFC 8392 §9.1).
 */
export const claimKey = {
  bootCount: 267,
  version: -65_537,
  stream: -65_538,
  sequence: -65_539,
  previous: -65_540,
  firmware: -65_541,
} as const

/** What a device says about a pack besides its readings. */
export type PackClaims = {
  /** The stream the pack belongs to: 32 bytes. */
  readonly stream: Hex
  /** 1 for the first pack of a key, then strictly one more. */
  readonly sequence: bigint
  /** SHA-256 of the signed bytes of the previous pack; zero exactly for the first. */
  readonly previous: Hex
  /** How often the device has started. */
  readonly bootCount: bigint
  /** SHA-256 of the firmware that runs. */
  readonly firmware: Hex
}

/** `previous` of the first pack of a key. */
export const noPrevious: Hex = `0x${'00'.repeat(32)}`

/** Domain separator of pack signatures: 17 bytes, so that what follows begins at one place. */
export const packDomain = utf8('plumbline-pack-v1')

/** Length of the external AAD: 17 bytes of domain separator and 32 of stream id. */
export const packAadLength = packDomain.length + 32

/**
 * The external AAD of a pack: domain separator, then stream id. It is not sent: a verifier puts the
 * stream there that it expects, so a pack of one stream fails under another.
 *
 * @see RFC 9052 §4.4
 */
export function packAad(stream: Hex | Uint8Array): Uint8Array {
  const aad = new Uint8Array(packAadLength)
  aad.set(packDomain)
  aad.set(typeof stream === 'string' ? fromHex(stream, 'stream', 32) : stream, packDomain.length)
  return aad
}
