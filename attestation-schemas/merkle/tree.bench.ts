/** Root of a million leaves, Keccak and SHA-256, beside the portable hashes and node:crypto alone. */
import { createHash } from 'node:crypto'
import { createFastKeccakPairs, fastSha256Pairs } from './fastPairHashers.ts'
import { type PairHasher, treeRoot } from './orderedTree.ts'
import { keccakPairs, sha256Pairs } from './pairHashers.ts'

const leafCount = process.argv.includes('--short') ? 1 << 14 : 1 << 20
const leaves = new Uint8Array(leafCount * 32)
for (let index = 0; index < leaves.length; index += 1) leaves[index] = (index * 31 + 7) & 255

const nodeSha256Pairs: PairHasher = (pairs) => {
  const nodes = new Uint8Array(pairs.length / 2)
  for (let offset = 0; offset < pairs.length; offset += 64) {
    nodes.set(
      createHash('sha256')
        .update(pairs.subarray(offset, offset + 64))
        .digest(),
      offset / 2,
    )
  }
  return nodes
}

const contestants: readonly [string, PairHasher][] = [
  ['keccak, hash-wasm', await createFastKeccakPairs()],
  ['keccak, @noble/hashes (portable)', keccakPairs],
  ['sha256, as-sha256', fastSha256Pairs],
  ['sha256, @noble/hashes (portable)', sha256Pairs],
  ['sha256, node:crypto (peer)', nodeSha256Pairs],
]
for (const [name, hashPairs] of contestants) {
  const begun = performance.now()
  treeRoot(leaves, hashPairs)
  const milliseconds = performance.now() - begun
  console.log(
    JSON.stringify({
      benchmark: 'merkle root',
      name,
      leaves: leafCount,
      milliseconds: Math.round(milliseconds),
    }),
  )
}
