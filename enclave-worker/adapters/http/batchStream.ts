import type { BatchReader } from '../../batches/batchReader.ts'

/** Tells whoever follows that there is a new batch. */
export type BatchBell = {
  ring(): void
  /** Resolves at the next ring, or when the signal aborts. */
  next(signal: AbortSignal): Promise<void>
  /** Ends all who wait, for good. */
  close(): void
  readonly isClosed: () => boolean
}

export function createBatchBell(): BatchBell {
  let round = Promise.withResolvers<void>()
  let closed = false
  return {
    ring() {
      round.resolve()
      round = Promise.withResolvers()
    },
    async next(signal) {
      if (closed || signal.aborted) return
      const aborted = Promise.withResolvers<void>()
      const onAbort = (): void => {
        aborted.resolve()
      }
      signal.addEventListener('abort', onAbort, { once: true })
      await Promise.race([round.promise, aborted.promise])
      signal.removeEventListener('abort', onAbort)
    },
    close() {
      closed = true
      round.resolve()
    },
    isClosed: () => closed,
  }
}

const encoder = new TextEncoder()
/** A comment line that keeps proxies from closing a quiet connection. */
const keepAliveMs = 15_000

/**
 * Batches as server-sent events, ascending from the one after `after` and then as they are signed.
 * The reader's pace is the writer's: an event is read from the ledger when there is room for it.
 *
 * @see WHATWG HTML, section 9.2, "Server-sent events"
 */
export function streamBatches(
  after: bigint,
  reader: BatchReader,
  head: () => bigint,
  bell: BatchBell,
): ReadableStream<Uint8Array> {
  const ended = new AbortController()
  let sequence = after
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        while (!ended.signal.aborted && !bell.isClosed()) {
          if (sequence < head()) {
            sequence += 1n
            const text = await reader.signedText(sequence)
            controller.enqueue(encoder.encode(`id: ${sequence}\nevent: batch\ndata: ${text}\n\n`))
            return
          }
          const waiting = AbortSignal.any([ended.signal, AbortSignal.timeout(keepAliveMs)])
          await bell.next(waiting)
          if (waiting.aborted && !ended.signal.aborted) {
            controller.enqueue(encoder.encode(': still here\n\n'))
            return
          }
        }
        controller.close()
      },
      cancel() {
        ended.abort()
      },
    },
    { highWaterMark: 1 },
  )
}
