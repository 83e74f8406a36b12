import type { Hex } from '#schemas/bytes.ts'
import {
  InvalidReportError,
  type Report,
  type Verdict,
  assertReport,
  reportStructure,
  reportVersion,
} from '#schemas/report.ts'
import type { TrustTier } from '#schemas/trustTier.ts'
import { assignmentKey } from '../windows/assignment.ts'
import type { Period } from '../windows/periods.ts'
import { type KeccakBatch, constants, createKeccakBatch, words, zeros } from './keccakBatch.ts'

/**
 * A report as a row of bytes, big endian: what it says, in the order in which it is easiest to hash,
 * and what is served beside it. A million of them are kept and hashed where as many objects would not
 * fit. 308 = 32 subject + 32 policy + 8 start + 8 end + 32 value + 32 unit + 32 evidence + 32 measures
 * + 32 exclusive to + 32 amends + 4 verdict + 4 coverage + 4 tier + 4 and 4 places of the names of
 * subject and policy in a table + 8 last reading + 8 last received.
 */
export const reportRowBytes = 308
const at = {
  subject: 0,
  policyId: 32,
  start: 64,
  end: 72,
  value: 80,
  unit: 112,
  evidence: 144,
  measures: 176,
  exclusive: 208,
  amends: 240,
  verdict: 272,
  coverage: 276,
  tier: 280,
  subjectName: 284,
  policyName: 288,
  lastReading: 292,
  lastReceived: 300,
} as const

/** What a row says besides the report. */
export type RowFacts = { readonly lastReadingMs: bigint; readonly lastReceivedMs: bigint }

/**
 * Writes a report into a row; the places of its names are for {@link nameRow}.
 *
 * @throws InvalidReportError | UnknownVersionError
 */
export function writeReportRow(
  rows: Buffer,
  start: number,
  report: Report,
  { lastReadingMs, lastReceivedMs }: RowFacts,
): void {
  assertReport(report)
  const hash = (offset: number, hex: Hex): void => {
    rows.write(hex.slice(2), start + offset, 'hex')
  }
  hash(at.subject, report.subject)
  hash(at.policyId, report.policyId)
  rows.writeBigUInt64BE(report.periodStartMs, start + at.start)
  rows.writeBigUInt64BE(report.periodEndMs, start + at.end)
  // An `int128` in its word: the sign goes all the way to the left.
  const value = report.valueMicro
  if (BigInt.asIntN(128, value) !== value) {
    throw new InvalidReportError('The value is beyond 128 bits.', { field: 'report.valueMicro' })
  }
  const sign = value < 0n ? 0xff : 0
  rows.fill(sign, start + at.value, start + at.value + 16)
  rows.writeBigInt64BE(BigInt.asIntN(64, value >> 64n), start + at.value + 16)
  rows.writeBigUInt64BE(BigInt.asUintN(64, value), start + at.value + 24)
  hash(at.unit, report.unit)
  hash(at.evidence, report.evidenceRoot)
  hash(at.measures, report.measuresHash)
  hash(at.exclusive, report.exclusiveTo)
  hash(at.amends, report.amends)
  rows.writeUInt32BE(report.verdict, start + at.verdict)
  rows.writeUInt32BE(report.coveragePpm, start + at.coverage)
  rows.writeUInt32BE(report.tier, start + at.tier)
  rows.writeBigUInt64BE(lastReadingMs, start + at.lastReading)
  rows.writeBigUInt64BE(lastReceivedMs, start + at.lastReceived)
}

/** Writes where a row's names stand in the table of its part. */
export function nameRow(rows: Buffer, start: number, subject: number, policy: number): void {
  rows.writeUInt32BE(subject, start + at.subjectName)
  rows.writeUInt32BE(policy, start + at.policyName)
}

/** Where a row's names stand in the table of its part. */
export function namesOfRow(rows: Buffer, start: number): { subject: number; policy: number } {
  return {
    subject: rows.readUInt32BE(start + at.subjectName),
    policy: rows.readUInt32BE(start + at.policyName),
  }
}

/** Which period a row is about. */
export function periodOfRow(rows: Buffer, start: number): Period {
  const milliseconds = (offset: number): number =>
    rows.readUInt32BE(start + offset) * 0x1_0000_0000 + rows.readUInt32BE(start + offset + 4)
  return { startMs: milliseconds(at.start), endMs: milliseconds(at.end) }
}

/** Which assignment a row reports on. */
export function assignmentOfRow(rows: Buffer, start: number): string {
  const hash = (offset: number): Hex =>
    `0x${rows.toString('hex', start + offset, start + offset + 32)}`
  return assignmentKey(hash(at.subject), hash(at.policyId), hash(at.exclusive))
}

/** Reads a row back: what {@link writeReportRow} wrote. */
export function readReportRow(rows: Buffer, start: number): { report: Report } & RowFacts {
  const hash = (offset: number): Hex =>
    `0x${rows.toString('hex', start + offset, start + offset + 32)}`
  const high = rows.readBigInt64BE(start + at.value + 16)
  const low = rows.readBigUInt64BE(start + at.value + 24)
  return {
    report: {
      version: reportVersion,
      subject: hash(at.subject),
      policyId: hash(at.policyId),
      periodStartMs: rows.readBigUInt64BE(start + at.start),
      periodEndMs: rows.readBigUInt64BE(start + at.end),
      // What a sealed ledger holds was checked when it was written.
      verdict: rows.readUInt32BE(start + at.verdict) as Verdict,
      valueMicro: (high << 64n) | low,
      unit: hash(at.unit),
      coveragePpm: rows.readUInt32BE(start + at.coverage),
      tier: rows.readUInt32BE(start + at.tier) as TrustTier,
      evidenceRoot: hash(at.evidence),
      measuresHash: hash(at.measures),
      exclusiveTo: hash(at.exclusive),
      amends: hash(at.amends),
    },
    lastReadingMs: rows.readBigUInt64BE(start + at.lastReading),
    lastReceivedMs: rows.readBigUInt64BE(start + at.lastReceived),
  }
}

/** Turns rows into the leaves of a batch's tree: `reportLeaf` of every one, one after the other. */
export function createReportHasher(): Promise<KeccakBatch> {
  const version = new Uint8Array(8)
  version[7] = reportVersion
  const integer = (offset: number) => [...zeros(3), ...words(offset, 1)]
  const small = (offset: number) => [...zeros(3), { kind: 'half', offset } as const]
  return createKeccakBatch(
    [
      ...constants(reportStructure.typeHash),
      ...zeros(3),
      ...constants(version),
      ...words(at.subject, 4),
      ...words(at.policyId, 4),
      ...integer(at.start),
      ...integer(at.end),
      ...small(at.verdict),
      ...words(at.value, 4),
      ...words(at.unit, 4),
      ...small(at.coverage),
      ...small(at.tier),
      ...words(at.evidence, 4),
      ...words(at.measures, 4),
      ...words(at.exclusive, 4),
      ...words(at.amends, 4),
    ],
    reportRowBytes,
  )
}
