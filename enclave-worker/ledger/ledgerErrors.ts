import { BaseError } from '#schemas/errors.ts'

/** Raised when acknowledged bytes of the ledger are damaged: restarting cannot help. */
export class LedgerCorruptError extends BaseError {
  override readonly name = 'LedgerCorruptError'

  constructor(where: string, problem: string, cause?: unknown) {
    super(`The ledger is damaged at ${where}: ${problem}.`, {
      field: 'dataFolder',
      remedy: 'Restore the data folder from a backup; nothing behind the damage is guessed.',
      cause,
    })
  }
}

/** Raised when the data folder was written by another stream or another release. */
export class LedgerForeignError extends BaseError {
  override readonly name = 'LedgerForeignError'
}

/**
 * Raised when a write or an fsync failed. What the disk now holds is unknown, so the process has to
 * start again from what it can read back; nothing more is acknowledged until then.
 */
export class LedgerFailedError extends BaseError {
  override readonly name = 'LedgerFailedError'
  override readonly retryable = true

  constructor(cause: unknown) {
    super('The ledger could not be written; no receipt leaves until the worker has restarted.', {
      field: 'dataFolder',
      remedy: 'Check the disk (space, health), then restart the worker with the same data folder.',
      cause,
    })
  }
}
