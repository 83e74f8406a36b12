import type { Hex } from '#schemas/bytes.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import { splitPackSequence } from '#schemas/pack/packSequence.ts'
import type { Reading } from '#schemas/reading.ts'
import type { TrustTier } from '#schemas/trustTier.ts'

/** What a device has said so far, from the packs that it signed. */
export type DeviceReadings = {
  readonly lastSequence: bigint
  readonly packCount: number
  readonly readings: readonly Reading[]
}

export const noReadings: DeviceReadings = { lastSequence: 0n, packCount: 0, readings: [] }

/** Raised when the operator does not publish readings. */
export class ReadingsPrivateError extends Error {
  override readonly name = 'ReadingsPrivateError'
}

const pageSize = 500

/** Fetches the packs behind those that are known. A device is followed pack by pack. */
export async function readMore(
  device: Hex,
  tier: TrustTier,
  known: DeviceReadings,
): Promise<DeviceReadings> {
  const readings = [...known.readings]
  let { lastSequence, packCount } = known
  for (;;) {
    const response = await fetch(
      `worker/v1/devices/${device}/packs?after=${lastSequence}&limit=${pageSize}`,
    )
    if (response.status === 403) throw new ReadingsPrivateError('Readings are not published.')
    if (!response.ok) break
    const packs = splitPackSequence(new Uint8Array(await response.arrayBuffer()))
    for (const bytes of packs) {
      const pack = decodePack(bytes)
      readings.push(...pack.readings(tier))
      lastSequence = pack.claims.sequence
      packCount += 1
    }
    if (packs.length === 0) break
  }
  return packCount === known.packCount ? known : { lastSequence, packCount, readings }
}
