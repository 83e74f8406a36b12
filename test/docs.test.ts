import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { registerCommands } from '#cli/commands.ts'
import { root } from '#tools/paths.ts'

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

/** Without code, in which brackets are no links. */
function prose(path: string): string {
  return readFileSync(join(root, path), 'utf8')
    .replaceAll(/^(`{3,})[\s\S]*?^\1/gm, '')
    .replaceAll(/`[^`\n]*`/g, (span) => 'x'.repeat(span.length))
}

/** Anchors of a page's headings, as GitHub and the site's builder make them. */
function anchorsOf(path: string): Set<string> {
  const text = readFileSync(join(root, path), 'utf8').replaceAll(/^(`{3,})[\s\S]*?^\1/gm, '')
  return new Set(
    [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[`*_]/g, (mark) => (mark === '_' ? '_' : ''))
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  )
}

const links = pages.flatMap((page) =>
  [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => ({ page, link })),
)

describe('the documentation', () => {
  it('links only to what is there, down to the heading', () => {
    const dead = links.filter(({ page, link }) => {
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? page : normalize(join(dirname(page), path))
      if (!existsSync(join(root, target))) return true
      if (anchor === undefined || !target.endsWith('.md')) return false
      return !anchorsOf(target).has(anchor)
    })
    expect(dead).toStrictEqual([])
    expect(links.length).toBeGreaterThan(100)
  })

  it('is reachable: every page is linked from another', () => {
    const reached = new Set(
      links.map(({ page, link }) => normalize(join(dirname(page), link.split('#')[0] ?? ''))),
    )
    expect(pages.filter((page) => page !== 'README.md' && !reached.has(page))).toStrictEqual([])
  })

  it('shows no command with an option that does not exist', async () => {
    const lines = pages.flatMap((page) =>
      [...readFileSync(join(root, page), 'utf8').matchAll(/^```(?:sh)?\n([\s\S]*?)^```/gm)].flatMap(
        ([, block = '']) =>
          block
            .replaceAll(/\\\n\s*/g, '')
            .split('\n')
            .flatMap(
              (line) => /(?:^|\s)(?:plumbline|npm run -s plumbline --) (.*)$/.exec(line)?.[1] ?? [],
            )
            .map((rest) => ({ page, rest })),
      ),
    )
    expect(lines.length).toBeGreaterThan(15)
    const unknown: string[] = []
    for (const { page, rest } of lines) {
      const words = rest
        .replaceAll(/"[^"]*"/g, 'x')
        .replaceAll(/[[\]]/g, ' ')
        .split(/\s+/)
      if (words[0]?.startsWith('-') === true) continue
      const program = new Command('plumbline')
      await registerCommands(program, words)
      let command = program
      for (const word of words) {
        const child = command.commands.find((candidate) => candidate.name() === word)
        if (child === undefined) break
        command = child
      }
      const known = command.options.map(({ long }) => long)
      for (const word of words.filter((each) => each.startsWith('--'))) {
        if (!known.includes(word)) unknown.push(`${page}: ${command.name()} ${word}`)
      }
    }
    expect(unknown).toStrictEqual([])
  })
})
