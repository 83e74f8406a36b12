import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import canonicalize from 'canonicalize'
import { type Hex, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { hexSchema, readMessage } from '#schemas/workerApi.ts'
import { lockFolder } from '../adapters/folderLock.ts'
import { wholeFrames } from '../ledger/frame.ts'
import { readSegmentHead, segmentNames } from '../ledger/ledger.ts'
import { syncFolder } from '../ledger/syncFolder.ts'
import { ledgerFolders } from './settleLedger.ts'

/** Raised when a folder is no backup, is not whole, or is not what its manifest says. */
export class BackupDamagedError extends BaseError {
  override readonly name = 'BackupDamagedError'
}

/** Raised when a backup cannot be taken now. */
export class BackupRefusedError extends BaseError {
  override readonly name = 'BackupRefusedError'
}

const manifestName = 'manifest.json'

const manifestSchema = z.strictObject({
  kind: z.literal('plumbline-ledger-backup'),
  version: z.literal(1),
  stream: hexSchema(32),
  /** How the segments are sealed: a backup is as closed as the ledger it was taken from. */
  seal: z.int().min(0),
  takenMs: z.int().min(0),
  files: z
    .array(
      z.strictObject({
        name: z.string().regex(/^\d{10}\.segment$/),
        bytes: z.int().min(0),
        sha256: hexSchema(32),
      }),
    )
    .min(1),
  /** SHA-256 over all the above as canonical JSON (RFC 8785). */
  digest: hexSchema(32),
})
export type BackupManifest = z.output<typeof manifestSchema>

const sha256 = (bytes: Uint8Array): Hex => toHex(createHash('sha256').update(bytes).digest())

function manifestDigest(content: Omit<BackupManifest, 'digest'>): Hex {
  return sha256(new TextEncoder().encode(canonicalize(content) ?? ''))
}

/** Writes a file and waits until it is on the disk. */
export async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, 'w')
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Copies a ledger while its worker goes on: the file is only ever appended to, so that its whole
 * frames at any instant are a state that the worker was in. Nothing has to be unsealed. The backup
 * appears under its name once it is whole and on the disk, or not at all.
 *
 * @throws {@link BackupRefusedError} | FolderInUseError
 */
export async function backupLedger({
  dataFolder,
  target,
  nowMs,
  failpoint = () => undefined,
}: {
  readonly dataFolder: string
  readonly target: string
  readonly nowMs: number
  readonly failpoint?: (name: string) => void | Promise<void>
}): Promise<BackupManifest> {
  const isTaken = await stat(target).then(
    () => true,
    () => false,
  )
  if (isTaken) {
    throw new BackupRefusedError(`${target} is there already.`, {
      field: 'to',
      remedy: 'Name a new folder for each backup; delete old ones yourself.',
    })
  }
  // Only a compaction or another backup is kept out: a worker may run.
  const lock = await lockFolder(dataFolder, 'maintenance')
  const partial = `${target}.partial`
  try {
    const ledger = join(dataFolder, ledgerFolders.current)
    const names = await segmentNames(ledger).catch(() => [])
    const last = names.at(-1)
    if (last === undefined) {
      throw new BackupRefusedError('There is no ledger in the data folder.', {
        field: 'dataFolder',
        remedy: 'Start the worker once; it completes what a compaction or a restore has begun.',
      })
    }
    await rm(partial, { recursive: true, force: true })
    await mkdir(partial, { recursive: true })
    const files: BackupManifest['files'] = []
    let head: { stream: Hex; seal: number } | undefined
    for (const name of names) {
      const whole = new Uint8Array(await readFile(join(ledger, name)))
      head ??= readSegmentHead(whole)
      // The last may be growing; what is cut off was not acknowledged when it was read.
      const bytes = name === last ? whole.subarray(0, wholeFrames(whole)) : whole
      await writeDurably(join(partial, name), bytes)
      files.push({ name, bytes: bytes.length, sha256: sha256(bytes) })
      await failpoint('backup.segment')
    }
    if (head === undefined) {
      throw new BackupRefusedError('The ledger holds nothing yet.', { field: 'dataFolder' })
    }
    const content = {
      kind: 'plumbline-ledger-backup' as const,
      version: 1 as const,
      ...head,
      takenMs: nowMs,
      files,
    }
    const manifest: BackupManifest = { ...content, digest: manifestDigest(content) }
    await writeDurably(
      join(partial, manifestName),
      new TextEncoder().encode(`${JSON.stringify(manifest, undefined, 2)}\n`),
    )
    await syncFolder(partial)
    await failpoint('backup.whole')
    await rename(partial, target)
    await syncFolder(dirname(target))
    return manifest
  } finally {
    await lock.release()
  }
}

/**
 * Reads a backup's manifest and holds every file against it.
 *
 * @throws {@link BackupDamagedError}
 */
export async function readBackup(folder: string): Promise<BackupManifest> {
  const refuse = (message: string, lines: readonly string[] = [], cause?: unknown): never => {
    throw new BackupDamagedError(message, {
      field: 'from',
      metaMessages: [...lines],
      remedy: 'Take another backup; nothing of a damaged one is brought back.',
      cause,
    })
  }
  let manifest: BackupManifest
  try {
    const text = await readFile(join(folder, manifestName), 'utf8')
    manifest = readMessage(manifestSchema, JSON.parse(text), 'manifest')
  } catch (cause) {
    return refuse(`${folder} holds no backup: its manifest cannot be read.`, [], cause)
  }
  const { digest, ...content } = manifest
  const actual = manifestDigest(content)
  if (actual !== digest) {
    refuse('The manifest is damaged.', [`Expected: ${digest}`, `Actual: ${actual}`])
  }
  const present = await segmentNames(folder)
  const listed = manifest.files.map(({ name }) => name)
  if (present.join() !== listed.join()) {
    refuse('The backup holds other files than its manifest lists.', [
      `Expected: ${listed.join(', ')}`,
      `Actual: ${present.join(', ')}`,
    ])
  }
  for (const { name, bytes, sha256: expected } of manifest.files) {
    const found = new Uint8Array(await readFile(join(folder, name)))
    if (found.length !== bytes || sha256(found) !== expected) {
      refuse(`${name} is damaged.`, [`Expected: ${expected}`, `Actual: ${sha256(found)}`])
    }
  }
  return manifest
}
