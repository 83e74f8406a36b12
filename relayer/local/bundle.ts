import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { BaseError } from '#schemas/errors.ts'

/** Raised when the relayer's worker cannot be bundled. */
export class RelayerBundleError extends BaseError {
  override readonly name = 'RelayerBundleError'
}

const rooms = ['attestation-schemas', 'evaluation', 'verifier', 'relayer']
const settings = ['wrangler.toml', 'package.json', 'package-lock.json']

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

/** Names everything that can change the bundle. */
function sourceDigest(root: string): string {
  const hash = createHash('sha256')
  for (const file of [
    ...settings.map((name) => join(root, name)),
    ...rooms.flatMap((room) => (existsSync(join(root, room)) ? sourceFiles(join(root, room)) : [])),
  ]) {
    if (!existsSync(file)) continue
    hash.update(file.slice(root.length)).update('\0').update(readFileSync(file)).update('\0')
  }
  return hash.digest('hex').slice(0, 32)
}

/**
 * The worker as one JavaScript file, made by `wrangler deploy --dry-run`: the very file that would be
 * uploaded. Kept under `.cache` by the digest of its sources, so that only a change costs the seconds.
 *
 * @throws {@link RelayerBundleError}
 */
export async function bundleRelayer(root: string): Promise<string> {
  const cache = join(root, '.cache', 'relayer')
  const folder = join(cache, sourceDigest(root))
  const bundle = join(folder, 'worker.js')
  if (existsSync(bundle)) return bundle
  mkdirSync(cache, { recursive: true })
  const working = `${folder}.${process.pid}.${Date.now()}`
  try {
    await promisify(execFile)(
      process.execPath,
      [
        join(root, 'node_modules', 'wrangler', 'bin', 'wrangler.js'),
        'deploy',
        '--dry-run',
        `--outdir=${working}`,
        `--config=${join(root, 'wrangler.toml')}`,
      ],
      { cwd: root, env: offlineEnvironment(), timeout: 120_000, maxBuffer: 16 * 1024 * 1024 },
    )
  } catch (cause) {
    rmSync(working, { recursive: true, force: true })
    const said =
      typeof cause === 'object' && cause !== null && 'stderr' in cause ? String(cause.stderr) : ''
    throw new RelayerBundleError('wrangler could not bundle the relayer.', {
      metaMessages: said
        .split('\n')
        .filter((line) => line.trim() !== '')
        .slice(0, 12),
      remedy: 'Run `wrangler deploy --dry-run` in the repository and mend what it names.',
      cause,
    })
  }
  if (!existsSync(bundle)) {
    try {
      renameSync(working, folder)
    } catch {
      // Another process was faster; its bundle has the same sources.
      rmSync(working, { recursive: true, force: true })
    }
  }
  return bundle
}

/** wrangler without telemetry, look-ups or prompts, and without this process's secrets. */
export function offlineEnvironment(): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env
  return {
    ...(PATH === undefined ? {} : { PATH }),
    ...(HOME === undefined ? {} : { HOME }),
    ...(TMPDIR === undefined ? {} : { TMPDIR }),
    CI: '1',
    WRANGLER_SEND_METRICS: 'false',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    WRANGLER_LOG_SANITIZE: 'true',
  }
}
