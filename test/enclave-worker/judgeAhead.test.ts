import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { verdicts, zeroHash } from '#schemas/report.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
import { readConfig } from '#worker/config.ts'
import { startWorker } from '#worker/createWorker.ts'
import { readFrame, segmentHeaderBytes } from '#worker/ledger/frame.ts'
import { PackLog } from '#worker/state/packLog.ts'
import type { Span } from '#worker/tracing.ts'
import { createTestWorld, testPorts } from './inner.ts'
import { createMaker } from './maker.ts'
import {
  anchorChainId,
  createTestDevice,
  eventually,
  testConfig,
  testPolicy,
  testStream,
} from './rig.ts'
import { bootMs, minute, seconds, setStage, tumbling, watts } from './stage.ts'

const nowhere = { rpcUrl: 'http://127.0.0.1:1', guestAgent: 'http://127.0.0.1:1' }

describe('a period that has ended and waits for what is late', () => {
  it('is judged ahead, and again when packs come that bear on it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'plumbline-ahead-'))
    const world = createTestWorld(bootMs)
    const device = createTestDevice('meter', testStream)
    const policy = { ...testPolicy, window: { kind: 'tumbling', length: '1m', anchorMs: 0 } }
    const config = readConfig(
      testConfig(nowhere as never, folder, [device], {
        tickMs: 20,
        limits: { verifyThreads: 0 },
        policies: [policy],
        assignments: [{ subject: 'plant', policy: policy.name }],
        allowedLatenessMs: 10_000,
      }),
    )
    const names: string[] = []
    const span: Span = {
      tell: () => undefined,
      during: (name, work) => {
        names.push(name)
        return work(span)
      },
    }
    const ahead = (): number => names.filter((name) => name === 'judge ahead').length
    const worker = await startWorker(config, {
      ...testPorts(world, [BigInt(anchorChainId)]),
      tracer: span,
    })
    const client = createWorkerClient({ url: worker.url, fetch: (url, init) => fetch(url, init) })
    const half = (from: number): Uint8Array =>
      device.next(
        Array.from({ length: 30 }, (_, index) => bootMs + (from + index) * 1000),
        Array.from({ length: 30 }, () => 90_000_000),
      )
    await client.postPacks([half(0)])
    world.nowMs = bootMs + minute + 1000
    await eventually(
      () => Promise.resolve(ahead()),
      (count) => count === 1,
      60_000,
    )
    await client.postPacks([half(30)])
    world.nowMs += 1000
    await eventually(
      () => Promise.resolve(ahead()),
      (count) => count === 2,
      60_000,
    )
    world.nowMs = bootMs + minute + 10_000
    const { batches } = await eventually(
      () => client.batches(0n),
      (page) => page.head === 1n,
      60_000,
    )
    expect(batches[0]?.reports[0]?.report).toMatchObject({
      verdict: verdicts.PASS,
      valueMicro: 1_500_000n,
      coveragePpm: 1_000_000,
      amends: zeroHash,
    })
    expect(ahead()).toBe(2)
    await worker.stop()
    rmSync(folder, { recursive: true, force: true })
  }, 240_000)
})

