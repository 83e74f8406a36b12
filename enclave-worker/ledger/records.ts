import { type Hex, concatBytes, utf8 } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'

/** Raised when a record of the ledger is of a kind or layout that this release does not know. */
export class UnknownRecordError extends BaseError {
  override readonly name = 'UnknownRecordError'
}

/** An accepted pack: what the worker has to remember of it, and its bytes. */
export type PackRecord = {
  readonly kind: 'pack'
  readonly device: Hex
  readonly sequence: bigint
  readonly previous: Hex
  readonly hash: Hex
  readonly bootCount: bigint
  readonly firstTimeMs: number
  readonly lastTimeMs: number
  readonly readings: number
  readonly receivedMs: number
  /** The batch that the receipt promised, and the one it goes into. */
  readonly batchSequence: bigint
  /** The COSE_Sign1 as it was received. */
  readonly bytes: Uint8Array
}

/** Everything rarer than a pack is one JSON document. */
export type JsonRecord = { readonly kind: JsonKind; readonly json: unknown }

const jsonKinds = {
  batch: 2,
  attestation: 3,
  equivocation: 4,
  boot: 5,
  assignments: 6,
  enrolment: 7,
  freeze: 8,
  retire: 9,
  /** What a report's hash of measures stands for, kept when the packs behind it were dropped. */
  measures: 13,
  /** What a retention dropped, and when. */
  retention: 14,
  /** That this ledger was brought back from a backup. */
  restored: 15,
  /** A signed batch whose reports lie before it in parts; `batch` is the older form that holds them. */
  head: 17,
  /** A calibration certificate that a pinned laboratory has signed. */
  calibration: 20,
  /** That a laboratory's key counts no more. */
  laboratoryRevocation: 21,
  /** A device's move to another subject. */
  transfer: 22,
} as const
export type JsonKind = keyof typeof jsonKinds
/** A part of a batch's roster, in rows; the batch's own record follows it. */
export type RosterRecord = {
  readonly kind: 'roster'
  readonly batchSequence: bigint
  readonly rows: Uint8Array
}

/** A part of a batch's reports, in rows; the batch's own record follows it. */
export type ReportsRecord = {
  readonly kind: 'reports'
  readonly batchSequence: bigint
  /** Place of the first row in the batch. */
  readonly first: number
  /** What rows have in common, by its place in a table: names. */
  readonly table: unknown
  readonly rows: Uint8Array
}

/** What is left of packs that a retention dropped: their place in a batch, for proofs about it. */
export type MarksRecord = {
  readonly kind: 'marks'
  readonly batchSequence: bigint
  readonly marks: readonly PackTrace[]
}
export type PackTrace = { readonly device: Hex; readonly sequence: bigint; readonly hash: Hex }

/** Where the chains of devices stand whose oldest packs were dropped. */
export type BaseRecord = { readonly kind: 'base'; readonly devices: readonly DeviceBase[] }
export type DeviceBase = PackTrace & {
  /** How many packs and readings were dropped, up to this one. */
  readonly packs: number
  readonly readings: number
  /** Latest stamp in them: about no time up to here can anything be judged again. */
  readonly lastTimeMs: number
}

export type LedgerRecord =
  | PackRecord
  | RosterRecord
  | ReportsRecord
  | MarksRecord
  | BaseRecord
  | JsonRecord

const packKind = 1
/** 1 kind + 32 device + 8 sequence + 32 previous + 32 hash + 8 boot + 8 first + 8 last + 4 readings + 8 received + 8 batch */
const packHeaderBytes = 1 + 32 + 8 + 32 + 32 + 8 + 8 + 8 + 4 + 8 + 8

/** Size of the record of a pack of so many bytes. */
export function packRecordBytes(packBytes: number): number {
  return packHeaderBytes + packBytes
}

/**
 * Writes a pack's record at `start` of a buffer, all but when it was taken and which batch it was
 * promised to: those are known only where packs are put in order.
 *
 * @returns How many bytes were written.
 */
