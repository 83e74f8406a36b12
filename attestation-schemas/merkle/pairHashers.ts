import { keccak_256 } from '@noble/hashes/sha3'
import { sha256 } from '@noble/hashes/sha2'
import type { PairHasher } from './orderedTree.ts'

/** Hashes pairs one by one with whatever hash function there is. */
export function perPair(hash: (message: Uint8Array) => Uint8Array): PairHasher {
  return (pairs) => {
    const nodes = new Uint8Array(pairs.length / 2)
    for (let offset = 0; offset < pairs.length; offset += 64) {
      nodes.set(hash(pairs.subarray(offset, offset + 64)), offset / 2)
    }
    return nodes
  }
}

/** For trees that a contract opens. Portable; {@link createFastKeccakPairs} is nine times faster. */
export const keccakPairs: PairHasher = perPair(keccak_256)

/** For evidence, which only software opens. */
export const sha256Pairs: PairHasher = perPair(sha256)
