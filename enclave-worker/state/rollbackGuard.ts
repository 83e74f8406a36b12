import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import type { HeadSource, Log } from '../ports.ts'
import type { WorkerState } from './workerState.ts'

/**
 * Raised when a chain holds a batch of this stream that the data folder does not: the disk was set
 * back, or belongs to a fork. Signing on would equivocate.
 */
export class RolledBackError extends BaseError {
  override readonly name = 'RolledBackError'
}

export type RollbackGuard = {
  /** Compares with every chain that answers. @throws {@link RolledBackError} */
  compare(): Promise<void>
  /** Whether nothing may be signed yet, since the anchor chain has not been compared. */
  isPending(): boolean
}

/**
 * Holds the worker’s memory against what chains remember of it. A disk that the host set back to an
 * older state is sealed and whole; only somebody else’s memory can tell.
 *
 * @param required - The chain without whose word nothing is signed; the others are asked when they
 *   answer. `undefined` when no proof registry is configured.
 */
export function createRollbackGuard(
  stream: Hex,
  state: WorkerState,
  heads: ReadonlyMap<bigint, HeadSource>,
  required: bigint | undefined,
  log: Log,
): RollbackGuard {
  const pending = new Set(heads.keys())

  function assertKnown(chainId: bigint, sequence: bigint, digest: Hex): void {
    if (sequence === 0n) return
    const own = state.batches[Number(sequence) - 1]
    if (own?.digest === digest) return
    throw new RolledBackError('A chain holds a batch that the data folder does not.', {
      field: 'dataFolder',
      metaMessages: [
        `Chain: ${chainId}`,
        `Batch: ${sequence}`,
        `On chain: ${digest}`,
        `Here: ${own?.digest ?? `nothing behind ${state.batches.length}`}`,
      ],
      remedy: 'Bring back the newest copy of the data folder; this one must never sign again.',
    })
  }

  return {
    async compare() {
      await Promise.all(
        [...pending].map(async (chainId) => {
          let head: Awaited<ReturnType<HeadSource['head']>> | undefined
          try {
            head = await heads.get(chainId)?.head(stream)
          } catch (error) {
            log('warn', 'head not compared', {
              chainId,
              error: error instanceof BaseError ? error.shortMessage : String(error),
            })
            return
          }
          if (head !== undefined) assertKnown(chainId, head.sequence, head.digest)
          pending.delete(chainId)
        }),
      )
    },
    isPending: () => required !== undefined && pending.has(required),
  }
}
