import { z } from 'zod'
import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { hexSchema, readMessage } from '#schemas/workerApi.ts'
import { type ReportsRecord, reportsRecord } from '../ledger/records.ts'
import type { Assignment } from '../windows/assignment.ts'
import type { JudgedPeriod } from './judge.ts'
import type { KeccakBatch } from './keccakBatch.ts'
import {
  assignmentOfRow,
  nameRow,
  namesOfRow,
  periodOfRow,
  readReportRow,
  reportRowBytes,
  writeReportRow,
} from './reportRows.ts'
import { spanLeaves } from './spans.ts'
import type { ClosedReport } from './storedBatch.ts'

/** Reports in a record: a whole subtree of their tree, so that a path needs one part and the roots. */
export const reportsPerPart = spanLeaves

const tableSchema = z.strictObject({
  subjects: z.array(z.string()),
  policies: z.array(z.strictObject({ name: z.string(), impactClass: z.optional(hexSchema(32)) })),
})

/** The names in a part, each written once. */
type NameTable = z.output<typeof tableSchema>

/** Names on their way into a table. */
type TableDraft = {
  readonly subjects: Map<string, number>
  readonly policies: Map<Assignment['policy'], Map<Hex | undefined, number>>
  readonly table: NameTable
}

/** Rows and their leaves, as many as a part holds. */
export type Shelf = { readonly rows: Buffer; readonly leaves: Uint8Array }

/** @param size - In reports. */
export function createShelf(size: number): Shelf {
  return { rows: Buffer.alloc(size * reportRowBytes), leaves: new Uint8Array(size * 32) }
}

type PartDraft = { shelf: Shelf; isLent: boolean; readonly names: TableDraft; count: number }

/** The reports of a batch that is being made, in their order. */
export type ReportDraft = {
  readonly count: () => number
  /** Takes a report that was judged just now. @throws InvalidReportError */
  add(judged: JudgedPeriod): void
  /**
   * Takes a row and its leaf from where they were kept since they were judged. A shelf whose rows are
   * taken one after the other is lent rather than copied: it may not be changed until the batch is on
   * the disk.
   */
  addRow(assignment: Assignment, shelf: Shelf, index: number): void
  /** The leaves of their tree, in memory that threads can share. */
  leaves(): Uint8Array
  /** As records of the ledger. */
  records(batchSequence: bigint): { readonly head: Uint8Array; readonly rows: Uint8Array }[]
  /** What they close, in order. */
  closed(): Iterable<ClosedReport>
}

function createTable(): TableDraft {
  return {
    subjects: new Map(),
    policies: new Map(),
    table: { subjects: [], policies: [] },
  }
}

function placeOfSubject({ subjects, table }: TableDraft, name: string): number {
  const last = table.subjects.length - 1
  if (table.subjects[last] === name) return last
  const known = subjects.get(name)
  if (known !== undefined) return known
  subjects.set(name, table.subjects.length)
  return table.subjects.push(name) - 1
}

function placeOfPolicy(
  { policies, table }: TableDraft,
  { policy, impactClass }: Pick<Assignment, 'policy' | 'impactClass'>,
): number {
  let classes = policies.get(policy)
  if (classes === undefined) {
    classes = new Map()
    policies.set(policy, classes)
  }
  const known = classes.get(impactClass)
  if (known !== undefined) return known
  classes.set(impactClass, table.policies.length)
  const entry = impactClass === undefined ? {} : { impactClass }
  return table.policies.push({ name: policy.name, ...entry }) - 1
}

/**
 * Begins a batch's reports.
 *
 * @param most - As many as there can be.
 */
