import { BaseError } from '../errors.ts'
import { equalBytes } from '../bytes.ts'

/**
 * Ordered Merkle trees: leaves keep their order, nodes hash `left ‖ right`, and an odd last node is
 * promoted unchanged, never paired with itself. The shape is that of RFC 6962 (the two definitions
 * agree: splitting at the largest power of two is the same as pairing level by level). Unlike there,
 * nodes carry no prefix byte; instead every leaf preimage in this project has a length other than 64
 * bytes, so that no leaf can be read as a node.
 *
 * @see RFC 6962, section 2.1; RFC 9162, section 2.1
 */

const nodeBytes = 32

/**
 * Hashes consecutive 64-byte pairs: `pairs` holds n × 64 bytes, the answer n × 32. The port that a
 * fast implementation fulfils; all of them must agree.
 */
export type PairHasher = (pairs: Uint8Array) => Uint8Array

/** Raised when a tree is asked for something that it does not have. */
export class MerkleRangeError extends BaseError {
  override readonly name = 'MerkleRangeError'
}

/** Raised when a path, multiproof or consistency proof does not lead to the root it claims. */
export class MerkleProofError extends BaseError {
  override readonly name = 'MerkleProofError'
}

/** All levels of a tree: level 0 holds the leaves, the last level the root. */
export type OrderedTree = {
  readonly count: number
  readonly root: Uint8Array
  readonly levels: readonly Uint8Array[]
}

function assertLeaves(leaves: Uint8Array): number {
  if (leaves.length % nodeBytes !== 0) {
    throw new MerkleRangeError('Leaves must be 32 bytes each.', {
      field: 'leaves',
      metaMessages: [`Actual: ${leaves.length} bytes in all`],
    })
  }
  return leaves.length / nodeBytes
}

/** Number of nodes on the level above `count` nodes. */
function parents(count: number): number {
  return Math.ceil(count / 2)
}

function nextLevel(level: Uint8Array, hashPairs: PairHasher): Uint8Array {
  const count = level.length / nodeBytes
  const pairBytes = Math.floor(count / 2) * 2 * nodeBytes
  const hashed = hashPairs(level.subarray(0, pairBytes))
  if (pairBytes === level.length) return hashed
  const next = new Uint8Array(hashed.length + nodeBytes)
  next.set(hashed)
  next.set(level.subarray(pairBytes), hashed.length)
  return next
}

/**
 * Builds a tree and keeps all its levels.
 *
 * @param leaves - n × 32 bytes in order. An empty tree has the zero root.
 */
export function buildTree(leaves: Uint8Array, hashPairs: PairHasher): OrderedTree {
  const count = assertLeaves(leaves)
  if (count === 0) return { count, root: new Uint8Array(nodeBytes), levels: [] }
  const levels = [leaves]
  let level = leaves
  while (level.length > nodeBytes) {
    level = nextLevel(level, hashPairs)
    levels.push(level)
  }
  return { count, root: level, levels }
}

/** The root alone, in constant memory beyond one level. */
export function treeRoot(leaves: Uint8Array, hashPairs: PairHasher): Uint8Array {
  if (assertLeaves(leaves) === 0) return new Uint8Array(nodeBytes)
  let level = leaves
  while (level.length > nodeBytes) level = nextLevel(level, hashPairs)
  return level.slice()
}

function nodeAt(level: Uint8Array, index: number): Uint8Array {
  return level.subarray(index * nodeBytes, (index + 1) * nodeBytes)
}

function assertIndex(index: number, count: number): void {
  if (!Number.isSafeInteger(index) || index < 0 || index >= count) {
    throw new MerkleRangeError(`Leaf ${index} is not in a tree of ${count}.`, { field: 'index' })
  }
}

/** The siblings from leaf to root; a level on which the node is promoted contributes none. */
export function inclusionPath(tree: OrderedTree, index: number): Uint8Array[] {
  assertIndex(index, tree.count)
  const path: Uint8Array[] = []
  let at = index
  for (const level of tree.levels.slice(0, -1)) {
    const sibling = at % 2 === 0 ? at + 1 : at - 1
    if (sibling * nodeBytes < level.length) path.push(nodeAt(level, sibling).slice())
    at = Math.floor(at / 2)
  }
  return path
}

function hashPair(left: Uint8Array, right: Uint8Array, hashPairs: PairHasher): Uint8Array {
  const pair = new Uint8Array(2 * nodeBytes)
  pair.set(left)
  pair.set(right, nodeBytes)
  return hashPairs(pair)
}

