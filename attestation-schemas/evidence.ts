import { sha256 } from '@noble/hashes/sha2'
import { type Hex, concatBytes, fromHex, toHex, utf8 } from './bytes.ts'
import { type PairHasher, treeRoot } from './merkle/orderedTree.ts'
import { sha256Pairs } from './merkle/pairHashers.ts'
import type { PackMark } from './reading.ts'

const tag = utf8('plumbline/evidence/1')

/**
 * A pack's leaf in an evidence tree:
 * `SHA-256("plumbline/evidence/1" ‖ device ‖ sequence as 8 bytes, big endian ‖ pack hash)`,
 * 92 bytes, so that it cannot be read as a node.
 */
export function evidenceLeaf(
  pack: Pick<PackMark, 'device' | 'sequence' | 'hash'>,
  hash: (bytes: Uint8Array) => Uint8Array = sha256,
): Uint8Array {
  const sequence = new Uint8Array(8)
  new DataView(sequence.buffer).setBigUint64(0, pack.sequence)
  return hash(
    concatBytes(
      tag,
      fromHex(pack.device, 'pack.device', 32),
      sequence,
      fromHex(pack.hash, 'pack.hash', 32),
    ),
  )
}

/** Whether `left` stands before `right`: by device, then by sequence. */
export function compareEvidence(
  left: Pick<PackMark, 'device' | 'sequence'>,
  right: Pick<PackMark, 'device' | 'sequence'>,
): number {
  if (left.device !== right.device) return left.device < right.device ? -1 : 1
  if (left.sequence === right.sequence) return 0
  return left.sequence < right.sequence ? -1 : 1
}

/**
 * Root over packs in their one order: device, then sequence. Zero when there are none. The order of
 * arrival does not matter, and a pack that is there twice counts once.
 */
export function evidenceRoot(
  packs: readonly Pick<PackMark, 'device' | 'sequence' | 'hash'>[],
  hashPairs: PairHasher = sha256Pairs,
  hash: (bytes: Uint8Array) => Uint8Array = sha256,
): Hex {
  const unique = new Map(
    packs.map((pack) => [`${pack.device}/${pack.sequence}/${pack.hash}`, pack]),
  )
  const ordered = [...unique.values()].sort(
    (left, right) => compareEvidence(left, right) || (left.hash < right.hash ? -1 : 1),
  )
  return toHex(treeRoot(concatBytes(...ordered.map((pack) => evidenceLeaf(pack, hash))), hashPairs))
}
