import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '#tools/paths.ts'
import { disagreements } from './disagreements.ts'
import { fuzz } from './quoteDifferential.ts'

describe('the differential fuzzer', () => {
  it('explains every disagreement with the published verifiers on its first cases', () => {
    const report = fuzz(20_261_124, 40_000, 150)
    expect(report.unexplained).toEqual([])
    expect(report.acceptedAlike).toBeGreaterThan(0)
  })

  it('walks the same cases from the same seed', () => {
    const { cases, disagreements: met, codes } = fuzz(5, 40_000, 20)
    expect(fuzz(5, 40_000, 20)).toMatchObject({ cases, disagreements: met, codes })
  })

  it.each(disagreements)('$id stands in the table of the docs', ({ id }) => {
    const page = readFileSync(join(root, 'docs', 'quote-verifier.md'), 'utf8')
    expect(page.split('\n').some((line) => line.startsWith(`| \`${id}\` `))).toBe(true)
  })
})
