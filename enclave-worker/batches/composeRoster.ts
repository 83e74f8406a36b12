import { evidenceRoot } from '#schemas/evidence.ts'
import type { RosterEntry } from '#schemas/roster.ts'
import { type DeviceState, type PackEntry, packsOfBatch } from '../state/workerState.ts'

const largestUint32 = 0xffffffff

/** Readings that a sampling interval promises for a span of time, rounded down. */
export function expectedReadings(spanMs: number, intervalMs: number, series: number): number {
  if (spanMs <= 0) return 0
  return Math.min(largestUint32, Math.floor(spanMs / intervalMs) * series)
}

/** One device's line: who was expected, who was heard, how much, and where its chain stands. */
export function rosterEntry(
  device: DeviceState,
  packs: readonly PackEntry[],
  headHash: RosterEntry['headHash'],
  spanMs: number,
): RosterEntry | undefined {
  const { enrolled } = device
  if (enrolled === undefined) return undefined
  let heard = 0
  for (const pack of packs) heard += pack.readings
  return {
    device: device.id,
    subject: enrolled.subject,
    expectedReadings: expectedReadings(spanMs, enrolled.intervalMs, enrolled.series?.length ?? 1),
    heardReadings: Math.min(largestUint32, heard),
    firstSequence: packs[0]?.sequence ?? 0n,
    lastSequence: packs.at(-1)?.sequence ?? 0n,
    headHash,
    packsRoot: evidenceRoot(
      packs.map(({ sequence, hash }) => ({ device: device.id, sequence, hash })),
    ),
  }
}

/**
 * The roster of a batch: every enrolled device in ascending order of its id, heard or not.
 *
 * @param spanMs - Time since the batch before, or since the worker first started.
 */
export function composeRoster(
  devices: Iterable<DeviceState>,
  sequence: bigint,
  spanMs: number,
  retired: ReadonlySet<string> = new Set(),
): RosterEntry[] {
  const entries: RosterEntry[] = []
  for (const device of devices) {
    const packs = packsOfBatch(device, sequence)
    // Nothing is expected of a retired device; what it sent before is committed to all the same.
    if (packs.length === 0 && retired.has(device.id)) continue
    const entry = rosterEntry(device, packs, headHashAt(device, sequence), spanMs)
    if (entry !== undefined) entries.push(entry)
  }
  return entries.sort((left, right) => (left.device < right.device ? -1 : 1))
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
