import { concatBytes, utf8 } from '#schemas/bytes.ts'
import { pemChain } from '#localnet/tdx/platform.ts'
import { uint16, uint32 } from '#localnet/tdx/quote.ts'
import { signedLengthOf } from './packLoosely.ts'

/**
 * The quote that evidence would be packed from: its parts as they are, with types and inner lengths
 * that fit and the upper certificates behind its own. The inverse of `packLoosely`, for evidence that
 * need not be any.
 */
export function unpackLoosely(evidence: Uint8Array, upper: readonly Uint8Array[]): Uint8Array {
  const sizeAt = signedLengthOf(evidence)
  const rest = evidence.subarray(sizeAt + 4)
  // signature 64 + key 64 + QE report 384 + its signature 64 + size 2
  if (evidence.length < sizeAt + 4 + 578) return evidence.slice()
  const qeAuthEnd = 578 + ((rest[576] ?? 0) | ((rest[577] ?? 0) << 8))
  // Type 5 and the chain; nothing where the evidence ends before them.
  const chain = utf8(pemChain(rest.subarray(qeAuthEnd), ...upper))
  const inner = concatBytes(
    rest.subarray(128, qeAuthEnd),
    ...(qeAuthEnd > rest.length ? [] : [uint16(5), uint32(chain.length), chain]),
  )
  const unpacked = concatBytes(rest.subarray(0, 128), uint16(6), uint32(inner.length), inner)
  // What is declared is kept in its difference to what is there.
  const view = new DataView(evidence.buffer, evidence.byteOffset, evidence.length)
  const declared = view.getUint32(sizeAt, true) - rest.length + unpacked.length
  const size = uint32(Math.min(Math.max(declared, 0), 0xffff_ffff))
  return concatBytes(evidence.subarray(0, sizeAt), size, unpacked)
}
