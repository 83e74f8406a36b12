import { readdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import type { Hex } from '#schemas/bytes.ts'
import { streamId } from '#schemas/batch.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
import { readConfig } from '#worker/config.ts'
import { type RunningWorker, startWorker } from '#worker/createWorker.ts'
import { createTestWorld, testPorts } from './inner.ts'
import { type TestDevice, createTestDevice, testConfig, testPolicy, testStream } from './rig.ts'

/** More in the long form: `PLUMBLINE_CRASHES=1000 vitest run test/enclave-worker/crash.test.ts`. */
const crashes = Number(process.env['PLUMBLINE_CRASHES'] ?? 120)

class Crash extends Error {}

/** A device that sends what was not receipted yet again, byte for byte, as firmware does. */
type Sender = {
  readonly device: TestDevice
  readonly unreceipted: Uint8Array[]
}

type Promised = {
  readonly device: Hex
  readonly sequence: bigint
  readonly hash: Hex
  readonly batch: bigint
}

function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296
    return state / 4_294_967_296
  }
}

describe('a worker that is killed at every transition that reaches the disk', () => {
  it(`keeps every promise and never changes what it signed, over ${crashes} kills`, async () => {
    const next = random(20_261_124)
    const folder = mkdtempSync(join(tmpdir(), 'plumbline-crash-'))
    const ledgerFolder = join(folder, 'ledger')
    const world = createTestWorld(1_800_000_000_000)
    const senders: Sender[] = ['one', 'two', 'three'].map((name) => ({
      device: createTestDevice(name, testStream),
      unreceipted: [],
    }))
    const policy = { ...testPolicy, window: { kind: 'tumbling', length: '1m', anchorMs: 0 } }
    const config = readConfig({
      ...testConfig(
        { rpcUrl: 'http://127.0.0.1:1', guestAgent: 'http://127.0.0.1:1' } as never,
        folder,
        senders.map(({ device }) => device),
        {
          policies: [policy],
          assignments: [{ subject: 'plant', policy: policy.name }],
          allowedLatenessMs: 0,
          tickMs: 60_000,
          limits: { verifyThreads: 0 },
        },
      ),
    })
    expect(config.streamId).toBe(streamId('test'))

    const promised: Promised[] = []
    /** Everything that any client was ever shown, by sequence. */
    const shown = new Map<bigint, string>()
    const points = new Map<string, number>()
    let kills = 0
    let torn = 0

    async function look(url: string): Promise<void> {
      const text = await (
        await fetch(`${url}/v1/batches?after=${Math.max(0, shown.size - 50)}&limit=100`)
      ).text()
      const { batches } = JSON.parse(text) as { batches: { batch: { sequence: string } }[] }
      for (const batch of batches) {
        const sequence = BigInt(batch.batch.sequence)
        const before = shown.get(sequence)
        const now = JSON.stringify(batch)
        expect(before ?? now).toBe(now)
        shown.set(sequence, now)
      }
    }

    async function live(worker: RunningWorker): Promise<void> {
      const client = createWorkerClient({
        url: worker.url,
        fetch: (url, init) => fetch(url, init),
      })
      for (let round = 0; round < 4; round += 1) {
        world.nowMs += 20_000 + Math.floor(next() * 30_000)
        for (const sender of senders) {
          if (next() < 0.3) continue
          sender.unreceipted.push(
            sender.device.next([world.nowMs - 2000, world.nowMs - 1000], [1_000_000, 2_000_000]),
          )
        }
        await Promise.all(
          senders.map(async (sender) => {
            if (sender.unreceipted.length === 0) return
            const answers = await client.postPacks(sender.unreceipted)
            for (const answer of answers) {
              if (!('receipt' in answer)) throw new Error(`refused: ${answer.refusal.name}`)
              promised.push({
                device: answer.receipt.device,
                sequence: answer.receipt.packSequence,
                hash: answer.receipt.packHash,
                batch: answer.receipt.nextBatchSequence,
              })
              sender.unreceipted.shift()
            }
          }),
        )
        await worker.closeDue()
        await look(worker.url)
      }
    }

    while (kills < crashes) {
      let countdown = 1 + Math.floor(next() * 26)
      let isDead = false
      let durableBytes = 0
      let cutFrom: { path: string; durable: number } | undefined
      const failpoint = (name: string): void => {
        if (isDead) throw new Crash(name)
        const path = join(ledgerFolder, readdirSync(ledgerFolder).sort().at(-1) ?? '')
        if (name === 'ledger.afterSync') durableBytes = statSync(path).size
        countdown -= 1
        if (countdown > 0) return
        isDead = true
        points.set(name, (points.get(name) ?? 0) + 1)
        if (name === 'ledger.beforeSync') cutFrom = { path, durable: durableBytes }
        throw new Crash(name)
      }
      let worker: RunningWorker | undefined
      try {
        worker = await startWorker(config, testPorts(world, [config.anchorChainId], failpoint))
        await live(worker)
      } catch (error) {
        if (!isDead) throw error
      }
      await worker?.stop()
      if (!isDead) continue
      kills += 1
      // What was written and not synced may be there whole, in part, or not at all.
      if (cutFrom !== undefined && cutFrom.durable > 0) {
        const size = statSync(cutFrom.path).size
        const rest = size - cutFrom.durable
        if (rest > 0) {
          truncateSync(cutFrom.path, cutFrom.durable + Math.floor(next() * (rest + 1)))
          torn += 1
        }
      }
    }

    // At last it is left alone: everything that was ever promised has to be where it was promised.
    world.nowMs += 120_000
    const worker = await startWorker(config, testPorts(world, [config.anchorChainId]))
    const client = createWorkerClient({ url: worker.url, fetch: (url, init) => fetch(url, init) })
    while ((await worker.closeDue()) !== undefined);
    world.nowMs += 120_000
    while ((await worker.closeDue()) !== undefined);
    const { head } = await client.batches(0n, 1)
    let previous: Hex = `0x${'00'.repeat(32)}`
    const held = new Set<string>()
    for (let sequence = 1n; sequence <= head; sequence += 1n) {
      const { batch, digest, roster } = await client.roster(sequence)
      expect(batch.sequence).toBe(sequence)
      expect(batch.previous).toBe(previous)
      previous = digest
      for (const entry of roster) {
        if (entry.lastSequence === 0n) continue
        const { packs } = await client.rosterPlace(sequence, entry.device)
        for (const pack of packs)
          held.add(`${sequence}/${entry.device}/${pack.sequence}/${pack.hash}`)
      }
    }
    const broken = promised.filter(
      ({ batch, device, sequence, hash }) => !held.has(`${batch}/${device}/${sequence}/${hash}`),
    )
    expect(broken).toStrictEqual([])
    for (const [sequence, text] of shown) {
      expect(
        JSON.stringify(
          JSON.parse(await (await fetch(`${worker.url}/v1/batches/${sequence}`)).text()),
        ),
      ).toBe(text)
    }
    await worker.stop()
    rmSync(folder, { recursive: true, force: true })

    expect(promised.length).toBeGreaterThan(crashes)
    expect(shown.size).toBeGreaterThan(crashes / 10)
    expect(torn).toBeGreaterThan(0)
    expect([...points.keys()].sort()).toStrictEqual([
      'close.afterCommit',
      'close.afterCut',
      'close.beforeAppend',
      'ledger.afterSync',
      'ledger.beforeSync',
      'ledger.beforeWrite',
    ])
  }, 600_000)
})
