import { z } from 'zod'
import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { zeroHash } from '#schemas/report.ts'
import { hexSchema, readMessage } from '#schemas/workerApi.ts'
import { type ReportsRecord, reportsRecord } from '../ledger/records.ts'
import { type Assignment, assignmentKey } from '../windows/assignment.ts'
import type { JudgedPeriod } from './judge.ts'
import type { KeccakBatch } from './keccakBatch.ts'
import {
  closingOfRow,
  nameRow,
  namesOfRow,
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

type PartDraft = { readonly rows: Buffer; readonly names: TableDraft; count: number }

/** The reports of a batch that is being made, in their order. */
export type ReportDraft = {
  readonly count: () => number
  /** Takes a report that was judged just now. @throws InvalidReportError */
  add(judged: JudgedPeriod): void
  /** Takes a row and its leaf from where they were kept since they were judged. */
  addRow(assignment: Assignment, rows: Buffer, leaves: Uint8Array, index: number): void
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
 * @param most - As many as there can be; memory is set aside for them part by part.
 */
export function draftReports(hashReports: KeccakBatch, most: number): ReportDraft {
  const parts: PartDraft[] = []
  const assignments: Assignment[] = []
  const leaves = new Uint8Array(new SharedArrayBuffer(most * 32))

  function place(): { part: PartDraft; start: number } {
    if (assignments.length === most) throw new BaseError('There are more reports than foreseen.')
    let part = parts.at(-1)
    if (part === undefined || part.count === reportsPerPart) {
      const size = Math.min(reportsPerPart, most - assignments.length)
      part = { rows: Buffer.alloc(size * reportRowBytes), names: createTable(), count: 0 }
      parts.push(part)
    }
    return { part, start: part.count * reportRowBytes }
  }

  function keep(assignment: Assignment, part: PartDraft, leaf: Uint8Array): void {
    const { names, rows, count } = part
    const subject = placeOfSubject(names, assignment.subjectName)
    nameRow(rows, count * reportRowBytes, subject, placeOfPolicy(names, assignment))
    leaves.set(leaf, assignments.length * 32)
    part.count = count + 1
    assignments.push(assignment)
  }

  return {
    count: () => assignments.length,
    add({ assignment, report, lastReadingMs, lastReceivedMs }) {
      const { part, start } = place()
      writeReportRow(part.rows, start, report, {
        lastReadingMs: BigInt(lastReadingMs),
        lastReceivedMs: BigInt(lastReceivedMs),
      })
      keep(assignment, part, hashReports(part.rows.subarray(start, start + reportRowBytes)))
    },
    addRow(assignment, rows, rowLeaves, index) {
      const { part, start } = place()
      rows.copy(part.rows, start, index * reportRowBytes, (index + 1) * reportRowBytes)
      keep(assignment, part, rowLeaves.subarray(index * 32, (index + 1) * 32))
    },
    leaves: () => leaves.subarray(0, assignments.length * 32),
    records: (batchSequence) =>
      parts.map(({ rows, names, count }, index) =>
        reportsRecord(
          batchSequence,
          index * reportsPerPart,
          names.table,
          rows.subarray(0, count * reportRowBytes),
        ),
      ),
    *closed() {
      for (const [index, assignment] of assignments.entries()) {
        const rows = parts[Math.floor(index / reportsPerPart)]?.rows
        if (rows === undefined) return
        const start = (index % reportsPerPart) * reportRowBytes
        const { startMs, endMs, amends } = closingOfRow(rows, start)
        yield {
          key: assignment.key,
          startMs,
          endMs,
          firstLeaf: amends === zeroHash ? leafText(leaves, index) : amends,
          index,
          ...(assignment.impactClass === undefined ? {} : { impactClass: assignment.impactClass }),
        }
      }
    },
  }
}

function leafText(leaves: Uint8Array, index: number): Hex {
  const bytes = Buffer.from(leaves.buffer, leaves.byteOffset + index * 32, 32)
  return `0x${bytes.toString('hex')}`
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

/**
 * Which period a report of a part closes.
 *
 * @param leaves - Of the part.
 */
export function closedOfReport(
  { rows, table, first }: ReportPart,
  place: number,
  leaves: Uint8Array,
): ClosedReport {
  const start = place * reportRowBytes
  const { subject, policyId, exclusiveTo, amends, startMs, endMs } = closingOfRow(rows, start)
  const impactClass = table.policies[namesOfRow(rows, start).policy]?.impactClass
  return {
    key: assignmentKey(subject, policyId, exclusiveTo),
    startMs,
    endMs,
    firstLeaf: amends === zeroHash ? leafText(leaves, place) : amends,
    index: first + place,
    ...(impactClass === undefined ? {} : { impactClass }),
  }
}

/** What the reports of a part close, in order. */
export function* closedOfPart(part: ReportPart, hashReports: KeccakBatch): Iterable<ClosedReport> {
  const leaves = hashReports(part.rows)
  for (let place = 0; place < part.count; place += 1) yield closedOfReport(part, place, leaves)
}
