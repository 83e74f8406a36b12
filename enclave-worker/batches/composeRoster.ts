import { type DeviceState, packsOfBatch } from '../state/workerState.ts'
import { rosterRowBytes, writeRosterRow } from './rosterRows.ts'

const largestUint32 = 0xffffffff

/** Readings that a sampling interval promises for a span of time, rounded down. */
export function expectedReadings(spanMs: number, intervalMs: number, series: number): number {
  if (spanMs <= 0) return 0
  return Math.min(largestUint32, Math.floor(spanMs / intervalMs) * series)
}

/**
 * The roster of a batch as rows: every enrolled device in ascending order of its id, heard or not.
 *
 * @param devices - As {@link rosterOrder} puts them.
 * @param spanMs - Time since the batch before, or since the worker first started.
 * @param retired - Devices of which nothing is expected: on the roster only with what they sent.
 */
export function composeRoster(
  devices: readonly DeviceState[],
  sequence: bigint,
  spanMs: number,
  retired: ReadonlySet<string> = new Set(),
): Buffer {
  const rows = Buffer.alloc(devices.length * rosterRowBytes)
  let index = 0
  for (const device of devices) {
    const { enrolled } = device
    if (enrolled === undefined) continue
    const packs = packsOfBatch(device, sequence)
    if (packs.length === 0 && retired.has(device.id)) continue
    let heard = 0
    for (const pack of packs) heard += pack.readings
    writeRosterRow(rows, index, {
      device: device.id,
      subject: enrolled.subject,
      expectedReadings: expectedReadings(spanMs, enrolled.intervalMs, enrolled.series?.length ?? 1),
      heardReadings: Math.min(largestUint32, heard),
      firstSequence: packs[0]?.sequence ?? 0n,
      lastSequence: packs.at(-1)?.sequence ?? 0n,
      headHash: headHashAt(device, sequence),
      packs,
    })
    index += 1
  }
  return rows.subarray(0, index * rosterRowBytes)
}

/** Devices in the order of a roster. Sorting a hundred thousand takes longer than hashing them. */
export function rosterOrder(devices: Iterable<DeviceState>): DeviceState[] {
  return [...devices].sort((left, right) => (left.id < right.id ? -1 : 1))
}

/** Hash of the device's last pack in this batch or an earlier one; packs of the next are not told. */
function headHashAt(device: DeviceState, sequence: bigint): DeviceState['headHash'] {
  for (let index = device.packs.length - 1; index >= 0; index -= 1) {
    const pack = device.packs[index]
    if (pack !== undefined && pack.batchSequence <= sequence) return pack.hash
  }
  // Nothing at or before this batch is kept in memory: what came before the oldest that is kept.
  return device.packs[0]?.previous ?? device.headHash
}