/**
 * The root that a leaf and its path lead to. A caller compares it with a root it trusts.
 *
 * @param count - Number of leaves; signed beside the root, since it decides where nodes are promoted.
 * @throws {@link MerkleProofError} when the path is longer or shorter than that tree allows.
 */
export function rootFromPath(
  leaf: Uint8Array,
  index: number,
  count: number,
  path: readonly Uint8Array[],
  hashPairs: PairHasher,
): Uint8Array {
  assertIndex(index, count)
  let node = leaf
  let at = index
  let used = 0
  for (let size = count; size > 1; size = parents(size)) {
    const isPromoted = at % 2 === 0 && at === size - 1
    if (!isPromoted) {
      const sibling = path[used]
      if (sibling === undefined || sibling.length !== nodeBytes) {
        throw new MerkleProofError('The inclusion path is too short.', { field: 'path' })
      }
      used += 1
      node = at % 2 === 0 ? hashPair(node, sibling, hashPairs) : hashPair(sibling, node, hashPairs)
    }
    at = Math.floor(at / 2)
  }
  if (used !== path.length) {
    throw new MerkleProofError('The inclusion path is too long.', { field: 'path' })
  }
  return node
}

/** @throws {@link MerkleProofError} unless `leaf` stands at `index` under `root`. */
export function assertInclusion(
  root: Uint8Array,
  leaf: Uint8Array,
  index: number,
  count: number,
  path: readonly Uint8Array[],
  hashPairs: PairHasher,
): void {
  if (!equalBytes(rootFromPath(leaf, index, count, path, hashPairs), root)) {
    throw new MerkleProofError(`Leaf ${index} is not under this root.`, { field: 'path' })
  }
}

function assertAscending(indices: readonly number[], count: number): void {
  if (indices.length === 0) {
    throw new MerkleRangeError('A multiproof needs at least one leaf.', { field: 'indices' })
  }
  for (const [position, index] of indices.entries()) {
    assertIndex(index, count)
    if (position > 0 && index <= (indices[position - 1] ?? -1)) {
      throw new MerkleRangeError('Leaf indices must ascend strictly.', { field: 'indices' })
    }
  }
}

/**
 * The nodes that several leaves need beside themselves: level by level from the leaves up, left to
 * right, each once.
 *
 * @param indices - Strictly ascending.
 */
export function multiproof(tree: OrderedTree, indices: readonly number[]): Uint8Array[] {
  assertAscending(indices, tree.count)
  const proof: Uint8Array[] = []
  let known = [...indices]
  for (const level of tree.levels.slice(0, -1)) {
    const size = level.length / nodeBytes
    const next: number[] = []
    for (let position = 0; position < known.length; position += 1) {
      const at = known[position] ?? 0
      const hasKnownSibling = at % 2 === 0 && known[position + 1] === at + 1
      if (hasKnownSibling) position += 1
      else if (at % 2 === 1) proof.push(nodeAt(level, at - 1).slice())
      else if (at + 1 < size) proof.push(nodeAt(level, at + 1).slice())
      next.push(Math.floor(at / 2))
    }
    known = next
  }
  return proof
}

/**
 * The root that several leaves and their multiproof lead to.
 *
 * @throws {@link MerkleProofError} when nodes are missing or left over.
 */
export function rootFromMultiproof(
  leaves: readonly Uint8Array[],
  indices: readonly number[],
  count: number,
  proof: readonly Uint8Array[],
  hashPairs: PairHasher,
): Uint8Array {
  assertAscending(indices, count)
  if (leaves.length !== indices.length) {
    throw new MerkleRangeError('Leaves and indices differ in number.', { field: 'leaves' })
  }
  let used = 0
  const take = (): Uint8Array => {
    const node = proof[used]
    if (node === undefined || node.length !== nodeBytes) {
      throw new MerkleProofError('The multiproof is too short.', { field: 'proof' })
    }
    used += 1
    return node
  }
  let known = indices.map((index, position) => ({
    index,
    node: leaves[position] ?? new Uint8Array(),
  }))
  for (let size = count; size > 1; size = parents(size)) {
    const next: { index: number; node: Uint8Array }[] = []
    for (let position = 0; position < known.length; position += 1) {
      const current = known[position]
      if (current === undefined) break
      const following = known[position + 1]
      let node = current.node
      if (current.index % 2 === 1) node = hashPair(take(), node, hashPairs)
      else if (following?.index === current.index + 1) {
        node = hashPair(node, following.node, hashPairs)
        position += 1
      } else if (current.index + 1 < size) node = hashPair(node, take(), hashPairs)
      next.push({ index: Math.floor(current.index / 2), node })
    }
    known = next
  }
  if (used !== proof.length) {
    throw new MerkleProofError('The multiproof is too long.', { field: 'proof' })
  }
  const root = known[0]
  if (root === undefined) throw new MerkleProofError('The multiproof has no root.')
  return root.node
}

