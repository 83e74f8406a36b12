import { type PairHasher, treeRoot } from '#schemas/merkle/orderedTree.ts'
import { createKeccakPairs } from './keccakBatch.ts'
import { createRosterHasher, rosterRowBytes } from './rosterRows.ts'

/**
 * A large tree in spans: every 4096 leaves are a whole subtree, since that is a power of two, and so
 * is the rest behind them. The tree over the spans' roots has the root of the whole, whatever the
 * number of leaves: an odd node is promoted level by level on either way.
 */
export const spanLeaves = 4096

/** What a span's bytes are: rows of a roster, or leaves as they are. */
export type SpanKind = 'roster' | 'leaves'

/** Bytes of one leaf's row. */
export const spanRowBytes: Readonly<Record<SpanKind, number>> = {
  roster: rosterRowBytes,
  leaves: 32,
}

/** Spans that several threads hash together, in memory that they share. */
export type SpanWork = {
  readonly kind: SpanKind
  readonly rows: Uint8Array
  /** 32 bytes for each span. */
  readonly roots: Uint8Array
  /** Place 0: the next span that nobody has taken; then for each span whether it is done. */
  readonly marks: Int32Array
}

/** Hashes one span of some work. */
export type SpanRooter = (work: SpanWork, span: number) => void

export async function createSpanRooter(): Promise<SpanRooter> {
  const hashRoster = await createRosterHasher()
  const hashPairs: PairHasher = await createKeccakPairs()
  return ({ kind, rows, roots, marks }, span) => {
    const bytes = spanLeaves * spanRowBytes[kind]
    const part = rows.subarray(span * bytes, (span + 1) * bytes)
    roots.set(treeRoot(kind === 'roster' ? hashRoster(part) : part, hashPairs), span * 32)
    Atomics.store(marks, span + 1, 1)
  }
}

/** Takes the next span that nobody has; `undefined` when all are taken. */
export function takeSpan({ marks }: SpanWork): number | undefined {
  const span = Atomics.add(marks, 0, 1)
  return span < marks.length - 1 ? span : undefined
}
