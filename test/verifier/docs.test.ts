import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { negativeNames } from '#localnet/tdx/negatives.ts'
import { root } from '#tools/paths.ts'
import { refusalCodes, refusalRules } from '#verifier/appraisal/rules.ts'

const read = (name: string) => readFileSync(join(root, 'docs', name), 'utf8')

describe('docs/quote-verifier.md', () => {
  it('lists every rule with its id, in the order of evaluation', () => {
    const rows = [
      ...read('quote-verifier.md').matchAll(/^\| (\d+) +\| `(\w+)` +\| .* \| (yes|no) +\|$/gm),
    ]
    expect(rows.map(([, id, code, onChain]) => [Number(id), code, onChain])).toEqual(
      refusalCodes.map((code) => [
        refusalRules[code].id,
        code,
        refusalRules[code].where === 'both' ? 'yes' : 'no',
      ]),
    )
  })
})

describe('docs/threats.md', () => {
  const text = read('threats.md')

  it('answers all 24 threats', () => {
    const rows = [...text.matchAll(/^\| (\d+) +\|/gm)].map(([, number]) => Number(number))
    expect(rows).toEqual(Array.from({ length: 24 }, (_, index) => index + 1))
  })

  it('links files that exist', () => {
    const missing = [...text.matchAll(/\]\(([^)#]+)\)/g)]
      .map(([, path = '']) => path)
      .filter((path) => !existsSync(join(root, 'docs', path)))
    expect(missing).toEqual([])
  })

  it('names codes and lies that exist', () => {
    const words = [...text.matchAll(/`([A-Za-z]+)…?`/g)].map(([, word = '']) => word)
    const known = (word: string) =>
      refusalCodes.some((code) => code.startsWith(word)) ||
      negativeNames.some((name) => name.startsWith(word))
    const stages = /^(EnclaveRegistry|DcapQuoteVerifier|ProofRegistry|CollateralStore|Ti)/
    const others = ['lies', 'statement', 'possession', 'quoteId', 'bootKeys']
    const unknown = words.filter(
      (word) => !known(word) && !stages.test(word) && !others.includes(word),
    )
    expect(unknown).toEqual([])
  })
})
