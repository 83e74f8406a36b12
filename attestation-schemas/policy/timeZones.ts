import { BaseError } from '../errors.ts'
import { type CivilDay, dayMs, daysFromCivil, civilFromDays, parseInstant } from './civilTime.ts'
import table from './timeZones.json' with { type: 'json' }

/**
 * Wall clocks of the world, as data that travels with the code. The time-zone data inside a runtime
 * changes with its build; a verdict must not. A policy therefore names the table it was written
 * against, and another table is refused by name.
 */

/** Raised when a policy needs a time-zone table, a zone or a year that is not shipped here. */
export class TimeZoneError extends BaseError {
  override readonly name = 'TimeZoneError'
}

/** The version of the IANA data that the shipped table was taken from. */
export const timeZoneTable = table.version

/** The zones in the shipped table. */
export const timeZones: readonly string[] = Object.keys(table.zones)

/** From `fromMs` on, wall clocks are `offsetMs` ahead of UTC. */
export type Offset = { readonly fromMs: number; readonly offsetMs: number }

const tableFromMs = parseInstant(table.from) ?? 0
const tableToMs = parseInstant(table.to) ?? 0
const read = new Map<string, readonly Offset[]>()

/**
 * All offsets of a zone in ascending order, from the first instant of the table on.
 *
 * @throws {@link TimeZoneError}
 */
export function zoneOffsets(zone: string, version: string): readonly Offset[] {
  if (version !== table.version) {
    throw new TimeZoneError(`Time-zone table ${version} is not shipped here.`, {
      field: 'timeZoneTable',
      metaMessages: [`Shipped: ${table.version}`],
      remedy: 'Use the release that ships this table; another one may draw days differently.',
    })
  }
  const known = read.get(zone)
  if (known !== undefined) return known
  const line = (table.zones as Readonly<Record<string, string>>)[zone]
  if (line === undefined || !Object.hasOwn(table.zones, zone)) {
    throw new TimeZoneError(`Zone ${zone} is not in time-zone table ${version}.`, {
      field: 'zone',
      metaMessages: [`Zones: ${timeZones.join(', ')}`],
    })
  }
  const offsets = line.split(' ').map((word, index) => {
    const [instant, minutes] = index === 0 ? [table.from, word] : word.split('=')
    return { fromMs: parseInstant(instant ?? '') ?? 0, offsetMs: Number(minutes) * 60_000 }
  })
  read.set(zone, offsets)
  return offsets
}

function assertInTable(instantMs: number): void {
  // A day of margin, so that wall clocks at both ends are known too.
  if (instantMs < tableFromMs + dayMs || instantMs > tableToMs - dayMs) {
    throw new TimeZoneError('The time-zone table does not reach that far.', {
      field: 'period',
      metaMessages: [`From: ${table.from}`, `To: ${table.to}`],
    })
  }
}

/** How far wall clocks are ahead of UTC at an instant. */
export function offsetAt(offsets: readonly Offset[], instantMs: number): number {
  assertInTable(instantMs)
  let current = 0
  for (const { fromMs, offsetMs } of offsets) {
    if (fromMs > instantMs) break
    current = offsetMs
  }
  return current
}

/**
 * The first instant of a day on the wall clocks of a zone. Where clocks skip midnight, the day begins
 * with the first instant that they do show; where midnight comes twice, with the first of the two.
 */
export function startOfDay(offsets: readonly Offset[], day: CivilDay): number {
  const wallMs = daysFromCivil(day) * dayMs
  assertInTable(wallMs)
  let previousOffsetMs: number | undefined
  for (const [index, { fromMs, offsetMs }] of offsets.entries()) {
    const untilMs = offsets[index + 1]?.fromMs ?? tableToMs
    const instantMs = wallMs - offsetMs
    // Clocks jumped over midnight at `fromMs`: before it they were behind, after it they are past.
    const isSkipped =
      previousOffsetMs !== undefined && wallMs - previousOffsetMs >= fromMs && instantMs < fromMs
    if (isSkipped) return fromMs
    if (instantMs >= fromMs && instantMs < untilMs) return instantMs
    previousOffsetMs = offsetMs
  }
  throw new TimeZoneError('The time-zone table does not reach that far.', { field: 'period' })
}

/** The day that wall clocks of a zone show at an instant. */
export function dayAt(offsets: readonly Offset[], instantMs: number): CivilDay {
  return civilFromDays(Math.floor((instantMs + offsetAt(offsets, instantMs)) / dayMs))
}
