import { randomBytes } from 'node:crypto'
import type { Hex } from '#schemas/bytes.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { type DeviceSigner, createDeviceSigner } from '#schemas/pack/portableSignatures.ts'

/** One value as the device measured it: Unix milliseconds and millionths of its unit. */
export type Measurement = { readonly timeMs: number; readonly valueMicro: number }

/** A device of the fleet: a P-256 key of its own, and a chain of packs. */
export type FleetDevice = {
  readonly signer: DeviceSigner
  readonly series: string
  readonly unit: string
  /** Signs the next pack of the device's chain. */
  readonly pack: (measurements: readonly Measurement[]) => Uint8Array
}

export type DeviceOptions = {
  readonly stream: Hex
  readonly series: string
  readonly unit: string
  /** SHA-256 of the firmware that the device says it runs. */
  readonly firmware: Hex
}

/** A device with a fresh key. The key exists in this process only, as it would in a secure element. */
export function createDevice({ stream, series, unit, firmware }: DeviceOptions): FleetDevice {
  const signer = createDeviceSigner('ES256', randomBytes(32))
  let sequence = 0n
  let previous: Hex = noPrevious
  return {
    signer,
    series,
    unit,
    pack: (measurements) => {
      sequence += 1n
      const { bytes, packHash } = encodePack({
        claims: { stream, sequence, previous, bootCount: 1n, firmware },
        kid: signer.key.id,
        algorithm: signer.key.algorithm,
        records: measurements.map(({ timeMs, valueMicro }) => ({
          name: series,
          unit,
          timeMs,
          valueMicro,
        })),
        sign: signer.sign,
      })
      previous = packHash
      return bytes
    },
  }
}
