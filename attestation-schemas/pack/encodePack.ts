import { sha256 } from '@noble/hashes/sha2'
import { fromHex, type Hex, toHex } from '../bytes.ts'
import { CborWriter } from '../cbor/cborWriter.ts'
import { sigStructure } from '../cose/sigStructure.ts'
import {
  coseIdentifiers,
  type SignatureAlgorithm,
  signatureLength,
} from '../cose/signatureAlgorithm.ts'
import { encodeSenmlCbor, type SenmlRecord } from '../senml/encodeSenmlCbor.ts'
import { PackEncodingError } from './packErrors.ts'
import {
  claimKey,
  headerLabel,
  maxPackBytes,
  noPrevious,
  packAad,
  type PackClaims,
  packVersion,
  senmlCborContentFormat,
} from './packProfile.ts'

export type PackContent = {
  readonly claims: PackClaims
  /** Device id: the SHA-256 COSE Key Thumbprint of the key that signs. */
  readonly kid: Hex
  readonly algorithm: SignatureAlgorithm
  readonly records: readonly SenmlRecord[]
}

/** A pack that waits for its signature. */
export type UnsignedPack = {
  /** The bytes to sign: the COSE Sig_structure. */
  readonly signedBytes: Uint8Array
  /** Identity of the pack, `previous` of the next one: SHA-256 of the signed bytes. */
  readonly packHash: Hex
  /** The finished pack. */
  readonly seal: (signature: Uint8Array) => Uint8Array
}

export type EncodedPack = {
  readonly bytes: Uint8Array
  /** `previous` of the next pack of the same key. */
  readonly packHash: Hex
}

/**
 * Builds and signs a pack.
 *
 * @param content.sign - Signs the exact bytes (hashing as the algorithm demands); `r ‖ s`, 64 bytes.
 * @throws {@link PackEncodingError}, {@link InvalidRecordError}, {@link UnknownUnitError}
 */
export function encodePack(
  content: PackContent & { readonly sign: (signedBytes: Uint8Array) => Uint8Array },
): EncodedPack {
  const unsigned = preparePack(content)
  return {
    bytes: unsigned.seal(content.sign(unsigned.signedBytes)),
    packHash: unsigned.packHash,
  }
}

/** Builds a pack up to its signature, for keys that sign elsewhere or later. */
export function preparePack({ claims, kid, algorithm, records }: PackContent): UnsignedPack {
  const protectedBytes = encodeProtected(claims, kid, algorithm)
  const payload = encodeSenmlCbor(records)
  const signedBytes = sigStructure({
    protectedBytes,
    externalAad: packAad(claims.stream),
    payload,
  })
  return {
    signedBytes,
    packHash: toHex(sha256(signedBytes)),
    seal(signature) {
      if (signature.length !== signatureLength) {
        throw new PackEncodingError('The signature has the wrong length.', {
          field: 'signature',
          remedy: 'Return r ‖ s as 64 bytes, not DER.',
          metaMessages: [`Expected: ${signatureLength} bytes`, `Actual: ${signature.length} bytes`],
        })
      }
      const bytes = new CborWriter()
        .tag(18)
        .array(4)
        .bytes(protectedBytes)
        .map(0)
        .bytes(payload)
        .bytes(signature)
        .finish()
      if (bytes.length > maxPackBytes) {
        throw new PackEncodingError('The pack is too large.', {
          field: 'records',
          remedy: 'Send fewer records in a pack.',
          metaMessages: [
            `Expected: at most ${maxPackBytes} bytes`,
            `Actual: ${bytes.length} bytes`,
          ],
        })
      }
      return bytes
    },
  }
}

const maxUint64 = 2n ** 64n - 1n

function encodeProtected(claims: PackClaims, kid: Hex, algorithm: SignatureAlgorithm): Uint8Array {
  requireUint64(claims.bootCount, 'claims.bootCount')
  requireUint64(claims.sequence, 'claims.sequence')
  if (claims.sequence === 0n || (claims.sequence === 1n) !== (claims.previous === noPrevious)) {
    throw new PackEncodingError('Sequence and previous do not fit together.', {
      field: 'claims.previous',
      remedy: 'Sequences begin at 1; exactly the first pack has a previous of zero.',
    })
  }
  // Keys in the bytewise order of core deterministic encoding (RFC 8949 §4.2.1).
  return new CborWriter()
    .map(4)
    .integer(headerLabel.algorithm)
    .integer(coseIdentifiers[algorithm])
    .integer(headerLabel.contentType)
    .integer(senmlCborContentFormat)
    .integer(headerLabel.keyId)
    .bytes(fromHex(kid, 'kid', 32))
    .integer(headerLabel.cwtClaims)
    .map(6)
    .integer(claimKey.bootCount)
    .integer(claims.bootCount)
    .integer(claimKey.version)
    .integer(packVersion)
    .integer(claimKey.stream)
    .bytes(fromHex(claims.stream, 'claims.stream', 32))
    .integer(claimKey.sequence)
    .integer(claims.sequence)
    .integer(claimKey.previous)
    .bytes(fromHex(claims.previous, 'claims.previous', 32))
    .integer(claimKey.firmware)
    .bytes(fromHex(claims.firmware, 'claims.firmware', 32))
    .finish()
}

function requireUint64(value: bigint, field: string): void {
  if (value >= 0n && value <= maxUint64) return
  throw new PackEncodingError('The number is not an unsigned 64-bit integer.', { field })
}
