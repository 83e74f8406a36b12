import { hashInto } from '@chainsafe/as-sha256'
import { createKeccak } from 'hash-wasm'
import type { PairHasher } from './orderedTree.ts'

/**
 * Keccak-256 of pairs in WebAssembly (hash-wasm). Where WebAssembly may not be compiled at run time
 * (Cloudflare Workers), use the portable `keccakPairs`: the answers are the same.
 */
export async function createFastKeccakPairs(): Promise<PairHasher> {
  const hasher = await createKeccak(256)
  return (pairs) => {
    const nodes = new Uint8Array(pairs.length / 2)
    for (let offset = 0; offset < pairs.length; offset += 64) {
      hasher.init()
      hasher.update(pairs.subarray(offset, offset + 64))
      nodes.set(hasher.digest('binary'), offset / 2)
    }
    return nodes
  }
}

/** SHA-256 of pairs in WebAssembly, four lanes at a time (as-sha256). */
export const fastSha256Pairs: PairHasher = (pairs) => {
  const nodes = new Uint8Array(pairs.length / 2)
  if (pairs.length > 0) hashInto(pairs, nodes)
  return nodes
}
