import { printable } from './printable.ts'

/** Prints what is known of something: a line for each fact, or JSON with integers beyond 2^53 as text. */
export function printFacts(facts: object, isJson: boolean | undefined): void {
  const entries = Object.entries(facts).filter(([, value]) => value !== undefined)
  const text =
    isJson === true
      ? JSON.stringify(
          Object.fromEntries(entries),
          (_, item: unknown) => (typeof item === 'bigint' ? `${item}` : item),
          2,
        )
      : entries.map(([name, value]) => printable(`${name.padEnd(14)} ${value}`)).join('\n')
  process.stdout.write(`${text}\n`)
}
