import { digest as sha256 } from '@chainsafe/as-sha256'
import { type Hex, utf8 } from '#schemas/bytes.ts'
import { zeroHash } from '#schemas/report.ts'
import type { LedgerPosition } from '../ledger/ledger.ts'

/** What is kept in memory of an accepted pack; its bytes stay in the ledger. */
export type PackEntry = {
  readonly sequence: bigint
  readonly previous: Hex
  readonly hash: Hex
  readonly bootCount: bigint
  readonly firstTimeMs: number
  readonly lastTimeMs: number
  readonly readings: number
  readonly receivedMs: number
  readonly batchSequence: bigint
  readonly position: LedgerPosition
}

/**
 * 124 = 32 hash + 32 evidence leaf + 8 first + 8 last + 8 received + 8 batch + 8 boot + 4 readings +
 * 4 segment + 8 frame + 4 place in the frame.
 */
const entryBytes = 124
const at = {
  hash: 0,
  leaf: 32,
  first: 64,
  last: 72,
  received: 80,
  batch: 88,
  boot: 96,
  frame: 104,
  readings: 112,
  segment: 116,
  place: 120,
} as const

const evidenceTag = utf8('plumbline/evidence/1')
/** Reused: 92 = 20 tag + 32 device + 8 sequence + 32 hash, the preimage of `evidenceLeaf`. */
const preimage = Buffer.alloc(evidenceTag.length + 32 + 8 + 32)
preimage.set(evidenceTag)

/** Word by word: for 32 bytes a view of them costs more than they do. */
function copyHash(source: DataView, from: number, target: DataView, to: number): void {
  for (let word = 0; word < 32; word += 4) {
    target.setInt32(to + word, source.getInt32(from + word))
  }
}

const none = new DataView(new ArrayBuffer(0))

/**
 * The packs of one device, ascending by sequence without a gap, in one array of bytes: an object for
 * each pack takes four times as much. The leaf of each pack in its evidence tree is hashed when the
 * pack comes, so that closing a window has only inner nodes left to hash.
 */
export class PackLog {
  readonly #device: Hex
  #view: DataView = none
  #length = 0
  /** Whether both stamps of each pack are at or behind those of the one before. */
  #isOrdered = true
  #firstSequence = 1n
  #firstPrevious: Hex = zeroHash

  constructor(device: Hex) {
    this.#device = device
  }

  get length(): number {
    return this.#length
  }

  /** As `Array.prototype.at`: negative from the end. */
  at(index: number): PackEntry | undefined {
    const place = index < 0 ? this.#length + index : index
    if (place < 0 || place >= this.#length) return undefined
    const start = place * entryBytes
    const view = this.#view
    return {
      sequence: this.#firstSequence + BigInt(place),
      previous: place === 0 ? this.#firstPrevious : this.#hashAt(place - 1),
      hash: this.#hashAt(place),
      bootCount: view.getBigUint64(start + at.boot),
      firstTimeMs: view.getFloat64(start + at.first),
      lastTimeMs: view.getFloat64(start + at.last),
      readings: view.getUint32(start + at.readings),
      receivedMs: view.getFloat64(start + at.received),
      batchSequence: BigInt(view.getFloat64(start + at.batch)),
      position: {
        segment: view.getUint32(start + at.segment),
        frame: view.getFloat64(start + at.frame),
        at: view.getUint32(start + at.place),
      },
    }
  }

  #hashAt(place: number): Hex {
    const { buffer } = this.#view
    const start = place * entryBytes + at.hash
    return `0x${Buffer.from(buffer, start, 32).toString('hex')}`
  }

