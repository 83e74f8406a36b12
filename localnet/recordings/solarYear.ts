import { BaseError } from '#schemas/errors.ts'
import { fetchArchive, readFromArchive } from './registryArchive.ts'

/** Raised when a line of a recording is not what its publisher's format says. */
export class MalformedRecordingError extends BaseError {
  override readonly name = 'MalformedRecordingError'
}

const archive = {
  name: '@energyweb/solar-simulator',
  version: '1.2.12',
  integrity:
    'sha512-RM76fgc9rq1822qEcxld6z0DY6gtMKUEaIuyS0RstWZSH1rxhQpg9TU1cRfPruu2kU+OMzaMcjsDw7jkSI+vTA==',
} as const

export const solarStepMs = 15 * 60_000

/** One step of the recording. */
export type SolarStep = {
  /** Start of the step, Unix milliseconds; the recorder's local wall clock read as UTC. */
  readonly startMs: number
  /** Mean power over the step, millionths of the plant's rated power. */
  readonly meanPowerPpm: number
}

/**
 * A year of a real plant's output in steps of 15 minutes (2015, GPL-3.0-or-later, read in place).
 *
 * The publisher heads the column "E/Cap ratio (kWh/kW)", energy of the step over rated power. Read
 * that way the year sums to 4 823 full-load hours, a capacity factor of 55 %, which no plant on earth
 * reaches without tracking the sun through the night; and single steps hold 0.9998 kWh per kW, four
 * times what 15 minutes at full power can give. Read as mean power over rated power, the same year
 * has 1 206 full-load hours, an ordinary temperate site. So the column is mean power.
 */
export async function readSolarYear(): Promise<SolarStep[]> {
  const file = await fetchArchive(archive)
  return parseSolarYear(
    new TextDecoder().decode(readFromArchive(file, 'package/dist/js/config/data.csv')),
  )
}

export function parseSolarYear(text: string): SolarStep[] {
  const [, ...lines] = text.trim().split(/\r?\n/)
  return lines.map((line, index) => {
    const match =
      /^(\d{2})\.(\d{2})\.(\d{4}) (\d{2}):(\d{2}),(\d)(?:\.(\d{1,6}))?,/.exec(line) ?? undefined
    if (match === undefined) {
      throw new MalformedRecordingError(`Line ${index + 2} is not a step of the recording.`, {
        field: `data.csv:${index + 2}`,
        remedy: 'The archive is locked by its digest: this is a mistake in the reader.',
      })
    }
    const [, day, month, year, hour, minute, whole, fraction = ''] = match
    return {
      startMs: Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute)),
      // Decimal text to millionths without a float in between.
      meanPowerPpm: Number(whole) * 1_000_000 + Number(fraction.padEnd(6, '0')),
    }
  })
}
