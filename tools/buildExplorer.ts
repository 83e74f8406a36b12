/**
 * Builds the explorer. `node tools/buildExplorer.ts DIR` writes it as static files; the local stack
 * builds it in memory.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { build } from 'esbuild'
import { root } from './paths.ts'

export type SiteFile = { readonly type: string; readonly body: Uint8Array | string }

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
}

function typeOf(name: string): string {
  return types[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream'
}

/** @returns every file of the site by its path, `/index.html` among them. */
export async function buildExplorer(): Promise<ReadonlyMap<string, SiteFile>> {
  const folder = join(root, 'explorer')
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: {
      app: join(folder, 'main.ts'),
      verify: join(folder, 'verifyThread.ts'),
      style: join(folder, 'style.css'),
    },
    outdir: join(root, 'dist', 'explorer'),
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: ['chrome120', 'firefox121', 'safari17'],
    // The rooms are reached by their aliases, as everywhere.
    conditions: ['browser', 'import'],
    legalComments: 'none',
    logLevel: 'warning',
  })
  const site = new Map<string, SiteFile>()
  for (const { path, contents } of outputFiles) {
    site.set(`/${basename(path)}`, { type: typeOf(path), body: contents })
  }
  for (const name of ['index.html', 'icon.svg']) {
    site.set(`/${name}`, { type: typeOf(name), body: readFileSync(join(folder, name)) })
  }
  return site
}

if (process.argv[1] === import.meta.filename) {
  const target = process.argv[2]
  if (target === undefined) {
    console.error('node tools/buildExplorer.ts DIR')
    process.exit(2)
  }
  mkdirSync(target, { recursive: true })
  for (const [path, { body }] of await buildExplorer()) writeFileSync(join(target, path), body)
}
