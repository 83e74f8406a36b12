import { digest as sha256 } from '@chainsafe/as-sha256'
import { createKeccak } from 'hash-wasm'
import { fastSha256Pairs } from '#schemas/merkle/fastPairHashers.ts'
import { treeRoot } from '#schemas/merkle/orderedTree.ts'
import { type Hex, utf8 } from '#schemas/bytes.ts'
import { type RosterEntry, rosterStructure } from '#schemas/roster.ts'
import type { PackEntry } from '../state/workerState.ts'

/**
 * A roster as bytes: a hundred thousand lines are hashed and written in the time that as many
 * objects would take to print. One row: 32 device + 32 subject + 4 expected + 4 heard + 8 first +
 * 8 last + 32 head + 32 packs root.
 */
export const rosterRowBytes = 32 + 32 + 4 + 4 + 8 + 8 + 32 + 32

const evidenceTag = utf8('plumbline/evidence/1')
/** 92 = 20 tag + 32 device + 8 sequence + 32 hash: the preimage of `evidenceLeaf`. */
const evidencePreimageBytes = evidenceTag.length + 32 + 8 + 32

/** Reused: a buffer for each of a hundred thousand lines costs more than the hash over it. */
const evidencePreimage = Buffer.alloc(evidencePreimageBytes)
evidencePreimage.set(evidenceTag)

function evidenceLeafOf({ sequence, hash }: PackEntry): Uint8Array {
  evidencePreimage.writeBigUInt64BE(sequence, evidenceTag.length + 32)
  evidencePreimage.write(hash.slice(2), evidenceTag.length + 40, 'hex')
  return sha256(evidencePreimage)
}

/** Writes `evidenceRoot` of one device's packs, which are in order and there once, at `offset`. */
function writePacksRoot(
  rows: Buffer,
  offset: number,
  device: string,
  packs: readonly PackEntry[],
): void {
  const [first] = packs
  if (first === undefined) return // zero, as the row was made
  evidencePreimage.write(device.slice(2), evidenceTag.length, 'hex')
  if (packs.length === 1) {
    rows.set(evidenceLeafOf(first), offset)
    return
  }
  const leaves = new Uint8Array(packs.length * 32)
  for (const [index, pack] of packs.entries()) leaves.set(evidenceLeafOf(pack), index * 32)
  rows.set(treeRoot(leaves, fastSha256Pairs), offset)
}

export type RosterLine = Omit<RosterEntry, 'packsRoot'> & { readonly packs: readonly PackEntry[] }

/** Writes one line at `index` of rows that are all zero there. */
export function writeRosterRow(rows: Buffer, index: number, line: RosterLine): void {
  const at = index * rosterRowBytes
  rows.write(line.device.slice(2), at, 'hex')
  rows.write(line.subject.slice(2), at + 32, 'hex')
  rows.writeUInt32BE(line.expectedReadings, at + 64)
  rows.writeUInt32BE(line.heardReadings, at + 68)
  rows.writeBigUInt64BE(line.firstSequence, at + 72)
  rows.writeBigUInt64BE(line.lastSequence, at + 80)
  rows.write(line.headHash.slice(2), at + 88, 'hex')
  writePacksRoot(rows, at + 120, line.device, line.packs)
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

export async function createRosterHasher(): Promise<RosterHasher> {
  const keccak = await createKeccak(256)
  return (rows) => {
    const count = rows.length / rosterRowBytes
    const leaves = new Uint8Array(count * 32)
    // Type hash and eight words; integers stand at the right end of theirs.
    const preimage = new Uint8Array(9 * 32)
    preimage.set(rosterStructure.typeHash)
    for (let index = 0; index < count; index += 1) {
      const at = index * rosterRowBytes
      preimage.set(rows.subarray(at, at + 64), 32)
      preimage.set(rows.subarray(at + 64, at + 68), 4 * 32 - 4)
      preimage.set(rows.subarray(at + 68, at + 72), 5 * 32 - 4)
      preimage.set(rows.subarray(at + 72, at + 80), 6 * 32 - 8)
      preimage.set(rows.subarray(at + 80, at + 88), 7 * 32 - 8)
      preimage.set(rows.subarray(at + 88, at + 152), 7 * 32)
      keccak.init().update(preimage)
      leaves.set(keccak.digest('binary'), index * 32)
    }
    return leaves
  }
}
