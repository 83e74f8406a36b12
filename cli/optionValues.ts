import { InvalidArgumentError } from 'commander'
import { type Hex, fromHex, toHex } from '#schemas/bytes.ts'
import { parseInstant } from '#schemas/policy/civilTime.ts'

/** Parsers of what several commands take; what is wrong is said before anything is asked or signed. */

export function addressOption(text: string): Hex {
  if (/^0x[\dA-Fa-f]{40}$/.test(text)) return text.toLowerCase() as Hex
  throw new InvalidArgumentError('It must be an address: 0x and 40 hex digits.')
}

/** A device's id. */
export function deviceOption(text: string): Hex {
  try {
    return toHex(fromHex(text, 'device', 32))
  } catch {
    throw new InvalidArgumentError('Give 32 bytes as 0x and 64 hex digits.')
  }
}

/** An instant as people write one, in Unix milliseconds. */
export function instantOption(text: string): number {
  const value = parseInstant(text)
  if (value !== undefined) return value
  throw new InvalidArgumentError('Give an instant, as 2026-11-24T00:00:00Z.')
}

/** Address of a worker. */
export function workerOption(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return text
  throw new InvalidArgumentError('Give its address, as https://worker.example.')
}

/** Parser of something that may be given several times. */
export function severally<Value>(
  read: (text: string) => Value,
): (text: string, before?: readonly Value[]) => readonly Value[] {
  return (text, before = []) => [...before, read(text)]
}
