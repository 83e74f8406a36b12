import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keccak_256 } from '@noble/hashes/sha3'
import { afterEach, describe, expect, it } from 'vitest'
import { secp256k1 } from '@noble/curves/secp256k1'
import { type Hex, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { encodeCalibration } from '#schemas/calibration/encodeCalibration.ts'
import { type CapabilityScope, writeCapability } from '#schemas/capability.ts'
import { evidenceRoot } from '#schemas/evidence.ts'
import { zeroHash } from '#schemas/report.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import { addressOf } from '#schemas/signatures.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
import { readConfig } from '#worker/config.ts'
import { type RunningWorker, startWorker } from '#worker/createWorker.ts'
import { decodeRecord } from '#worker/ledger/records.ts'
import { createSeal } from '#worker/ledger/seal.ts'
import { backupLedger } from '#worker/maintenance/backupLedger.ts'
import { compactLedger } from '#worker/maintenance/compactLedger.ts'
import { examineLedger } from '#worker/maintenance/examineLedger.ts'
import { restoreLedger } from '#worker/maintenance/restoreLedger.ts'
import type { HeadSource } from '#worker/ports.ts'
import { type TestWorld, createTestWorld, testPorts } from './inner.ts'
import { createTestDevice, testConfig, testPolicy, testStream } from './rig.ts'

const bootMs = 1_800_000_000_000
const minute = 60_000
const laterMs = 1_900_000_000_000
const nowhere = { rpcUrl: 'http://127.0.0.1:1', guestAgent: 'http://127.0.0.1:1' }
const policy = { ...testPolicy, window: { kind: 'tumbling', length: '1m', anchorMs: 0 } }
const seal = createSeal(
  new Uint8Array(32).fill(0x5e),
  fromHex(testStream, 'stream', 32),
  (length) => randomBytes(length),
)

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-maintenance-'))
  cleanups.push(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

type Fleet = Awaited<ReturnType<typeof fleet>>

/** A data folder with the life of two meters in it, and the means to live on. */
async function fleet(overrides: Record<string, unknown> = {}) {
  const folder = newFolder()
  const dataFolder = join(folder, 'data')
  const world: TestWorld = createTestWorld(bootMs)
  const devices = ['one', 'two'].map((name) => createTestDevice(name, testStream))
  const raw = testConfig(nowhere as never, dataFolder, devices, {
    tickMs: 60_000,
    limits: { verifyThreads: 0 },
    policies: [policy],
    assignments: [{ subject: 'plant', policy: policy.name }],
    allowedLatenessMs: 0,
    amendForMs: 5 * minute,
    ...overrides,
  })
  const file = join(folder, 'worker.json')
  writeFileSync(file, JSON.stringify(raw))
  const config = readConfig(raw)
  const start = async (changes: Record<string, unknown> = {}): Promise<RunningWorker> => {
    const settings = readConfig({ ...raw, ...changes })
    const worker = await startWorker(settings, testPorts(world, [settings.anchorChainId]))
    cleanups.push(() => worker.stop())
    return worker
  }
  const clientOf = (worker: RunningWorker) =>
    createWorkerClient({ url: worker.url, fetch: (url, init) => fetch(url, init) })
  /** Each meter says something in each minute, which is then closed. */
  async function live(worker: RunningWorker, minutes: number): Promise<Uint8Array[]> {
    const sent: Uint8Array[] = []
    for (let round = 0; round < minutes; round += 1) {
      world.nowMs += 30_000
      const packs = devices.map((device) =>
        device.next([world.nowMs - 2000, world.nowMs - 1000], [90_000_000, 91_000_000]),
      )
      const answers = await clientOf(worker).postPacks(packs)
      expect(answers.every((answer) => 'receipt' in answer)).toBe(true)
      sent.push(...packs)
      world.nowMs += 30_000
      await worker.closeDue()
    }
    return sent
  }
  /** Everything that was ever signed, with the packs under every line of every roster. */
  async function history(worker: RunningWorker): Promise<unknown[]> {
    const client = clientOf(worker)
    const { head } = await client.batches(0n, 1)
    const told: unknown[] = []
    for (let sequence = 1n; sequence <= head; sequence += 1n) {
      const { roster } = await client.roster(sequence)
      told.push(await client.batch(sequence))
      for (const { device, packsRoot } of roster) {
        const place = await client.rosterPlace(sequence, device)
        expect(evidenceRoot(place.packs.map((pack) => ({ device, ...pack })))).toBe(packsRoot)
        told.push(place)
      }
    }
    return told
  }
  return { folder, dataFolder, file, world, devices, config, start, clientOf, live, history }
}

const silent: HeadSource = { head: () => Promise.resolve({ sequence: 0n, digest: zeroHash }) }
const knows = (sequence: bigint, digest: Hex): HeadSource => ({
  head: () => Promise.resolve({ sequence, digest }),
})

describe('compaction', () => {
  it('drops readings that nothing needs and leaves every proof as it was', async () => {
    const made = await fleet()
    const worker = await made.start()
    const sent = await made.live(worker, 20)
    const before = await made.history(worker)
    await worker.stop()

    const nowMs = made.world.nowMs
    const { config } = made
    const summary = await compactLedger({ config, seal, olderThanMs: nowMs, nowMs })
    // Twenty minutes of two meters; periods of the last five can still be amended.
    expect(summary).toMatchObject({ droppedPacks: 28, droppedReadings: 56, bundlesLost: 0 })
    expect(summary.neededPacks).toBe(12)
    expect(summary.reportsKept).toBeGreaterThanOrEqual(14)

    const again = await made.start()
    expect(await made.history(again)).toStrictEqual(before)
    const [forgotten, kept] = await made
      .clientOf(again)
      .postPacks([sent[0] ?? new Uint8Array(), sent.at(-1) ?? new Uint8Array()])
    expect(forgotten).toMatchObject({ refusal: { name: 'PackForgottenError' } })
    expect(kept).toHaveProperty('receipt')
    await made.live(again, 2)
    await again.stop()
    expect(
      await compactLedger({ config, seal, olderThanMs: laterMs, nowMs: laterMs }),
    ).toMatchObject({ droppedPacks: 16, reportsKept: expect.any(Number) as number })
    const last = await made.start()
    expect((await made.history(last)).slice(0, before.length)).toStrictEqual(before)
    const refused = await made.clientOf(last).postPacks(sent.slice(-1))
    expect(refused[0]).toMatchObject({ refusal: { name: 'PackForgottenError' } })
    await made.live(last, 1)
  })

  it('writes down the measures behind every report that leaned on what went', async () => {
    const made = await fleet()
    const worker = await made.start()
    await made.live(worker, 3)
    const reports = (await made.clientOf(worker).reports(0n)).reports
    await worker.stop()
    await compactLedger({ config: made.config, seal, olderThanMs: laterMs, nowMs: laterMs })
    const { state, reader } = await examineLedger(
      join(made.dataFolder, 'ledger'),
      made.config,
      seal,
    )
    const texts = new Map<string, Hex>()
    for (const [key, position] of state.measures) {
      const record = decodeRecord(await reader.read(position))
      const { text } = (record as { json: { text: string } }).json
      texts.set(key, toHex(keccak_256(utf8(text))))
    }
    await reader.close()
    expect(texts.size).toBe(reports.length)
    for (const { batchSequence, proven } of reports) {
      expect(texts.get(`${batchSequence}/${proven.index}`)).toBe(proven.report.measuresHash)
    }
  })

  it('keeps what is unbatched, what is open and what can still be amended', async () => {
    const made = await fleet({ amendForMs: 31 * 86_400_000 })
    const worker = await made.start()
    await made.live(worker, 3)
    await made
      .clientOf(worker)
      .postPacks([made.devices[0]?.next([made.world.nowMs], [1]) ?? new Uint8Array()])
    await worker.stop()
    const nowMs = made.world.nowMs
    const summary = await compactLedger({ config: made.config, seal, olderThanMs: laterMs, nowMs })
    expect(summary).toMatchObject({ droppedPacks: 0, neededPacks: 7 })
    expect(summary.bytesAfter).toBe(summary.bytesBefore)
  })

  it('makes no silence of what the worker itself has dropped: such a period is not judged', async () => {
    const made = await fleet()
    const worker = await made.start()
    await made.live(worker, 3)
    await worker.stop()
    await compactLedger({ config: made.config, seal, olderThanMs: laterMs, nowMs: laterMs })
    const more = { ...policy, name: 'Thought of later' }
    const again = await made.start({
      policies: [policy, more],
      assignments: [
        { subject: 'plant', policy: policy.name },
        { subject: 'plant', policy: more.name, fromMs: bootMs },
      ],
    })
    made.world.nowMs += minute
    const batch = await again.closeDue()
    expect(batch?.reports.map(({ policyName }) => policyName)).not.toContain(more.name)
    expect(made.world.lines).toContainEqual({ level: 'error', event: 'period not judged' })
  })

  it('is kept out while the worker runs, and the worker while it is at work', async () => {
    const made = await fleet()
    await made.start()
    await expect(
      compactLedger({ config: made.config, seal, olderThanMs: laterMs, nowMs: laterMs }),
    ).rejects.toMatchObject({ name: 'FolderInUseError' })
  })
})

describe('a backup', () => {
  it('is taken while packs come in and is a state that the worker was in', async () => {
    const made = await fleet()
    const worker = await made.start()
    await made.live(worker, 2)
    const target = join(made.folder, 'backup')
    const [manifest] = await Promise.all([
      backupLedger({ dataFolder: made.dataFolder, target, nowMs: bootMs }),
      made.live(worker, 4),
    ])
    const { state, reader, summary } = await examineLedger(target, made.config, seal)
    await reader.close()
    expect(summary.batches).toBeGreaterThanOrEqual(2)
    const live = await made.clientOf(worker).batch(BigInt(summary.batches))
    expect(state.batches.at(-1)?.digest).toBe(live.digest)
    expect(manifest.files.map(({ name }) => name)).toStrictEqual(
      readdirSync(target).filter((name) => name.endsWith('.segment')),
    )
    await expect(
      backupLedger({ dataFolder: made.dataFolder, target, nowMs: bootMs }),
    ).rejects.toMatchObject({ name: 'BackupRefusedError', field: 'to' })
  })

  it('that lost a byte, a file or its manifest is refused and says what is wrong', async () => {
    const made = await fleet()
    const worker = await made.start()
    await made.live(worker, 1)
    const target = join(made.folder, 'backup')
    await backupLedger({ dataFolder: made.dataFolder, target, nowMs: bootMs })
    await worker.stop()
    const restore = (source: string) =>
      restoreLedger({
        config: made.config,
        seal,
        source,
        witnesses: new Map([['chain', silent]]),
        nowMs: bootMs,
      })
    const copy = (change: (folder: string) => void): string => {
      const folder = join(newFolder(), 'copy')
      cpSync(target, folder, { recursive: true })
      change(folder)
      return folder
    }
    const segment = '0000000001.segment'
    const broken: [string, (folder: string) => void][] = [
      [
        'byte',
        (folder) => {
          const bytes = readFileSync(join(folder, segment))
          bytes[200] = (bytes[200] ?? 0) ^ 1
          writeFileSync(join(folder, segment), bytes)
        },
      ],
      ['file', (folder) => rmSync(join(folder, segment))],
      ['manifest', (folder) => rmSync(join(folder, 'manifest.json'))],
      [
        'digest',
        (folder) => {
          const text = readFileSync(join(folder, 'manifest.json'), 'utf8')
          writeFileSync(
            join(folder, 'manifest.json'),
            text.replace('"takenMs": 18', '"takenMs": 17'),
          )
        },
      ],
    ]
    const problems: string[] = []
    for (const [, change] of broken) {
      const error: unknown = await restore(copy(change)).catch((caught: unknown) => caught)
      expect(error).toMatchObject({ name: 'BackupDamagedError' })
      problems.push((error as Error).message.split('\n')[0]?.replace(/\/\S+\/copy/, 'FOLDER') ?? '')
    }
    expect(problems).toMatchInlineSnapshot(`
      [
        "0000000001.segment is damaged.",
        "The backup holds other files than its manifest lists.",
        "FOLDER holds no backup: its manifest cannot be read.",
        "The manifest is damaged.",
      ]
    `)
  })
})

describe('what a laboratory and an operator have told a worker', () => {
  const operatorKey = new Uint8Array(32).fill(0x0b)
  const laboratory = createDeviceSigner('ES256', new Uint8Array(32).fill(0x1a))
  const allow = (scope: CapabilityScope): string =>
    writeCapability(
      {
        stream: testStream,
        scope,
        subject: zeroHash,
        notBeforeMs: bootMs,
        expiresAtMs: bootMs + 80_000_000,
      },
      operatorKey,
    )

  async function administered() {
    const demanding = { ...policy, quality: { calibration: 'required' } }
    const made = await fleet({
      operator: addressOf(secp256k1.getPublicKey(operatorKey, false)),
      laboratories: [
        {
          name: 'Laboratory',
          publicKey: toHex(coseKeyBytes(laboratory.key)),
          algorithm: 'ES256',
        },
      ],
      policies: [demanding],
      assignments: ['plant', 'cellar'].map((subject) => ({ subject, policy: policy.name })),
    })
    const worker = await made.start()
    const [one, two] = made.devices
    if (one === undefined || two === undefined) throw new Error('no devices')
    const certify = (number: string, device: Hex) =>
      made.clientOf(worker).postCalibration(
        encodeCalibration(
          {
            laboratory: 'Laboratory',
            number,
            device,
            series: 'power',
            unit: 'W',
            issuedMs: bootMs,
            validFromMs: bootMs - 86_400_000,
            validUntilMs: bootMs + 86_400_000,
            document: undefined,
            replaces: undefined,
          },
          laboratory,
        ),
      )
    await certify('1', one.id)
    await made.live(worker, 5)
    return { ...made, worker, one, two, certify }
  }

  it('outlives a compaction, and what it led to can be judged again', async () => {
    const made = await administered()
    const { worker, one, two } = made
    await made.certify('2', two.id)
    await made.clientOf(worker).transferDevice(one.id, {
      subject: 'cellar',
      capability: allow('transfer'),
    })
    await made.live(worker, 15)
    await made.clientOf(worker).retireDevice(two.id, allow('retire'))
    const before = [await made.history(worker), (await made.clientOf(worker).devices()).devices]
    await worker.stop()
    const nowMs = made.world.nowMs
    const summary = await compactLedger({ config: made.config, seal, olderThanMs: nowMs, nowMs })
    expect(summary).toMatchObject({ droppedPacks: 28, bundlesLost: 0 })
    const again = await made.start()
    expect([
      await made.history(again),
      (await made.clientOf(again).devices()).devices,
    ]).toStrictEqual(before)
  })

  it('is not lost to a backup that knows less of it', async () => {
    const told: readonly [
      string,
      (made: Awaited<ReturnType<typeof administered>>) => Promise<unknown>,
    ][] = [
      ['Certificate: ["Laboratory","2"]', ({ certify, two }) => certify('2', two.id)],
      [
        'Move: ',
        ({ clientOf, worker, one }) =>
          clientOf(worker).transferDevice(one.id, {
            subject: 'cellar',
            capability: allow('transfer'),
          }),
      ],
      [
        'Retired: ',
        ({ clientOf, worker, two }) => clientOf(worker).retireDevice(two.id, allow('retire')),
      ],
    ]
    for (const [what, tell] of told) {
      const made = await administered()
      const target = join(made.folder, 'backup')
      await backupLedger({ dataFolder: made.dataFolder, target, nowMs: bootMs })
      await tell(made)
      await made.worker.stop()
      const restored = restoreLedger({
        config: made.config,
        seal,
        source: target,
        witnesses: new Map([['chain', silent]]),
        nowMs: bootMs,
      })
      await expect(restored).rejects.toMatchObject({
        name: 'RolledBackError',
        message: expect.stringContaining(what) as unknown,
      })
    }
  })
})

describe('a restore', () => {
  async function backedUp(): Promise<Fleet & { target: string; digests: Hex[] }> {
    const made = await fleet()
    const worker = await made.start()
    await made.live(worker, 3)
    const target = join(made.folder, 'backup')
    await backupLedger({ dataFolder: made.dataFolder, target, nowMs: bootMs })
    await made.live(worker, 1)
    const { batches } = await made.clientOf(worker).batches(0n, 100)
    await worker.stop()
    return { ...made, target, digests: batches.map(({ digest }) => digest) }
  }
  const restore = (
    { config }: Pick<Fleet, 'config'>,
    source: string,
    witnesses: readonly (readonly [string, HeadSource])[],
  ) => restoreLedger({ config, seal, source, witnesses: new Map(witnesses), nowMs: bootMs })

  it('is refused while the data folder is whole and holds more', async () => {
    const made = await backedUp()
    await expect(restore(made, made.target, [['chain', silent]])).rejects.toMatchObject({
      name: 'RolledBackError',
      field: 'from',
    })
  })

  it('is refused when a chain or a peer holds a batch that the backup does not', async () => {
    const made = await backedUp()
    rmSync(join(made.dataFolder, 'ledger'), { recursive: true })
    for (const head of [knows(4n, made.digests[3] ?? '0x'), knows(2n, `0x${'dd'.repeat(32)}`)]) {
      await expect(
        restore(made, made.target, [
          ['chain 1', silent],
          ['peer', head],
        ]),
      ).rejects.toMatchObject({ name: 'RolledBackError' })
    }
    for (const witnesses of [
      [],
      [['away', { head: () => Promise.reject(new Error('no node')) }] as const],
    ]) {
      await expect(restore(made, made.target, witnesses)).rejects.toMatchObject({
        name: 'RestoreUncomparedError',
      })
    }
    expect(readdirSync(made.dataFolder)).toStrictEqual([])
  })

  it('lets the worker go on, once everybody who may know better has been asked again', async () => {
    const made = await backedUp()
    rmSync(join(made.dataFolder, 'ledger'), { recursive: true })
    const third = made.digests[2] ?? '0x'
    const summary = await restore(made, made.target, [['chain', knows(3n, third)]])
    expect(summary).toMatchObject({
      batches: 3,
      headDigest: third,
      replaced: 'nothing',
      compared: [{ witness: 'chain', sequence: 3n }],
    })

    // Without anybody to ask it takes packs and signs nothing.
    const alone = await made.start()
    made.world.nowMs += minute
    await expect(alone.closeDue()).rejects.toMatchObject({ name: 'SigningHeldError' })
    await alone.stop()

    // A batch that somebody got hold of meanwhile is never signed a second time.
    made.world.head = { sequence: 4n, digest: made.digests[3] ?? '0x' }
    await expect(made.start()).rejects.toMatchObject({ name: 'RolledBackError' })

    made.world.head = { sequence: 3n, digest: third }
    const worker = await made.start()
    const batch = await worker.closeDue()
    expect(batch?.batch).toMatchObject({ sequence: 4n, previous: third })
    await worker.stop()
    // From then on it is a ledger like any other.
    made.world.head = undefined
    made.world.nowMs += minute
    const later = await made.start()
    expect((await later.closeDue())?.batch.sequence).toBe(5n)
  })

  it('replaces a folder that is beyond reading', async () => {
    const made = await backedUp()
    const segment = join(made.dataFolder, 'ledger', '0000000001.segment')
    const bytes = readFileSync(segment)
    bytes[300] = (bytes[300] ?? 0) ^ 1
    writeFileSync(segment, bytes)
    await expect(made.start()).rejects.toMatchObject({ name: 'LedgerCorruptError' })
    const summary = await restore(made, made.target, [['chain', silent]])
    expect(summary.replaced).toBe('damaged')
  })
})

describe('maintenance that is killed', () => {
  async function killed(
    made: Pick<Fleet, 'file'>,
    operation: string,
    point: string,
    folder: string,
  ): Promise<void> {
    const entry = new URL('./maintenanceProcess.ts', import.meta.url).pathname
    const child = spawn(process.execPath, [entry, operation, made.file, point, '1', folder], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let errors = ''
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString()
    })
    const signal = await new Promise<string | null>((resolve) => {
      child.once('exit', (_, by) => {
        resolve(by)
      })
    })
    expect(`${point}: ${signal} ${errors}`).toBe(`${point}: SIGKILL `)
  }

  it('leaves the old ledger or the new one, whole, at every instant of a compaction', async () => {
    const made = await fleet()
    const worker = await made.start()
    await made.live(worker, 4)
    const before = await made.history(worker)
    await worker.stop()
    const original = join(made.folder, 'original')
    cpSync(made.dataFolder, original, { recursive: true })
    const points = ['compact.written', 'compact.whole', 'settle.aside', 'settle.placed']
    for (const point of points) {
      rmSync(made.dataFolder, { recursive: true })
      cpSync(original, made.dataFolder, { recursive: true })
      await killed(made, 'compact', point, '')
      const again = await made.start()
      expect(await made.history(again)).toStrictEqual(before)
      await again.stop()
      expect(readdirSync(made.dataFolder)).toStrictEqual(['ledger'])
      const { summary, reader } = await examineLedger(
        join(made.dataFolder, 'ledger'),
        made.config,
        seal,
      )
      await reader.close()
      expect([point, summary.keptPacks]).toStrictEqual([point, point === points[0] ? 8 : 0])
    }
  }, 120_000)

  it('leaves no half of a backup, and the next one is whole', async () => {
    const made = await fleet()
    const worker = await made.start()
    await made.live(worker, 2)
    for (const point of ['backup.whole']) {
      const target = join(made.folder, point)
      await killed(made, 'backup', point, target)
      expect(readdirSync(made.folder)).not.toContain(point)
      await backupLedger({ dataFolder: made.dataFolder, target, nowMs: bootMs })
      const { summary, reader } = await examineLedger(target, made.config, seal)
      await reader.close()
      expect(summary.batches).toBe(2)
    }
  }, 120_000)

  it('leaves the folder as it was or restored, at every instant of a restore', async () => {
    const made = await fleet()
    const worker = await made.start()
    await made.live(worker, 2)
    const target = join(made.folder, 'backup')
    await backupLedger({ dataFolder: made.dataFolder, target, nowMs: bootMs })
    await worker.stop()
    for (const point of ['restore.written', 'restore.whole']) {
      rmSync(join(made.dataFolder, 'ledger'), { recursive: true, force: true })
      await killed(made, 'restore', point, target)
      // Begun again, or completed by the worker's start: either way nothing but the restored one.
      const isDone = point === 'restore.whole'
      if (!isDone)
        await restoreLedger({
          config: made.config,
          seal,
          source: target,
          witnesses: new Map([['chain', silent]]),
          nowMs: bootMs,
        })
      made.world.nowMs += minute
      const again = await made.start()
      await expect(again.closeDue()).rejects.toMatchObject({ name: 'SigningHeldError' })
      await again.stop()
    }
  }, 120_000)
})

describe('plumbline worker', () => {
  async function run(args: readonly string[]): Promise<{ code: number | null; text: string }> {
    const child = spawn(process.execPath, ['cli/main.ts', 'worker', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
    }
    const code = await new Promise<number | null>((resolve) => {
      child.once('close', resolve)
    })
    return { code, text }
  }

  /** What a relayer's status says of the stream. */
  async function relayer(status: () => object): Promise<string> {
    const server: Server = createServer((request, response) => {
      response.statusCode = request.url === '/v1/status' ? 200 : 404
      response.end(JSON.stringify(status()))
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    cleanups.push(() => {
      server.close()
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  it('backs up, verifies and restores, and refuses what a relayer knows better', async () => {
    let feed = { stream: testStream, sequence: '0', digest: zeroHash as string }
    const peer = await relayer(() => ({ version: 1, feeds: [feed] }))
    const made = await fleet({ sealing: 'none', peers: [peer], keepReadingsForMs: 0 })
    const worker = await made.start()
    await made.live(worker, 3)
    const target = join(made.folder, 'backup')
    const backup = await run(['backup', made.file, '--to', target])
    expect([backup.code, backup.text]).toStrictEqual([0, expect.stringContaining('"segments": 1')])
    await made.live(worker, 1)
    const newest = await made.clientOf(worker).batch(4n)
    await worker.stop()

    const verified = await run(['verify', made.file, '--compare'])
    expect(verified.code).toBe(0)
    expect(JSON.parse(verified.text)).toMatchObject({ batches: 4, headDigest: newest.digest })

    rmSync(join(made.dataFolder, 'ledger'), { recursive: true })
    feed = { stream: testStream, sequence: '4', digest: newest.digest }
    const refused = await run(['restore', made.file, '--from', target])
    expect(refused.code).toBe(3)
    expect(refused.text).toContain('Somebody holds a batch that the data folder does not.')
    feed = { stream: testStream, sequence: '0', digest: zeroHash }
    const restored = await run(['restore', made.file, '--from', target])
    expect([restored.code, JSON.parse(restored.text)]).toMatchObject([0, { batches: 3 }])
  }, 120_000)
})
