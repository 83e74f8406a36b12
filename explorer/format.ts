import type { Hex } from '#schemas/bytes.ts'
import { formatDecimal } from '#schemas/policy/quantities.ts'
import { type VerdictName, verdicts } from '#schemas/report.ts'
import { type TrustTier, trustTiers } from '#schemas/trustTier.ts'

/** Narrow no-break space between groups of three digits. */
const groupMark = '\u202f'

export function groupDigits(text: string): string {
  const [whole = '', fraction] = text.split('.')
  const grouped = whole.replaceAll(/\B(?=(\d{3})+(?!\d))/g, groupMark)
  return fraction === undefined ? grouped : `${grouped}.${fraction}`
}

/** Millionths as a decimal with grouped digits. */
export function microText(micro: bigint): string {
  return groupDigits(formatDecimal(micro))
}

/** A whole amount of the smallest part as a decimal. */
export function amountText(amount: bigint, decimals: number): string {
  const digits = amount.toString().padStart(decimals + 1, '0')
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, '')
  const whole = groupDigits(digits.slice(0, digits.length - decimals))
  return fraction === '' ? whole : `${whole}.${fraction}`
}

/** Units as people write them. */
export function unitWords(unit: string): string {
  return unit === 'Cel' ? '°C' : unit === 'kgCO2e' ? 'kg CO₂e' : unit === 'tCO2e' ? 't CO₂e' : unit
}

export function shortHex(hex: Hex): string {
  return hex.length <= 14 ? hex : `${hex.slice(0, 8)}…${hex.slice(-6)}`
}

export function verdictName(verdict: number): VerdictName {
  const found = Object.entries(verdicts).find(([, code]) => code === verdict)
  return (found?.[0] ?? 'INCONCLUSIVE') as VerdictName
}

export function tierWords(tier: TrustTier): string {
  return Object.entries(trustTiers).find(([, code]) => code === tier)?.[0] ?? ''
}

/** UTC to the minute, or to the second when it has seconds. */
export function instantText(ms: number): string {
  const text = new Date(ms).toISOString().replace('T', ' ')
  return text.slice(17, 19) === '00' ? text.slice(0, 16) : text.slice(0, 19)
}

export function periodText(startMs: number, endMs: number): string {
  return `${instantText(startMs)} to ${instantText(endMs)} UTC`
}

export function spanText(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} days`
}

/** A share in parts per million, as a percentage that never rounds up to whole. */
export function ppmText(ppm: number): string {
  return `${(Math.floor(ppm / 100) / 100).toString()} %`
}

const prefixes = [
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const
const scalable = new Set(['W', 'Wh', 'V', 'A', 'J', 'g', 'Hz'])

/** The prefix under which the largest of some values reads best. */
export function scaleFor(largest: number, unit: string): { factor: number; unit: string } {
  if (scalable.has(unit)) {
    for (const [factor, prefix] of prefixes) {
      if (Math.abs(largest) >= factor) return { factor, unit: `${prefix}${unit}` }
    }
  }
  return { factor: 1, unit: unitWords(unit) }
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${groupDigits(String(number))} ${number === 1 ? one : many}`
}
