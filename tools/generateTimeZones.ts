import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Writes `attestation-schemas/policy/timeZones.json` from the time-zone data of the Node that runs
 * this. A policy names the table it was written against, so a newer table is added beside an older
 * one when a zone's rules change, and never replaces it under the same version.
 *
 *     node tools/generateTimeZones.ts
 */
const regions = {
  Africa: 'Cairo Casablanca Johannesburg Lagos Nairobi',
  America:
    'Bogota Chicago Denver Halifax Lima Los_Angeles Mexico_City New_York Phoenix Santiago Sao_Paulo Toronto Vancouver',
  Asia: 'Bangkok Dubai Hong_Kong Jakarta Kolkata Manila Riyadh Seoul Shanghai Singapore Taipei Tokyo',
  Australia: 'Adelaide Brisbane Lord_Howe Perth Sydney',
  Europe:
    'Amsterdam Athens Berlin Brussels Bucharest Budapest Copenhagen Dublin Helsinki Istanbul Kyiv Lisbon London Madrid Oslo Paris Prague Rome Stockholm Vienna Warsaw Zurich',
  Pacific: 'Auckland',
}
const zones = Object.entries(regions).flatMap(([region, cities]) =>
  cities.split(' ').map((city) => `${region}/${city}`),
)
zones.push('UTC')

const fromYear = 2010
const toYear = 2041
const minuteMs = 60_000
const dayMs = 86_400_000

function createOffsetOf(zone: string): (instantMs: number) => number {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' })
  return (instantMs) => {
    const text = format.formatToParts(instantMs).find(({ type }) => type === 'timeZoneName')?.value
    const match = /^GMT(?:([+-])(\d\d):(\d\d))?$/.exec(text ?? '')
    if (match === null) throw new Error(`${zone} has an offset that is not whole minutes: ${text}`)
    const minutes = Number(match[2] ?? 0) * 60 + Number(match[3] ?? 0)
    return match[1] === '-' ? -minutes : minutes
  }
}

function describe(zone: string): string {
  const offsetOf = createOffsetOf(zone)
  const endMs = Date.UTC(toYear, 0, 1)
  let atMs = Date.UTC(fromYear, 0, 1)
  let offset = offsetOf(atMs)
  const words = [String(offset)]
  while (atMs < endMs) {
    const nextMs = atMs + dayMs
    if (offsetOf(nextMs) !== offset) {
      let [before, after] = [atMs, nextMs]
      while (after - before > minuteMs) {
        const middle = before + Math.floor((after - before) / minuteMs / 2) * minuteMs
        if (offsetOf(middle) === offset) before = middle
        else after = middle
      }
      offset = offsetOf(after)
      words.push(`${new Date(after).toISOString().slice(0, 16)}Z=${offset}`)
    }
    atMs = nextMs
  }
  return words.join(' ')
}

const version = process.versions['tz']
if (version === undefined) throw new Error('This Node does not say which time-zone data it has.')
const table = {
  generatedBy: 'node tools/generateTimeZones.ts',
  version,
  from: `${fromYear}-01-01T00:00Z`,
  to: `${toYear}-01-01T00:00Z`,
  zones: Object.fromEntries(zones.sort().map((zone) => [zone, describe(zone)])),
}
writeFileSync(
  join(import.meta.dirname, '..', 'attestation-schemas', 'policy', 'timeZones.json'),
  `${JSON.stringify(table, undefined, 2)}\n`,
)
