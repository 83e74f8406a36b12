import { BaseError } from '#schemas/errors.ts'
import type { Ledger } from '../ledger/ledger.ts'

/** Raised when another worker may hold the partition by now: nothing more may leave this one. */
export class LeaseLostError extends BaseError {
  override readonly name = 'LeaseLostError'
  override readonly retryable = true
}

/** Says whether this worker still is the one that works its partition. */
export type Fence = {
  /**
   * Resolves when the partition was still this worker's at a moment after the call; waits while
   * nobody can tell.
   *
   * @throws {@link LeaseLostError} for good.
   */
  confirm(): Promise<void>
}

/**
 * A ledger whose commits count only while the partition is held. Whatever leaves a worker (receipts,
 * batches, statements, acknowledgements to a broker) waits for a commit. So a worker that was frozen
 * while another took over can still write into its own folder, and nobody will ever hear of it; and
 * what was confirmed was on the disk before the other one could begin to read.
 */
export function fenceLedger(ledger: Ledger, fence: Fence): Ledger {
  return {
    ...ledger,
    async commit() {
      await ledger.commit()
      await fence.confirm()
    },
  }
}
