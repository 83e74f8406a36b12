import { batchDigest } from '#schemas/batch.ts'
import { type Hex, concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { assertInclusion, buildTree, inclusionPath } from '#schemas/merkle/orderedTree.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import { reportLeaf, zeroHash } from '#schemas/report.ts'
import { recoverSigner } from '#schemas/signatures.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'

/** Raised when a worker serves a batch that does not prove itself; nothing of it is carried. */
export class InvalidBatchError extends BaseError {
  override readonly name = 'InvalidBatchError'
}

/** Where a feed stands: the last batch that it verified and handed on. */
export type FeedCursor = { readonly sequence: bigint; readonly digest: Hex }

export const feedStart: FeedCursor = { sequence: 0n, digest: zeroHash }

/**
 * Checks everything about a batch that needs no chain: its name, who signed it, that it follows the
 * one before, and that every report stands under the signed root.
 *
 * @returns the leaf of every report, in the order of `signed.reports`
 * @throws {@link InvalidBatchError}
 */
export function verifyBatch(
  stream: Hex,
  cursor: FeedCursor,
  signed: SignedBatch,
): { readonly leaves: readonly Hex[]; readonly cursor: FeedCursor } {
  const { batch } = signed
  const refuse = (field: string, message: string, expected: unknown, actual: unknown): never => {
    throw new InvalidBatchError(message, {
      field: `batch.${field}`,
      metaMessages: [`Expected: ${String(expected)}`, `Actual: ${String(actual)}`],
      remedy: 'Do not carry it. Keep it with the batch before: together they show the fault.',
    })
  }
  if (batch.stream !== stream) {
    refuse('stream', 'The batch belongs to another stream.', stream, batch.stream)
  }
  if (batch.sequence !== cursor.sequence + 1n) {
    refuse('sequence', 'The stream has a gap.', cursor.sequence + 1n, batch.sequence)
  }
  if (batch.previous !== cursor.digest) {
    refuse('previous', 'The batch does not follow the one before.', cursor.digest, batch.previous)
  }
  const digest = batchDigest(batch)
  if (digest !== signed.digest) {
    refuse('digest', 'The batch has another digest than it says.', digest, signed.digest)
  }
  const signer = recoverSigner(digest, signed.signature)
  if (signer !== signed.signer) {
    refuse('signer', 'The batch was signed by another key than it says.', signed.signer, signer)
  }
  if (signed.reports.length > batch.reportCount) {
    refuse(
      'reports',
      'There are more reports than signed.',
      batch.reportCount,
      signed.reports.length,
    )
  }
  const leaves = leavesOf(signed)
  if (!isWholeTree(signed, leaves)) assertPaths(signed, leaves)
  return { leaves, cursor: { sequence: batch.sequence, digest } }
}

/** @throws {@link InvalidBatchError} that names the report which contradicts itself */
function leavesOf({ reports }: SignedBatch): readonly Hex[] {
  return reports.map(({ report, index }, at) => {
    try {
      return reportLeaf(report)
    } catch (cause) {
      throw new InvalidBatchError(`Report ${index} is none.`, {
        field: `batch.reports.${at}`,
        remedy: 'Do not carry it; an honest worker makes no such report.',
        cause,
      })
    }
  })
}

/**
 * Whether every report of the batch is there, in order, and the tree over them has the signed root and
 * the given paths: two hashes a report instead of one for each level of its path. When it is not so,
 * each path speaks for itself.
 */
function isWholeTree({ batch, reports }: SignedBatch, leaves: readonly Hex[]): boolean {
  if (reports.length === 0 || reports.length !== batch.reportCount) return false
  if (reports.some(({ index }, at) => index !== at)) return false
  const tree = buildTree(
    concatBytes(...leaves.map((leaf) => fromHex(leaf, 'leaf', 32))),
    keccakPairs,
  )
  if (toHex(tree.root) !== batch.reportRoot) return false
  return reports.every(({ index, path }) => {
    const expected = inclusionPath(tree, index)
    return (
      path.length === expected.length &&
      path.every((node, level) => node === hexOf(expected[level]))
    )
  })
}

function hexOf(node: Uint8Array | undefined): Hex | undefined {
  return node === undefined ? undefined : toHex(node)
}

/** @throws {@link InvalidBatchError} that names the report which is not under the root */
function assertPaths({ batch, reports }: SignedBatch, leaves: readonly Hex[]): void {
  const root = fromHex(batch.reportRoot, 'batch.reportRoot', 32)
  for (const [at, { index, path }] of reports.entries()) {
    try {
      assertInclusion(
        root,
        fromHex(leaves[at] ?? '0x', 'leaf', 32),
        index,
        batch.reportCount,
        path.map((node) => fromHex(node, 'path', 32)),
        keccakPairs,
      )
    } catch (cause) {
      throw new InvalidBatchError(`Report ${index} is not under the signed root.`, {
        field: `batch.reports.${at}`,
        remedy: 'Do not carry it. The signed root stands; ask the worker for a correct path.',
        cause,
      })
    }
  }
}
