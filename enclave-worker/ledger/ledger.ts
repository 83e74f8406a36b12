import { syncFolder } from './syncFolder.ts'
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { BaseError } from '#schemas/errors.ts'
import { type Hex, concatBytes, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import {
  closeFrame,
  frameHeaderBytes,
  maxFrameBodyBytes,
  readFrame,
  recordHeaderBytes,
  segmentHeaderBytes,
  splitRecords,
} from './frame.ts'
import { LedgerCorruptError, LedgerFailedError, LedgerForeignError } from './ledgerErrors.ts'
import type { Seal } from './seal.ts'

/** Where a record rests; known as soon as it is appended, valid once it is committed. */
export type LedgerPosition = {
  readonly segment: number
  /** Offset of the record's frame in the segment file. */
  readonly frame: number
  /** Offset of the record in the opened frame body. */
  readonly at: number
}

/**
 * An append-only file of records. What was appended before a call of `commit` is on the disk when
 * that call's promise resolves: everything that waits shares one write and one fsync.
 */
export type Ledger = {
  /**
   * @param rest - The end of the record, where it lies apart from its beginning. Neither may be
   *   changed before the record is committed.
   */
  append(record: Uint8Array, rest?: Uint8Array): LedgerPosition
  commit(): Promise<void>
  read(position: LedgerPosition): Promise<Uint8Array>
  /** Bytes appended and not yet durable: what a caller bounds to keep memory constant. */
  pendingBytes(): number
  stats(): {
    readonly frames: bigint
    readonly bytes: number
    readonly segments: number
    readonly syncs: number
  }
  close(): Promise<void>
}

export type LedgerOptions = {
  readonly folder: string
  readonly stream: Hex
  readonly seal: Seal
  /** Called for every record in order while the ledger is read back at boot. */
  readonly onRecord: (record: Uint8Array, position: LedgerPosition) => void
  /** A segment is closed at the first frame that ends beyond this. */
  readonly segmentBytes?: number
  /** Told once, when a write or a sync has failed and nothing more is acknowledged. */
  readonly onFailure?: (error: LedgerFailedError) => void
  /** A place where tests can stop the process; production leaves it out. */
  readonly failpoint?: ((name: string) => void) | undefined
}

/** How a ledger is read without being opened for writing. */
export type LedgerReading = Pick<LedgerOptions, 'folder' | 'stream' | 'seal'> & {
  readonly onRecord: (record: Uint8Array, position: LedgerPosition) => void
  /** Awaited behind every frame, for callers that write what they read. */
  readonly onFrame?: () => Promise<void>
}

/** A ledger that is read only: its records by their places, until it is closed. */
export type LedgerReader = Pick<Ledger, 'read' | 'close'> & {
  readonly frames: bigint
  readonly bytes: number
}

const none = new Uint8Array()
const magic = utf8('PLUMBLG1')
const defaultSegmentBytes = 64 * 1024 * 1024
const openedFrameCacheBytes = 32 * 1024 * 1024
/** Memory for frames that is kept from one to the next; a larger frame has its own. */
const keptScratchBytes = 32 * 1024 * 1024
/** A frame is closed before it grows beyond this, however many callers wait. */
const targetFrameBytes = 8 * 1024 * 1024

function segmentName(segment: number): string {
  return `${segment.toString().padStart(10, '0')}.segment`
}

function segmentHeader(stream: Hex, seal: Seal, firstFrame: bigint): Uint8Array {
  const rest = new Uint8Array(segmentHeaderBytes - magic.length - 4 - 32)
  new DataView(rest.buffer).setBigUint64(0, firstFrame, true)
  const id = new Uint8Array(4)
  new DataView(id.buffer).setUint32(0, seal.id, true)
  return concatBytes(magic, id, fromHex(stream, 'stream', 32), rest)
}

/** Whose a segment is and how it is sealed; `undefined` when the bytes are none. */
export function readSegmentHead(bytes: Uint8Array): { stream: Hex; seal: number } | undefined {
  if (bytes.length < segmentHeaderBytes || toHex(bytes.subarray(0, 8)) !== toHex(magic)) return
  const view = new DataView(bytes.buffer, bytes.byteOffset, segmentHeaderBytes)
  return { stream: toHex(bytes.subarray(12, 44)), seal: view.getUint32(8, true) }
}

function assertSegmentHeader(bytes: Uint8Array, name: string, stream: Hex, seal: Seal): bigint {
  if (bytes.length < segmentHeaderBytes || toHex(bytes.subarray(0, 8)) !== toHex(magic)) {
    throw new LedgerForeignError(`${name} is not a ledger segment of this release.`, {
      field: 'dataFolder',
      remedy: 'Name a data folder of its own for each worker.',
    })
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, segmentHeaderBytes)
  if (view.getUint32(8, true) !== seal.id) {
    throw new LedgerForeignError(`${name} was sealed in another way than this worker seals.`, {
      field: 'sealing',
      metaMessages: [`Expected: ${seal.id}`, `Actual: ${view.getUint32(8, true)}`],
      remedy: 'Start the worker with the sealing that the data folder was made with.',
    })
  }
  const found = toHex(bytes.subarray(12, 44))
  if (found !== stream) {
    throw new LedgerForeignError(`${name} belongs to another stream.`, {
      field: 'stream',
      metaMessages: [`Expected: ${stream}`, `Actual: ${found}`],
      remedy: 'Name a data folder of its own for each worker.',
    })
  }
  return view.getBigUint64(44, true)
}

/** Whether any whole frame starts behind `offset`: then what lies before it was acknowledged. */
function hasFrameBehind(bytes: Uint8Array, offset: number, number: bigint): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = offset + 1; at <= bytes.length - frameHeaderBytes; at += 1) {
    // The number is looked at first: it is cheap, and a record that quotes a frame has another one.
    const found = view.getBigUint64(at + 8, true)
    if (found <= number || found > number + 64n) continue
    if (readFrame(bytes, at).kind === 'frame') return true
  }
  return false
}

