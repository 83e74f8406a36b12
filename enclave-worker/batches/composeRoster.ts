import type { DeviceState, WorkerState } from '../state/workerState.ts'
import { rosterRowBytes, writeExpected, writeRosterNames, writeRosterRow } from './rosterRows.ts'

const largestUint32 = 0xffffffff

/** Readings that a sampling interval promises for a span of time, rounded down. */
export function expectedReadings(spanMs: number, intervalMs: number, series: number): number {
  if (spanMs <= 0) return 0
  return Math.min(largestUint32, Math.floor(spanMs / intervalMs) * series)
}

/**
 * The roster of the next batch while packs come in: what can be said of a device is written when it
 * has spoken, and only what the instant of closing decides is left for the close.
 */
export type RosterDraft = {
  /**
   * Writes what has not been written yet, until `isOver` says that others have to go on. Answers
   * whether everything is.
   */
  follow(sequence: bigint, isOver: () => boolean): boolean
  /**
   * The roster of a batch as rows: every enrolled device in ascending order of its id, heard or not.
   * They stand until this is asked for something again.
   *
   * @param spanMs - Time since the batch before, or since the worker first started.
   */
  compose(sequence: bigint, spanMs: number): Uint8Array
}

/** The enrolled devices in the order of a roster. */
type Order = {
  readonly version: number
  readonly devices: readonly DeviceState[]
  readonly places: Map<DeviceState, number>
  readonly rows: Buffer
  readonly view: DataView
  readonly intervalsMs: Float64Array
  readonly series: Float64Array
}

/** Sorting a hundred thousand takes longer than hashing them: done once while a fleet stays as it is. */
function putInOrder({
  devices,
  fleetVersion,
}: Pick<WorkerState, 'devices' | 'fleetVersion'>): Order {
  const enrolled = [...devices.values()]
    .filter((device) => device.enrolled !== undefined)
    .sort((left, right) => (left.id < right.id ? -1 : 1))
  // Shared, so that threads can help to hash it.
  const rows = Buffer.from(new SharedArrayBuffer(enrolled.length * rosterRowBytes))
  const order: Order = {
    version: fleetVersion,
    devices: enrolled,
    places: new Map(),
    rows,
    view: new DataView(rows.buffer, rows.byteOffset, rows.length),
    intervalsMs: new Float64Array(enrolled.length),
    series: new Float64Array(enrolled.length),
  }
  for (const [place, device] of enrolled.entries()) {
    if (device.enrolled === undefined) continue
    order.places.set(device, place)
    order.intervalsMs[place] = device.enrolled.intervalMs
    order.series[place] = device.enrolled.series?.length ?? 1
    writeRosterNames(rows, place, device.id, device.enrolled.subject)
  }
  return order
}

/** Rows that are written between two looks at the time. */
const rowsAtOnce = 512

/** A fleet that is still growing is put in order when a batch needs it, not all the time. */
const settledMs = 5000

export function createRosterDraft(
  state: WorkerState,
  nowMs = () => performance.now(),
): RosterDraft {
  let order: Order | undefined
  /** What the rows are of: those before `written` are right, but for devices in `unwritten`. */
  let drafted = 0n
  let written = 0
  let seen = { version: -1, sinceMs: 0 }

  function writeRow(device: DeviceState, place: number, { view }: Order): void {
    const { from, to } = device.packs.ofBatch(Number(drafted))
    writeRosterRow(view, place * rosterRowBytes, device, from, to)
  }

  function begin(sequence: bigint): Order {
    if (order?.version !== state.fleetVersion) {
      order = putInOrder(state)
      written = 0
    }
    if (drafted !== sequence) {
      drafted = sequence
      written = 0
    }
    return order
  }

  function writeAll(now: Order, isOver: () => boolean): boolean {
    while (written < now.devices.length) {
      const end = Math.min(now.devices.length, written + rowsAtOnce)
      for (; written < end; written += 1) {
        const device = now.devices[written]
        if (device !== undefined) writeRow(device, written, now)
      }
      if (isOver()) return false
    }
    const { unwritten } = state
    while (unwritten.length > 0) {
      for (const device of unwritten.splice(-rowsAtOnce)) {
        device.isUnwritten = false
        const place = now.places.get(device)
        if (place !== undefined) writeRow(device, place, now)
      }
      if (isOver()) return false
    }
    return true
  }

  /** Devices of which nothing is expected are on the roster only with what they sent. */
  function withoutRetired({ devices, rows }: Order): Uint8Array {
    const { retired } = state.enrolments
    const left = Buffer.from(new SharedArrayBuffer(rows.length))
    let end = 0
    for (const [place, device] of devices.entries()) {
      const { from, to } = device.packs.ofBatch(Number(drafted))
      if (from === to && retired.has(device.id)) continue
      const start = place * rosterRowBytes
      rows.copy(left, end, start, start + rosterRowBytes)
      end += rosterRowBytes
    }
    return left.subarray(0, end)
  }

  return {
    follow(sequence, isOver) {
      const { fleetVersion } = state
      if (seen.version !== fleetVersion) seen = { version: fleetVersion, sinceMs: nowMs() }
      if (order?.version !== fleetVersion && nowMs() - seen.sinceMs < settledMs) return true
      return writeAll(begin(sequence), isOver)
    },
    compose(sequence, spanMs) {
      const now = begin(sequence)
      writeAll(now, () => false)
      const { view, intervalsMs, series } = now
      for (let place = 0; place < intervalsMs.length; place += 1) {
        const expected = expectedReadings(spanMs, intervalsMs[place] ?? 1, series[place] ?? 1)
        writeExpected(view, place * rosterRowBytes, expected)
      }
      return state.enrolments.retired.size > 0 ? withoutRetired(now) : now.rows
    },
  }
}
