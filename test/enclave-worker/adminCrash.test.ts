import { secp256k1 } from '@noble/curves/secp256k1'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { toHex } from '#schemas/bytes.ts'
import { encodeCalibration } from '#schemas/calibration/encodeCalibration.ts'
import { writeCapability } from '#schemas/capability.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import { zeroHash } from '#schemas/report.ts'
import { addressOf } from '#schemas/signatures.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'
import { readConfig } from '#worker/config.ts'
import { type RunningWorker, startWorker } from '#worker/createWorker.ts'
import { createTestWorld, testPorts } from './inner.ts'
import { createTestDevice, testConfig, testStream } from './rig.ts'
import { bootMs, minute, seconds, tumbling, watts } from './stage.ts'

class Crash extends Error {}

/** All of them in the long form: `PLUMBLINE_CRASHES=all vitest run test/enclave-worker/adminCrash.test.ts`. */
const isLong = process.env['PLUMBLINE_CRASHES'] !== undefined
const every = isLong ? 1 : 4

const operatorKey = new Uint8Array(32).fill(0x0b)
const laboratory = createDeviceSigner('ES256', new Uint8Array(32).fill(0x1a))
const policy = { ...tumbling, quality: { calibration: 'required' } }
const day = 86_400_000

/** Everything an operator and a laboratory do with one device, each step sent until it is answered. */
describe('a worker that is killed while it is administered', () => {
  it(`keeps what it answered and ends up the same, at ${isLong ? 'every' : 'every fourth'} transition that reaches the disk`, async () => {
    const outcomes = new Set<string>()
    const points = new Set<string>()
    let kills = 0
    for (let countdown = 1; ; countdown += every) {
      const ended = await livedThrough(countdown, points)
      outcomes.add(ended.outcome)
      if (!ended.wasKilled) break
      kills += 1
    }
    expect(kills).toBeGreaterThan(30 / every)
    expect([...outcomes]).toMatchInlineSnapshot(`
      [
        "cellar 0: 0 of 1000; cellar 1: 0 of 1000; plant 0: 500 of 1000; plant 1: 0 of 1000; stands at plant, cellar; certificates 1 ended, 2",
      ]
    `)
    expect([...points].sort()).toStrictEqual([
      'close.afterCommit',
      'close.afterCut',
      'close.beforeAppend',
      'ledger.afterSync',
      'ledger.beforeSync',
      'ledger.beforeWrite',
    ])
  }, 120_000)
})

async function livedThrough(
  killAt: number,
  points: Set<string>,
): Promise<{ wasKilled: boolean; outcome: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-admin-'))
  const world = createTestWorld(bootMs)
  const device = createTestDevice('meter', testStream)
  const nowhere = { rpcUrl: 'http://127.0.0.1:1', guestAgent: 'http://127.0.0.1:1' }
  const config = readConfig(
    testConfig(nowhere as never, folder, [device], {
      operator: addressOf(secp256k1.getPublicKey(operatorKey, false)),
      laboratories: [
        {
          name: 'Laboratory',
          publicKey: toHex(coseKeyBytes(laboratory.key)),
          algorithm: 'ES256',
        },
      ],
      policies: [policy],
      assignments: ['plant', 'cellar'].map((subject) => ({ subject, policy: policy.name })),
      allowedLatenessMs: 0,
      tickMs: 60_000,
      limits: { verifyThreads: 0 },
    }),
  )
  let countdown = killAt
  let isDead = false
  const failpoint = (name: string): void => {
    if (isDead) throw new Crash(name)
    countdown -= 1
    if (countdown > 0) return
    isDead = true
    points.add(name)
    throw new Crash(name)
  }
  let worker: RunningWorker | undefined
  let wasKilled = false
  const start = (): Promise<RunningWorker> =>
    startWorker(config, testPorts(world, [config.anchorChainId], wasKilled ? undefined : failpoint))

  /** Does a step until it is answered; a worker that died on the way is started anew. */
  async function insist<Answer>(step: (worker: RunningWorker) => Promise<Answer>): Promise<Answer> {
    for (;;) {
      try {
        worker ??= await start()
        const answer = await step(worker)
        if (!isDead) return answer
      } catch (error) {
        if (!isDead) throw error
      }
      await worker?.stop()
      worker = undefined
      wasKilled = true
      isDead = false
    }
  }
  const clientOf = ({ url }: RunningWorker) =>
    createWorkerClient({ url, fetch: (to, init) => fetch(to, init) })
  const send = async (pack: Uint8Array): Promise<void> => {
    const [answer] = await insist((running) => clientOf(running).postPacks([pack]))
    expect(answer).toHaveProperty('receipt')
  }
  const capability = (scope: 'transfer' | 'retire'): string =>
    writeCapability(
      {
        stream: testStream,
        scope,
        subject: zeroHash,
        notBeforeMs: bootMs - 1000,
        expiresAtMs: bootMs + 3_600_000,
      },
      operatorKey,
    )
  const certificate = (number: string, replaces?: string): Uint8Array =>
    encodeCalibration(
      {
        laboratory: 'Laboratory',
        number,
        device: device.id,
        series: 'power',
        unit: 'W',
        issuedMs: bootMs,
        validFromMs: bootMs - day,
        validUntilMs: replaces === undefined ? bootMs + day : bootMs + minute / 2,
        document: undefined,
        replaces,
      },
      laboratory,
    )

  await insist((running) => clientOf(running).health())
  world.nowMs = bootMs + minute
  await send(device.next(seconds(bootMs), watts(60)))
  await insist((running) => running.closeDue())
  await insist((running) => clientOf(running).postCalibration(certificate('1')))
  await insist((running) => running.closeDue())
  await insist((running) =>
    clientOf(running).transferDevice(device.id, {
      subject: 'cellar',
      fromMs: bootMs + minute + 30_000,
      capability: capability('transfer'),
    }),
  )
  world.nowMs = bootMs + 2 * minute
  await send(device.next(seconds(bootMs + minute), watts(60)))
  await insist((running) => running.closeDue())
  await insist((running) => clientOf(running).postCalibration(certificate('2', '1')))
  await insist((running) => clientOf(running).retireDevice(device.id, capability('retire')))
  // What is owed after a kill takes a batch more.
  for (let round = 0; round < 3; round += 1) await insist((running) => running.closeDue())

  const status = await insist((running) => clientOf(running).device(device.id))
  const { batches } = await insist((running) => clientOf(running).batches(0n, 100))
  await worker?.stop()
  rmSync(folder, { recursive: true, force: true })
  return {
    wasKilled,
    outcome: [
      ...lastSaid(batches),
      `stands at ${status.tenures?.map(({ subjectName }) => subjectName).join(', ')}`,
      `certificates ${status.calibrations?.map(({ number, untilBatch }) => `${number}${untilBatch === undefined ? '' : ' ended'}`).join(', ')}`,
    ].join('; '),
  }
}

/** The report that stands last for each subject and period. */
function lastSaid(batches: readonly SignedBatch[]): string[] {
  const last = new Map<string, string>()
  for (const { subjectName, report } of batches.flatMap(({ reports }) => reports)) {
    const startMinute = (Number(report.periodStartMs) - bootMs) / minute
    last.set(`${subjectName} ${startMinute}`, `${report.coveragePpm / 1000} of 1000`)
  }
  return [...last].map(([what, coverage]) => `${what}: ${coverage}`).sort()
}
