import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { root } from '#tools/paths.ts'
import { type DifferentialResult, mutationKinds, runDifferential } from './differential.ts'
import { tolerances } from './tolerances.ts'

const roundsPerKind = 5

describe('the contracts and the TypeScript verifier', () => {
  let result: DifferentialResult

  beforeAll(async () => {
    result = await runDifferential(roundsPerKind, 20_261_124)
  })

  it('give the same verdict for the same reason on whatever is mutated', () => {
    expect(result.disagreements).toEqual([])
    expect(result.rounds).toBe(roundsPerKind * mutationKinds.length)
  })

  it('are not in agreement by refusing everything, nor for want of variety', () => {
    const answers = [...result.answers.keys()].map((answer) => answer.split(': ').at(-1))
    expect(answers).toContain('accepted')
    expect(new Set(answers).size).toBeGreaterThan(15)
  })

  it.each(tolerances)('$id, a difference that is meant, stands in the docs', ({ id, why }) => {
    const page = readFileSync(join(root, 'docs', 'onchain-attestation.md'), 'utf8')
    expect(page.replaceAll(/\s+/g, ' ')).toContain(`\`${id}\` | ${why}`)
  })
})
