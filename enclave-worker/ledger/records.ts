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
} as const
export type JsonKind = keyof typeof jsonKinds
/** A part of a batch's roster, in rows; the batch's own record follows it. */
export type RosterRecord = {
  readonly kind: 'roster'
  readonly batchSequence: bigint
  readonly rows: Uint8Array
}

export type LedgerRecord = PackRecord | RosterRecord | JsonRecord

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
/** A whole number of rows (152 bytes), so that no part ends within one: about 30 MB. */
const rosterPartBytes = 200_000 * 152

/** A roster as records, each of a size that a frame can hold. */
export function encodeRosterRecords(batchSequence: bigint, rows: Uint8Array): Uint8Array[] {
  const records: Uint8Array[] = []
  for (let at = 0; at < rows.length; at += rosterPartBytes) {
    const part = rows.subarray(at, at + rosterPartBytes)
    const record = new Uint8Array(9 + part.length)
    record[0] = rosterKind
    new DataView(record.buffer).setBigUint64(1, batchSequence)
    record.set(part, 9)
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
