import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { registerCommands } from '#cli/commands.ts'
import { root } from '#tools/paths.ts'

const text = readFileSync(join(root, 'docs/deploy-worker.md'), 'utf8')
const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) =>
  block.replaceAll(/\\\n\s*/g, ''),
)
const lines = blocks
  .flatMap((block) => block.split('\n'))
  .flatMap((line) => line.split(' && '))
  .filter((line) => line.startsWith('plumbline '))

describe('docs/deploy-worker.md', () => {
  it('is checked here in all its lines', () => {
    expect(lines.length).toBeGreaterThanOrEqual(6)
  })

  it.each(lines)('%s: every option exists, none that is mandatory is left out', async (line) => {
    const words = line
      .replaceAll(/"[^"]*"/g, 'x')
      .split(/\s+/)
      .slice(1)
    const program = new Command('plumbline')
    await registerCommands(program, words)
    let command = program
    for (const word of words) {
      const child = command.commands.find((candidate) => candidate.name() === word)
      if (child === undefined) break
      command = child
    }
    const used = words.filter((word) => word.startsWith('--'))
    const known = command.options.map(({ long }) => long)
    expect(used.filter((option) => !known.includes(option))).toEqual([])
    const mandatory = command.options.filter((option) => option.mandatory).map(({ long }) => long)
    expect(mandatory.filter((option) => !used.includes(option ?? ''))).toEqual([])
  })

  it('names files that exist', () => {
    const links = [...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(([, path = '']) =>
      join('docs', path),
    )
    const named = [...text.matchAll(/`((?:verifier|enclave-worker|deploy)\/[\w./-]+)`/g)].map(
      ([, path = '']) => path,
    )
    expect([...links, ...named].filter((path) => !existsSync(join(root, path)))).toEqual([])
  })
})