type OpenedBody = { readonly body: Uint8Array }

/** Where the ledger stands after it was read back. */
type LedgerEnd = {
  readonly nextFrame: bigint
  readonly segment: number
  readonly end: number
  readonly totalBytes: number
}

type ReadOptions = LedgerReading & { readonly isReadOnly: boolean }

/** @throws {@link LedgerCorruptError} */
function openSealed(
  seal: Seal,
  { number, body }: { readonly number: bigint; readonly body: Uint8Array },
  where: string,
): Uint8Array {
  try {
    return seal.open(number, body)
  } catch (cause) {
    throw new LedgerCorruptError(where, 'the seal does not open', cause)
  }
}

/** Reads one segment's frames and answers where the last whole one ends. */
async function readSegment(
  handle: FileHandle,
  segment: number,
  isLast: boolean,
  expectedFrame: bigint | undefined,
  { stream, seal, onRecord, onFrame, isReadOnly }: ReadOptions,
): Promise<{ nextFrame: bigint; end: number }> {
  const name = segmentName(segment)
  const bytes = new Uint8Array(await handle.readFile())
  if (isLast && bytes.length < segmentHeaderBytes) {
    // The crash fell between creating the file and its first sync: it holds nothing yet.
    const nextFrame = expectedFrame ?? 0n
    if (isReadOnly) return { nextFrame, end: bytes.length }
    await handle.truncate(0)
    await handle.write(segmentHeader(stream, seal, nextFrame), 0, segmentHeaderBytes, 0)
    await handle.sync()
    return { nextFrame, end: segmentHeaderBytes }
  }
  const firstFrame = assertSegmentHeader(bytes, name, stream, seal)
  let nextFrame = expectedFrame ?? firstFrame
  if (firstFrame !== nextFrame) {
    throw new LedgerCorruptError(name, `frame ${nextFrame} is missing before it`)
  }
  let offset = segmentHeaderBytes
  for (;;) {
    const where = `${name}, offset ${offset}`
    const reading = readFrame(bytes, offset)
    if (reading.kind === 'end') return { nextFrame, end: offset }
    if (reading.kind === 'broken') {
      if (!isLast || hasFrameBehind(bytes, offset, nextFrame)) {
        throw new LedgerCorruptError(where, reading.problem)
      }
      if (!isReadOnly) {
        await handle.truncate(offset)
        await handle.sync()
      }
      return { nextFrame, end: offset }
    }
    if (reading.number !== nextFrame) {
      throw new LedgerCorruptError(
        where,
        `frame ${reading.number} stands where ${nextFrame} belongs`,
      )
    }
    const body = openSealed(seal, reading, where)
    const records = splitRecords(body)
    if (records === undefined) throw new LedgerCorruptError(where, 'its records do not add up')
    for (const { at, record } of records) onRecord(record, { segment, frame: offset, at })
    await onFrame?.()
    nextFrame += 1n
    offset = reading.end
  }
}

async function readBack(
  names: readonly string[],
  handles: Map<number, FileHandle>,
  options: ReadOptions,
): Promise<LedgerEnd> {
  let nextFrame: bigint | undefined
  let segment = 0
  let end = segmentHeaderBytes
  let totalBytes = 0
  for (const [index, name] of names.entries()) {
    segment = Number.parseInt(name, 10)
    const handle = await open(join(options.folder, name), options.isReadOnly ? 'r' : 'r+')
    handles.set(segment, handle)
    const isLast = index === names.length - 1
    ;({ nextFrame, end } = await readSegment(handle, segment, isLast, nextFrame, options))
    totalBytes += end
  }
  return { nextFrame: nextFrame ?? 0n, segment, end, totalBytes }
}

