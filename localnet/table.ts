import { formatDecimal } from '#schemas/policy/quantities.ts'

/** Rows as aligned text: a heading, a rule, the rows; numbers to the right. */
export function formatTable(
  columns: readonly { readonly title: string; readonly isNumber?: boolean }[],
  rows: readonly (readonly string[])[],
): string {
  const widths = columns.map(({ title }, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0
        return columns[column]?.isNumber ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('  ')
      .trimEnd()
  return [
    line(columns.map(({ title }) => title)),
    widths.map((width) => '─'.repeat(width)).join('  '),
    ...rows.map(line),
  ].join('\n')
}

/** Thousands set apart by a thin space, so that gas and money can be read. */
export function groupDigits(value: bigint | number): string {
  return value.toString().replace(/\B(?=(\d{3})+(?!\d))/g, ' ')
}

/** An integer of millionths as decimal text, thousands set apart. */
export function microText(valueMicro: bigint): string {
  const [whole = '', fraction] = formatDecimal(valueMicro).split('.')
  return fraction === undefined
    ? groupDigits(BigInt(whole))
    : `${groupDigits(BigInt(whole))}.${fraction}`
}
