import { type Hex, concatBytes } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { writeMessage } from '#schemas/workerApi.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { decodeRecord } from '../ledger/records.ts'
import type { BatchEntry, WorkerState } from '../state/workerState.ts'
import { type Tracer, noTracing } from '../tracing.ts'
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
  /** The roster as rows. @throws {@link UnknownBatchError} */
  rosterRows(sequence: bigint): Promise<Uint8Array>
}

/** A page ends early when it grows beyond this; the next request goes on from there. */
const pageBytes = 8 * 1024 * 1024
const cacheBytes = 32 * 1024 * 1024

export function createBatchReader(
  stream: Hex,
  state: WorkerState,
  ledger: Ledger,
  tracer: Tracer = noTracing,
): BatchReader {
  const texts = new Map<bigint, string>()
  let held = 0

  function entryOf(sequence: bigint): BatchEntry {
    const entry = state.batches[Number(sequence) - 1]
    if (entry !== undefined) return entry
    throw new UnknownBatchError(`There is no batch ${sequence}.`, {
      field: 'sequence',
      metaMessages: [`Newest: ${state.batches.length}`],
    })
  }

  async function record(sequence: bigint): Promise<{ signed: unknown }> {
    const entry = entryOf(sequence)
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
    async rosterRows(sequence) {
      const { roster } = entryOf(sequence)
      const parts: Uint8Array[] = []
      for (const position of roster) {
        const found = decodeRecord(await ledger.read(position))
        if (found.kind === 'roster') parts.push(found.rows)
      }
      return concatBytes(...parts)
    },
    async stored(sequence) {
      return readStoredBatch(await record(sequence))
    },
    async pageText(after, limit) {
      const head = BigInt(state.batches.length)
      // Whoever follows the stream asks all the time: only an answer with batches is work.
      if (after >= head) return `{"stream":"${stream}","batches":[],"head":"${head}"}`
      return tracer.during('serve', async (span) => {
        const parts: string[] = []
        let bytes = 0
        for (let sequence = after + 1n; sequence <= head; sequence += 1n) {
          if (parts.length >= limit || (parts.length > 0 && bytes > pageBytes)) break
          const text = await signedText(sequence)
          bytes += text.length
          parts.push(text)
        }
        span.tell({ batch: String(after + 1n), batches: parts.length, bytes })
        return `{"stream":"${stream}","batches":[${parts.join(',')}],"head":"${head}"}`
      })
    },
  }
}