/** Names of a folder's segments, in order. */
export async function segmentNames(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => /^\d{10}\.segment$/.test(name)).sort()
}

function recordAt(body: Uint8Array, { at }: LedgerPosition): Uint8Array {
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  const start = at + recordHeaderBytes
  return body.subarray(start, start + view.getUint32(at, true))
}

/** Opens frames by their place and keeps the last ones open. */
function frameOpener(
  handles: ReadonlyMap<number, FileHandle>,
  seal: Seal,
): (position: LedgerPosition) => Promise<Uint8Array> {
  const opened = new Map<string, OpenedBody>()
  let openedBytes = 0

  return async (position) => {
    const key = `${position.segment}/${position.frame}`
    const known = opened.get(key)
    if (known !== undefined) {
      opened.delete(key)
      opened.set(key, known)
      return known.body
    }
    const handle = handles.get(position.segment)
    const where = `${segmentName(position.segment)}, offset ${position.frame}`
    if (handle === undefined) throw new LedgerCorruptError(where, 'the segment is not there')
    const header = new Uint8Array(frameHeaderBytes)
    await handle.read(header, 0, frameHeaderBytes, position.frame)
    const length = new DataView(header.buffer).getUint32(0, true)
    if (length > maxFrameBodyBytes) throw new LedgerCorruptError(where, 'the length is impossible')
    const bytes = new Uint8Array(frameHeaderBytes + length)
    await handle.read(bytes, 0, bytes.length, position.frame)
    const reading = readFrame(bytes, 0)
    if (reading.kind !== 'frame') {
      throw new LedgerCorruptError(where, reading.kind === 'broken' ? reading.problem : 'no frame')
    }
    const body = openSealed(seal, reading, where)
    opened.set(key, { body })
    openedBytes += body.length
    for (const [oldest, entry] of opened) {
      if (openedBytes <= openedFrameCacheBytes || oldest === key) break
      opened.delete(oldest)
      openedBytes -= entry.body.length
    }
    return body
  }
}

/**
 * Reads a ledger and changes nothing on the disk: a tail that was never acknowledged is passed over.
 *
 * @throws {@link LedgerCorruptError} | {@link LedgerForeignError}
 */
