import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import type { HeadSource, Log } from '../ports.ts'
import type { WorkerState } from './workerState.ts'

/**
 * Raised when a chain or a peer holds a batch of this stream that the data folder does not: the disk
 * was set back, or belongs to a fork. Signing on would equivocate.
 */
export class RolledBackError extends BaseError {
  override readonly name = 'RolledBackError'
}

export type RollbackGuard = {
  /** Compares with every chain and peer that answers. @throws {@link RolledBackError} */
  compare(): Promise<void>
  /** Whether nothing may be signed yet, since some who may know better have not been compared. */
  isPending(): boolean
}

/** Who remembers batches: `chain 1`, `peer https://…`. */
export type Witnesses = ReadonlyMap<string, HeadSource>

/**
 * Holds one witness's memory of the stream against batches.
 *
 * @param digestOf - Digest of the own batch of a sequence.
 * @throws {@link RolledBackError}
 */
export function assertNotBehind(
  witness: string,
  { sequence, digest }: { readonly sequence: bigint; readonly digest: Hex },
  digestOf: (sequence: bigint) => Hex | undefined,
  head: number,
): void {
  if (sequence === 0n) return
  const own = digestOf(sequence)
  if (own === digest) return
  throw new RolledBackError('Somebody holds a batch that the data folder does not.', {
    field: 'dataFolder',
    metaMessages: [
      `Witness: ${witness}`,
      `Batch: ${sequence}`,
      `There: ${digest}`,
      `Here: ${own ?? `nothing behind ${head}`}`,
    ],
    remedy: 'Bring back the newest copy of the data folder; this one must never sign again.',
  })
}

/**
 * Holds the worker’s memory against what others remember of it. A disk that the host set back to an
 * older state is sealed and whole; only somebody else’s memory can tell.
 *
 * @param required - The witness without whose word nothing is signed; the others are asked until
 *   they answer. `undefined` when there is none. A ledger that was brought back from a backup needs
 *   the word of all of them, and of one at least, before it signs its first batch.
 */
export function createRollbackGuard(
  stream: Hex,
  state: WorkerState,
  witnesses: Witnesses,
  required: string | undefined,
  log: Log,
): RollbackGuard {
  const pending = new Set(witnesses.keys())

  return {
    async compare() {
      await Promise.all(
        [...pending].map(async (witness) => {
          let head: Awaited<ReturnType<HeadSource['head']>> | undefined
          try {
            head = await witnesses.get(witness)?.head(stream)
          } catch (error) {
            log('warn', 'head not compared', {
              witness,
              error: error instanceof BaseError ? error.shortMessage : String(error),
            })
            return
          }
          if (head !== undefined) {
            assertNotBehind(
              witness,
              head,
              (sequence) => state.batches[Number(sequence) - 1]?.digest,
              state.batches.length,
            )
          }
          pending.delete(witness)
        }),
      )
    },
    isPending: () => {
      if (state.restoredMs !== undefined) return witnesses.size === 0 || pending.size > 0
      return required !== undefined && pending.has(required)
    },
  }
}
