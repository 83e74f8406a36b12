import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type Hex } from '#schemas/bytes.ts'
import { timeZoneTable } from '#schemas/policy/policy.ts'
import { reportLeaf, verdicts, zeroHash } from '#schemas/report.ts'
import { type WorkerClient, createWorkerClient } from '#schemas/workerClient.ts'
import { readConfig } from '#worker/config.ts'
import { type RunningWorker, startWorker } from '#worker/createWorker.ts'
import { type TestWorld, createTestWorld, testPorts } from './inner.ts'
import {
  type TestDevice,
  anchorChainId,
  createTestDevice,
  eventually,
  testConfig,
  testPolicy,
  testStream,
} from './rig.ts'

const bootMs = 1_800_000_000_000
const nowhere = { rpcUrl: 'http://127.0.0.1:1', guestAgent: 'http://127.0.0.1:1' }

type Stage = {
  readonly world: TestWorld
  readonly folder: string
  readonly devices: readonly TestDevice[]
  worker: RunningWorker
  client: WorkerClient
  restart(overrides?: Record<string, unknown>): Promise<void>
}

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function stage(
  overrides: Record<string, unknown>,
  devices: readonly TestDevice[] = [createTestDevice('meter', testStream)],
): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-timeline-'))
  const world = createTestWorld(bootMs)
  const start = async (more: Record<string, unknown>): Promise<RunningWorker> => {
    const config = readConfig(
      testConfig(nowhere as never, folder, devices, {
        tickMs: 60_000,
        limits: { verifyThreads: 0 },
        ...overrides,
        ...more,
      }),
    )
    return startWorker(config, testPorts(world, [BigInt(anchorChainId)]))
  }
  const clientOf = (worker: RunningWorker): WorkerClient =>
    createWorkerClient({ url: worker.url, fetch: (url, init) => fetch(url, init) })
  const worker = await start({})
  const made: Stage = {
    world,
    folder,
    devices,
    worker,
    client: clientOf(worker),
    async restart(more = {}) {
      await made.worker.stop()
      made.worker = await start(more)
      made.client = clientOf(made.worker)
    },
  }
  cleanups.push(async () => {
    await made.worker.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return made
}

const minute = 60_000
const tumbling = { ...testPolicy, window: { kind: 'tumbling', length: '1m', anchorMs: 0 } }
const everyMinute = {
  policies: [tumbling],
  assignments: [{ subject: 'plant', policy: tumbling.name }],
  allowedLatenessMs: 5000,
}

/** One reading a second over a whole minute. */
const seconds = (startMs: number): number[] =>
  Array.from({ length: 60 }, (_, index) => startMs + index * 1000)
const watts = (value: number): number[] => Array.from({ length: 60 }, () => value * 1_000_000)

describe('windows over time', () => {
  it('a period closes once the clock is past its end and the allowed lateness, not before', async () => {
    const { world, worker } = await stage(everyMinute)
    world.nowMs = bootMs + minute + 4999
    expect(await worker.closeDue()).toBeUndefined()
    world.nowMs = bootMs + minute + 5000
    const batch = await worker.closeDue()
    expect(batch?.reports).toHaveLength(1)
    expect(batch?.reports[0]?.report).toMatchObject({
      periodStartMs: BigInt(bootMs),
      periodEndMs: BigInt(bootMs + minute),
      verdict: verdicts.INCONCLUSIVE,
    })
    expect(await worker.closeDue()).toBeUndefined()
  })

  it('a worker that slept closes every period it missed, each once, in one batch', async () => {
    const { world, worker } = await stage(everyMinute)
    world.nowMs = bootMs + 10 * minute + 5000
    const batch = await worker.closeDue()
    expect(batch?.reports.map(({ report }) => Number(report.periodStartMs) - bootMs)).toStrictEqual(
      Array.from({ length: 10 }, (_, index) => index * minute),
    )
    expect(await worker.closeDue()).toBeUndefined()
  })

  it('what is due together shares one batch, whatever the subject and the policy', async () => {
    const other = {
      ...tumbling,
      name: 'At least 2 Wh',
      objectives: [{ measure: 'integral', operator: 'ge', limit: '2' }],
    }
    const { world, worker, client, devices } = await stage({
      ...everyMinute,
      policies: [tumbling, other],
      assignments: [
        { subject: 'plant', policy: tumbling.name },
        { subject: 'plant', policy: other.name },
      ],
    })
    world.nowMs = bootMs + minute
    await client.postPacks([devices[0]?.next(seconds(bootMs), watts(90)) ?? new Uint8Array()])
    world.nowMs = bootMs + minute + 5000
    const batch = await worker.closeDue()
    expect(batch?.reports.map(({ report }) => report.verdict)).toStrictEqual([
      verdicts.PASS,
      verdicts.FAIL,
    ])
    expect(batch?.reports.map(({ report }) => report.valueMicro)).toStrictEqual([
      1_500_000n,
      1_500_000n,
    ])
  })

  it('a backlog for a period that was over long ago is waited for from when the worker knew of it', async () => {
    const old = bootMs - 365 * 86_400_000
    const { world, worker, client, devices } = await stage({
      assignments: [
        {
          subject: 'plant',
          policy: testPolicy.name,
          periods: [{ startMs: old, endMs: old + minute }],
        },
      ],
      allowedLatenessMs: 5000,
      quietMs: 1000,
      maxQuietWaitMs: 10_000,
    })
    world.nowMs = bootMs + 4800
    expect(await worker.closeDue()).toBeUndefined()
    await client.postPacks([devices[0]?.next(seconds(old), watts(90)) ?? new Uint8Array()])
    world.nowMs = bootMs + 5000
    // Its lateness is over, but the subject has spoken less than a second ago.
    expect(await worker.closeDue()).toBeUndefined()
    world.nowMs = bootMs + 5800
    expect((await worker.closeDue())?.reports[0]?.report.verdict).toBe(verdicts.PASS)
  })

  it('nobody can hold a window open by never being quiet', async () => {
    const { world, worker, client, devices } = await stage({
      ...everyMinute,
      quietMs: 1000,
      maxQuietWaitMs: 10_000,
    })
    let closedAt = 0
    for (let at = 0; at < 20_000 && closedAt === 0; at += 500) {
      world.nowMs = bootMs + minute + 5000 + at
      await client.postPacks([devices[0]?.next([world.nowMs], [1]) ?? new Uint8Array()])
      if ((await worker.closeDue()) !== undefined) closedAt = at
    }
    expect(closedAt).toBe(10_000)
  })
})

describe('calendar windows', () => {
  it('close at midnight of their zone, the day of 25 hours too, and are amended like others', async () => {
    // Clocks in Berlin go back on 31 October 2027; the window is followed from the evening before.
    const hour = 3_600_000
    const midnight = Date.UTC(2027, 9, 30, 22)
    const daily = {
      ...testPolicy,
      name: 'At least 1 Wh a day',
      window: { kind: 'calendar', every: 'day', zone: 'Europe/Berlin', timeZoneTable },
    }
    const made = await stage({
      policies: [daily],
      assignments: [{ subject: 'plant', policy: daily.name, fromMs: midnight - hour }],
      allowedLatenessMs: 5000,
    })
    const { world, devices } = made
    world.nowMs = midnight + 25 * hour + 4999
    expect(await made.worker.closeDue()).toBeUndefined()
    world.nowMs += 1
    const first = await made.worker.closeDue()
    expect(
      first?.reports.map(({ report }) => [report.periodStartMs, report.periodEndMs]),
    ).toStrictEqual([[BigInt(midnight), BigInt(midnight + 25 * hour)]])
    const firstReport = first?.reports[0]?.report
    if (firstReport === undefined) throw new Error('no report')
    await made.client.postPacks([
      devices[0]?.next(seconds(midnight + 24 * hour), watts(90)) ?? new Uint8Array(),
    ])
    await made.restart()
    world.nowMs += 5000
    const second = await made.worker.closeDue()
    expect(second?.reports[0]?.report).toMatchObject({
      periodStartMs: BigInt(midnight),
      // 60 readings at 90 W; the last is held for a second and a half.
      valueMicro: 1_512_500n,
      amends: reportLeaf(firstReport),
    })
    world.nowMs = midnight + (25 + 24) * hour + 5000
    const third = await made.worker.closeDue()
    expect(third?.reports.map(({ report }) => report.periodStartMs)).toStrictEqual([
      BigInt(midnight + 25 * hour),
    ])
  })

  it('that begin before the table of time zones does are refused before anything runs', async () => {
    const daily = {
      ...testPolicy,
      window: { kind: 'calendar', every: 'day', zone: 'Europe/Berlin', timeZoneTable },
    }
    await expect(
      stage({
        policies: [daily],
        assignments: [{ subject: 'plant', policy: daily.name, fromMs: 0 }],
      }),
    ).rejects.toMatchObject({ name: 'TimeZoneError' })
  })
})

describe('calibration', () => {
  const calibrated = { ...tumbling, quality: { calibration: 'required' } }
  const device = createTestDevice('meter', testStream)
  const valid = {
    device: device.id,
    series: 'power',
    validFromMs: 0,
    validUntilMs: bootMs + minute,
  }
  const judge = async (calibrations: unknown[]) => {
    const { world, worker, client, devices } = await stage({
      ...everyMinute,
      policies: [calibrated],
      calibrations,
    })
    world.nowMs = bootMs + minute
    await client.postPacks([devices[0]?.next(seconds(bootMs), watts(90)) ?? new Uint8Array()])
    world.nowMs += 5000
    return (await worker.closeDue())?.reports[0]?.report
  }

  it('makes evidence of a sensor’s readings for as long as it is valid', async () => {
    expect(await judge([valid])).toMatchObject({
      verdict: verdicts.PASS,
      coveragePpm: 1_000_000,
      valueMicro: 1_500_000n,
    })
    const half = await judge([{ ...valid, validUntilMs: bootMs + minute / 2 }])
    expect(half).toMatchObject({ coveragePpm: 500_000, valueMicro: 750_000n })
  })

  it('that is not there, has lapsed, or is another sensor’s makes none', async () => {
    const without = [
      [],
      [{ ...valid, validUntilMs: bootMs }],
      [{ ...valid, series: 'temperature' }],
    ]
    for (const calibrations of without) {
      expect(await judge(calibrations)).toMatchObject({
        verdict: verdicts.INCONCLUSIVE,
        coveragePpm: 0,
      })
    }
  })
})

describe('late packs', () => {
  it('lead to an amendment that names the first report, and never to a silent change', async () => {
    const made = await stage(everyMinute)
    const { world, devices } = made
    world.nowMs = bootMs + minute + 5000
    const first = await made.worker.closeDue()
    const firstReport = first?.reports[0]?.report
    if (firstReport === undefined) throw new Error('no report')
    await made.client.postPacks([devices[0]?.next(seconds(bootMs), watts(90)) ?? new Uint8Array()])
    await made.restart()
    world.nowMs += 5000
    const second = await made.worker.closeDue()
    expect(second?.reports).toHaveLength(1)
    expect(second?.reports[0]?.report).toMatchObject({
      periodStartMs: firstReport.periodStartMs,
      verdict: verdicts.PASS,
      amends: reportLeaf(firstReport),
    })
    expect((await made.client.batch(1n)).reports[0]?.report).toStrictEqual(firstReport)
    expect(await made.worker.closeDue()).toBeUndefined()
    await made.restart()
    expect(await made.worker.closeDue()).toBeUndefined()
  })

  it('that come between the cut and the signature are not forgotten', async () => {
    const made = await stage(everyMinute)
    const late = made.devices[0]?.next(seconds(bootMs), watts(90)) ?? new Uint8Array()
    made.world.nowMs = bootMs + minute + 5000
    made.world.onCut = async () => {
      made.world.onCut = undefined
      await made.client.postPacks([late])
    }
    const first = await made.worker.closeDue()
    expect(first?.reports[0]?.report.verdict).toBe(verdicts.INCONCLUSIVE)
    await made.restart()
    made.world.nowMs += 5000
    const second = await made.worker.closeDue()
    expect(second?.reports[0]?.report.verdict).toBe(verdicts.PASS)
    expect(second?.reports[0]?.report.amends).not.toBe(zeroHash)
  })

  it('that change nothing lead to no amendment', async () => {
    const { world, worker, client, devices } = await stage(everyMinute)
    world.nowMs = bootMs + minute + 5000
    await worker.closeDue()
    // It spans the period and says nothing within it.
    await client.postPacks([
      devices[0]?.next([bootMs - 2000, bootMs + minute], [0, 0]) ?? new Uint8Array(),
    ])
    world.nowMs += 5000
    expect((await worker.closeDue())?.reports).toStrictEqual([])
    expect(await worker.closeDue()).toBeUndefined()
  })

  it('about a right amend nothing: what was granted may be spent', async () => {
    const right = {
      ...tumbling,
      audience: {
        kind: 'right',
        impactClass: 'carbon',
        chainId: '8453',
        contract: `0x${'cc'.repeat(20)}`,
      },
    }
    const { world, worker, client, devices } = await stage({ ...everyMinute, policies: [right] })
    world.nowMs = bootMs + minute + 5000
    const first = await worker.closeDue()
    expect(first?.reports[0]?.report.exclusiveTo).not.toBe(zeroHash)
    await client.postPacks([devices[0]?.next(seconds(bootMs), watts(90)) ?? new Uint8Array()])
    world.nowMs += 60_000 - 5000
    expect(await worker.closeDue()).toBeUndefined()
  })

  it('behind the time for amendments change nothing any more', async () => {
    const { world, worker, client, devices } = await stage({ ...everyMinute, amendForMs: 30_000 })
    world.nowMs = bootMs + minute + 5000
    await worker.closeDue()
    world.nowMs = bootMs + minute + 26_000
    await client.postPacks([devices[0]?.next(seconds(bootMs), watts(90)) ?? new Uint8Array()])
    world.nowMs = bootMs + minute + 31_001
    expect(await worker.closeDue()).toBeUndefined()
  })
})

describe('rights', () => {
  it('are granted once for one impact and time, whatever the configuration says later', async () => {
    const periods = [{ startMs: bootMs, endMs: bootMs + minute }]
    const rightOf = (contract: string): Record<string, unknown> => ({
      assignments: [
        {
          subject: 'plant',
          policy: testPolicy.name,
          periods,
          exclusiveTo: { chainId: 1, contract: `0x${contract.repeat(20)}`, right: 'carbon' },
        },
      ],
      allowedLatenessMs: 0,
    })
    const made = await stage(rightOf('aa'))
    made.world.nowMs = bootMs + minute
    expect((await made.worker.closeDue())?.reports).toHaveLength(1)
    for (const startMs of [bootMs, bootMs - 30_000, bootMs + 59_999]) {
      periods[0] = { startMs, endMs: startMs + minute }
      made.world.nowMs += 2 * minute
      await made.restart(rightOf('bb'))
      expect(await made.worker.closeDue()).toBeUndefined()
    }
    periods[0] = { startMs: bootMs + minute, endMs: bootMs + 2 * minute }
    await made.restart(rightOf('bb'))
    expect((await made.worker.closeDue())?.reports).toHaveLength(1)
  })
})

describe('the clock and the anchor', () => {
  it('a batch is never signed while the clock is behind the anchor block', async () => {
    const { world, worker, client } = await stage(everyMinute)
    world.nowMs = bootMs + minute + 5000
    world.block = { number: 9n, hash: `0x${'09'.repeat(32)}`, timestampMs: world.nowMs + 120_001 }
    await expect(worker.closeDue()).rejects.toThrowErrorMatchingInlineSnapshot(`
      [SigningHeldError: The clock is behind the anchor block.
      Field: clock
      Clock: 1800000065000
      Anchor: 1800000185001
      Remedy: Set the host’s clock; batches wait until it agrees with the chain.]
    `)
    expect(await client.health()).toMatchObject({
      status: 'held',
      reason: 'The clock is behind the anchor block.',
    })
    world.block = undefined
    expect((await worker.closeDue())?.batch.sequence).toBe(1n)
    expect(await client.health()).toMatchObject({ status: 'ok' })
  })

  it('a batch is never signed on an old anchor, and packs are taken all the same', async () => {
    const { world, worker, client, devices } = await stage(everyMinute)
    world.nowMs = bootMs + minute + 5000
    world.block = { number: 9n, hash: `0x${'09'.repeat(32)}`, timestampMs: world.nowMs - 600_001 }
    await expect(worker.closeDue()).rejects.toMatchObject({ name: 'SigningHeldError' })
    const [answer] = await client.postPacks([
      devices[0]?.next([world.nowMs], [1]) ?? new Uint8Array(),
    ])
    expect(answer).toHaveProperty('receipt')
  })

  it('a clock that is set back makes no batch older than the one before', async () => {
    const { world, worker, client, devices } = await stage({
      ...everyMinute,
      maxBatchIntervalMs: 1000,
    })
    world.nowMs = bootMs + minute + 5000
    const first = await worker.closeDue()
    world.nowMs = bootMs + 30_000
    await client.postPacks([devices[0]?.next([bootMs], [1]) ?? new Uint8Array()])
    world.nowMs = bootMs + 32_000
    const second = await worker.closeDue()
    expect(second?.batch.closedAtMs).toBe(first?.batch.closedAtMs)
  })
})

describe('a disk that was set back', () => {
  it('is refused when a chain holds a batch that it does not', async () => {
    const made = await stage(everyMinute)
    made.world.head = { sequence: 3n, digest: `0x${'dd'.repeat(32)}` }
    await expect(made.restart()).rejects.toThrowErrorMatchingInlineSnapshot(`
      [RolledBackError: Somebody holds a batch that the data folder does not.
      Field: dataFolder
      Witness: chain 31337
      Batch: 3
      There: 0xdddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
      Here: nothing behind 0
      Remedy: Bring back the newest copy of the data folder; this one must never sign again.]
    `)
    made.world.head = undefined
    await made.restart()
  })

  it('is refused when a chain holds another batch under the same sequence', async () => {
    const made = await stage(everyMinute)
    made.world.nowMs = bootMs + minute + 5000
    const batch = await made.worker.closeDue()
    made.world.head = { sequence: 1n, digest: `0x${'dd'.repeat(32)}` }
    await expect(made.restart()).rejects.toMatchObject({ name: 'RolledBackError' })
    made.world.head = { sequence: 1n, digest: batch?.digest ?? '0x' }
    await made.restart()
    expect(await made.client.health()).toMatchObject({ status: 'ok', head: 1n })
  })

  it('nothing is signed until the anchor chain has been asked', async () => {
    const made = await stage(everyMinute)
    made.world.isHeadAway = true
    await made.restart()
    made.world.nowMs = bootMs + minute + 5000
    await expect(made.worker.closeDue()).rejects.toThrowErrorMatchingInlineSnapshot(`
      [SigningHeldError: The head on the anchor chain is not compared yet.
      Field: registries.proofRegistry
      Remedy: Check the anchor chain’s node and the address of its proof registry.]
    `)
    made.world.head = { sequence: 0n, digest: zeroHash }
    made.world.isHeadAway = false
    const batch = await eventually(
      () => made.worker.closeDue().catch(() => undefined),
      (answer) => answer !== undefined,
    )
    expect(batch?.batch.sequence).toBe(1n)
  })
})

describe('the order of packs', () => {
  it('a pack that is ahead waits for the ones between, and says which is expected', async () => {
    const { client, devices } = await stage({})
    const device = devices[0]
    if (device === undefined) throw new Error('no device')
    const one = device.next([bootMs - 3000], [1])
    const two = device.next([bootMs - 2000], [1])
    const [ahead] = await client.postPacks([two])
    expect(ahead).toStrictEqual({
      refusal: {
        name: 'PackAheadError',
        message: 'The pack is ahead of its device’s chain.',
        field: 'sequence',
        remedy: 'Send pack 1 first.',
        retryable: true,
      },
    })
    const answers = await client.postPacks([one, two, one])
    expect(answers[2]).toStrictEqual(answers[0])
    expect(answers[1]).toHaveProperty('receipt.packSequence', 2n)
  })

  it('two histories of one key are recorded with both packs, across a restart, and once each', async () => {
    const made = await stage({})
    const device = made.devices[0]
    const clone = createTestDevice('clone', testStream, { seed: 'meter' })
    if (device === undefined) throw new Error('no device')
    const mine = device.next([bootMs - 3000], [1])
    const theirs = clone.next([bootMs - 3000], [2])
    const theirNext = clone.next([bootMs - 2000], [2])
    expect((await made.client.postPacks([mine]))[0]).toHaveProperty('receipt')
    for (let round = 0; round < 3; round += 1) {
      const answers = await made.client.postPacks([theirs, theirNext])
      expect(
        answers.map((answer) => ('refusal' in answer ? answer.refusal.name : '')),
      ).toStrictEqual(['EquivocationError', 'EquivocationError'])
      await made.restart()
    }
    const { equivocations } = await made.client.equivocations()
    expect(equivocations).toHaveLength(2)
    expect(equivocations[0]).toMatchObject({ device: device.id, sequence: 1n })
    expect(Buffer.from(equivocations[0]?.standing ?? '', 'base64').equals(mine)).toBe(true)
    expect(Buffer.from(equivocations[0]?.contradicting ?? '', 'base64').equals(theirs)).toBe(true)
    const status = (await made.client.devices()).devices[0]
    expect(status).toMatchObject({ headSequence: 1n, equivocations: 2 })
  })

  it('a device that sends faster than is taken is told to wait, and goes on where it was', async () => {
    const made = await stage({ limits: { verifyThreads: 0, maxPacksPerSecondPerDevice: 0.1 } })
    const packs = Array.from(
      { length: 8 },
      () => made.devices[0]?.next([bootMs - 1000], [1]) ?? new Uint8Array(),
    )
    const outcome = (answer: object): string =>
      'refusal' in answer ? (answer.refusal as { name: string }).name : 'receipt'
    expect((await made.client.postPacks(packs)).map(outcome)).toStrictEqual([
      ...Array.from({ length: 6 }, () => 'receipt'),
      'RateLimitedError',
      'PackAheadError',
    ])
    made.world.nowMs += 20_000
    expect((await made.client.postPacks(packs)).map(outcome)).toStrictEqual(
      packs.map(() => 'receipt'),
    )
  })

  it('a pack stamped ahead of the clock is refused until its time has come', async () => {
    const { world, client, devices } = await stage({ maxFutureSkewMs: 10_000 })
    const pack = devices[0]?.next([bootMs + 10_001], [1]) ?? new Uint8Array()
    expect((await client.postPacks([pack]))[0]).toHaveProperty(
      'refusal.name',
      'PackFromFutureError',
    )
    world.nowMs += 1
    expect((await client.postPacks([pack]))[0]).toHaveProperty('receipt')
  })

  it('more readings than the sampling allows, or of another series, are refused', async () => {
    const other = createTestDevice('meter', testStream, { series: 'voltage', unit: 'V' })
    const { client, devices } = await stage({})
    const crowded = Array.from({ length: 200 }, (_, index) => bootMs - 10_000 + index * 50)
    expect(
      (await client.postPacks([devices[0]?.next(crowded, []) ?? new Uint8Array()]))[0],
    ).toHaveProperty('refusal.name', 'ImplausibleRateError')
    expect((await client.postPacks([other.next([bootMs], [1])]))[0]).toHaveProperty(
      'refusal.name',
      'UnknownSeriesError',
    )
  })

  it('a receipt promises the batch that then holds the pack, also across a restart', async () => {
    const made = await stage({ maxBatchIntervalMs: 1000 })
    const device = made.devices[0]
    if (device === undefined) throw new Error('no device')
    const promises: { sequence: bigint; batch: bigint }[] = []
    for (let round = 0; round < 6; round += 1) {
      made.world.nowMs += 2000
      const [answer] = await made.client.postPacks([device.next([made.world.nowMs], [1])])
      if (answer === undefined || !('receipt' in answer)) throw new Error('refused')
      promises.push({
        sequence: answer.receipt.packSequence,
        batch: answer.receipt.nextBatchSequence,
      })
      made.world.nowMs += 1000
      if (round % 2 === 0) await made.restart()
      await made.worker.closeDue()
    }
    const device0: Hex = device.id
    for (const { sequence, batch } of promises) {
      const { packs } = await made.client.rosterPlace(batch, device0)
      expect(packs.map((pack) => pack.sequence)).toContain(sequence)
    }
  })
})

describe('a data folder', () => {
  it('is worked in by one process at a time', async () => {
    const made = await stage({})
    const config = readConfig(testConfig(nowhere as never, made.folder, made.devices, {}))
    await expect(
      startWorker(config, testPorts(made.world, [BigInt(anchorChainId)])),
    ).rejects.toMatchObject({ name: 'FolderInUseError', field: 'dataFolder' })
  })

  it('sealed by this application opens for no other stream', async () => {
    const made = await stage({})
    await expect(made.restart({ stream: 'other' })).rejects.toMatchObject({
      name: 'LedgerForeignError',
    })
    await made.restart()
  })
})

describe('backpressure', () => {
  it('a worker with its hands full answers 429 and when to come back', async () => {
    const made = await stage({
      limits: { verifyThreads: 1, maxBytesInFlight: 65_536, maxBodyBytes: 65_536 },
    })
    const packs = Array.from(
      { length: 40 },
      (_, index) =>
        made.devices[0]?.next(seconds(bootMs - (50 - index) * minute), watts(1)) ??
        new Uint8Array(),
    )
    const body = new Uint8Array(Buffer.concat(packs))
    const responses = await Promise.all(
      Array.from({ length: 12 }, () =>
        fetch(`${made.worker.url}/v1/packs`, {
          method: 'POST',
          headers: { 'content-type': 'application/cbor-seq' },
          body,
        }),
      ),
    )
    const refused = responses.filter(({ status }) => status === 429)
    expect(refused.length).toBeGreaterThan(0)
    for (const response of refused) {
      expect(response.headers.get('retry-after')).toBe('1')
      expect(await response.json()).toMatchObject({
        error: { name: 'RateLimitedError', retryable: true },
      })
    }
    expect(responses.some(({ status }) => status === 200)).toBe(true)
    expect(await made.client.health()).toMatchObject({ status: 'ok' })
  })
})