export function writePackRecord(
  target: Uint8Array,
  start: number,
  pack: Omit<PackRecord, 'kind' | 'receivedMs' | 'batchSequence' | 'bytes'>,
  bytes: Uint8Array,
): number {
  const view = new DataView(target.buffer, target.byteOffset + start)
  const text = Buffer.from(target.buffer, target.byteOffset + start, packHeaderBytes)
  view.setUint8(0, packKind)
  text.write(pack.device.slice(2), 1, 'hex')
  view.setBigUint64(33, pack.sequence)
  text.write(pack.previous.slice(2), 41, 'hex')
  text.write(pack.hash.slice(2), 73, 'hex')
  view.setBigUint64(105, pack.bootCount)
  view.setBigInt64(113, BigInt(pack.firstTimeMs))
  view.setBigInt64(121, BigInt(pack.lastTimeMs))
  view.setUint32(129, pack.readings)
  target.set(bytes, start + packHeaderBytes)
  return packHeaderBytes + bytes.length
}

/** Completes a record that {@link writePackRecord} began. */
export function stampPackRecord(
  record: Uint8Array,
  receivedMs: number,
  batchSequence: bigint,
): void {
  const view = new DataView(record.buffer, record.byteOffset, record.length)
  view.setBigInt64(133, BigInt(receivedMs))
  view.setBigUint64(141, batchSequence)
}

const rosterKind = 10
/** A whole number of rows (152 bytes), so that no part ends within one: half a frame. */
const rosterPartBytes = 27_500 * 152

/** A roster as records, each of a size that a frame can hold: its beginning, and rows as they lie. */
export function rosterRecords(
  batchSequence: bigint,
  rows: Uint8Array,
): { readonly head: Uint8Array; readonly rows: Uint8Array }[] {
  const records: { head: Uint8Array; rows: Uint8Array }[] = []
  for (let at = 0; at < rows.length; at += rosterPartBytes) {
    const head = new Uint8Array(9)
    head[0] = rosterKind
    new DataView(head.buffer).setBigUint64(1, batchSequence)
    records.push({ head, rows: rows.subarray(at, at + rosterPartBytes) })
  }
  return records
}

const reportsKind = 16
/** 17 = 1 kind + 8 batch + 4 first + 4 size of the table */
const reportsHeaderBytes = 17

/** A part of a batch's reports as a record: its beginning, and rows as they lie. */
export function reportsRecord(
  batchSequence: bigint,
  first: number,
  table: unknown,
  rows: Uint8Array,
): { readonly head: Uint8Array; readonly rows: Uint8Array } {
  const text = utf8(JSON.stringify(table))
  const head = new Uint8Array(reportsHeaderBytes + text.length)
  const view = new DataView(head.buffer)
  head[0] = reportsKind
  view.setBigUint64(1, batchSequence)
  view.setUint32(9, first)
  view.setUint32(13, text.length)
  head.set(text, reportsHeaderBytes)
  return { head, rows }
}

function readReportsRecord(record: Uint8Array): ReportsRecord {
  const view = new DataView(record.buffer, record.byteOffset, record.length)
  const rowsAt = reportsHeaderBytes + view.getUint32(13)
  const table = new TextDecoder().decode(record.subarray(reportsHeaderBytes, rowsAt))
  return {
    kind: 'reports',
    batchSequence: view.getBigUint64(1),
    first: view.getUint32(9),
    table: JSON.parse(table) as unknown,
    rows: record.subarray(rowsAt),
  }
}

const marksKind = 11
const baseKind = 12
/** 72 = 32 device + 8 sequence + 32 hash */
const traceBytes = 72
/** 96 = 72 of the trace + 8 packs + 8 readings + 8 last time */
const deviceBaseBytes = traceBytes + 24
/** Rows in a record at most: about 10 MB. */
const rowsPerRecord = 100_000

function writeTrace(target: Buffer, start: number, { device, sequence, hash }: PackTrace): void {
  target.write(device.slice(2), start, 'hex')
  target.writeBigUInt64BE(sequence, start + 32)
  target.write(hash.slice(2), start + 40, 'hex')
}

function readTrace(bytes: Buffer, start: number): PackTrace {
  return {
    device: `0x${bytes.toString('hex', start, start + 32)}`,
    sequence: bytes.readBigUInt64BE(start + 32),
    hash: `0x${bytes.toString('hex', start + 40, start + traceBytes)}`,
  }
}

/** The traces of one batch's packs as records. */
export function marksRecords(batchSequence: bigint, marks: readonly PackTrace[]): Uint8Array[] {
  const records: Uint8Array[] = []
  for (let from = 0; from < marks.length; from += rowsPerRecord) {
    const part = marks.slice(from, from + rowsPerRecord)
    const record = Buffer.alloc(9 + part.length * traceBytes)
    record[0] = marksKind
    record.writeBigUInt64BE(batchSequence, 1)
    for (const [index, mark] of part.entries()) writeTrace(record, 9 + index * traceBytes, mark)
    records.push(record)
  }
  return records
}

