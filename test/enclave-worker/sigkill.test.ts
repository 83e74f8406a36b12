import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { batchPageSchema, readMessage } from '#schemas/workerApi.ts'
import {
  type Rig,
  type WorkerProcess,
  anchorChainId,
  createTestDevice,
  eventually,
  postPacks,
  startProcess,
  startRig,
  testConfig,
  testStream,
} from './rig.ts'

let rig: Rig
const processes: WorkerProcess[] = []
beforeAll(async () => {
  rig = await startRig()
})
afterAll(async () => {
  for (const worker of processes) await worker.kill9()
  await rig.stop()
})

async function run(config: Record<string, unknown>, folder: string): Promise<WorkerProcess> {
  const worker = await startProcess(config, folder)
  processes.push(worker)
  return worker
}

async function pageText(url: string): Promise<string> {
  return (await fetch(`${url}/v1/batches?after=0`)).text()
}

describe('a worker killed with SIGKILL and started again', () => {
  it('keeps every receipted pack, serves what it signed unchanged and goes on with new keys', async () => {
    const folder = rig.folder()
    const device = createTestDevice('meter', testStream)
    const now = Date.now()
    const periods = [
      { startMs: now - 60_000, endMs: now + 1000 },
      { startMs: now + 1000, endMs: now + 4000 },
    ]
    const config = testConfig(rig, folder, [device], {
      assignments: [{ subject: 'plant', policy: 'At least 1 Wh', periods }],
    })
    const first = await run(config, folder)
    await postPacks(first.url, [device.next([now - 2000, now - 1000], [1, 2])])
    const before = await eventually(
      () => pageText(first.url),
      (text) => text.includes('"sequence":"1"'),
    )
    const receipted = await postPacks(first.url, [device.next([now + 1500], [3])])
    expect(receipted[0]).toHaveProperty('receipt')
    await first.kill9()

    const second = await run(config, folder)
    const again = await pageText(second.url)
    const served = JSON.parse(again) as { batches: unknown[] }
    expect(JSON.stringify(served.batches[0])).toBe(
      JSON.stringify((JSON.parse(before) as { batches: unknown[] }).batches[0]),
    )

    const pages = await eventually(
      async () => readMessage(batchPageSchema, JSON.parse(await pageText(second.url)), 'page'),
      (page) => page.batches.length > 1,
    )
    const [one, two] = pages.batches
    expect(two?.batch.previous).toBe(one?.digest)
    expect(two?.signer).not.toBe(one?.signer)
    expect(two?.reports[0]?.lastReadingMs).toBe(BigInt(now + 1500))

    for (const signer of [one?.signer, two?.signer]) {
      const response = await fetch(
        `${second.url}/v1/attestation?chain=${anchorChainId}&signer=${signer}`,
      )
      expect(response.status).toBe(200)
      expect(await response.json()).toMatchObject({ statement: { signer } })
    }

    const continued = await postPacks(second.url, [device.next([now + 1600], [3])])
    expect(continued[0]).toHaveProperty('receipt')
  })
})