export async function readLedger(reading: LedgerReading): Promise<LedgerReader> {
  const handles = new Map<number, FileHandle>()
  const close = async (): Promise<void> => {
    for (const handle of handles.values()) await handle.close()
    handles.clear()
  }
  try {
    const names = await segmentNames(reading.folder)
    const end = await readBack(names, handles, { ...reading, isReadOnly: true })
    const openFrame = frameOpener(handles, reading.seal)
    return {
      frames: end.nextFrame,
      bytes: end.totalBytes,
      read: async (position) => recordAt(await openFrame(position), position),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * Opens a ledger, reads everything back and cuts off a tail that was never acknowledged.
 *
 * Frames are written one at a time, each only after the one before is on the disk. So the bytes of
 * at most one frame, the last, can be incomplete after a crash; damage anywhere else is damage.
 *
 * @throws {@link LedgerCorruptError} | {@link LedgerForeignError}
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { folder, stream, seal } = options
  const segmentLimit = options.segmentBytes ?? defaultSegmentBytes
  const fail = options.failpoint ?? (() => undefined)
  await mkdir(folder, { recursive: true })
  const names = await segmentNames(folder)
  const handles = new Map<number, FileHandle>()

  async function createSegment(number: number, firstFrame: bigint): Promise<FileHandle> {
    const handle = await open(join(folder, segmentName(number)), 'w+')
    await handle.write(segmentHeader(stream, seal, firstFrame), 0, segmentHeaderBytes, 0)
    await handle.sync()
    await syncFolder(folder)
    handles.set(number, handle)
    return handle
  }

  let nextFrame: bigint
  let segment: number
  let end: number
  let totalBytes: number
  try {
    ;({ nextFrame, segment, end, totalBytes } = await readBack(names, handles, {
      ...options,
      isReadOnly: false,
    }))
    if (names.length === 0) {
      segment = 1
      await createSegment(1, 0n)
      totalBytes = segmentHeaderBytes
    }
  } catch (error) {
    for (const handle of handles.values()) await handle.close()
    throw error
  }

  type Group = {
    readonly segment: number
    readonly frame: number
    readonly number: bigint
    readonly parts: Uint8Array[]
    bytes: number
    readonly done: PromiseWithResolvers<void>
  }

  let failure: LedgerFailedError | undefined
  let flushing: Promise<void> | undefined
  let closed = false
  let syncs = 0
  /** Groups in order; the first is being written or is next, the last takes appends. */
  const groups: Group[] = []

  function openGroup(): Group {
    const last = groups.at(-1)
    if (last !== undefined && !sealedOff.has(last) && last.bytes < targetFrameBytes) return last
    if (last !== undefined) sealedOff.add(last)
    let at = { segment, frame: end }
    if (last !== undefined) {
      const frameEnd = last.frame + frameHeaderBytes + seal.overheadBytes + last.bytes
      at = { segment: last.segment, frame: frameEnd }
    }
    if (at.frame >= segmentLimit) at = { segment: at.segment + 1, frame: segmentHeaderBytes }
    const done = Promise.withResolvers<void>()
    done.promise.catch(() => undefined) // every waiter sees the failure through its own commit
    const group = {
      ...at,
      number: last === undefined ? nextFrame : last.number + 1n,
      parts: [],
      bytes: 0,
      done,
    }
    groups.push(group)
    return group
  }

  /** Groups that take no more records, since their bytes are on the way or their size is settled. */
  const sealedOff = new WeakSet<Group>()

  let scratch = new Uint8Array(64 * 1024)
  /** One frame is written at a time, so that they can share their memory. */
  function takeScratch(bytes: number): Uint8Array {
    if (bytes > scratch.length) {
      const grown = new Uint8Array(Math.ceil(bytes * 1.25))
      if (grown.length > keptScratchBytes) return grown.subarray(0, bytes)
      scratch = grown
    }
    return scratch.subarray(0, bytes)
  }

  async function writeGroup(group: Group): Promise<void> {
    let handle = handles.get(group.segment)
    if (handle === undefined) handle = await createSegment(group.segment, group.number)
    const frame = takeScratch(frameHeaderBytes + seal.overheadBytes + group.bytes)
    await seal.seal(group.number, group.parts, frame, frameHeaderBytes)
    closeFrame(frame, group.number)
    fail('ledger.beforeWrite')
    let written = 0
    while (written < frame.length) {
      const { bytesWritten } = await handle.write(
        frame,
        written,
        frame.length - written,
        group.frame + written,
      )
      written += bytesWritten
    }
    fail('ledger.beforeSync')
    await handle.datasync()
    syncs += 1
    fail('ledger.afterSync')
    segment = group.segment
    end = group.frame + frame.length
    nextFrame = group.number + 1n
    totalBytes += frame.length
  }

  async function flush(): Promise<void> {
    try {
      for (;;) {
        const group = groups[0]
        if (group === undefined) return
        sealedOff.add(group)
        await writeGroup(group)
        groups.shift()
        group.done.resolve()
      }
    } catch (cause) {
      failure = cause instanceof LedgerFailedError ? cause : new LedgerFailedError(cause)
      for (const group of groups.splice(0)) group.done.reject(failure)
      options.onFailure?.(failure)
    } finally {
      flushing = undefined
    }
  }

  const openFrame = frameOpener(handles, seal)

  return {
    append(record, rest = none) {
      if (failure !== undefined) throw failure
      const length = record.length + rest.length
      if (closed || recordHeaderBytes + length > maxFrameBodyBytes - seal.overheadBytes) {
        throw new BaseError(closed ? 'The ledger is closed.' : 'The record is too large.')
      }
      let group = openGroup()
      if (group.bytes > 0 && group.bytes + length > maxFrameBodyBytes / 2) {
        sealedOff.add(group)
        group = openGroup()
      }
      const position = { segment: group.segment, frame: group.frame, at: group.bytes }
      const header = new Uint8Array(recordHeaderBytes)
      new DataView(header.buffer).setUint32(0, length, true)
      group.parts.push(header, record, rest)
      group.bytes += header.length + length
      return position
    },
    async commit() {
      if (failure !== undefined) throw failure
      const last = groups.at(-1)
      if (last === undefined) return
      flushing ??= flush()
      await last.done.promise
    },
    read: async (position) => recordAt(await openFrame(position), position),
    pendingBytes: () => groups.reduce((sum, group) => sum + group.bytes, 0),
    stats: () => ({ frames: nextFrame, bytes: totalBytes, segments: handles.size, syncs }),
    async close() {
      closed = true
      if (groups.length > 0 && failure === undefined) {
        flushing ??= flush()
      }
      await flushing
      for (const handle of handles.values()) await handle.close()
      handles.clear()
    },
  }
}