/** Root of the leaves `start … start + size` taken alone, from the levels of a complete tree. */
function subtreeRoot(
  tree: OrderedTree,
  start: number,
  size: number,
  hashPairs: PairHasher,
): Uint8Array {
  if (size === 1) return nodeAt(tree.levels[0] ?? new Uint8Array(), start).slice()
  const split = largestPowerBelow(size)
  return hashPair(
    subtreeRoot(tree, start, split, hashPairs),
    subtreeRoot(tree, start + split, size - split, hashPairs),
    hashPairs,
  )
}

function largestPowerBelow(size: number): number {
  let power = 1
  while (power * 2 < size) power *= 2
  return power
}

/**
 * Proof that the tree over the first `oldCount` leaves is a prefix of this tree.
 *
 * @see RFC 6962, section 2.1.2
 */
export function consistencyProof(
  tree: OrderedTree,
  oldCount: number,
  hashPairs: PairHasher,
): Uint8Array[] {
  if (!Number.isSafeInteger(oldCount) || oldCount < 1 || oldCount > tree.count) {
    throw new MerkleRangeError(`A tree of ${tree.count} has no prefix of ${oldCount} leaves.`, {
      field: 'oldCount',
    })
  }
  const proof: Uint8Array[] = []
  let start = 0
  let size = tree.count
  let wanted = oldCount
  let isWhole = true
  const trail: Uint8Array[] = []
  while (wanted !== size) {
    const split = largestPowerBelow(size)
    if (wanted <= split) {
      trail.push(subtreeRoot(tree, start + split, size - split, hashPairs))
      size = split
    } else {
      trail.push(subtreeRoot(tree, start, split, hashPairs))
      start += split
      size -= split
      wanted -= split
      isWhole = false
    }
  }
  if (!isWhole) proof.push(subtreeRoot(tree, start, size, hashPairs))
  return [...proof, ...trail.reverse()]
}

/**
 * Checks that a tree of `newCount` leaves begins with exactly the `oldCount` leaves of another.
 *
 * @see RFC 9162, section 2.1.4.2
 * @throws {@link MerkleProofError}
 */
export function assertConsistency(
  old: { readonly root: Uint8Array; readonly count: number },
  current: { readonly root: Uint8Array; readonly count: number },
  proof: readonly Uint8Array[],
  hashPairs: PairHasher,
): void {
  const refuse = (message: string): never => {
    throw new MerkleProofError(message, { field: 'consistencyProof' })
  }
  if (old.count < 1 || old.count > current.count) {
    throw new MerkleRangeError(`${old.count} leaves cannot be a prefix of ${current.count}.`, {
      field: 'oldCount',
    })
  }
  if (old.count === current.count) {
    if (proof.length > 0) refuse('Trees of one size need no proof.')
    if (!equalBytes(old.root, current.root)) refuse('Two trees of one size have different roots.')
    return
  }
  // A prefix that is a power of two long is itself a node of the larger tree and is not repeated.
  const isPowerOfTwo = Number.isInteger(Math.log2(old.count))
  const nodes = isPowerOfTwo ? [old.root, ...proof] : [...proof]
  let at = old.count - 1
  let last = current.count - 1
  while (at % 2 === 1) {
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  const first = nodes.shift()
  if (first === undefined) return refuse('The consistency proof is empty.')
  let oldRoot = first
  let newRoot = first
  for (const node of nodes) {
    if (last === 0) refuse('The consistency proof is too long.')
    if (at % 2 === 1 || at === last) {
      oldRoot = hashPair(node, oldRoot, hashPairs)
      newRoot = hashPair(node, newRoot, hashPairs)
      while (at % 2 === 0 && at !== 0) {
        at = Math.floor(at / 2)
        last = Math.floor(last / 2)
      }
    } else {
      newRoot = hashPair(newRoot, node, hashPairs)
    }
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  if (last !== 0) refuse('The consistency proof is too short.')
  if (!equalBytes(oldRoot, old.root)) refuse('The proof does not lead to the old root.')
  if (!equalBytes(newRoot, current.root)) refuse('The proof does not lead to the new root.')
}
