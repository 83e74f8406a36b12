import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { setTimeout as sleep } from 'node:timers/promises'
import { reportLeaf } from '#schemas/report.ts'
import { InvalidMessageError } from '#schemas/workerApi.ts'
import { type WorkerClient, WorkerRefusedError, createWorkerClient } from '#schemas/workerClient.ts'

const timeoutMs = 60_000
/** As many as a worker makes at once. */
const atOnce = 2
const attempts = 20

/** Asks again for as long as the worker says that asking again can help. */
async function patiently<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await ask()
    } catch (error) {
      const isRefusal = error instanceof WorkerRefusedError
      if (!isRefusal || !error.retryable || attempt >= attempts) throw error
      await sleep((error.retryAfterSeconds ?? 1) * 1000)
    }
  }
}

/**
 * Fetches a bundle of every report that a worker has, packs included where it publishes readings, and
 * keeps them in a folder.
 *
 * @param onProgress - Told how many there are so far.
 * @returns the files, in the order of the reports.
 */
export async function fetchBundles(
  url: string,
  folder: string,
  onProgress: (fetched: number, total: number) => void,
): Promise<string[]> {
  const client = createWorkerClient({
    url,
    fetch: (target, init) => fetch(target, init),
    signal: () => AbortSignal.timeout(timeoutMs),
  })
  const reports = await listReports(client)
  mkdirSync(folder, { recursive: true })
  const files = reports.map(({ batchSequence, proven }) =>
    join(
      folder,
      `${batchSequence.toString().padStart(10, '0')}-${reportLeaf(proven.report)}.json.gz`,
    ),
  )
  let publishesReadings = true
  let next = 0
  let fetched = 0
  const work = async (): Promise<void> => {
    for (;;) {
      const index = next
      next += 1
      const wanted = reports[index]
      const file = files[index]
      if (wanted === undefined || file === undefined) return
      const { report } = wanted.proven
      const ask = (withPacks: boolean): Promise<string> =>
        patiently(() =>
          client.bundleText(report.subject, {
            policyId: report.policyId,
            sequence: wanted.batchSequence,
            withPacks,
          }),
        )
      // What this one asked for: another may have found out in between that it is of no use.
      const withPacks = publishesReadings
      let text: string
      try {
        text = await ask(withPacks)
      } catch (error) {
        // Readings that are not published, or too many for one file: the rest is proved without them.
        const isAboutPacks =
          error instanceof WorkerRefusedError && (error.status === 403 || error.status === 413)
        if (!isAboutPacks || !withPacks) throw error
        if (error.status === 403) publishesReadings = false
        text = await ask(false)
      }
      writeFileSync(file, gzipSync(text))
      fetched += 1
      onProgress(fetched, reports.length)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return files
}

async function listReports(client: WorkerClient) {
  const reports: Awaited<ReturnType<WorkerClient['reports']>>['reports'] = []
  let after: bigint | undefined = 0n
  let from = 0
  while (after !== undefined) {
    const behind: bigint = after
    const index = from
    const page = await patiently(() => client.reports(behind, { from: index }))
    reports.push(...page.reports)
    after = page.next
    // A large batch is listed in pieces.
    from = page.nextIndex ?? 0
    // A worker that is audited may answer anything, and an audit has to end.
    if (after !== undefined && (after < behind || (after === behind && from <= index))) {
      throw new InvalidMessageError('The worker’s list of reports does not go on.', {
        field: 'report list.next',
        metaMessages: [`Asked behind: ${behind}, from ${index}`, `Next: ${after}, from ${from}`],
        remedy: 'Audit bundles that were kept; the worker gives no list of all that it has.',
      })
    }
  }
  return reports
}