describe('the packs of a device that speak about a span of time', () => {
  it('are the same whether its stamps ascend or not', () => {
    const stamps = fc.record({ first: fc.nat({ max: 60 }), length: fc.nat({ max: 20 }) })
    fc.assert(
      fc.property(
        fc.array(stamps, { maxLength: 12 }),
        fc.boolean(),
        fc.nat({ max: 60 }),
        fc.nat({ max: 30 }),
        fc.nat({ max: 12 }),
        (given, isSorted, startMs, length, batch) => {
          const packs = isSorted ? [...given].sort((one, other) => one.first - other.first) : given
          const log = new PackLog(`0x${'d1'.repeat(32)}`)
          for (const [index, { first, length: span }] of packs.entries()) {
            log.push({
              sequence: BigInt(index + 1),
              previous: zeroHash,
              hash: `0x${(index + 1).toString(16).padStart(64, '0')}`,
              bootCount: 1n,
              firstTimeMs: first,
              lastTimeMs: first + (isSorted ? 3 : span),
              readings: 1,
              receivedMs: 1,
              batchSequence: BigInt(index),
              position: { segment: 1, frame: 64, at: 0 },
            })
          }
          const speaks = [...log].flatMap(({ firstTimeMs, lastTimeMs, batchSequence }, index) =>
            firstTimeMs < startMs + length &&
            lastTimeMs >= startMs &&
            batchSequence <= BigInt(batch)
              ? [index]
              : [],
          )
          const { from, to } = log.speaking(startMs, startMs + length, batch)
          expect(from === to ? [] : [from, to - 1]).toStrictEqual(
            speaks.length === 0 ? [] : [speaks[0], speaks.at(-1)],
          )
        },
      ),
    )
  })
})

/** Has the last two frames of a ledger change places: whole, sealed frames of that very ledger. */
function moveFrames(folder: string): void {
  const path = join(folder, 'ledger', '0000000001.segment')
  const bytes = readFileSync(path)
  const frames: { readonly from: number; readonly to: number }[] = []
  for (let from = segmentHeaderBytes; from < bytes.length;) {
    const reading = readFrame(bytes, from)
    if (reading.kind !== 'frame') throw new Error(reading.kind)
    frames.push({ from, to: reading.end })
    from = reading.end
  }
  const [first, second] = frames.slice(-2)
  if (first === undefined || second === undefined) throw new Error('no frames')
  expect(first.to - first.from).toBe(second.to - second.from)
  const moved = Buffer.from(bytes)
  bytes.copy(moved, first.from, second.from, second.to)
  bytes.copy(moved, second.from, first.from, first.to)
  writeFileSync(path, moved)
}

describe('a period whose packs were moved about on the disk', () => {
  it('is not judged on others than were received', async () => {
    const device = createTestDevice('meter', testStream)
    const stage = await setStage(
      {
        policies: [tumbling],
        assignments: [{ subject: 'plant', policy: tumbling.name }],
        allowedLatenessMs: 5000,
      },
      [device],
    )
    stage.world.nowMs = bootMs + 2 * minute
    for (const startMs of [bootMs, bootMs + minute]) {
      await stage.client.postPacks([device.next(seconds(startMs), watts(90))])
    }
    moveFrames(stage.folder)
    stage.world.nowMs += 6000
    expect((await stage.worker.closeDue())?.reports).toStrictEqual([])
    expect(stage.world.lines).toContainEqual({ level: 'error', event: 'period not judged' })
    await stage.end()
  })

  it('is not amended on them either, and what is due does not wait for it', async () => {
    const device = createTestDevice('meter', testStream)
    const stage = await setStage(
      {
        policies: [tumbling],
        assignments: [
          { subject: 'plant', policy: tumbling.name },
          { subject: 'cellar', policy: tumbling.name },
        ],
        // Who could come to the cellar: it has no device of its own.
        operator: `0x${'ab'.repeat(20)}`,
        makers: [createMaker('acme', bootMs / 1000).statement()],
        allowedLatenessMs: 5000,
      },
      [device],
    )
    stage.world.nowMs = bootMs + minute + 6000
    expect((await stage.worker.closeDue())?.reports).toHaveLength(2)
    for (const startMs of [bootMs, bootMs + minute]) {
      await stage.client.postPacks([device.next(seconds(startMs), watts(90))])
    }
    moveFrames(stage.folder)
    stage.world.nowMs = bootMs + 2 * minute + 6000
    const batch = await stage.worker.closeDue()
    expect(batch?.reports.map(({ subjectName }) => subjectName)).toStrictEqual(['cellar'])
    expect(stage.world.lines).toContainEqual({ level: 'error', event: 'period not amended' })
    // And no batch after batch is signed for the sake of it.
    expect(await stage.worker.closeDue()).toBeUndefined()
    await stage.end()
  })
})
