import {
  type SpanKind,
  type SpanWork,
  createSpanRooter,
  spanLeaves,
  spanRowBytes,
  takeSpan,
} from './spans.ts'

/** Hashes the trees of a batch, large ones on every thread that has nothing else to do. */
export type SpanHasher = {
  /**
   * Roots of the trees over every {@link spanLeaves} rows, 32 bytes each.
   *
   * @param rows - In shared memory, where threads are to help; nobody may change them meanwhile.
   */
  roots(kind: SpanKind, rows: Uint8Array): Promise<Uint8Array>
}

/** Fewer are hashed before a thread has been told about them. */
const spansWorthHelp = 4

/** @param share - Has threads take spans; resolves when they have done what they took, or are lost. */
export async function createSpanHasher(
  share: (work: SpanWork) => Promise<unknown>,
): Promise<SpanHasher> {
  const rootSpan = await createSpanRooter()

  return {
    async roots(kind, rows) {
      const count = Math.ceil(rows.length / (spanLeaves * spanRowBytes[kind]))
      const isShared = rows.buffer instanceof SharedArrayBuffer && count >= spansWorthHelp
      const memory = (bytes: number) =>
        isShared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes)
      const work: SpanWork = {
        kind,
        rows,
        roots: new Uint8Array(memory(count * 32)),
        marks: new Int32Array(memory((count + 1) * 4)),
      }
      const helped = isShared ? share(work) : undefined
      for (let span = takeSpan(work); span !== undefined; span = takeSpan(work)) {
        rootSpan(work, span)
        // What is on its way to the disk goes on in between.
        await new Promise((resolve) => {
          setImmediate(resolve)
        })
      }
      await helped
      // What a thread took and did not live to do.
      for (let span = 0; span < count; span += 1) {
        if (Atomics.load(work.marks, span + 1) === 0) rootSpan(work, span)
      }
      return work.roots
    },
  }
}
