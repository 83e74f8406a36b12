/**
 * Builds the documentation as a static site: `node tools/buildDocs.ts [DIR]`, default `dist/docs`. A
 * link that leads nowhere fails it. Nothing of the site is fetched from elsewhere.
 */
import { join, resolve } from 'node:path'
import { build } from 'vitepress'
import { stageDocs } from './docs/stage.ts'
import { root } from './paths.ts'

const outDir = resolve(process.argv[2] ?? join(root, 'dist', 'docs'))
const begun = performance.now()
await stageDocs(join(root, 'dist', 'docs-source'))
await build(join(root, 'docs'), { outDir })
console.log(`${outDir}, ${((performance.now() - begun) / 1000).toFixed(1)} s`)
// The builder keeps a worker or two; nothing is left to be done.
process.exit(0)
