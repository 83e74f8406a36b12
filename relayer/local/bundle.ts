import { createHash, randomUUID } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, relative, resolve, sep } from 'node:path'
import type { Plugin } from 'esbuild'
import { BaseError } from '#schemas/errors.ts'

/** Raised when the relayer cannot be bundled. */
export class RelayerBundleError extends BaseError {
  override readonly name = 'RelayerBundleError'
}

/** What is bundled: the worker for workerd and Cloudflare, or a process of its own for Node. */
export type BundleKind = 'workerd' | 'node'

type BundleModule = {
  /** Path in the bundle's folder, as the other modules import it. */
  readonly name: string
  readonly bytes: number
  /** Whether it is loaded at the start. The others are loaded by whoever first needs them. */
  readonly atStart: boolean
}

/** A bundle on disk: a main module and the parts that it loads when a plan asks for them. */
export type Bundle = {
  readonly folder: string
  /** The main module first. */
  readonly modules: readonly BundleModule[]
}

/** One file that a bundle was made of, and by what a change of it shows. */
type Source = readonly [file: string, size: number, modifiedMs: number, changedMs: number]
type StoredBundle = Bundle & { readonly sources: readonly Source[] }

const entries: Readonly<Record<BundleKind, { readonly file: string; readonly main: string }>> = {
  workerd: { file: 'relayer/adapters/workerd/worker.ts', main: 'worker.js' },
  node: { file: 'relayer/adapters/node/main.ts', main: 'main.js' },
}

/** What decides how files are put together, beside the files themselves. */
const settings = ['package.json', 'package-lock.json', 'relayer/local/bundle.ts']

/**
 * Reads our imports from viem's index as imports from the files behind it. Through the index, esbuild
 * would count whatever any part takes from it among what is loaded at the start.
 */
const pastIndexes: Plugin = {
  name: 'past-indexes',
  setup(build) {
    const indexes = new Map<string, ReadonlyMap<string, string>>()
    const filesBehind = async (index: string, importer: string) => {
      const known = indexes.get(index)
      if (known !== undefined) return known
      const { path } = await build.resolve(index, {
        kind: 'import-statement',
        resolveDir: dirname(importer),
      })
      const files = new Map<string, string>()
      const reExport = /export \{([^}]*)\} from ["']([^"']+)["']/g
      for (const [, names = '', target = ''] of readFileSync(path, 'utf8').matchAll(reExport)) {
        for (const name of names.split(',')) files.set(name.trim(), join(dirname(path), target))
      }
      indexes.set(index, files)
      return files
    }
    build.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      if (path.includes(`${sep}node_modules${sep}`)) return undefined
      let contents = readFileSync(path, 'utf8')
      const imports = /import \{([^}]*)\} from '(viem(?:\/accounts)?)'/g
      for (const [whole, names = '', index = ''] of contents.matchAll(imports)) {
        const files = await filesBehind(index, path)
        const direct = names
          .split(',')
          .map((name) => name.trim())
          .filter((name) => name !== '' && !name.startsWith('type '))
          .map((name) => {
            const file = files.get(name)
            return `import { ${name} } from ${JSON.stringify(file ?? index)}`
          })
        contents = contents.replace(whole, direct.join('; '))
      }
      return { contents, loader: 'ts' }
    })
  },
}

/**
 * viem loads its off-chain look-ups and its WebSocket only where its clients need them, and we use none
 * of its clients. Left alone, esbuild would make a part of each and keep all that they import.
 */
const withoutClients: Plugin = {
  name: 'without-clients',
  setup(build) {
    build.onResolve({ filter: /ccip|isows/ }, ({ kind, path, importer }) =>
      kind === 'dynamic-import' && /[/\\]node_modules[/\\]viem[/\\]/.test(importer)
        ? { path, external: true }
        : undefined,
    )
  },
}

/**
 * Bundles into a folder, which is emptied first: esbuild's output, minified, in as many modules as
 * there are parts to load later.
 *
 * @returns the bundle, and every file that it was made of
 * @throws {@link RelayerBundleError}
 */
