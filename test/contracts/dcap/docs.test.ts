import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '#tools/paths.ts'

const page = readFileSync(join(root, 'docs', 'onchain-attestation.md'), 'utf8')
const snapshot = JSON.parse(readFileSync(join(root, 'contracts', 'gas.json'), 'utf8')) as Record<
  'attestation' | 'attestationWithoutPrecompile',
  Record<string, number>
>

describe('docs/onchain-attestation.md', () => {
  const rows = [...page.matchAll(/^\| `([^`]+)` +\| +([\d,]+) +\| +([\d,]+) +\|/gm)].map(
    ([, name = '', withIt = '', without = '']) => [name, withIt, without] as const,
  )

  it('has a table of gas', () => {
    expect(rows.length).toBeGreaterThan(15)
  })

  it.each(rows)('%s costs what the snapshot says', (name, withPrecompile, without) => {
    expect([withPrecompile, without]).toEqual([
      snapshot.attestation[name]?.toLocaleString('en-US'),
      snapshot.attestationWithoutPrecompile[name]?.toLocaleString('en-US'),
    ])
  })
})
