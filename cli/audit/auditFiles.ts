import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { TrustFiles } from '../trust.ts'
import type { AuditedBundle } from './auditBundle.ts'

/** Large enough that handing over costs nothing, small enough that a progress bar moves. */
const filesPerLot = 8

/**
 * Examines files on every core.
 *
 * @param onProgress - Told after each lot how many are done.
 * @returns In the order of the files.
 */
export async function auditFiles(
  files: readonly string[],
  trust: TrustFiles,
  onProgress: (done: number, total: number) => void,
): Promise<AuditedBundle[]> {
  const results = new Map<string, AuditedBundle>()
  const waiting = [...files]
  const threads = Math.max(
    1,
    Math.min(availableParallelism(), Math.ceil(files.length / filesPerLot)),
  )
  await Promise.all(
    Array.from({ length: threads }, async () => {
      const thread = new Worker(new URL('auditThread.ts', import.meta.url), { workerData: trust })
      try {
        for (;;) {
          const lot = waiting.splice(0, filesPerLot)
          if (lot.length === 0) return
          for (const result of await examine(thread, lot)) results.set(result.file, result)
          onProgress(results.size, files.length)
        }
      } finally {
        await thread.terminate()
      }
    }),
  )
  return files.flatMap((file) => results.get(file) ?? [])
}

function examine(thread: Worker, files: readonly string[]): Promise<readonly AuditedBundle[]> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      thread.off('message', onMessage)
      thread.off('error', onError)
    }
    const onMessage = (results: readonly AuditedBundle[]): void => {
      end()
      resolve(results)
    }
    const onError = (error: Error): void => {
      end()
      reject(error)
    }
    thread.on('message', onMessage)
    thread.on('error', onError)
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's has no such argument
    thread.postMessage(files)
  })
}
