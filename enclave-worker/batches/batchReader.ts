import { type Hex, concatBytes } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { type SignedBatch, wholeBatchReports, writeMessage } from '#schemas/workerApi.ts'
import { decodeRecord } from '../ledger/records.ts'
import type { BatchEntry, WorkerState } from '../state/workerState.ts'
import { type Tracer, noTracing } from '../tracing.ts'
import { type BatchTools, type OpenedBatch, createBatchOpener } from './openBatch.ts'

/** Raised when a batch is asked for that does not exist. */
export class UnknownBatchError extends BaseError {
  override readonly name = 'UnknownBatchError'
}

export type BatchReader = {
  /** The answer of `GET /v1/batches`, as text. */
  pageText(after: bigint, limit: number): Promise<string>
  /** A batch as it is served: without its reports when there are more than fit into one answer. */
  signed(sequence: bigint): Promise<SignedBatch>
  /** The same as text. */
  signedText(sequence: bigint): Promise<string>
  /** The answer of `GET /v1/batches/{sequence}/reports`, as text. */
  reportsText(sequence: bigint, from: number, limit: number): Promise<string>
  /** @throws {@link UnknownBatchError} */
  open(sequence: bigint): Promise<OpenedBatch>
  /** The roster as rows. @throws {@link UnknownBatchError} */
  rosterRows(sequence: bigint): Promise<Uint8Array>
}

/** A page ends early when it grows beyond this; the next request goes on from there. */
const pageBytes = 8 * 1024 * 1024
const cacheBytes = 32 * 1024 * 1024

export function createBatchReader(
  stream: Hex,
  state: WorkerState,
  tools: BatchTools,
  tracer: Tracer = noTracing,
): BatchReader {
  const { ledger } = tools
  const openBatch = createBatchOpener(tools)
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

  async function opened(sequence: bigint): Promise<OpenedBatch> {
    return openBatch(entryOf(sequence))
  }

  async function signed(sequence: bigint): Promise<SignedBatch> {
    const { head, reports } = await opened(sequence)
    const { reportCount } = head.batch
    if (reportCount > wholeBatchReports) return { ...head, reports: [], nextReport: 0 }
    const stored = await reports(0, reportCount)
    return { ...head, reports: stored.map(({ proven }) => proven) }
  }

  async function signedText(sequence: bigint): Promise<string> {
    const known = texts.get(sequence)
    if (known !== undefined) return known
    const text = writeMessage(await signed(sequence))
    if (texts.has(sequence)) return text
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
    signed,
    signedText,
    open: opened,
    async reportsText(sequence, from, limit) {
      const { head, reports } = await opened(sequence)
      const { reportCount } = head.batch
      const stored = await reports(from, from + limit)
      const next = from + stored.length
      return writeMessage({
        sequence,
        digest: head.digest,
        reportCount,
        reports: stored.map(({ proven }) => proven),
        ...(next < reportCount ? { next } : {}),
      })
    },
    async rosterRows(sequence) {
      const { roster } = entryOf(sequence)
      const parts: Uint8Array[] = []
      for (const position of roster) {
        const found = decodeRecord(await ledger.read(position))
        if (found.kind === 'roster') parts.push(found.rows)
      }
      return concatBytes(...parts)
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
