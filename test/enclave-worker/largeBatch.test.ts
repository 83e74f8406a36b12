import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type Hex, fromHex } from '#schemas/bytes.ts'
import { assertInclusion } from '#schemas/merkle/orderedTree.ts'
import { reportLeaf, subjectId } from '#schemas/report.ts'
import { type SignedBatch, maxReportsPerPage, wholeBatchReports } from '#schemas/workerApi.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
import { createKeccakPairs } from '#worker/batches/keccakBatch.ts'
import { readConfig } from '#worker/config.ts'
import { type RunningWorker, startWorker } from '#worker/createWorker.ts'
import { openLedger, readLedger } from '#worker/ledger/ledger.ts'
import { decodeRecord, encodeJsonRecord } from '#worker/ledger/records.ts'
import { noSeal } from '#worker/ledger/seal.ts'
import { examineLedger } from '#worker/maintenance/examineLedger.ts'
import { createTestWorld, testPorts } from './inner.ts'
import { createTestDevice, testConfig, testPolicy, testStream } from './rig.ts'

const bootMs = 1_800_000_000_000
const nowhere = { rpcUrl: 'http://127.0.0.1:1', guestAgent: 'http://127.0.0.1:1' }
const strict = {
  ...testPolicy,
  name: 'At least 2 Wh',
  objectives: [{ measure: 'integral', operator: 'ge', limit: '2' }],
}

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A worker over a plain ledger, with as many one-second periods of two policies as are asked for. */
function stage(periodsOfEach: number) {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-large-'))
  cleanups.push(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const world = createTestWorld(bootMs)
  const device = createTestDevice('meter', testStream)
  const periods = Array.from({ length: periodsOfEach }, (_, index) => ({
    startMs: bootMs + index * 1000,
    endMs: bootMs + (index + 1) * 1000,
  }))
  const raw = testConfig(nowhere as never, folder, [device], {
    sealing: 'none',
    tickMs: 60_000,
    limits: { verifyThreads: 0 },
    policies: [testPolicy, strict],
    assignments: [testPolicy, strict].map(({ name }) => ({
      subject: 'plant',
      policy: name,
      periods,
    })),
    allowedLatenessMs: 0,
  })
  const start = async (
    dataFolder = folder,
    failpoint?: (name: string) => void,
  ): Promise<RunningWorker> => {
    const config = readConfig({ ...raw, dataFolder })
    const worker = await startWorker(config, testPorts(world, [config.anchorChainId], failpoint))
    cleanups.push(() => worker.stop())
    return worker
  }
  const examine = async (dataFolder = folder) => {
    const examined = await examineLedger(join(dataFolder, 'ledger'), readConfig(raw), noSeal)
    await examined.reader.close()
    return examined.summary
  }
  return { folder, world, device, start, examine, endMs: bootMs + periodsOfEach * 1000 }
}

const clientOf = ({ url }: RunningWorker) =>
  createWorkerClient({ url, fetch: (target, init) => fetch(target, init) })

/** The bytes of what is answered at a path. */
async function textAt({ url }: RunningWorker, path: string): Promise<string> {
  return (await fetch(`${url}${path}`)).text()
}

describe('a batch of more reports than one answer holds', () => {
  it('is read by pages in which every report proves itself, before and after a restart', async () => {
    const { world, device, start, examine, endMs } = stage(6000)
    let worker = await start()
    let client = clientOf(worker)
    await client.postPacks([
      device.next([bootMs + 1000, bootMs + 1500], [7_200_000_000, 7_200_000_000]),
    ])
    world.nowMs = endMs
    const closed = await worker.closeDue()
    expect(closed?.batch.reportCount).toBe(12_000)
    expect(12_000).toBeGreaterThan(wholeBatchReports)

    const page = await client.batches(0n)
    expect(page.batches).toHaveLength(1)
    const [head] = page.batches
    expect(head).toMatchObject({ reports: [], nextReport: 0, digest: closed?.digest })
    expect(await client.batch(1n)).toStrictEqual(head)

    const hashPairs = await createKeccakPairs()
    const root = fromHex(head?.batch.reportRoot ?? '', 'root', 32)
    const reports: SignedBatch['reports'] = []
    let pages = 0
    for (let from: number | undefined = 0; from !== undefined;) {
      const next = await client.batchReports(1n, from, maxReportsPerPage)
      expect(next).toMatchObject({ sequence: 1n, digest: closed?.digest, reportCount: 12_000 })
      reports.push(...next.reports)
      pages += 1
      from = next.next
    }
    expect(pages).toBe(3)
    expect(reports.map(({ index }) => index)).toStrictEqual(
      Array.from({ length: 12_000 }, (_, index) => index),
    )
    for (const { report, index, path } of reports) {
      const leaf = fromHex(reportLeaf(report), 'leaf', 32)
      const nodes = path.map((node) => fromHex(node, 'path', 32))
      assertInclusion(root, leaf, index, 12_000, nodes, hashPairs)
    }
    expect(new Set(reports.map(({ policyName }) => policyName))).toStrictEqual(
      new Set([testPolicy.name, strict.name]),
    )

    const { proofs } = await client.proofs(subjectId('plant'), 3)
    expect(proofs.map(({ proven }) => proven)).toStrictEqual(reports.slice(-3).reverse())

    // The list of reports goes through a large batch piece by piece, too.
    const listed: SignedBatch['reports'] = []
    let after: bigint | undefined = 0n
    let from: number | undefined
    while (after !== undefined) {
      const list = await client.reports(after, from === undefined ? {} : { from })
      listed.push(...list.reports.map(({ proven }) => proven))
      after = list.next
      from = list.nextIndex
    }
    expect(listed).toStrictEqual(reports)
    expect((await client.reports(0n, { subject: subjectId('plant') })).reports).toHaveLength(12_000)
    expect((await client.batchReports(1n, 12_000)).reports).toStrictEqual([])

    const middle = await textAt(worker, '/v1/batches/1/reports?from=4090&limit=12')
    await worker.stop()
    worker = await start()
    client = clientOf(worker)
    expect(await textAt(worker, '/v1/batches/1/reports?from=4090&limit=12')).toBe(middle)
    expect(await worker.closeDue()).toBeUndefined()
    expect(await client.batches(0n)).toStrictEqual(page)
    expect(await examine()).toMatchObject({ batches: 1, headDigest: closed?.digest })
  }, 120_000)
})

describe('parts of a batch that came to nothing', () => {
  it('are passed over by the batch that is signed behind them, and by every reader', async () => {
    const { world, device, start, examine, endMs } = stage(5)
    let failures = 1
    const worker = await start(undefined, (name) => {
      if (name === 'close.beforeAppend' && failures-- > 0) throw new Error('not this time')
    })
    await clientOf(worker).postPacks([device.next([bootMs + 500], [1])])
    world.nowMs = endMs
    await expect(worker.closeDue()).rejects.toThrow('not this time')
    // What comes now belongs to the next batch; the one that is owed is as it was cut.
    await clientOf(worker).postPacks([device.next([bootMs + 1500], [2])])
    const signed = await worker.closeDue()
    expect(signed?.batch).toMatchObject({ sequence: 1n, rosterCount: 1 })
    const text = await textAt(worker, '/v1/batches?after=0')
    const roster = await textAt(worker, '/v1/batches/1/roster')
    await worker.stop()
    const again = await start()
    expect(await textAt(again, '/v1/batches?after=0')).toBe(text)
    expect(await textAt(again, '/v1/batches/1/roster')).toBe(roster)
    while ((await again.closeDue()) !== undefined);
    await again.stop()
    expect(await examine()).toMatchObject({ packs: 2 })
  }, 60_000)
})

describe('a ledger whose batches hold their reports as one document', () => {
  it('is read, served, examined and gone on with as it was', async () => {
    const { folder, world, device, start, examine, endMs } = stage(5)
    const worker = await start()
    await clientOf(worker).postPacks([device.next([bootMs + 500], [1])])
    world.nowMs = endMs
    await worker.closeDue()
    const text = await textAt(worker, '/v1/batches?after=0')
    const proofs = await textAt(worker, `/v1/proofs/${subjectId('plant')}`)
    const list = await textAt(worker, '/v1/reports?after=0')
    const signed = JSON.parse(await textAt(worker, '/v1/batches/1')) as {
      reports: { report: Record<string, string>; index: number }[]
    }
    await worker.stop()

    // Written anew as releases before this one wrote it.
    const old = join(folder, 'old')
    const ledger = await openLedger({
      folder: join(old, 'ledger'),
      stream: testStream,
      seal: noSeal,
      onRecord: () => undefined,
    })
    const reader = await readLedger({
      folder: join(folder, 'ledger'),
      stream: testStream,
      seal: noSeal,
      onRecord: (bytes) => {
        const { kind } = decodeRecord(bytes)
        if (kind === 'reports') return
        if (kind !== 'head') {
          ledger.append(Uint8Array.from(bytes))
          return
        }
        const closed = signed.reports.map(({ report, index }) => ({
          key: `${report['subject']}/${report['policyId']}/${report['exclusiveTo']}`,
          startMs: Number(report['periodStartMs']),
          endMs: Number(report['periodEndMs']),
          firstLeaf: leafOf(report),
          index,
        }))
        ledger.append(encodeJsonRecord('batch', { signed, closed }))
      },
    })
    await reader.close()
    await ledger.commit()
    await ledger.close()

    const again = await start(old)
    expect(await textAt(again, '/v1/batches?after=0')).toBe(text)
    expect(await textAt(again, `/v1/proofs/${subjectId('plant')}`)).toBe(proofs)
    expect(await textAt(again, '/v1/reports?after=0')).toBe(list)
    const { reports } = await clientOf(again).batchReports(1n, 3, 2)
    expect(reports.map(({ index }) => index)).toStrictEqual([3, 4])
    // A late pack amends what the old record says.
    await clientOf(again).postPacks([
      device.next([bootMs + 1000, bootMs + 1500], [7_200_000_000, 7_200_000_000]),
    ])
    world.nowMs += 60_000
    const amended = await again.closeDue()
    expect(amended?.batch.sequence).toBe(2n)
    expect(amended?.reports.length).toBeGreaterThan(0)
    const firstLeaves = signed.reports.map(({ report }) => leafOf(report))
    for (const { report } of amended?.reports ?? []) expect(firstLeaves).toContain(report.amends)
    await again.stop()
    expect(await examine(old)).toMatchObject({ batches: 2, headDigest: amended?.digest })
  }, 60_000)
})

function leafOf(report: Record<string, unknown>): Hex {
  const integer = (name: string): bigint => BigInt(String(report[name]))
  return reportLeaf({
    ...(report as never as Parameters<typeof reportLeaf>[0]),
    periodStartMs: integer('periodStartMs'),
    periodEndMs: integer('periodEndMs'),
    valueMicro: integer('valueMicro'),
  })
}
