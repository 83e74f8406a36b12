import { fastSha256Pairs } from '#schemas/merkle/fastPairHashers.ts'
import { treeRoot } from '#schemas/merkle/orderedTree.ts'
import type { Hex } from '#schemas/bytes.ts'
import { type RosterEntry, rosterStructure } from '#schemas/roster.ts'
import type { PackLog } from '../state/packLog.ts'
import type { DeviceState } from '../state/workerState.ts'
import { constants, createKeccakBatch, words, zeros } from './keccakBatch.ts'

/**
 * A roster as bytes: a hundred thousand lines are hashed and written in the time that as many
 * objects would take to print. One row: 32 device + 32 subject + 4 expected + 4 heard + 8 first +
 * 8 last + 32 head + 32 packs root.
 */
export const rosterRowBytes = 32 + 32 + 4 + 4 + 8 + 8 + 32 + 32

/** Writes who a row is about. */
export function writeRosterNames(rows: Buffer, index: number, device: Hex, subject: Hex): void {
  const at = index * rosterRowBytes
  rows.write(device.slice(2), at, 'hex')
  rows.write(subject.slice(2), at + 32, 'hex')
}

const largestUint32 = 0xffffffff

/** `evidenceRoot` of a device's packs from `from` to `to`: in order and there once. */
function writePacksRoot(
  rows: DataView,
  at: number,
  packs: PackLog,
  from: number,
  to: number,
): void {
  if (to - from === 1) {
    packs.writeLeaf(from, rows, at)
    return
  }
  const leaves = new Uint8Array((to - from) * 32)
  const view = new DataView(leaves.buffer)
  for (let index = from; index < to; index += 1) packs.writeLeaf(index, view, (index - from) * 32)
  const root = treeRoot(leaves, fastSha256Pairs)
  for (let byte = 0; byte < 32; byte += 1) rows.setUint8(at + byte, root[byte] ?? 0)
}

/** Writes what was expected of a device. */
export function writeExpected(rows: DataView, at: number, readings: number): void {
  rows.setUint32(at + 64, readings)
}

/**
 * Writes what a device has sent into a row of which the names stand; what was expected of it is for
 * {@link writeExpected}.
 *
 * @param from - Place in the device's packs of the first that the batch holds.
 * @param to - Behind the last; the same as `from` when the device was silent.
 */
export function writeRosterRow(
  rows: DataView,
  at: number,
  { packs, headHash }: Pick<DeviceState, 'packs' | 'headHash'>,
  from: number,
  to: number,
): void {
  let heard = 0
  for (let index = from; index < to; index += 1) heard += packs.readings(index)
  rows.setUint32(at + 68, Math.min(largestUint32, heard))
  if (to > from) {
    rows.setBigUint64(at + 72, packs.sequence(from))
    rows.setBigUint64(at + 80, packs.sequence(to - 1))
    writePacksRoot(rows, at + 120, packs, from, to)
  } else {
    rows.setBigUint64(at + 72, 0n)
    rows.setBigUint64(at + 80, 0n)
    for (let word = 0; word < 32; word += 4) rows.setUint32(at + 120 + word, 0)
  }
  // The last pack in this batch or an earlier one; packs of the next are not told.
  if (to > 0) packs.writeHash(to - 1, rows, at + 88)
  else {
    // Nothing at or before this batch is kept in memory: what came before the oldest that is.
    const before = Buffer.from((packs.firstPrevious ?? headHash).slice(2), 'hex')
    for (let byte = 0; byte < 32; byte += 1) rows.setUint8(at + 88 + byte, before[byte] ?? 0)
  }
}

export function readRosterRow(bytes: Uint8Array, index: number): RosterEntry {
  const row = Buffer.from(bytes.buffer, bytes.byteOffset + index * rosterRowBytes, rosterRowBytes)
  return {
    device: `0x${row.toString('hex', 0, 32)}`,
    subject: `0x${row.toString('hex', 32, 64)}`,
    expectedReadings: row.readUInt32BE(64),
    heardReadings: row.readUInt32BE(68),
    firstSequence: row.readBigUInt64BE(72),
    lastSequence: row.readBigUInt64BE(80),
    headHash: `0x${row.toString('hex', 88, 120)}`,
    packsRoot: `0x${row.toString('hex', 120, 152)}`,
  }
}

/** Where a device's line stands: rows ascend by device. */
export function findRosterRow(rows: Uint8Array, device: Hex): number | undefined {
  const wanted = Buffer.from(device.slice(2), 'hex')
  let low = 0
  let high = rows.length / rosterRowBytes
  while (low < high) {
    const middle = (low + high) >>> 1
    const at = middle * rosterRowBytes
    const order = Buffer.compare(rows.subarray(at, at + 32), wanted)
    if (order === 0) return middle
    if (order < 0) low = middle + 1
    else high = middle
  }
  return undefined
}

export function readRosterRows(rows: Uint8Array): RosterEntry[] {
  return Array.from({ length: rows.length / rosterRowBytes }, (_, index) =>
    readRosterRow(rows, index),
  )
}

/** Turns rows into the leaves of the roster tree: `rosterLeaf` of every line, one after the other. */
export type RosterHasher = (rows: Uint8Array) => Uint8Array

/** Type hash and eight words; integers stand at the right end of theirs. */
export function createRosterHasher(): Promise<RosterHasher> {
  return createKeccakBatch(
    [
      ...constants(rosterStructure.typeHash),
      ...words(0, 8),
      ...zeros(3),
      { kind: 'half', offset: 64 },
      ...zeros(3),
      { kind: 'half', offset: 68 },
      ...zeros(3),
      ...words(72, 1),
      ...zeros(3),
      ...words(80, 1),
      ...words(88, 8),
    ],
    rosterRowBytes,
  )
}
