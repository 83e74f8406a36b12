import type { Hex } from '#schemas/bytes.ts'
import type { DeviceKey } from '#schemas/pack/deviceKey.ts'
import { type DecodedPack, type Sha256, decodePack, packMark } from '#schemas/pack/decodePack.ts'
import { splitPackSequence } from '#schemas/pack/packSequence.ts'
import type { SignatureVerifier } from '#schemas/pack/signatureVerifier.ts'
import { verifyPack } from '#schemas/pack/verifyPack.ts'
import { packRecordBytes, writePackRecord } from '../ledger/records.ts'
import type { CheckedPack } from './admit.ts'
import {
  ImplausibleRateError,
  type Refusal,
  UnknownDeviceError,
  UnknownSeriesError,
  refusalOf,
} from './refusals.ts'

/** What a checking thread has to know of a device. */
export type DeviceDoor = {
  readonly key: DeviceKey
  readonly intervalMs: number
  readonly series: readonly string[] | undefined
}

/** One pack of a body: checked, with its ledger record ready but for time and batch; or refused. */
export type CheckedItem =
  | ({ readonly kind: 'pack'; readonly start: number; readonly end: number } & CheckedPack)
  | { readonly kind: 'refused'; readonly refusal: Refusal }

export type CheckedBody = {
  readonly items: readonly CheckedItem[]
  /** The records of all packs of `items`, one after the other. */
  readonly records: Uint8Array
}

export type PackChecker = {
  /** @throws FormatRefusedError when the body is no sequence of packs at all. */
  check(body: Uint8Array, maxPacks: number): CheckedBody
}

/** A device samples no faster than it declares; half as long again forgives jitter and restarts. */
function assertPlausibleRate(pack: DecodedPack, span: CheckedPack, door: DeviceDoor): void {
  const perSeries = new Map<string, number>()
  const { channels, channelOf } = pack.columns
  const counts = channels.map(() => 0)
  for (const channel of channelOf) counts[channel] = (counts[channel] ?? 0) + 1
  for (const [index, { series }] of channels.entries()) {
    // Two channels can share a series and differ in unit: the sensor is one all the same.
    perSeries.set(series, (perSeries.get(series) ?? 0) + (counts[index] ?? 0))
  }
  const slots = Math.floor((span.lastTimeMs - span.firstTimeMs) / door.intervalMs) + 1
  const most = Math.ceil(slots * 1.5) + 1
  for (const [name, count] of perSeries) {
    if (door.series !== undefined && !door.series.includes(name)) {
      throw new UnknownSeriesError(`The device is not enrolled for the series "${name}".`, {
        field: 'series',
        remedy: 'Enrol the series, or correct its name on the device.',
      })
    }
    if (count > most) {
      throw new ImplausibleRateError('The pack holds more readings than the sampling allows.', {
        field: 'readings',
        metaMessages: [`Allowed: ${most}`, `Actual: ${count}`, `Series: ${name}`],
        remedy: 'Declare the interval that the device samples at.',
      })
    }
  }
}

/** Checks whole bodies: structure, key, signature, stream, series, rate. Holds no order. */
export function createPackChecker(
  stream: Hex,
  verifier: SignatureVerifier,
  sha256: Sha256,
  doorOf: (device: Hex) => DeviceDoor | undefined,
): PackChecker {
  function checkOne(bytes: Uint8Array): { pack: CheckedPack; bytes: Uint8Array } {
    const decoded = decodePack(bytes, { sha256 })
    const door = doorOf(decoded.kid)
    if (door === undefined) {
      throw new UnknownDeviceError('No device with this key is enrolled.', {
        field: 'kid',
        metaMessages: [`Key: ${decoded.kid}`],
        remedy: 'Enrol the device first.',
      })
    }
    verifyPack(decoded, { key: door.key, stream, verifier })
    const { device, sequence, previous, hash, bootCount, firstTimeMs, lastTimeMs } =
      packMark(decoded)
    const pack: CheckedPack = {
      device,
      sequence,
      previous,
      hash,
      bootCount,
      firstTimeMs,
      lastTimeMs,
      readings: decoded.columns.timeMs.length,
    }
    assertPlausibleRate(decoded, pack, door)
    return { pack, bytes }
  }

  return {
    check(body, maxPacks) {
      const packs = splitPackSequence(body, { maxPacks })
      const records = new Uint8Array(body.length + packs.length * packRecordBytes(0))
      const items: CheckedItem[] = []
      let end = 0
      for (const bytes of packs) {
        try {
          const { pack } = checkOne(bytes)
          const start = end
          end += writePackRecord(records, start, pack, bytes)
          items.push({ kind: 'pack', start, end, ...pack })
        } catch (error) {
          items.push({ kind: 'refused', refusal: refusalOf(error) })
        }
      }
      return { items, records: records.subarray(0, end) }
    },
  }
}
