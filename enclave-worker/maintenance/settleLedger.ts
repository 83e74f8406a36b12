import { syncFolder } from '../ledger/syncFolder.ts'
import { rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * A ledger is replaced as a whole: the new one is written beside it as `ledger.partial`, renamed to
 * `ledger.next` once it is whole and on the disk, and then put in the old one's place. From the
 * rename on the new one stands, whatever happens.
 */
export const ledgerFolders = {
  current: 'ledger',
  partial: 'ledger.partial',
  next: 'ledger.next',
  old: 'ledger.old',
} as const

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/**
 * Completes a replacement that was begun, and clears away one that never became whole. Called with
 * the folder locked, before anything reads the ledger.
 *
 * @returns Whether a new ledger was put in place.
 */
export async function settleLedger(
  dataFolder: string,
  failpoint: (name: string) => void | Promise<void> = () => undefined,
): Promise<boolean> {
  const path = (name: keyof typeof ledgerFolders): string => join(dataFolder, ledgerFolders[name])
  await rm(path('partial'), { recursive: true, force: true })
  const isReplaced = await isThere(path('next'))
  if (isReplaced) {
    if (await isThere(path('current'))) {
      // One that is left from before was replaced by what stands in `ledger` now.
      await rm(path('old'), { recursive: true, force: true })
      await rename(path('current'), path('old'))
      await failpoint('settle.aside')
    }
    await rename(path('next'), path('current'))
    await syncFolder(dataFolder)
    await failpoint('settle.placed')
  }
  await rm(path('old'), { recursive: true, force: true })
  return isReplaced
}

/** Declares `ledger.partial` whole: from here on it is the ledger. Its files are on the disk already. */
export async function promoteLedger(dataFolder: string): Promise<void> {
  await syncFolder(join(dataFolder, ledgerFolders.partial))
  await rename(join(dataFolder, ledgerFolders.partial), join(dataFolder, ledgerFolders.next))
  await syncFolder(dataFolder)
}
