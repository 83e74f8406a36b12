import type { Reading } from '../reading.ts'
import { trustTiers } from '../trustTier.ts'
import { AdapterRefusedError } from './adapterError.ts'
import type { AdaptedReadings, AdapterContext } from './formatAdapter.ts'
import { makeReading } from './jsonReadings.ts'

const csvHeader = 'series,ts_ms,value,unit'
/** Most rows of one file. */
const maxRows = 10_000_000

/**
 * Reads `series,ts_ms,value,unit` rows in the order in which they arrived; an empty value is a slot
 * that was left empty. Nobody signed it: tier `replay`, good for backtests, settles nothing.
 *
 * No quoting: neither names nor numbers nor units can hold a comma. Fault codes such as `###` or
 * `NaN` are refused, never read as numbers.
 *
 * @throws {@link AdapterRefusedError} naming the line
 */
export function readCsv(text: string, { device }: AdapterContext): AdaptedReadings {
  const tier = trustTiers.replay
  const readings: Reading[] = []
  let line = 0
  for (const row of rowsOf(text)) {
    line += 1
    if (line === 1) {
      if (row !== csvHeader) throw refusal(line, `the header ${csvHeader}`)
      continue
    }
    if (row === '') continue
    if (readings.length >= maxRows) throw refusal(line, `at most ${maxRows} rows`)
    const cells = row.split(',')
    const [series = '', time = '', value = '', unit = ''] = cells
    if (cells.length !== 4) throw refusal(line, 'four cells')
    readings.push(
      makeReading({
        device,
        tier,
        field: `line ${line}`,
        series,
        unit,
        time,
        value: value === '' ? null : value,
      }),
    )
  }
  if (line === 0) throw refusal(1, `the header ${csvHeader}`)
  return { tier, readings }
}

/** The lines of a text, ended by LF or CRLF; what follows the last end is a line unless empty. */
function* rowsOf(text: string): Generator<string> {
  let start = 0
  while (start < text.length) {
    const found = text.indexOf('\n', start)
    const end = found < 0 ? text.length : found
    yield text.slice(start, text.charAt(end - 1) === '\r' && end > start ? end - 1 : end)
    start = end + 1
  }
}

function refusal(line: number, expected: string): AdapterRefusedError {
  return new AdapterRefusedError('The CSV is refused.', {
    rule: 'shape',
    field: `line ${line}`,
    metaMessages: [`Expected: ${expected}`],
  })
}
