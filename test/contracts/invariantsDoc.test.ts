import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '#tools/paths.ts'

const page = readFileSync(join(root, 'docs', 'invariants.md'), 'utf8')
const rows = [...page.matchAll(/^\| (\d+) +\| (.+?) +\| (.+?) +\| (.+?) +\|$/gm)].map(
  ([, number = '', claim = '', code = '', test = '']) => ({ number, claim, code, test }),
)

const linked = (cell: string) =>
  [...cell.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map(([, path = '']) => path)
const named = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)

/** Names of a cell that none of the files linked in it has. */
function unknownNames(cell: string): string[] {
  const text = linked(cell)
    .map((path) => readFileSync(join(root, path), 'utf8'))
    .join('\n')
  return named(cell).filter((name) => !new RegExp(`\\b${name}\\b`).test(text))
}

describe('docs/invariants.md', () => {
  it('numbers its invariants without a gap', () => {
    expect(rows.map(({ number }) => Number(number))).toEqual(rows.map((_, index) => index + 1))
    expect(rows.length).toBeGreaterThan(30)
  })

  it.each(rows)('$number: $claim', ({ code, test }) => {
    expect(
      [...linked(code), ...linked(test)].filter((path) => !existsSync(join(root, path))),
    ).toEqual([])
    expect(linked(code).every((path) => path.startsWith('contracts/'))).toBe(true)
    expect(linked(test).every((path) => path.startsWith('test/contracts/'))).toBe(true)
    expect(linked(code).length).toBeGreaterThan(0)
    expect(named(test).length).toBeGreaterThan(0)
    expect([...unknownNames(code), ...unknownNames(test)]).toEqual([])
  })

  it('names every stateful invariant that there is', () => {
    const files = [
      'RegistryInvariants.t.sol',
      'settlement/CarbonInvariants.t.sol',
      'settlement/CoverInvariants.t.sol',
      'settlement/EscrowInvariants.t.sol',
    ]
    const existing = files.flatMap((file) =>
      [
        ...readFileSync(join(root, 'test/contracts', file), 'utf8').matchAll(
          /function (invariant_\w+)/g,
        ),
      ].map(([, name = '']) => name),
    )
    expect(existing.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
  })
})
