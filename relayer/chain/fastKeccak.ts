import sha3 from 'js-sha3'
import type { PairHasher } from '#schemas/merkle/orderedTree.ts'

/**
 * Keccak-256 for the two places where a relayer hashes all day: the reports that it verifies and the
 * transactions that it signs. A test holds it against the implementation that everything else uses.
 */
export function fastKeccak(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(sha3.keccak256.arrayBuffer(bytes))
}

const pairBytes = 64
const nodeBytes = 32

export const fastKeccakPairs: PairHasher = (pairs) => {
  const nodes = new Uint8Array(pairs.length / 2)
  for (let at = 0; at < pairs.length; at += pairBytes) {
    nodes.set(fastKeccak(pairs.subarray(at, at + pairBytes)), (at / pairBytes) * nodeBytes)
  }
  return nodes
}
