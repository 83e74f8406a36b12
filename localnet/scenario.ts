import type { Hex } from '#schemas/bytes.ts'
import { type Policy, decodePolicy } from '#schemas/policy/policy.ts'
import type { Measurement } from './fleet/device.ts'
import { type MoteReading, moteStepMs } from './recordings/shipmentMotes.ts'
import { type SolarStep, solarStepMs } from './recordings/solarYear.ts'

/** The plant of the story: its recording is in shares of rated power, and this is the power. */
export const plant = {
  subject: 'solar-plant-1',
  series: 'power',
  unit: 'W',
  ratedPowerW: 5_000_000,
}

/** The shipment of the story: a pallet with a mote on it. */
export const shipment = { subject: 'shipment-7', series: 'temperature', unit: 'Cel' }

/** The month that the plant's cover is for: February 2015 of the recording. */
export const recordedMonth = { startMs: Date.UTC(2015, 1, 1), endMs: Date.UTC(2015, 2, 1) }

const dayMs = 86_400_000

/** Energy in watt-hours that the month is measured against. */
export const energyMarks = {
  /** Below this the cover begins to pay. */
  attachmentWh: 350_000_000n,
  /** At or below this it has paid everything. */
  exhaustionWh: 250_000_000n,
  /** The operator's fee is due from this. */
  contractMinimumWh: 300_000_000n,
}

const plantSignal = { series: plant.series, unit: plant.unit, interval: '15m' }

const plantQuality = {
  range: { low: '0', high: String(plant.ratedPowerW) },
  // Night is a long run of one value, and an honest one; a plant stuck at noon is not.
  flatline: { longest: '2h', except: ['0'] },
  packs: 'required',
  minimumTier: 'hardware',
} as const

const energy = { kind: 'integral', per: 'h', unit: 'Wh', negative: 'zero' } as const

function plantPolicy(
  name: string,
  description: string,
  rest: Pick<Policy, 'objectives' | 'settlement' | 'audience'>,
): Policy {
  return decodePolicy({
    version: 1,
    name,
    description,
    signal: plantSignal,
    window: { kind: 'period' },
    interpolation: { kind: 'interval-mean', step: '15m', stamp: 'start' },
    gaps: 'unknown',
    minCoverage: '95%',
    aggregates: [energy],
    quality: plantQuality,
    ...rest,
  })
}

/** Settles a parametric cover: a month below the attachment point pays. */
export function shortfallPolicy(): Policy {
  return plantPolicy(
    'Solar month, cover',
    'Energy of the month against the attachment point of the cover. FAIL means that it pays.',
    {
      objectives: [
        { measure: 'integral', operator: 'ge', limit: energyMarks.attachmentWh.toString() },
      ],
      settlement: { measure: 'integral', unit: 'Wh', rounding: 'down' },
      audience: { kind: 'anyone' },
    },
  )
}

/** Releases the operator's fee: the contracted minimum was produced. */
export function operationPolicy(): Policy {
  return plantPolicy(
    'Solar month, operation fee',
    'The operator’s fee is due when the contracted minimum was produced.',
    {
      objectives: [
        { measure: 'integral', operator: 'ge', limit: energyMarks.contractMinimumWh.toString() },
      ],
      settlement: { measure: 'integral', unit: 'Wh', rounding: 'down' },
      audience: { kind: 'anyone' },
    },
  )
}

/**
 * Mints a credit: the month's energy times an emission factor, as a right that one contract on one
 * chain can use once.
 */
export function carbonPolicy(place: { chainId: number; contract: Hex }): Policy {
  return plantPolicy(
    'Solar month, carbon credit',
    'Energy of the month times 0.367 kgCO2e/kWh, to be minted once.',
    {
      objectives: [{ measure: 'integral', operator: 'gt', limit: '0' }],
      settlement: {
        measure: 'integral',
        unit: 'kgCO2e',
        rounding: 'down',
        // 0.367 kg per kWh is 367 kg per 1 000 000 Wh.
        factor: { multiply: '367', divide: '1000000' },
      },
      audience: {
        kind: 'right',
        impactClass: 'carbon',
        chainId: String(place.chainId),
        contract: place.contract,
      },
    },
  )
}

/** Judges the shipment: never above 30 degrees for a minute or more (controlled room temperature). */
export function shipmentPolicy(): Policy {
  return decodePolicy({
    version: 1,
    name: 'Controlled room temperature shipment',
    description:
      'Above 30 degrees Celsius for a minute or longer is a breach; the penalty is by the minute.',
    signal: { series: shipment.series, unit: shipment.unit, interval: '5s' },
    window: { kind: 'period' },
    interpolation: { kind: 'hold', max: '9s' },
    gaps: 'violating',
    predicate: { operator: 'le', limit: '30' },
    for: '1m',
    aggregates: [{ kind: 'mean-kinetic-temperature' }],
    objectives: [{ measure: 'excursions', operator: 'le', limit: '0' }],
    quality: {
      range: { low: '-40', high: '85' },
      packs: 'required',
      minimumTier: 'hardware',
    },
    settlement: {
      measure: 'excursion_ms',
      unit: 's',
      rounding: 'down',
      factor: { multiply: '1', divide: '1000' },
    },
    audience: { kind: 'anyone' },
  })
}

/** What the plant's meter measures in the month, moved so that the month ends at `endMs`. */
export function plantMeasurements(year: readonly SolarStep[], endMs: number): Measurement[] {
  const shiftMs = endMs - recordedMonth.endMs
  return year
    .filter(({ startMs }) => startMs >= recordedMonth.startMs && startMs < recordedMonth.endMs)
    .map(({ startMs, meanPowerPpm }) => ({
      timeMs: startMs + shiftMs,
      // ppm of rated power, in millionths of a watt: the two millions cancel.
      valueMicro: meanPowerPpm * plant.ratedPowerW,
    }))
}

/** What the pallet's mote measures, moved so that the journey ends at `endMs`. */
export function shipmentMeasurements(
  readings: readonly MoteReading[],
  endMs: number,
): Measurement[] {
  const startMs = endMs - readings.length * moteStepMs
  return readings.map(({ index, temperatureMicroCel }) => ({
    timeMs: startMs + index * moteStepMs,
    valueMicro: temperatureMicroCel,
  }))
}

/** The periods that both subjects are judged over; they end together and share one batch. */
export function periods(endMs: number, shipmentReadings: number) {
  return {
    plant: { startMs: endMs - (recordedMonth.endMs - recordedMonth.startMs), endMs },
    shipment: { startMs: endMs - shipmentReadings * moteStepMs, endMs },
  }
}

/** How long before now the local chains begin: before every agreement, and the month before that. */
export const worldAgeSeconds = (recordedMonth.endMs - recordedMonth.startMs + 3 * dayMs) / 1000

export { moteStepMs, solarStepMs }
