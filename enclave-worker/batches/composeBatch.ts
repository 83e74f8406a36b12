import { type Batch, batchDigest } from '#schemas/batch.ts'
import { type Hex, concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import {
  type OrderedTree,
  type PairHasher,
  buildTree,
  inclusionPath,
  treeRoot,
} from '#schemas/merkle/orderedTree.ts'
import { type Report, reportLeaf } from '#schemas/report.ts'

/** A block that bounds the batch's age from below. */
export type Anchor = { readonly number: bigint; readonly hash: Hex }

export type BatchParts = {
  readonly stream: Hex
  readonly sequence: bigint
  readonly previous: Hex
  readonly reports: readonly Report[]
  /** Leaves of the roster tree, 32 bytes each. */
  readonly rosterLeaves: Uint8Array
  readonly closedAtMs: number
  readonly anchor: Anchor
}

export type ComposedBatch = {
  readonly batch: Batch
  readonly digest: Hex
  readonly leaves: readonly Hex[]
  readonly tree: OrderedTree
}

function leafBytes(leaves: readonly Hex[]): Uint8Array {
  return concatBytes(...leaves.map((leaf) => fromHex(leaf, 'leaf', 32)))
}

/** Builds the batch and its trees. Pure: the same parts give the same digest, today and in years. */
export function composeBatch(parts: BatchParts, hashPairs: PairHasher): ComposedBatch {
  const leaves = parts.reports.map(reportLeaf)
  const tree = buildTree(leafBytes(leaves), hashPairs)
  const batch: Batch = {
    stream: parts.stream,
    sequence: parts.sequence,
    previous: parts.previous,
    reportRoot: toHex(tree.root),
    reportCount: parts.reports.length,
    rosterRoot: toHex(treeRoot(parts.rosterLeaves, hashPairs)),
    rosterCount: parts.rosterLeaves.length / 32,
    closedAtMs: BigInt(parts.closedAtMs),
    anchorNumber: parts.anchor.number,
    anchorHash: parts.anchor.hash,
  }
  return { batch, digest: batchDigest(batch), leaves, tree }
}

/** The siblings of one report, as contracts take them. */
export function reportPath(tree: OrderedTree, index: number): Hex[] {
  return inclusionPath(tree, index).map(toHex)
}
