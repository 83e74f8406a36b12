import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildBundle } from './bundle.ts'

/** Bundles what `wrangler deploy` uploads, where wrangler.toml says that it lies. */

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
await buildBundle(root, 'workerd', join(root, 'dist', 'relayer'))
