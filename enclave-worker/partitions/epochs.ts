import { syncFolder } from '../ledger/syncFolder.ts'
import { constants } from 'node:fs'
import { cp, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BaseError } from '#schemas/errors.ts'

/** Raised when the shared folder and the broker's memory of who held what do not fit together. */
export class EpochError extends BaseError {
  override readonly name = 'EpochError'
}

const folderPattern = /^epoch-(\d{1,19})$/
/** What the holder before the last one left is kept no longer. */
const keptEpochs = 2

async function syncAll(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await syncAll(path)
    else {
      const handle = await open(path, 'r')
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
    }
  }
  await syncFolder(folder)
}

/** The epochs of a partition's folder, ascending. */
export async function listEpochs(folder: string): Promise<bigint[]> {
  const names = await readdir(folder)
  return names
    .flatMap((name) => {
      const number = folderPattern.exec(name)?.[1]
      return number === undefined ? [] : [BigInt(number)]
    })
    .toSorted((left, right) => (left < right ? -1 : 1))
}

/**
 * The data folder of one holding of a partition: a copy of what the holder before left, under the
 * number of the lease. Holders never write into one folder: one that was frozen and wakes goes on in
 * its own, which nobody reads any more. A copy, not links: a frozen holder has its files open.
 *
 * Has to be called with the lease held: what its last holder was told was kept lies on the disk by
 * then.
 *
 * @throws {@link EpochError} when the folder holds an epoch that is not before this one.
 */
export async function openEpoch(folder: string, epoch: bigint): Promise<string> {
  await mkdir(folder, { recursive: true })
  const epochs = await listEpochs(folder)
  const last = epochs.at(-1)
  if (last !== undefined && last >= epoch) {
    throw new EpochError('The partition was held under a later lease than this one.', {
      field: 'folder',
      metaMessages: [`Epoch there: ${last}`, `This lease: ${epoch}`],
      remedy:
        'If the broker lost its leases, stop every worker and rename the newest epoch to epoch-0.',
    })
  }
  const path = join(folder, `epoch-${epoch}`)
  const partial = join(folder, `partial-${epoch}`)
  await rm(partial, { recursive: true, force: true })
  if (last === undefined) await mkdir(partial)
  else {
    // On file systems that share blocks between copies this costs nothing, however large it is.
    await cp(join(folder, `epoch-${last}`), partial, {
      recursive: true,
      mode: constants.COPYFILE_FICLONE,
    })
  }
  await syncAll(partial)
  await rename(partial, path)
  await syncFolder(folder)
  for (const old of epochs.slice(0, Math.max(0, epochs.length + 1 - keptEpochs))) {
    await rm(join(folder, `epoch-${old}`), { recursive: true, force: true })
  }
  return path
}
