/**
 * Seconds since 1970-01-01T00:00:00Z of a UTC civil time, without a calendar library: the verifier
 * may not read a clock, and the platform's date parser accepts far more than the formats allow.
 *
 * @returns `undefined` when the fields do not name an existing second (leap seconds included).
 */
export function unixSecondsOf(
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
): number | undefined {
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  const monthLengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
  const length = monthLengths[month - 1]
  if (length === undefined || day < 1 || day > length) return undefined
  if (hour > 23 || minute > 59 || second > 59) return undefined
  // Days from civil, with the year beginning in March so that the leap day comes last.
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const yearOfEra = shifted - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra =
    yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  // 719468 = days from 0000-03-01 to 1970-01-01
  const days = era * 146_097 + dayOfEra - 719_468
  return days * 86_400 + hour * 3600 + minute * 60 + second
}

const isoPattern = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})Z$/

/** `YYYY-MM-DDTHH:MM:SSZ` and nothing else; `undefined` when it is not one. */
export function parseIsoTime(text: string): number | undefined {
  const match = isoPattern.exec(text)
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number)
  return unixSecondsOf(year ?? 0, month ?? 0, day ?? 0, hour ?? 0, minute ?? 0, second ?? 0)
}

/** The inverse of {@link parseIsoTime} for whole seconds from 1970 to 9999. */
export function formatIsoTime(unixSeconds: number): string {
  const days = Math.floor(unixSeconds / 86_400)
  const rest = unixSeconds - days * 86_400
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  const two = (value: number) => String(value).padStart(2, '0')
  const date = `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`
  const hour = Math.floor(rest / 3600)
  return `${date}T${two(hour)}:${two(Math.floor(rest / 60) % 60)}:${two(rest % 60)}Z`
}
