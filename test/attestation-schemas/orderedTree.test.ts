import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatBytes, toHex } from '#schemas/bytes.ts'
import { createFastKeccakPairs, fastSha256Pairs } from '#schemas/merkle/fastPairHashers.ts'
import {
  MerkleProofError,
  MerkleRangeError,
  assertConsistency,
  assertInclusion,
  buildTree,
  consistencyProof,
  inclusionPath,
  multiproof,
  rootFromMultiproof,
  rootFromPath,
  treeRoot,
} from '#schemas/merkle/orderedTree.ts'
import { keccakPairs, sha256Pairs } from '#schemas/merkle/pairHashers.ts'

function leaf(index: number): Uint8Array {
  return new Uint8Array(createHash('sha256').update(`leaf ${index}`).digest())
}

function leaves(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => leaf(index))
}

function tree(count: number) {
  return buildTree(concatBytes(...leaves(count)), sha256Pairs)
}

/** RFC 6962's own recursive definition, without prefixes: split at the largest power of two. */
function recursiveRoot(items: readonly Uint8Array[]): Uint8Array {
  const [only] = items
  if (items.length === 1 && only !== undefined) return only
  let split = 1
  while (split * 2 < items.length) split *= 2
  return new Uint8Array(
    createHash('sha256')
      .update(recursiveRoot(items.slice(0, split)))
      .update(recursiveRoot(items.slice(split)))
      .digest(),
  )
}

const sizeArbitrary = fc.integer({ min: 1, max: 200 })

describe('ordered tree', () => {
  it('has the shape that RFC 6962 defines by recursion', () => {
    for (let count = 1; count <= 70; count += 1) {
      expect(toHex(tree(count).root)).toBe(toHex(recursiveRoot(leaves(count))))
    }
  })

  it('promotes an odd leaf and never pairs it with itself', () => {
    const three = tree(3)
    const four = buildTree(concatBytes(...leaves(3), leaf(2)), sha256Pairs)
    expect(toHex(three.root)).not.toBe(toHex(four.root))
    expect(inclusionPath(three, 2)).toHaveLength(1)
  })

  it('has the zero root when it is empty, and its leaf as root when it has one', () => {
    expect(toHex(treeRoot(new Uint8Array(), sha256Pairs))).toBe(`0x${'00'.repeat(32)}`)
    expect(toHex(tree(1).root)).toBe(toHex(leaf(0)))
  })

  it('every leaf is found at its own index and at no other', () => {
    fc.assert(
      fc.property(sizeArbitrary, fc.nat(), fc.nat(), (count, one, other) => {
        const built = tree(count)
        const index = one % count
        const path = inclusionPath(built, index)
        assertInclusion(built.root, leaf(index), index, count, path, sha256Pairs)
        const wrong = other % count
        if (wrong === index) return
        expect(() => {
          assertInclusion(built.root, leaf(index), wrong, count, path, sha256Pairs)
        }).toThrowError(MerkleProofError)
      }),
    )
  })

  it('a path that is changed, longer or shorter does not lead to the root', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 100 }), fc.nat(), fc.nat(), (count, at, bit) => {
        const built = tree(count)
        const index = at % count
        const path = inclusionPath(built, index)
        const node = path[bit % path.length]
        const longer = [...path, leaf(0)]
        expect(() => rootFromPath(leaf(index), index, count, longer, sha256Pairs)).toThrowError(
          /too long/,
        )
        expect(() =>
          rootFromPath(leaf(index), index, count, path.slice(1), sha256Pairs),
        ).toThrowError(/too short/)
        if (node === undefined) return
        node[bit % 32] = (node[bit % 32] ?? 0) ^ (1 << (bit % 8))
        expect(() => {
          assertInclusion(built.root, leaf(index), index, count, path, sha256Pairs)
        }).toThrowError(/not under this root/)
      }),
    )
  })

  it('one multiproof opens any set of leaves, and none of its nodes can be left out', () => {
    fc.assert(
      fc.property(sizeArbitrary, fc.array(fc.nat(), { minLength: 1 }), (count, picks) => {
        const built = tree(count)
        const indices = [...new Set(picks.map((pick) => pick % count))].sort((a, b) => a - b)
        const proof = multiproof(built, indices)
        const opened = indices.map(leaf)
        expect(toHex(rootFromMultiproof(opened, indices, count, proof, sha256Pairs))).toBe(
          toHex(built.root),
        )
        expect(() =>
          rootFromMultiproof(opened, indices, count, [...proof, leaf(0)], sha256Pairs),
        ).toThrowError(/too long/)
        if (proof.length === 0) return
        expect(() =>
          rootFromMultiproof(opened, indices, count, proof.slice(1), sha256Pairs),
        ).toThrowError(MerkleProofError)
      }),
    )
  })

  it('a multiproof of one leaf is that leaf’s path', () => {
    const built = tree(13)
    for (let index = 0; index < 13; index += 1) {
      expect(multiproof(built, [index]).map(toHex)).toStrictEqual(
        inclusionPath(built, index).map(toHex),
      )
    }
  })

  it('refuses leaves out of order, twice, or outside the tree', () => {
    const built = tree(5)
    for (const indices of [[], [1, 1], [2, 1], [5], [-1], [0.5]]) {
      expect(() => multiproof(built, indices)).toThrowError(MerkleRangeError)
    }
    expect(() => inclusionPath(built, 5)).toThrowError(MerkleRangeError)
    expect(() => buildTree(new Uint8Array(33), sha256Pairs)).toThrowError(/32 bytes/)
  })

  it('proves of every prefix that it is one, and of no other tree', () => {
    for (let count = 1; count <= 40; count += 1) {
      const built = tree(count)
      for (let oldCount = 1; oldCount <= count; oldCount += 1) {
        const old = tree(oldCount)
        const proof = consistencyProof(built, oldCount, sha256Pairs)
        assertConsistency(old, built, proof, sha256Pairs)
        const forged = { root: leaf(999), count: oldCount }
        expect(() => {
          assertConsistency(forged, built, proof, sha256Pairs)
        }).toThrowError(MerkleProofError)
        if (proof.length === 0) continue
        expect(() => {
          assertConsistency(old, built, proof.slice(1), sha256Pairs)
        }).toThrowError(MerkleProofError)
        expect(() => {
          assertConsistency(old, built, [...proof, leaf(0)], sha256Pairs)
        }).toThrowError(MerkleProofError)
      }
    }
  })

  it('all hash implementations agree on every size', async () => {
    const fastKeccak = await createFastKeccakPairs()
    for (const count of [1, 2, 3, 7, 8, 9, 64, 65, 1000]) {
      const all = concatBytes(...leaves(count))
      expect(toHex(treeRoot(all, fastKeccak))).toBe(toHex(treeRoot(all, keccakPairs)))
      expect(toHex(treeRoot(all, fastSha256Pairs))).toBe(toHex(treeRoot(all, sha256Pairs)))
    }
  })
})