export async function buildBundle(
  root: string,
  kind: BundleKind,
  folder: string,
): Promise<StoredBundle> {
  const { file, main } = entries[kind]
  const { build } = await import('esbuild')
  rmSync(folder, { recursive: true, force: true })
  const result = await build({
    absWorkingDir: root,
    entryPoints: [{ in: file, out: main.slice(0, -'.js'.length) }],
    outdir: folder,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    chunkNames: 'parts/[name]-[hash]',
    metafile: true,
    logLevel: 'silent',
    plugins: [pastIndexes, withoutClients],
    ...(kind === 'workerd'
      ? {
          // As wrangler resolves packages for a Worker.
          platform: 'browser' as const,
          conditions: ['workerd', 'worker', 'browser'],
          external: ['cloudflare:*', 'node:*'],
          target: 'es2024',
        }
      : {
          platform: 'node' as const,
          target: 'node24',
          // Packages in CommonJS ask for Node's own modules by `require`.
          banner: {
            js: "import { createRequire as $createRequire } from 'node:module'; const require = $createRequire(import.meta.url);",
          },
        }),
  }).catch((cause: unknown) => {
    const errors =
      typeof cause === 'object' && cause !== null && 'errors' in cause ? cause.errors : []
    throw new RelayerBundleError('The relayer could not be bundled.', {
      metaMessages: (errors as readonly { readonly text: string }[])
        .slice(0, 12)
        .map(({ text }) => text),
      remedy: 'Mend what is named; `node relayer/local/buildWorker.ts` bundles again.',
      cause,
    })
  })
  const { outputs, inputs } = result.metafile
  const nameOf = (output: string): string =>
    relative(folder, resolve(root, output)).split(sep).join('/')
  const byName = new Map(Object.entries(outputs).map(([path, output]) => [nameOf(path), output]))
  const atStart = new Set<string>()
  const visit = (name: string): void => {
    if (atStart.has(name)) return
    atStart.add(name)
    for (const imported of byName.get(name)?.imports ?? []) {
      if (imported.kind !== 'import-statement' || imported.external === true) continue
      visit(nameOf(imported.path))
    }
  }
  visit(main)
  const missing = Object.values(outputs)
    .flatMap(({ imports }) => imports)
    .find(
      ({ external, path }) =>
        external === true && !/^(cloudflare|node):/.test(path) && !isBuiltin(path),
    )
  if (missing !== undefined) {
    throw new RelayerBundleError('The bundle would look for a module that is not in it.', {
      metaMessages: [`Module: ${missing.path}`],
      remedy:
        'See which of our files leads to it; relayer/local/bundle.ts leaves it out on purpose.',
    })
  }
  const modules = [...byName]
    .map(([name, { bytes }]) => ({ name, bytes, atStart: atStart.has(name) }))
    .toSorted((left, right) => Number(right.name === main) - Number(left.name === main))
  const sources = [...Object.keys(inputs), ...settings].flatMap((input) => sourceOf(root, input))
  return { folder, modules, sources }
}

function sourceOf(root: string, file: string): Source[] {
  const stats = statSync(join(root, file), { throwIfNoEntry: false })
  return stats === undefined ? [] : [[file, stats.size, stats.mtimeMs, stats.ctimeMs]]
}

function isFresh(root: string, { folder, modules, sources }: StoredBundle): boolean {
  if (!existsSync(join(folder, modules[0]?.name ?? ''))) return false
  return sources.every(([file, size, modifiedMs, changedMs]) => {
    const stats = statSync(join(root, file), { throwIfNoEntry: false })
    return stats?.size === size && stats.mtimeMs === modifiedMs && stats.ctimeMs === changedMs
  })
}

function readStored(file: string): StoredBundle | undefined {
  if (!existsSync(file)) return undefined
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as StoredBundle
  } catch {
    // Half a file, from a full disk: bundled again.
    return undefined
  }
}

/**
 * The relayer as few JavaScript files. Kept under `.cache` for as long as none of the files that it was
 * made of changes, so that a start costs a look at each of them and nothing else.
 *
 * @throws {@link RelayerBundleError}
 */
export async function bundleRelayer(root: string, kind: BundleKind = 'workerd'): Promise<Bundle> {
  const cache = join(root, '.cache', 'relayer')
  const index = join(cache, `${kind}.json`)
  const stored = readStored(index)
  if (stored !== undefined && isFresh(root, stored)) return stored
  const startedMs = Date.now()
  const working = join(cache, `${kind}-${process.pid}-${randomUUID()}`)
  mkdirSync(working, { recursive: true })
  try {
    const built = await buildBundle(root, kind, working)
    const hash = createHash('sha256')
    for (const { name } of built.modules) {
      hash
        .update(name)
        .update('\0')
        .update(readFileSync(join(working, name)))
        .update('\0')
    }
    const folder = join(cache, `${kind}-${hash.digest('hex').slice(0, 32)}`)
    if (!existsSync(folder)) {
      try {
        renameSync(working, folder)
      } catch {
        // Another process was faster; its bundle is the same.
      }
    }
    const bundle = { ...built, folder }
    // A file that changed meanwhile may have been read before: this bundle is used once and not kept.
    if (built.sources.some(([, , , changedMs]) => changedMs >= startedMs)) return bundle
    const written = `${index}.${process.pid}-${randomUUID()}`
    writeFileSync(written, JSON.stringify(bundle))
    renameSync(written, index)
    return bundle
  } finally {
    rmSync(working, { recursive: true, force: true })
  }
}

/** Puts a bundle's modules into a folder of their own; whatever else lies there goes. */
export function placeBundle({ folder, modules }: Bundle, target: string): void {
  rmSync(target, { recursive: true, force: true })
  for (const { name } of modules) {
    const file = join(target, name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, readFileSync(join(folder, name)))
  }
}
