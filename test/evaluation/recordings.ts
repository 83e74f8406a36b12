import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { parseInstant } from '#schemas/policy/civilTime.ts'
import type { Reading } from '#schemas/reading.ts'
import { device } from './arbitraries.ts'

/** Lines of a text file, unpacked when its name says so. */
export function linesOf(path: string): string[] {
  const bytes = readFileSync(path)
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8')
  return text.split('\n').filter((line) => line !== '')
}

/** `2021-06-24 16:45:00` on a clock without rules, as if it were UTC. */
export function plainInstant(text: string): number {
  const instant = parseInstant(`${text.replace(' ', 'T')}Z`)
  if (instant === undefined) throw new Error(`Not an instant: ${text}`)
  return instant
}

/**
 * A decimal text to millionths without passing through a float; `null` for what is not a number. What
 * is finer than a millionth is dropped.
 */
export function micro(text: string): number | null {
  const match = /^(-?)([0-9]+)(?:\.([0-9]*))?$/.exec(text)
  if (match === null) return null
  const [, sign, whole = '0', fraction = ''] = match
  const digits = Number(whole + fraction.slice(0, 6).padEnd(6, '0'))
  return sign === '-' ? 0 - digits : digits
}

export function recorded(
  series: string,
  unit: string,
  rows: readonly { timeMs: number; valueMicro: number | null }[],
): Reading[] {
  return rows.map(({ timeMs, valueMicro }) => ({
    device,
    series,
    unit,
    timeMs,
    valueMicro,
    tier: 4,
  }))
}
