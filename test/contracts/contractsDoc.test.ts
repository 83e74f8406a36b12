import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { roles } from '#contracts/deploy/roles.ts'
import { root } from '#tools/paths.ts'

type Solc = {
  compile(
    input: string,
    callbacks: { import: (path: string) => { contents: string } | { error: string } },
  ): string
}
type Output = {
  readonly errors?: readonly { readonly severity: string; readonly formattedMessage: string }[]
  readonly contracts?: Record<string, Record<string, { evm: { bytecode: { object: string } } }>>
}

const read = (path: string) => readFileSync(join(root, path), 'utf8')
const page = read('docs/contracts.md')
const snippets = [...page.matchAll(/```solidity\n([\s\S]*?)```/g)].map(([, text = '']) => {
  const name = /^contract (\w+)/m.exec(text)?.[1] ?? 'nameless'
  return { name, text }
})

/** As an integrator's remappings would resolve it. */
function resolveImport(path: string): { contents: string } | { error: string } {
  const file = path
    .replace(/^plumbline\//, '')
    .replace(/^@openzeppelin\//, 'node_modules/@openzeppelin/')
  return existsSync(join(root, file)) ? { contents: read(file) } : { error: `no ${path}` }
}

describe('docs/contracts.md', () => {
  it('shows four complete contracts, and each compiles exactly as it stands', () => {
    expect(snippets.map(({ name }) => name)).toEqual([
      'Bonus',
      'FrostCover',
      'EnergyCertificates',
      'PayPerUse',
    ])
    const solc = createRequire(import.meta.url)('solc') as Solc
    const output = JSON.parse(
      solc.compile(
        JSON.stringify({
          language: 'Solidity',
          sources: Object.fromEntries(
            snippets.map(({ name, text }) => [`${name}.sol`, { content: text }]),
          ),
          settings: {
            evmVersion: 'osaka',
            outputSelection: { '*': { '*': ['evm.bytecode.object'] } },
          },
        }),
        { import: resolveImport },
      ),
    ) as Output
    const broken = (output.errors ?? []).filter(({ severity }) => severity === 'error')
    expect(broken.map(({ formattedMessage }) => formattedMessage)).toEqual([])
    for (const { name } of snippets) {
      const bytecode = output.contracts?.[`${name}.sol`]?.[name]?.evm.bytecode.object ?? ''
      expect(bytecode.length, name).toBeGreaterThan(1_000)
    }
  }, 120_000)

  it.each(snippets)('shows $name as the Solidity tests run it', ({ name, text }) => {
    expect(text).toBe(read(`test/contracts/integrators/${name}.sol`))
  })

  it('shows a consumer whose own statements are eight lines or fewer', () => {
    const bonus = snippets.find(({ name }) => name === 'Bonus')?.text ?? ''
    const statements = bonus.split('\n').filter((line) => /^ {4,}.*;/.test(line))
    expect(statements.filter((line) => !/^ {4}[A-Z]/.test(line)).length).toBeLessThanOrEqual(8)
  })

  it('quotes the gas that the snapshot keeps', () => {
    const { gas } = JSON.parse(read('contracts/gas.json')) as { gas: Record<string, number> }
    const rows = [...page.matchAll(/^\| (.+?) +\| ([\d,]+) +\|$/gm)]
    expect(rows.length).toBeGreaterThan(12)
    expect(Object.fromEntries(rows.map(([, name = '', figure]) => [name, figure]))).toEqual(
      Object.fromEntries(
        rows.map(([, name = '']) => [name, gas[name]?.toLocaleString('en-US') ?? 'not measured']),
      ),
    )
  })

  it('names the roles that there are', () => {
    const section = /## Roles\n([\s\S]*?)\n## /.exec(page)?.[1] ?? ''
    const named = [...section.matchAll(/^\| ([a-z]+) +\|/gm)].map(([, name = '']) => name)
    expect(named.filter((name) => name !== 'role')).toEqual(Object.keys(roles))
  })

  it.each(['contracts.md'])('links files that exist in %s', (name) => {
    const missing = [...read(`docs/${name}`).matchAll(/\]\(([^)#]+)\)/g)]
      .map(([, path = '']) => path)
      .filter((path) => !existsSync(join(root, 'docs', path)))
    expect(missing).toEqual([])
  })
})