/** Where devices' chains stand, as records. */
export function baseRecords(devices: readonly DeviceBase[]): Uint8Array[] {
  const records: Uint8Array[] = []
  for (let from = 0; from < devices.length; from += rowsPerRecord) {
    const part = devices.slice(from, from + rowsPerRecord)
    const record = Buffer.alloc(1 + part.length * deviceBaseBytes)
    record[0] = baseKind
    for (const [index, base] of part.entries()) {
      const start = 1 + index * deviceBaseBytes
      writeTrace(record, start, base)
      record.writeBigUInt64BE(BigInt(base.packs), start + traceBytes)
      record.writeBigUInt64BE(BigInt(base.readings), start + traceBytes + 8)
      record.writeBigInt64BE(BigInt(base.lastTimeMs), start + traceBytes + 16)
    }
    records.push(record)
  }
  return records
}

export function encodeJsonRecord(kind: JsonKind, json: unknown): Uint8Array {
  const text = JSON.stringify(json, (_, item: unknown) =>
    typeof item === 'bigint' ? item.toString() : item,
  )
  return concatBytes(Uint8Array.of(jsonKinds[kind]), utf8(text))
}

/**
 * Reads a record back.
 *
 * @throws {@link UnknownRecordError}
 */
export function decodeRecord(record: Uint8Array): LedgerRecord {
  const kind = record[0]
  if (kind === packKind && record.length > packHeaderBytes) {
    const view = new DataView(record.buffer, record.byteOffset, record.length)
    const text = Buffer.from(record.buffer, record.byteOffset, record.length)
    return {
      kind: 'pack',
      device: `0x${text.toString('hex', 1, 33)}`,
      sequence: view.getBigUint64(33),
      previous: `0x${text.toString('hex', 41, 73)}`,
      hash: `0x${text.toString('hex', 73, 105)}`,
      bootCount: view.getBigUint64(105),
      firstTimeMs: Number(view.getBigInt64(113)),
      lastTimeMs: Number(view.getBigInt64(121)),
      readings: view.getUint32(129),
      receivedMs: Number(view.getBigInt64(133)),
      batchSequence: view.getBigUint64(141),
      bytes: record.subarray(packHeaderBytes),
    }
  }
  if (kind === rosterKind && record.length >= 9) {
    const view = new DataView(record.buffer, record.byteOffset, record.length)
    return { kind: 'roster', batchSequence: view.getBigUint64(1), rows: record.subarray(9) }
  }
  if (kind === reportsKind && record.length > reportsHeaderBytes) return readReportsRecord(record)
  if (kind === marksKind && (record.length - 9) % traceBytes === 0) {
    const bytes = Buffer.from(record.buffer, record.byteOffset, record.length)
    const marks: PackTrace[] = []
    for (let at = 9; at < bytes.length; at += traceBytes) marks.push(readTrace(bytes, at))
    return { kind: 'marks', batchSequence: bytes.readBigUInt64BE(1), marks }
  }
  if (kind === baseKind && (record.length - 1) % deviceBaseBytes === 0) {
    const bytes = Buffer.from(record.buffer, record.byteOffset, record.length)
    const devices: DeviceBase[] = []
    for (let at = 1; at < bytes.length; at += deviceBaseBytes) {
      devices.push({
        ...readTrace(bytes, at),
        packs: Number(bytes.readBigUInt64BE(at + traceBytes)),
        readings: Number(bytes.readBigUInt64BE(at + traceBytes + 8)),
        lastTimeMs: Number(bytes.readBigInt64BE(at + traceBytes + 16)),
      })
    }
    return { kind: 'base', devices }
  }
  for (const [name, code] of Object.entries(jsonKinds)) {
    if (code !== kind) continue
    return {
      kind: name as JsonKind,
      json: JSON.parse(new TextDecoder().decode(record.subarray(1))) as unknown,
    }
  }
  throw new UnknownRecordError(`The ledger holds a record of kind ${kind}, unknown here.`, {
    field: 'dataFolder',
    remedy: 'Open the data folder with the release that wrote it, or a later one.',
  })
}
