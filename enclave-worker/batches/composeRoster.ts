import type { DeviceState } from '../state/workerState.ts'
import { rosterRowBytes, writeRosterNames, writeRosterRow } from './rosterRows.ts'

const largestUint32 = 0xffffffff

/** Readings that a sampling interval promises for a span of time, rounded down. */
export function expectedReadings(spanMs: number, intervalMs: number, series: number): number {
  if (spanMs <= 0) return 0
  return Math.min(largestUint32, Math.floor(spanMs / intervalMs) * series)
}

/** The enrolled devices in the order of a roster, and their rows with nothing in them but names. */
export type RosterOrder = {
  readonly devices: readonly DeviceState[]
  readonly blank: Buffer
  /** Where rosters are composed, one after the other. */
  readonly rows: Buffer
}

/**
 * Puts devices in the order of a roster. Sorting a hundred thousand takes longer than hashing them:
 * it is done once for as long as the fleet stays as it is.
 */
export function rosterOrder(devices: Iterable<DeviceState>): RosterOrder {
  const enrolled = [...devices]
    .filter((device) => device.enrolled !== undefined)
    .sort((left, right) => (left.id < right.id ? -1 : 1))
  const blank = Buffer.alloc(enrolled.length * rosterRowBytes)
  for (const [index, device] of enrolled.entries()) {
    if (device.enrolled === undefined) continue
    writeRosterNames(blank, index, device.id, device.enrolled.subject)
  }
  return { devices: enrolled, blank, rows: Buffer.alloc(blank.length) }
}

/**
 * The roster of a batch as rows: every enrolled device in ascending order of its id, heard or not.
 * They stand until the next is composed with the same order.
 *
 * @param order - As {@link rosterOrder} gives it.
 * @param spanMs - Time since the batch before, or since the worker first started.
 * @param retired - Devices of which nothing is expected: on the roster only with what they sent.
 */
export function composeRoster(
  { devices, blank, rows }: RosterOrder,
  sequence: bigint,
  spanMs: number,
  retired: ReadonlySet<string> = new Set(),
): Buffer {
  blank.copy(rows)
  const view = new DataView(rows.buffer, rows.byteOffset, rows.length)
  const batch = Number(sequence)
  let end = 0
  // By index: an iterator's pair for each device is a tenth of the whole.
  for (let index = 0; index < devices.length; index += 1) {
    const device = devices[index]
    const enrolled = device?.enrolled
    if (device === undefined || enrolled === undefined) continue
    const { packs } = device
    const { from, to } = packs.ofBatch(batch)
    if (from === to && retired.size > 0 && retired.has(device.id)) continue
    const at = end * rosterRowBytes
    // Names stand already, except behind a device that was left out.
    if (end !== index) blank.copy(rows, at, index * rosterRowBytes, (index + 1) * rosterRowBytes)
    const expected = expectedReadings(spanMs, enrolled.intervalMs, enrolled.series?.length ?? 1)
    writeRosterRow(view, at, device, expected, from, to)
    end += 1
  }
  return rows.subarray(0, end * rosterRowBytes)
}
