import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { writeMessage } from '#schemas/workerApi.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { decodeRecord } from '../ledger/records.ts'
import type { WorkerState } from '../state/workerState.ts'
import { type StoredBatch, readStoredBatch } from './storedBatch.ts'

/** Raised when a batch is asked for that does not exist. */
export class UnknownBatchError extends BaseError {
  override readonly name = 'UnknownBatchError'
}

export type BatchReader = {
  /** The answer of `GET /v1/batches`, as text: what was signed is served as it was stored. */
  pageText(after: bigint, limit: number): Promise<string>
  /** @throws {@link UnknownBatchError} */
  stored(sequence: bigint): Promise<StoredBatch>
  signedText(sequence: bigint): Promise<string>
}

/** A page ends early when it grows beyond this; the next request goes on from there. */
const pageBytes = 8 * 1024 * 1024
const cacheBytes = 32 * 1024 * 1024

export function createBatchReader(stream: Hex, state: WorkerState, ledger: Ledger): BatchReader {
  const texts = new Map<bigint, string>()
  let held = 0

  async function record(sequence: bigint): Promise<{ signed: unknown }> {
    const entry = state.batches[Number(sequence) - 1]
    if (entry === undefined) {
      throw new UnknownBatchError(`There is no batch ${sequence}.`, {
        field: 'sequence',
        metaMessages: [`Newest: ${state.batches.length}`],
      })
    }
    const found = decodeRecord(await ledger.read(entry.position))
    if (found.kind !== 'batch') throw new UnknownBatchError(`Batch ${sequence} is misplaced.`)
    return found.json as { signed: unknown }
  }

  async function signedText(sequence: bigint): Promise<string> {
    const known = texts.get(sequence)
    if (known !== undefined) return known
    const text = writeMessage((await record(sequence)).signed)
    texts.set(sequence, text)
    held += text.length
    for (const [oldest, old] of texts) {
      if (held <= cacheBytes || oldest === sequence) break
      texts.delete(oldest)
      held -= old.length
    }
    return text
  }

  return {
    signedText,
    async stored(sequence) {
      return readStoredBatch(await record(sequence))
    },
    async pageText(after, limit) {
      const head = BigInt(state.batches.length)
      const parts: string[] = []
      let bytes = 0
      for (let sequence = after + 1n; sequence <= head; sequence += 1n) {
        if (parts.length >= limit || (parts.length > 0 && bytes > pageBytes)) break
        const text = await signedText(sequence)
        bytes += text.length
        parts.push(text)
      }
      return `{"stream":"${stream}","batches":[${parts.join(',')}],"head":"${head}"}`
    },
  }
}
