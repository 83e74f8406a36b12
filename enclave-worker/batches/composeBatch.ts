import { type Batch, batchDigest } from '#schemas/batch.ts'
import { type Hex, toHex } from '#schemas/bytes.ts'
import {
  type OrderedTree,
  type PairHasher,
  inclusionPath,
  treeRoot,
} from '#schemas/merkle/orderedTree.ts'

/** A block that bounds the batch's age from below. */
export type Anchor = { readonly number: bigint; readonly hash: Hex }

/** A tree by the roots of its spans, as `SpanHasher` makes them. */
export type SpannedTree = { readonly count: number; readonly roots: Uint8Array }

export type BatchParts = {
  readonly stream: Hex
  readonly sequence: bigint
  readonly previous: Hex
  readonly reports: SpannedTree
  readonly roster: SpannedTree
  readonly closedAtMs: number
  readonly anchor: Anchor
}

/** Makes the batch. Pure: the same parts give the same digest, today and in years. */
export function composeBatch(
  parts: BatchParts,
  hashPairs: PairHasher,
): { readonly batch: Batch; readonly digest: Hex } {
  const batch: Batch = {
    stream: parts.stream,
    sequence: parts.sequence,
    previous: parts.previous,
    reportRoot: toHex(treeRoot(parts.reports.roots, hashPairs)),
    reportCount: parts.reports.count,
    rosterRoot: toHex(treeRoot(parts.roster.roots, hashPairs)),
    rosterCount: parts.roster.count,
    closedAtMs: BigInt(parts.closedAtMs),
    anchorNumber: parts.anchor.number,
    anchorHash: parts.anchor.hash,
  }
  return { batch, digest: batchDigest(batch) }
}

/** The siblings of one leaf, as contracts take them. */
export function reportPath(tree: OrderedTree, index: number): Hex[] {
  return inclusionPath(tree, index).map(toHex)
}
