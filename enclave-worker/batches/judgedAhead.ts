import type { EvidenceVersion } from '../state/workerState.ts'
import type { Period } from '../windows/periods.ts'
import type { EndedPeriod } from './dueWork.ts'
import type { JudgedPeriod } from './judge.ts'
import type { KeccakBatch } from './keccakBatch.ts'
import { type ReportDraft, type Shelf, createShelf, reportsPerPart } from './reportParts.ts'
import { reportRowBytes, writeReportRow } from './reportRows.ts'

/** On what a judgement rests: as long as neither has changed it comes out the same. */
export type JudgedOn = {
  /** Counts the subject's evidence, and how far it had counted then. */
  readonly version: EvidenceVersion
  readonly count: number
  /** Whether packs of later batches had come already: then the count alone says nothing. */
  readonly isCut: boolean
  /** What bears on the period: looked at when other evidence has come. */
  readonly evidence: string
}

type Kept = JudgedOn & Period & { readonly slot: number; next: Kept | undefined }

/** Of an assignment, by its place among all, the period in question. */
type Place = Pick<EndedPeriod, 'place' | 'period'>

/** What was judged before it was due, as rows: a million of them are a third of a gigabyte. */
export type JudgedAhead = {
  readonly isEmpty: () => boolean
  find(of: Place): JudgedOn | undefined
  /** @throws InvalidReportError */
  put(of: Place, judged: JudgedPeriod, on: JudgedOn): void
  drop(of: Place): void
  /** Puts a judgement into a batch. Answers whether there is one. */
  copy(of: EndedPeriod, draft: ReportDraft): boolean
}

export function createJudgedAhead(hashReports: KeccakBatch): JudgedAhead {
  /** By place. Of most assignments one period waits; the others hang behind it. */
  let kept: (Kept | undefined)[] = []
  let size = 0
  /**
   * Slots are given in order: what is judged in one round over all assignments lies as a batch needs
   * it, so that whole shelves become parts of it.
   */
  const shelves: Shelf[] = []
  let free: number[] = []
  let used = 0

  function search({ place, period: { startMs, endMs } }: Place): Kept | undefined {
    let entry = kept[place]
    while (entry !== undefined && (entry.startMs !== startMs || entry.endMs !== endMs)) {
      entry = entry.next
    }
    return entry
  }

  function takeSlot(): number {
    const slot = free.pop()
    if (slot !== undefined) return slot
    used += 1
    if (used > shelves.length * reportsPerPart) shelves.push(createShelf(reportsPerPart))
    return used - 1
  }

  function shelfOf(slot: number): { shelf: Shelf; index: number } {
    const shelf = shelves[Math.floor(slot / reportsPerPart)]
    if (shelf === undefined) throw new RangeError('no such slot')
    return { shelf, index: slot % reportsPerPart }
  }

  function drop(of: Place): void {
    const gone = search(of)
    if (gone === undefined) return
    const first = kept[of.place]
    if (first === gone) kept[of.place] = gone.next
    else {
      let before = first
      while (before !== undefined && before.next !== gone) before = before.next
      if (before !== undefined) before.next = gone.next
    }
    size -= 1
    free.push(gone.slot)
    if (size > 0) return
    kept = []
    free = []
    used = 0
  }

  return {
    isEmpty: () => size === 0,
    find: search,
    drop,
    put(of, { report, lastReadingMs, lastReceivedMs }, on) {
      drop(of)
      const slot = takeSlot()
      const { shelf, index } = shelfOf(slot)
      const start = index * reportRowBytes
      try {
        writeReportRow(shelf.rows, start, report, {
          lastReadingMs: BigInt(lastReadingMs),
          lastReceivedMs: BigInt(lastReceivedMs),
        })
      } catch (error) {
        free.push(slot)
        throw error
      }
      const row = shelf.rows.subarray(start, start + reportRowBytes)
      shelf.leaves.set(hashReports(row), index * 32)
      const { startMs, endMs } = of.period
      const { version, count, isCut, evidence } = on
      const next = kept[of.place]
      kept[of.place] = { version, count, isCut, evidence, startMs, endMs, slot, next }
      size += 1
    },
    copy(of, draft) {
      const entry = search(of)
      if (entry === undefined) return false
      const { shelf, index } = shelfOf(entry.slot)
      draft.addRow(of.assignment, shelf, index)
      return true
    },
  }
}
