import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { BaseError } from '#schemas/errors.ts'
import { root } from '../paths.ts'
import { apiReference } from './apiReference.ts'
import { commandReference } from './commandReference.ts'
import { contractReference } from './contractReference.ts'
import { formatReference } from './formatReference.ts'

/** Raised for a link that leads nowhere. */
export class DeadLinkError extends BaseError {
  override readonly name = 'DeadLinkError'
}

/** Where a file of the repository stands in the site; `undefined` where it is shown as source. */
function pageOf(path: string): string | undefined {
  if (path === 'README.md') return 'index.md'
  if (path === 'CONTRIBUTING.md') return 'contributing.md'
  return /^docs\/[^.][^/]*\.md$/.test(path) ? path.slice('docs/'.length) : undefined
}

/** What the site shows of a file or folder: plain text, which costs the builder nothing. */
function sourceText(path: string): string {
  const full = join(root, path)
  if (!statSync(full).isDirectory()) return readFileSync(full, 'utf8')
  const names = readdirSync(full, { withFileTypes: true }).map(
    (entry) => `${entry.name}${entry.isDirectory() ? '/' : ''}`,
  )
  return `${path}/\n\n${names.sort().join('\n')}\n`
}

/**
 * Lays out the site's sources in a folder of their own: the README as its first page, the pages of
 * `docs/`, the reference made from schemas, NatSpec and the commands' help, and every file of the
 * repository that a page links to, so that the links which work beside the code work in the site too.
 *
 * @throws {@link DeadLinkError}
 */
export async function stageDocs(target: string): Promise<void> {
  rmSync(target, { recursive: true, force: true })
  mkdirSync(join(target, 'reference'), { recursive: true })
  const shown = new Set<string>()

  /** Turns the links of a page into those of the site. */
  function rewrite(text: string, path: string, page: string): string {
    return text.replaceAll(
      /(\]\()([^)\s]+)(\))/g,
      (whole, open: string, link: string, close: string) => {
        if (/^([a-z]+:|#)/.test(link)) return whole
        const [linked = '', anchor] = link.split('#')
        const file = normalize(join(dirname(path), linked)).replace(/\/$/, '')
        if (!existsSync(join(root, file)) && !file.startsWith('docs/reference/')) {
          throw new DeadLinkError(`${path} links to ${link}, which is not there.`, { field: path })
        }
        let to = file.startsWith('docs/reference/') ? file.slice('docs/'.length) : pageOf(file)
        if (to === undefined && /\.(png|svg)$/.test(file)) to = file.replace(/^docs\//, '')
        if (to === undefined) {
          shown.add(file)
          return `${open}/source/${file}.txt${close}`
        }
        const hash = anchor === undefined ? '' : `#${anchor}`
        const near = relative(dirname(page), to)
        return `${open}${near.startsWith('.') ? near : `./${near}`}${hash}${close}`
      },
    )
  }

  const pages = [
    'README.md',
    'CONTRIBUTING.md',
    ...readdirSync(join(root, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ]
  for (const path of pages) {
    const page = pageOf(path) ?? path
    writeFileSync(join(target, page), rewrite(readFileSync(join(root, path), 'utf8'), path, page))
  }
  for (const [name, text] of [
    ['formats', formatReference()],
    ['worker-api', apiReference()],
    ['contracts', contractReference()],
    ['commands', await commandReference()],
  ] as const) {
    const page = `reference/${name}.md`
    writeFileSync(join(target, page), rewrite(text, `docs/${page}`, page))
  }
  for (const name of readdirSync(join(root, 'docs')).filter((each) => /\.(png|svg)$/.test(each))) {
    cpSync(join(root, 'docs', name), join(target, name))
  }
  mkdirSync(join(target, 'public'), { recursive: true })
  cpSync(join(root, 'explorer', 'icon.svg'), join(target, 'public', 'icon.svg'))
  for (const path of shown) {
    const file = join(target, 'public', 'source', `${path}.txt`)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, sourceText(path))
  }
}
