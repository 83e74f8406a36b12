/**
 * The three ways in which a policy writes a number. Each quantity has exactly one spelling, so that
 * two documents that mean the same number are the same bytes; the patterns below are the definition.
 */

/** A decimal with at most six places: `5`, `-0.5`, `1000`. No exponent, no trailing zero, no `+`. */
export const decimalPattern =
  /^(?:0|-?(?:[1-9][0-9]{0,9}(?:\.[0-9]{0,5}[1-9])?|0\.[0-9]{0,5}[1-9]))$/

/** A positive length of time, largest unit first: `45m`, `1h30m`, `2d`, `250ms`. Never `90m`. */
export const durationPattern =
  /^(?=[0-9])(?:[1-9][0-9]{0,3}d)?(?:(?:[1-9]|1[0-9]|2[0-3])h)?(?:(?:[1-9]|[1-5][0-9])m)?(?:(?:[1-9]|[1-5][0-9])s)?(?:[1-9][0-9]{0,2}ms)?$/

/** A share from `0%` to `100%` with at most four places. */
export const percentPattern = /^(?:100|(?:0|[1-9][0-9]?)(?:\.[0-9]{0,3}[1-9])?)%$/

const unitMs = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const

/** Decimal digits to an integer of 10^-`places`; the pattern has been checked. */
function scaled(text: string, places: number): number {
  const [whole = '0', fraction = ''] = text.split('.')
  const digits = Number(whole.replace('-', '') + fraction.padEnd(places, '0'))
  return text.startsWith('-') && digits !== 0 ? -digits : digits
}

/**
 * Millionths, or `undefined` when the text is not the one spelling of a decimal that a reading could
 * have (at most 2^53 - 1 millionths).
 */
export function parseDecimal(text: string): number | undefined {
  if (!decimalPattern.test(text)) return undefined
  const micro = scaled(text, 6)
  return Number.isSafeInteger(micro) ? micro : undefined
}

/** Milliseconds, or `undefined` when the text is not the one spelling of a duration. */
export function parseDuration(text: string): number | undefined {
  if (!durationPattern.test(text)) return undefined
  let totalMs = 0
  for (const [, count, unit] of text.matchAll(/([0-9]+)(ms|d|h|m|s)/g)) {
    totalMs += Number(count) * unitMs[unit as keyof typeof unitMs]
  }
  return totalMs
}

/** Parts per million, or `undefined` when the text is not the one spelling of a percentage. */
export function parsePercent(text: string): number | undefined {
  if (!percentPattern.test(text)) return undefined
  return scaled(text.slice(0, -1), 4)
}

/** The one spelling of a decimal. */
export function formatDecimal(micro: bigint): string {
  const magnitude = micro < 0n ? -micro : micro
  const fraction = (magnitude % 1_000_000n).toString().padStart(6, '0').replace(/0+$/, '')
  const sign = micro < 0n ? '-' : ''
  return `${sign}${magnitude / 1_000_000n}${fraction === '' ? '' : `.${fraction}`}`
}

/** The one spelling of a duration; `0s` for none. */
export function formatDuration(totalMs: number): string {
  let rest = totalMs
  let text = ''
  for (const [unit, size] of Object.entries(unitMs)) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) text += `${count}${unit}`
  }
  return text === '' ? '0s' : text
}

/** The one spelling of a percentage. */
export function formatPercent(ppm: number): string {
  const fraction = (ppm % 10_000).toString().padStart(4, '0').replace(/0+$/, '')
  return `${Math.floor(ppm / 10_000)}${fraction === '' ? '' : `.${fraction}`}%`
}
