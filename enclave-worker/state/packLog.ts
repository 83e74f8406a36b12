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

/** Packs of one device that lie side by side. */
const blockEntries = 4
const blockBytes = blockEntries * entryBytes
/** A little less than a megabyte. */
const blocksPerSlab = 2048

type Slab = { readonly bytes: Buffer; readonly view: DataView }

/**
 * Memory that the logs of many devices share, block by block: an `ArrayBuffer` and a view for each of
 * a hundred thousand would take more than what is in them.
 */
export class PackMemory {
  readonly #slabs: Slab[] = []
  #blocks = 0

  /** A block that nobody has. */
  take(): number {
    if (this.#blocks === this.#slabs.length * blocksPerSlab) {
      const bytes = Buffer.from(new ArrayBuffer(blocksPerSlab * blockBytes))
      this.#slabs.push({ bytes, view: new DataView(bytes.buffer) })
    }
    this.#blocks += 1
    return this.#blocks - 1
  }

  /** Where a block lies. */
  slabOf(block: number): Slab {
    const slab = this.#slabs[Math.floor(block / blocksPerSlab)]
    if (slab === undefined) throw new RangeError('no such pack')
    return slab
  }
}

/**
 * The packs of one device, ascending by sequence without a gap, as bytes: an object for each pack takes four times as much. The leaf of each pack in its evidence tree is hashed when the
 * pack comes, so that closing a window has only inner nodes left to hash.
 */
export class PackLog {
  readonly #device: Hex
  readonly #memory: PackMemory
  readonly #blocks: number[] = []
  #length = 0
  /** Whether both stamps of each pack are at or behind those of the one before. */
  #isOrdered = true
  #firstSequence = 1n
  #firstPrevious: Hex = zeroHash

  constructor(device: Hex, memory = new PackMemory()) {
    this.#device = device
    this.#memory = memory
  }

  get length(): number {
    return this.#length
  }

  /** As `Array.prototype.at`: negative from the end. */
  at(index: number): PackEntry | undefined {
    const place = index < 0 ? this.#length + index : index
    if (place < 0 || place >= this.#length) return undefined
    const start = this.#at(place)
    const view = this.#viewOf(place)
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

  /** Where an entry lies in its slab. */
  #at(place: number): number {
    const block = this.#blocks[Math.floor(place / blockEntries)] ?? 0
    return (block % blocksPerSlab) * blockBytes + (place % blockEntries) * entryBytes
  }

  #slabOf(place: number): Slab {
    return this.#memory.slabOf(this.#blocks[Math.floor(place / blockEntries)] ?? -1)
  }

  #viewOf(place: number): DataView {
    return this.#slabOf(place).view
  }

  #hashAt(place: number): Hex {
    const start = this.#at(place) + at.hash
    return `0x${this.#slabOf(place).bytes.toString('hex', start, start + 32)}`
  }

  /** Adds the next pack of the chain. */
  push(entry: PackEntry): void {
    if (this.#length === 0) {
      this.#firstSequence = entry.sequence
      // Of nearly all devices it is this one: one text for all of them.
      this.#firstPrevious = entry.previous === zeroHash ? zeroHash : entry.previous
    }
    if (this.#length === this.#blocks.length * blockEntries) this.#blocks.push(this.#memory.take())
    const start = this.#at(this.#length)
    const { bytes: all, view } = this.#slabOf(this.#length)
    if (this.#length > 0) {
      const before = this.#length - 1
      const isBehind =
        entry.firstTimeMs >= this.firstTimeMs(before) && entry.lastTimeMs >= this.lastTimeMs(before)
      if (!isBehind) this.#isOrdered = false
    }
    all.write(entry.hash.slice(2), start + at.hash, 'hex')
    preimage.write(this.#device.slice(2), evidenceTag.length, 'hex')
    preimage.writeBigUInt64BE(entry.sequence, evidenceTag.length + 32)
    all.copy(preimage, evidenceTag.length + 40, start + at.hash, start + at.hash + 32)
    all.set(sha256(preimage), start + at.leaf)
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

  firstTimeMs(index: number): number {
    return this.#viewOf(index).getFloat64(this.#at(index) + at.first)
  }

  lastTimeMs(index: number): number {
    return this.#viewOf(index).getFloat64(this.#at(index) + at.last)
  }

  receivedMs(index: number): number {
    return this.#viewOf(index).getFloat64(this.#at(index) + at.received)
  }

  /** Sequence of the batch that the pack goes into, as a number: this is asked of every device. */
  batch(index: number): number {
    return this.#viewOf(index).getFloat64(this.#at(index) + at.batch)
  }

  readings(index: number): number {
    return this.#viewOf(index).getUint32(this.#at(index) + at.readings)
  }

  sequence(index: number): bigint {
    return this.#firstSequence + BigInt(index)
  }

  /** Hash of the pack before the oldest that is kept. */
  get firstPrevious(): Hex | undefined {
    return this.#length === 0 ? undefined : this.#firstPrevious
  }

  writeHash(index: number, target: DataView, offset: number): void {
    copyHash(this.#viewOf(index), this.#at(index) + at.hash, target, offset)
  }

  writeLeaf(index: number, target: DataView, offset: number): void {
    copyHash(this.#viewOf(index), this.#at(index) + at.leaf, target, offset)
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
