import { createHash } from 'node:crypto'
import { mkdir, realpath } from 'node:fs/promises'
import { createServer } from 'node:net'
import { BaseError } from '#schemas/errors.ts'

/** Raised when another process works in the data folder: two writers would fork the stream. */
export class FolderInUseError extends BaseError {
  override readonly name = 'FolderInUseError'
}

export type FolderLock = { release(): Promise<void> }

/**
 * Takes a data folder for this process, for as long as it lives. The lock is a socket in Linux's
 * abstract namespace: the kernel drops it with the process, however that ends, so that no stale lock
 * file can keep a restarted worker out. Maintenance has a lock of its own, since a backup is taken
 * while the worker runs. Elsewhere than on Linux there is no lock.
 */
export async function lockFolder(
  folder: string,
  purpose: 'worker' | 'maintenance' = 'worker',
): Promise<FolderLock> {
  await mkdir(folder, { recursive: true })
  if (process.platform !== 'linux') return { release: () => Promise.resolve() }
  const name = createHash('sha256')
    .update(await realpath(folder))
    .digest('hex')
    .slice(0, 32)
  const server = createServer((socket) => {
    socket.destroy()
  })
  const taken = Promise.withResolvers<void>()
  server.once('error', taken.reject)
  server.listen(`\0plumbline-${purpose}-${name}`, taken.resolve)
  try {
    await taken.promise
  } catch (cause) {
    throw new FolderInUseError(
      purpose === 'worker'
        ? `Another worker runs over ${folder}.`
        : `Backup, restore or compaction is at work in ${folder}.`,
      {
        field: 'dataFolder',
        remedy: 'Stop it first, or name another data folder.',
        cause,
      },
    )
  }
  server.unref()
  return {
    async release() {
      const closed = Promise.withResolvers<void>()
      server.close(() => {
        closed.resolve()
      })
      await closed.promise
    },
  }
}
