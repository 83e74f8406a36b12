import { BaseError } from '#schemas/errors.ts'
import type { Log } from './ports.ts'

/** One JSON object per line on standard output. */
export const programLog: Log = (level, event, fields = {}) => {
  const line = { time: new Date().toISOString(), level, event, ...fields }
  const text = JSON.stringify(line, (_, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  )
  process.stdout.write(`${text}\n`)
}

/** What a line says of an error: of ours name, field and remedy. */
export function explain(error: unknown): Record<string, unknown> {
  if (!(error instanceof BaseError)) return { error: String(error) }
  return { error: error.name, message: error.message, field: error.field, remedy: error.remedy }
}