  /** Adds the next pack of the chain. */
  push(entry: PackEntry): void {
    if (this.#length === 0) {
      this.#firstSequence = entry.sequence
      this.#firstPrevious = entry.previous
    }
    const start = this.#length * entryBytes
    if (start + entryBytes > this.#view.byteLength) this.#grow()
    const view = this.#view
    if (this.#length > 0) {
      const before = this.#length - 1
      const isBehind =
        entry.firstTimeMs >= this.firstTimeMs(before) && entry.lastTimeMs >= this.lastTimeMs(before)
      if (!isBehind) this.#isOrdered = false
    }
    const bytes = Buffer.from(view.buffer, start, entryBytes)
    bytes.write(entry.hash.slice(2), at.hash, 'hex')
    preimage.write(this.#device.slice(2), evidenceTag.length, 'hex')
    preimage.writeBigUInt64BE(entry.sequence, evidenceTag.length + 32)
    bytes.copy(preimage, evidenceTag.length + 40, at.hash, at.hash + 32)
    bytes.set(sha256(preimage), at.leaf)
    view.setFloat64(start + at.first, entry.firstTimeMs)
    view.setFloat64(start + at.last, entry.lastTimeMs)
    view.setFloat64(start + at.received, entry.receivedMs)
    view.setFloat64(start + at.batch, Number(entry.batchSequence))
    view.setBigUint64(start + at.boot, entry.bootCount)
    view.setFloat64(start + at.frame, entry.position.frame)
    view.setUint32(start + at.readings, entry.readings)
    view.setUint32(start + at.segment, entry.position.segment)
    view.setUint32(start + at.place, entry.position.at)
    this.#length += 1
  }

  #grow(): void {
    const capacity = this.#length === 0 ? 1 : Math.max(4, Math.ceil(this.#length * 1.5))
    const grown = new Uint8Array(capacity * entryBytes)
    grown.set(new Uint8Array(this.#view.buffer))
    this.#view = new DataView(grown.buffer)
  }

  firstTimeMs(index: number): number {
    return this.#view.getFloat64(index * entryBytes + at.first)
  }

  lastTimeMs(index: number): number {
    return this.#view.getFloat64(index * entryBytes + at.last)
  }

  receivedMs(index: number): number {
    return this.#view.getFloat64(index * entryBytes + at.received)
  }

  /** Sequence of the batch that the pack goes into, as a number: this is asked of every device. */
  batch(index: number): number {
    return this.#view.getFloat64(index * entryBytes + at.batch)
  }

  readings(index: number): number {
    return this.#view.getUint32(index * entryBytes + at.readings)
  }

  sequence(index: number): bigint {
    return this.#firstSequence + BigInt(index)
  }

  /** Hash of the pack before the oldest that is kept. */
  get firstPrevious(): Hex | undefined {
    return this.#length === 0 ? undefined : this.#firstPrevious
  }

  writeHash(index: number, target: DataView, offset: number): void {
    copyHash(this.#view, index * entryBytes + at.hash, target, offset)
  }

  writeLeaf(index: number, target: DataView, offset: number): void {
    copyHash(this.#view, index * entryBytes + at.leaf, target, offset)
  }

  /**
   * The packs that a batch holds as a span of indices, `[from, to)`. Batches take packs in order, so
   * that they lie together; looked for from the newest.
   */
  ofBatch(sequence: number): { readonly from: number; readonly to: number } {
    let to = this.#length
    while (to > 0 && this.batch(to - 1) > sequence) to -= 1
    let from = to
    while (from > 0 && this.batch(from - 1) === sequence) from -= 1
    return { from, to }
  }

  /**
   * The packs of batches up to one that speak about a span of time, as a span of indices: from the
   * first that does to the last. What lies between is in it, whatever it speaks about.
   */
  speaking(
    startMs: number,
    endMs: number,
    batch: number,
  ): { readonly from: number; readonly to: number } {
    let from = 0
    let to = this.#length
    if (this.#isOrdered) {
      from = this.#firstThat((index) => this.lastTimeMs(index) >= startMs)
      to = this.#firstThat((index) => this.firstTimeMs(index) >= endMs || this.batch(index) > batch)
    }
    const speaks = (index: number): boolean =>
      this.firstTimeMs(index) < endMs &&
      this.lastTimeMs(index) >= startMs &&
      this.batch(index) <= batch
    while (from < to && !speaks(from)) from += 1
    while (to > from && !speaks(to - 1)) to -= 1
    return from < to ? { from, to } : { from: 0, to: 0 }
  }

  /** The first index for which something holds that holds for all behind it; else the length. */
  #firstThat(holds: (index: number) => boolean): number {
    let low = 0
    let high = this.#length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (holds(middle)) high = middle
      else low = middle + 1
    }
    return low
  }

  /** The entries of a span of indices. */
  slice(from: number, to: number): PackEntry[] {
    const entries: PackEntry[] = []
    for (let index = from; index < to; index += 1) {
      const entry = this.at(index)
      if (entry !== undefined) entries.push(entry)
    }
    return entries
  }

  *[Symbol.iterator](): IterableIterator<PackEntry> {
    for (let index = 0; index < this.#length; index += 1) {
      const entry = this.at(index)
      if (entry !== undefined) yield entry
    }
  }
}
