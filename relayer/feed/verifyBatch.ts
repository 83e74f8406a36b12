import { batchDigest } from '#schemas/batch.ts'
import { type Hex, concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { assertInclusion, buildTree } from '#schemas/merkle/orderedTree.ts'
import { encodeReport, leafOfReportBytes, zeroHash } from '#schemas/report.ts'
import { recoverSigner } from '#schemas/signatures.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'
import { fastKeccak, fastKeccakPairs } from '../chain/fastKeccak.ts'

/** Raised when a worker serves a batch that does not prove itself; nothing of it is carried. */
export class InvalidBatchError extends BaseError {
  override readonly name = 'InvalidBatchError'
}

/** Where a feed stands: the last batch that it verified and handed on. */
export type FeedCursor = { readonly sequence: bigint; readonly digest: Hex }

export const feedStart: FeedCursor = { sequence: 0n, digest: zeroHash }

/** A report's leaf, and the report itself as the chain reads it. */
export type VerifiedReport = { readonly leaf: Hex; readonly encoded: Uint8Array }

/**
 * Checks everything about a batch that needs no chain: its name, who signed it, that it follows the
 * one before, and that every report stands under the signed root.
 *
 * @returns every report with its leaf, in the order of `signed.reports`
 * @throws {@link InvalidBatchError}
 */
export function verifyBatch(
  stream: Hex,
  cursor: FeedCursor,
  signed: SignedBatch,
): { readonly reports: readonly VerifiedReport[]; readonly cursor: FeedCursor } {
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
  return { reports: verifyReports(signed), cursor: { sequence: batch.sequence, digest } }
}

/**
 * Checks that reports stand under the root of their batch, whose own signature has been checked.
 *
 * @throws {@link InvalidBatchError}
 */
export function verifyReports(signed: SignedBatch): readonly VerifiedReport[] {
  const { batch } = signed
  if (signed.reports.length > batch.reportCount) {
    throw new InvalidBatchError('There are more reports than signed.', {
      field: 'batch.reports',
      metaMessages: [`Expected: ${batch.reportCount}`, `Actual: ${signed.reports.length}`],
      remedy: 'Do not carry it. Keep it with the batch before: together they show the fault.',
    })
  }
  const reports = readReports(signed)
  const leaves = reports.map(({ leaf }) => leaf)
  if (!isWholeTree(signed, leaves)) assertPaths(signed, leaves)
  return reports
}

/** @throws {@link InvalidBatchError} that names the report which contradicts itself */
function readReports({ reports }: SignedBatch): readonly VerifiedReport[] {
  return reports.map(({ report, index }, at) => {
    try {
      const encoded = encodeReport(report)
      return { encoded, leaf: leafOfReportBytes(encoded, fastKeccak) }
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
    fastKeccakPairs,
  )
  if (toHex(tree.root) !== batch.reportRoot) return false
  const levels = tree.levels.map(nodesOf)
  return reports.every(({ path }, leafIndex) => {
    let index = leafIndex
    let used = 0
    for (const nodes of levels.slice(0, -1)) {
      const sibling = nodes[index % 2 === 0 ? index + 1 : index - 1]
      if (sibling !== undefined) {
        if (path[used] !== sibling) return false
        used += 1
      }
      index = Math.floor(index / 2)
    }
    return path.length === used
  })
}

function nodesOf(level: Uint8Array): readonly Hex[] {
  return Array.from({ length: level.length / 32 }, (_, at) =>
    toHex(level.subarray(at * 32, at * 32 + 32)),
  )
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
        fastKeccakPairs,
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
