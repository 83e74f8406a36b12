import { open } from 'node:fs/promises'

/** Waits until the names in a folder (files made, renamed, removed) are on the disk. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
