import type { Assignment } from '../windows/assignment.ts'
import type { Period } from '../windows/periods.ts'
import type { JudgedPeriod } from './judge.ts'
import type { KeccakBatch } from './keccakBatch.ts'
import type { ReportDraft } from './reportParts.ts'
import { reportRowBytes, writeReportRow } from './reportRows.ts'

/** On what a judgement rests: as long as neither has changed it comes out the same. */
export type JudgedOn = {
  /** Of the subject's evidence, as a whole. */
  readonly version: number
  /** Whether packs of later batches had come already: then the version alone says nothing. */
  readonly isCut: boolean
  /** What bears on the period: looked at when other evidence has come. */
  readonly evidence: string
}

type Kept = JudgedOn & Period & { readonly slot: number; next: Kept | undefined }

/** Rows and leaves of judgements, a shelf of them in one piece of memory. */
type Shelf = { readonly rows: Buffer; readonly leaves: Uint8Array }

const slotsPerShelf = 1024

/** What was judged before it was due, as rows: a million of them are a third of a gigabyte. */
export type JudgedAhead = {
  find(assignment: Assignment, period: Period): JudgedOn | undefined
  /** @throws InvalidReportError */
  put(judged: JudgedPeriod, on: JudgedOn): void
  drop(assignment: Assignment, period: Period): void
  /** Copies a judgement into a batch. Answers whether there is one. */
  copy(assignment: Assignment, period: Period, draft: ReportDraft): boolean
}

export function createJudgedAhead(hashReports: KeccakBatch): JudgedAhead {
  /** Of most assignments one period waits; the others hang behind it. */
  const kept = new Map<Assignment, Kept>()
  const shelves: Shelf[] = []
  let free: number[] = []
  let used = 0

  function search(assignment: Assignment, { startMs, endMs }: Period): Kept | undefined {
    let entry = kept.get(assignment)
    while (entry !== undefined && (entry.startMs !== startMs || entry.endMs !== endMs)) {
      entry = entry.next
    }
    return entry
  }

  function takeSlot(): number {
    const slot = free.pop()
    if (slot !== undefined) return slot
    used += 1
    if (used > shelves.length * slotsPerShelf) {
      shelves.push({
        rows: Buffer.alloc(slotsPerShelf * reportRowBytes),
        leaves: new Uint8Array(slotsPerShelf * 32),
      })
    }
    return used - 1
  }

  function shelfOf(slot: number): { shelf: Shelf; place: number } {
    const shelf = shelves[Math.floor(slot / slotsPerShelf)]
    if (shelf === undefined) throw new RangeError('no such slot')
    return { shelf, place: slot % slotsPerShelf }
  }

  function drop(assignment: Assignment, period: Period): void {
    const gone = search(assignment, period)
    if (gone === undefined) return
    const first = kept.get(assignment)
    if (first === gone) {
      if (gone.next === undefined) kept.delete(assignment)
      else kept.set(assignment, gone.next)
    } else {
      let before = first
      while (before !== undefined && before.next !== gone) before = before.next
      if (before !== undefined) before.next = gone.next
    }
    free.push(gone.slot)
    if (kept.size > 0) return
    // Nothing waits: most of the memory goes back.
    free = []
    used = 0
    shelves.length = Math.min(shelves.length, 1)
  }

  return {
    find: search,
    drop,
    put({ assignment, period, report, lastReadingMs, lastReceivedMs }, on) {
      drop(assignment, period)
      const slot = takeSlot()
      const { shelf, place } = shelfOf(slot)
      const start = place * reportRowBytes
      try {
        writeReportRow(shelf.rows, start, report, {
          lastReadingMs: BigInt(lastReadingMs),
          lastReceivedMs: BigInt(lastReceivedMs),
        })
      } catch (error) {
        free.push(slot)
        throw error
      }
      const leaf = hashReports(shelf.rows.subarray(start, start + reportRowBytes))
      shelf.leaves.set(leaf, place * 32)
      const { startMs, endMs } = period
      kept.set(assignment, { ...on, startMs, endMs, slot, next: kept.get(assignment) })
    },
    copy(assignment, period, draft) {
      const entry = search(assignment, period)
      if (entry === undefined) return false
      const { shelf, place } = shelfOf(entry.slot)
      draft.addRow(assignment, shelf.rows, shelf.leaves, place)
      return true
    },
  }
}