export function draftReports(hashReports: KeccakBatch, most: number): ReportDraft {
  const parts: PartDraft[] = []
  const assignments: Assignment[] = []

  /** The part that the next report goes into; it begins with the rows of `lent` where it can. */
  function nextPart(lent: Shelf | undefined): PartDraft {
    if (assignments.length === most) throw new BaseError('There are more reports than foreseen.')
    const last = parts.at(-1)
    if (last !== undefined && last.count < reportsPerPart) return last
    const size = Math.min(reportsPerPart, most - assignments.length)
    return {
      shelf: lent ?? createShelf(size),
      isLent: lent !== undefined,
      names: createTable(),
      count: 0,
    }
  }

  /** A part whose next row lies elsewhere goes on in memory of its own. */
  function own(part: PartDraft): void {
    if (!part.isLent) return
    const { rows, leaves } = part.shelf
    const done = assignments.length - part.count
    part.shelf = createShelf(Math.min(reportsPerPart, most - done))
    rows.copy(part.shelf.rows, 0, 0, part.count * reportRowBytes)
    part.shelf.leaves.set(leaves.subarray(0, part.count * 32))
    part.isLent = false
  }

  function keep(assignment: Assignment, part: PartDraft): void {
    const { names, shelf, count } = part
    // Only now: of a part whose first report was refused nothing may be left.
    if (count === 0) parts.push(part)
    const subject = placeOfSubject(names, assignment.subjectName)
    nameRow(shelf.rows, count * reportRowBytes, subject, placeOfPolicy(names, assignment))
    part.count = count + 1
    assignments.push(assignment)
  }

  return {
    count: () => assignments.length,
    add({ assignment, report, lastReadingMs, lastReceivedMs }) {
      const part = nextPart(undefined)
      own(part)
      const { shelf, count } = part
      const start = count * reportRowBytes
      writeReportRow(shelf.rows, start, report, {
        lastReadingMs: BigInt(lastReadingMs),
        lastReceivedMs: BigInt(lastReceivedMs),
      })
      shelf.leaves.set(hashReports(shelf.rows.subarray(start, start + reportRowBytes)), count * 32)
      keep(assignment, part)
    },
    addRow(assignment, from, index) {
      const part = nextPart(index === 0 ? from : undefined)
      const isInPlace = part.isLent && part.shelf === from && index === part.count
      if (!isInPlace) {
        own(part)
        const { shelf, count } = part
        const start = index * reportRowBytes
        from.rows.copy(shelf.rows, count * reportRowBytes, start, start + reportRowBytes)
        shelf.leaves.set(from.leaves.subarray(index * 32, (index + 1) * 32), count * 32)
      }
      keep(assignment, part)
    },
    leaves() {
      const all = new Uint8Array(new SharedArrayBuffer(assignments.length * 32))
      for (const [place, { shelf, count }] of parts.entries()) {
        all.set(shelf.leaves.subarray(0, count * 32), place * reportsPerPart * 32)
      }
      return all
    },
    records: (batchSequence) =>
      parts.map(({ shelf, names, count }, place) =>
        reportsRecord(
          batchSequence,
          place * reportsPerPart,
          names.table,
          shelf.rows.subarray(0, count * reportRowBytes),
        ),
      ),
    *closed() {
      for (const [index, { key, impactClass }] of assignments.entries()) {
        const rows = parts[Math.floor(index / reportsPerPart)]?.shelf.rows
        if (rows === undefined) return
        const { startMs, endMs } = periodOfRow(rows, (index % reportsPerPart) * reportRowBytes)
        yield { key, startMs, endMs, index, impactClass }
      }
    },
  }
}

/** A part of a batch's reports, opened. */
export type ReportPart = {
  /** Place of its first report in the batch. */
  readonly first: number
  readonly count: number
  readonly rows: Buffer
  readonly table: NameTable
}

/** Opens a part. @throws {@link InvalidMessageError} */
export function openPart({ first, rows, table }: ReportsRecord): ReportPart {
  return {
    first,
    count: rows.length / reportRowBytes,
    rows: Buffer.from(rows.buffer, rows.byteOffset, rows.length),
    table: readMessage(tableSchema, table, 'stored reports'),
  }
}

/** One report of a part, without its path. */
export type PartReport = ReturnType<typeof readReportRow> & {
  readonly subjectName: string
  readonly policyName: string
}

/** @param place - In the part. */
export function reportOfPart({ rows, table }: ReportPart, place: number): PartReport {
  const start = place * reportRowBytes
  const { subject, policy } = namesOfRow(rows, start)
  return {
    ...readReportRow(rows, start),
    subjectName: table.subjects[subject] ?? '',
    policyName: table.policies[policy]?.name ?? '',
  }
}

/** Which period a report of a part closes. */
export function closedOfReport({ rows, table, first }: ReportPart, place: number): ClosedReport {
  const start = place * reportRowBytes
  return {
    key: assignmentOfRow(rows, start),
    ...periodOfRow(rows, start),
    index: first + place,
    impactClass: table.policies[namesOfRow(rows, start).policy]?.impactClass,
  }
}

/** What the reports of a part close, in order. */
export function* closedOfPart(part: ReportPart): Iterable<ClosedReport> {
  for (let place = 0; place < part.count; place += 1) yield closedOfReport(part, place)
}
