/** Calendar arithmetic without a clock: the proleptic Gregorian calendar, Unix milliseconds. */

export const dayMs = 86_400_000

/** A day of the calendar; months count from 1. */
export type CivilDay = { readonly year: number; readonly month: number; readonly day: number }

/** Days from 1970-01-01, for years 0 to 9999; `month` may run over at either end. */
export function daysFromCivil({ year, month, day }: CivilDay): number {
  const months = year * 12 + month - 1
  const normalYear = Math.floor(months / 12)
  const normalMonth = months - normalYear * 12 + 1
  // Years are counted from March, so that the leap day is the last of its year.
  const marchYear = normalMonth > 2 ? normalYear : normalYear - 1
  const marchMonth = normalMonth > 2 ? normalMonth - 3 : normalMonth + 9
  const dayOfYear = Math.floor((153 * marchMonth + 2) / 5) + day - 1
  const leapDays =
    Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400)
  // 719 468 days lie between 0000-03-01 and 1970-01-01.
  return marchYear * 365 + leapDays + dayOfYear - 719_468
}

/** The inverse of {@link daysFromCivil}. */
export function civilFromDays(days: number): CivilDay {
  const shifted = days + 719_468
  // 146 097 days make 400 years, 36 524 a century without its leap day, 1 460 four years.
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1_460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
  return {
    year: era * 400 + yearOfEra + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1,
  }
}

/** `2026-03-29T01:00Z` or with seconds and milliseconds, strictly; `undefined` for anything else. */
export function parseInstant(text: string): number | undefined {
  const match =
    /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{3}))?)?Z$/.exec(
      text,
    )
  if (match === null) return undefined
  const [year, month, day, hour, minute, second, millisecond] = match
    .slice(1)
    .map((part) => Number(part ?? 0)) as [number, number, number, number, number, number, number]
  if (hour > 23 || minute > 59 || second > 59) return undefined
  const days = daysFromCivil({ year, month, day })
  const back = civilFromDays(days)
  if (back.year !== year || back.month !== month || back.day !== day) return undefined
  return days * dayMs + hour * 3_600_000 + minute * 60_000 + second * 1_000 + millisecond
}

/** `2026-03-29T01:00:00.000Z`. */
export function formatInstant(instantMs: number): string {
  const days = Math.floor(instantMs / dayMs)
  const { year, month, day } = civilFromDays(days)
  const ofDay = instantMs - days * dayMs
  const pad = (value: number, width: number): string => String(value).padStart(width, '0')
  const hour = Math.floor(ofDay / 3_600_000)
  const minute = Math.floor(ofDay / 60_000) % 60
  const second = Math.floor(ofDay / 1_000) % 60
  return (
    `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}` +
    `T${pad(hour, 2)}:${pad(minute, 2)}:${pad(second, 2)}.${pad(ofDay % 1_000, 3)}Z`
  )
}
