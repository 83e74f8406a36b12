import { batchDigest } from '#schemas/batch.ts'
import { type Hex, fromHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { assertInclusion } from '#schemas/merkle/orderedTree.ts'
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
  const root = fromHex(batch.reportRoot, 'batch.reportRoot', 32)
  const leaves = signed.reports.map(({ report, index, path }, at) => {
    try {
      const leaf = reportLeaf(report)
      assertInclusion(
        root,
        fromHex(leaf, 'leaf', 32),
        index,
        batch.reportCount,
        path.map((node) => fromHex(node, 'path', 32)),
        keccakPairs,
      )
      return leaf
    } catch (cause) {
      throw new InvalidBatchError(`Report ${index} is not under the signed root.`, {
        field: `batch.reports.${at}`,
        remedy: 'Do not carry it. The signed root stands; ask the worker for a correct path.',
        cause,
      })
    }
  })
  return { leaves, cursor: { sequence: batch.sequence, digest } }
}
