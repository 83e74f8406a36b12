import type { WordField } from './abiWords.ts'
import { type Hex, concatBytes, fromHex, toHex } from './bytes.ts'
import { type PairHasher, rootFromPath, treeRoot } from './merkle/orderedTree.ts'
import { keccakPairs } from './merkle/pairHashers.ts'
import { type Receipt, receiptStructure } from './receipt.ts'
import { defineStructure, hashStructure, signingDigest } from './typedData.ts'

/**
 * Many receipts under one signature: an ordered Keccak tree over the receipts' structure hashes. For
 * gateways that hand in hundreds of packs at a time; each receipt stays provable alone, by its path.
 */
export type ReceiptTree = {
  readonly stream: Hex
  readonly root: Hex
  readonly count: number
}

const receiptTreeFields: readonly WordField[] = [
  { name: 'stream', type: 'bytes32' },
  { name: 'root', type: 'bytes32' },
  { name: 'count', type: 'uint32' },
]

export const receiptTreeStructure = defineStructure('ReceiptTree', receiptTreeFields)

/** What the worker signs once for all receipts of a tree. */
export function receiptTreeDigest(tree: ReceiptTree): Hex {
  return signingDigest(fromHex(hashStructure(receiptTreeStructure, tree), 'receiptTree', 32))
}

/** A receipt's leaf; its preimage has 192 bytes, so that it cannot be read as a node. */
export function receiptLeaf(receipt: Receipt): Hex {
  return hashStructure(receiptStructure, receipt)
}

/** The tree over receipts in their order. */
export function receiptTreeOf(
  stream: Hex,
  receipts: readonly Receipt[],
  hashPairs: PairHasher = keccakPairs,
): ReceiptTree {
  const leaves = concatBytes(
    ...receipts.map((receipt) => fromHex(receiptLeaf(receipt), 'leaf', 32)),
  )
  return { stream, root: toHex(treeRoot(leaves, hashPairs)), count: receipts.length }
}

/** Where one receipt stands in a signed tree. */
export type ReceiptPlace = {
  readonly count: number
  readonly index: number
  readonly path: readonly Hex[]
}

/**
 * The digest whose signature covers a receipt that stands in a tree.
 *
 * @throws {@link MerkleProofError} | {@link MerkleRangeError}
 */
export function placedReceiptDigest(receipt: Receipt, place: ReceiptPlace): Hex {
  const root = rootFromPath(
    fromHex(receiptLeaf(receipt), 'leaf', 32),
    place.index,
    place.count,
    place.path.map((node) => fromHex(node, 'path', 32)),
    keccakPairs,
  )
  return receiptTreeDigest({ stream: receipt.stream, root: toHex(root), count: place.count })
}
