import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { zeroHash } from '#schemas/report.ts'
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
    const periods = [{ startMs: now - 60_000, endMs: now + 1000 }]
    const configOf = (more: readonly { startMs: number; endMs: number }[]) =>
      testConfig(rig, folder, [device], {
        assignments: [
          { subject: 'plant', policy: 'At least 1 Wh', periods: [...periods, ...more] },
        ],
      })
    const first = await run(configOf([]), folder)
    await postPacks(first.url, [device.next([now - 2000, now - 1000], [1, 2])])
    const before = await eventually(
      () => pageText(first.url),
      (text) => text.includes('"sequence":"1"'),
    )
    const receipted = await postPacks(first.url, [device.next([now + 1500], [3])])
    expect(receipted[0]).toHaveProperty('receipt')
    await first.kill9()

    // The second period is judged by the second life only, on what the first one receipted.
    const second = await run(configOf([{ startMs: now + 1000, endMs: now + 1600 }]), folder)
    const again = await pageText(second.url)
    const served = JSON.parse(again) as { batches: unknown[] }
    expect(JSON.stringify(served.batches[0])).toBe(
      JSON.stringify((JSON.parse(before) as { batches: unknown[] }).batches[0]),
    )

    const isSecondPeriod = (report: { periodEndMs: bigint }): boolean =>
      report.periodEndMs === BigInt(now + 1600)
    const { batches } = await eventually(
      async () => readMessage(batchPageSchema, JSON.parse(await pageText(second.url)), 'page'),
      (page) =>
        page.batches.some(({ reports }) => reports.some(({ report }) => isSecondPeriod(report))),
    )
    expect(batches.map(({ batch }) => [batch.sequence, batch.previous])).toStrictEqual(
      batches.map((_, index) => [BigInt(index + 1), batches[index - 1]?.digest ?? zeroHash]),
    )
    const one = batches[0]
    const two = batches.find(({ reports }) => reports.some(({ report }) => isSecondPeriod(report)))
    expect(two?.signer).not.toBe(one?.signer)
    const proven = two?.reports.find(({ report }) => isSecondPeriod(report))
    expect(proven?.lastReadingMs).toBe(BigInt(now + 1500))

    for (const signer of [one?.signer, two?.signer]) {
      const response = await fetch(
        `${second.url}/v1/attestation?chain=${anchorChainId}&signer=${signer}`,
      )
      expect(response.status).toBe(200)
      expect(await response.json()).toMatchObject({ statement: { signer } })
    }

    const continued = await postPacks(second.url, [device.next([now + 1600], [3])])
    expect(continued[0]).toHaveProperty('receipt')
  }, 240_000)

  it('keeps its promises through kills at any moment of a busy life', async () => {
    const folder = rig.folder()
    const device = createTestDevice('busy', testStream)
    const config = testConfig(rig, folder, [device], { maxBatchIntervalMs: 150 })
    const waiting: Uint8Array[] = []
    const promised: { batch: bigint; sequence: bigint }[] = []
    for (let life = 0; life < 3; life += 1) {
      const worker = await run(config, folder)
      const send = async (): Promise<void> => {
        if (waiting.length < 8) waiting.push(device.next([Date.now()], [1]))
        const answers = await postPacks(worker.url, waiting)
        for (const { receipt } of answers as { receipt: Record<string, string> }[]) {
          promised.push({
            batch: BigInt(receipt['nextBatchSequence'] ?? -1),
            sequence: BigInt(receipt['packSequence'] ?? -1),
          })
          waiting.shift()
        }
      }
      for (let round = 0; round <= life; round += 1) await send()
      const cutOff = send().catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, life * 5))
      await worker.kill9()
      await cutOff
    }
    const last = await run(config, folder)
    const { url } = last
    const needed = promised.reduce((most, { batch }) => (batch > most ? batch : most), 0n)
    await eventually(
      async () => readMessage(batchPageSchema, JSON.parse(await pageText(url)), 'page'),
      ({ head }) => head >= needed,
    )
    const ranges = new Map<bigint, { firstSequence: string; lastSequence: string }>()
    for (let batch = 1n; batch <= needed; batch += 1n) {
      const answer = await (await fetch(`${url}/v1/batches/${batch}/roster`)).json()
      const [entry] = (answer as { roster: { firstSequence: string; lastSequence: string }[] })
        .roster
      if (entry !== undefined) ranges.set(batch, entry)
    }
    const broken = promised.filter(({ batch, sequence }) => {
      const range = ranges.get(batch)
      return (
        range === undefined ||
        sequence < BigInt(range.firstSequence) ||
        sequence > BigInt(range.lastSequence)
      )
    })
    expect(promised.length).toBeGreaterThan(5)
    expect(broken).toStrictEqual([])
  }, 240_000)
})
