import { type WorkerClient, createWorkerClient } from '#schemas/workerClient.ts'

const timeoutMs = 30_000

/** A worker to ask, which has half a minute for each answer. */
export function openWorker(url: string): WorkerClient {
  return createWorkerClient({
    url,
    fetch: (target, init) => fetch(target, init),
    signal: () => AbortSignal.timeout(timeoutMs),
  })
}
