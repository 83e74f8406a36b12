import { secp256k1 } from '@noble/curves/secp256k1'
import { afterEach, describe, expect, it } from 'vitest'
import type { Hex } from '#schemas/bytes.ts'
import { toHex } from '#schemas/bytes.ts'
import {
  type Capability,
  type CapabilityScope,
  transferRoute,
  writeCapability,
} from '#schemas/capability.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { subjectId, verdicts, zeroHash } from '#schemas/report.ts'
import { addressOf } from '#schemas/signatures.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'
import { calls } from '#worker/adapters/http/openApi.ts'
import { createMaker, enrolmentOf, numberBytes } from './maker.ts'
import { type TestDevice, createTestDevice, testStream } from './rig.ts'
import { type Stage, bootMs, minute, seconds, setStage, tumbling, watts } from './stage.ts'

const operatorKey = new Uint8Array(32).fill(0x0b)
const operator = addressOf(secp256k1.getPublicKey(operatorKey, false))
const [plant, cellar] = [subjectId('plant'), subjectId('cellar')]

function capability(
  changes: Partial<Capability> = {},
  scope: CapabilityScope = 'transfer',
  key = operatorKey,
): string {
  return writeCapability(
    {
      stream: testStream,
      scope,
      subject: zeroHash,
      notBeforeMs: bootMs - 1000,
      expiresAtMs: bootMs + 3_600_000,
      ...changes,
    },
    key,
  )
}

const stages: Stage[] = []
afterEach(async () => {
  for (const stage of stages.splice(0)) await stage.end()
})

async function stageWith(
  devices: readonly TestDevice[],
  overrides: Record<string, unknown> = {},
): Promise<Stage> {
  const stage = await setStage(
    {
      operator,
      policies: [tumbling],
      assignments: [
        { subject: 'plant', policy: tumbling.name },
        { subject: 'cellar', policy: tumbling.name },
      ],
      makers: [createMaker('acme', bootMs / 1000).statement()],
      allowedLatenessMs: 5000,
      ...overrides,
    },
    devices,
  )
  stages.push(stage)
  return stage
}

const move = (stage: Stage, device: Hex, subject: string, fromMs?: number) =>
  stage.client.transferDevice(device, {
    subject,
    ...(fromMs === undefined ? {} : { fromMs }),
    capability: capability(),
  })

async function send(stage: Stage, pack: Uint8Array): Promise<void> {
  expect((await stage.client.postPacks([pack]))[0]).toHaveProperty('receipt')
}

/** Subject, start in minutes since the boot, coverage in thousandths, value in thousandths of a Wh. */
const outcome = (batch: SignedBatch | undefined) =>
  batch?.reports
    .map(({ subjectName, report }) => [
      subjectName,
      (Number(report.periodStartMs) - bootMs) / minute,
      report.coveragePpm / 1000,
      Number(report.valueMicro) / 1000,
    ])
    .sort((left, right) => String(left).localeCompare(String(right)))

describe('a device that is transferred', () => {
  it('counts for the old subject before the instant and for the new one from it on', async () => {
    const device = createTestDevice('meter', testStream)
    const stage = await stageWith([device])
    // One pack over the whole minute: the move cuts right through it.
    stage.world.nowMs = bootMs + minute
    await send(stage, device.next(seconds(bootMs), watts(60)))
    expect(await move(stage, device.id, 'cellar', bootMs + minute / 2)).toStrictEqual({
      device: device.id,
      from: 'plant',
      subject: 'cellar',
      fromMs: bootMs + minute / 2,
      batchSequence: 1n,
      isNew: true,
    })
    stage.world.nowMs += 6000
    // The last value before the move is held for the 500 ms that the policy allows beyond a second.
    expect(outcome(await stage.worker.closeDue())).toStrictEqual([
      ['cellar', 0, 500, 500],
      ['plant', 0, 508.333, 508.333],
    ])
    await send(stage, device.next(seconds(bootMs + minute, 6), watts(60, 6)))
    stage.world.nowMs = bootMs + 2 * minute + 6000
    expect(outcome(await stage.worker.closeDue())).toStrictEqual([
      ['cellar', 1, 108.333, 108.333],
      ['plant', 1, 0, 0],
    ])
  })

  it('leaves what is closed as it is, and a late pack about before amends the old subject', async () => {
    const device = createTestDevice('meter', testStream)
    const stage = await stageWith([device])
    stage.world.nowMs = bootMs + minute + 6000
    await send(stage, device.next(seconds(bootMs, 30), watts(60, 30)))
    expect(outcome(await stage.worker.closeDue())).toStrictEqual([
      ['cellar', 0, 0, 0],
      ['plant', 0, 508.333, 508.333],
    ])
    const before = await stage.client.batch(1n)
    await move(stage, device.id, 'cellar')
    await send(stage, device.next(seconds(bootMs + minute / 2, 30), watts(60, 30)))
    stage.world.nowMs += 6000
    await stage.restart()
    const amended = await stage.worker.closeDue()
    expect(outcome(amended)).toStrictEqual([['plant', 0, 1000, 1000]])
    expect(amended?.reports[0]?.report.amends).not.toBe(zeroHash)
    expect(await stage.client.batch(1n)).toStrictEqual(before)
  })

  it('stands on the roster under its new subject, and its whole journey with itself', async () => {
    const device = createTestDevice('meter', testStream)
    const stage = await stageWith([device])
    const fromMs = bootMs + 10 * minute
    await move(stage, device.id, 'cellar', fromMs)
    const tenures = [
      { subject: plant, subjectName: 'plant', fromBatch: 0n },
      { subject: cellar, subjectName: 'cellar', fromMs, fromBatch: 1n },
    ]
    for (const [nowMs, subject] of [
      [bootMs + minute + 6000, plant],
      [fromMs + 6000, cellar],
    ] as const) {
      stage.world.nowMs = nowMs
      const batch = await stage.worker.closeDue()
      const { roster } = await stage.client.roster(batch?.batch.sequence ?? 0n)
      expect(roster.map((entry) => [entry.device, entry.subject])).toStrictEqual([
        [device.id, subject],
      ])
      expect(await stage.client.device(device.id)).toMatchObject({ subject, tenures })
      expect((await stage.client.devices()).devices).toMatchObject([{ subject }])
      await stage.restart()
      expect(await stage.client.device(device.id)).toMatchObject({ subject, tenures })
    }
  })

  it('goes on with its chain: throttle, order and forks are as they were', async () => {
    const device = createTestDevice('meter', testStream)
    const twin = createTestDevice('meter', testStream)
    const stage = await stageWith([device], {
      limits: { verifyThreads: 0, maxPacksPerSecondPerDevice: 0.05 },
    })
    stage.world.nowMs = bootMs + 1000
    await send(stage, device.next([bootMs], [1]))
    await send(stage, device.next([bootMs + 100], [1]))
    await move(stage, device.id, 'cellar')
    expect(await stage.client.postPacks([twin.next([bootMs + 1], [2])])).toMatchObject([
      { refusal: { name: 'EquivocationError' } },
    ])
    await send(stage, device.next([bootMs + 1000], [1]))
    expect(await stage.client.postPacks([device.next([bootMs + 1001], [1])])).toMatchObject([
      { refusal: { name: 'RateLimitedError' } },
    ])
    expect(await stage.client.device(device.id)).toMatchObject({
      headSequence: 3n,
      equivocations: 1,
    })
  })

  it('moves once, however often it is told to, and after a restart', async () => {
    const device = createTestDevice('meter', testStream)
    const stage = await stageWith([device])
    const first = await move(stage, device.id, 'cellar')
    stage.world.nowMs += 1000
    for (const fromMs of [undefined, first.fromMs]) {
      expect(await move(stage, device.id, 'cellar', fromMs)).toStrictEqual({
        ...first,
        isNew: false,
      })
    }
    await stage.restart()
    expect(await move(stage, device.id, 'cellar')).toStrictEqual({ ...first, isNew: false })
    expect((await stage.client.device(device.id)).tenures).toHaveLength(2)
  })

  it('comes back, and two stays at one subject are one report’s evidence', async () => {
    const device = createTestDevice('meter', testStream)
    const stage = await stageWith([device])
    await move(stage, device.id, 'cellar', bootMs + 20_000)
    await move(stage, device.id, 'plant', bootMs + 40_000)
    stage.world.nowMs = bootMs + minute
    await send(stage, device.next(seconds(bootMs), watts(60)))
    stage.world.nowMs += 6000
    expect(outcome(await stage.worker.closeDue())).toStrictEqual([
      ['cellar', 0, 341.666, 341.667],
      ['plant', 0, 675, 675],
    ])
  })

  it('no longer holds up its old subject where windows close as soon as they are complete', async () => {
    const leaving = createTestDevice('meter', testStream)
    const staying = createTestDevice('other meter', testStream)
    const stage = await stageWith([leaving, staying], { closesWhenComplete: true })
    await move(stage, leaving.id, 'cellar', bootMs + 10_000)
    stage.world.nowMs = bootMs + minute
    await send(stage, staying.next(seconds(bootMs), watts(60)))
    expect(await stage.worker.closeDue()).toBeUndefined()
    await send(stage, leaving.next(seconds(bootMs), watts(60)))
    expect((await stage.worker.closeDue())?.reports).toHaveLength(2)
    stage.world.nowMs = bootMs + 2 * minute
    await send(stage, staying.next(seconds(bootMs + minute), watts(60)))
    expect(await stage.worker.closeDue()).toBeUndefined()
    await send(stage, leaving.next(seconds(bootMs + minute), watts(60)))
    expect((await stage.worker.closeDue())?.reports).toHaveLength(2)
  })

  it('waits for a batch that is on its way, which knows nothing of it', async () => {
    const device = createTestDevice('meter', testStream)
    const stage = await stageWith([device])
    stage.world.nowMs = bootMs + minute + 6000
    await send(stage, device.next(seconds(bootMs), watts(60)))
    let told: Promise<unknown> = Promise.resolve()
    stage.world.onCut = async () => {
      stage.world.onCut = undefined
      told = move(stage, device.id, 'cellar', bootMs + minute / 2).catch((error: unknown) => error)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect(outcome(await stage.worker.closeDue())).toStrictEqual([
      ['cellar', 0, 0, 0],
      ['plant', 0, 1000, 1000],
    ])
    expect(await told).toMatchObject({ status: 409, refusal: { field: 'fromMs' } })
  })

  it('goes no way that its capability does not name, wherever it has gone while the call waited', async () => {
    const device = createTestDevice('meter', testStream)
    const stage = await stageWith([device], {
      assignments: ['plant', 'cellar', 'attic'].map((subject) => ({
        subject,
        policy: tumbling.name,
      })),
    })
    const fromPlant = (subject: string, fromMs: number) =>
      stage.client.transferDevice(device.id, {
        subject,
        fromMs,
        capability: capability({ subject: transferRoute(plant, subjectId(subject)) }),
      })
    stage.world.nowMs = bootMs + minute + 6000
    const told: Promise<unknown>[] = []
    stage.world.onCut = async () => {
      stage.world.onCut = undefined
      for (const [subject, fromMs] of [
        ['cellar', bootMs + minute],
        ['attic', bootMs + 2 * minute],
      ] as const) {
        told.push(fromPlant(subject, fromMs).catch((error: unknown) => error))
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
    await stage.worker.closeDue()
    expect(await Promise.all(told)).toMatchObject([
      { isNew: true, subject: 'cellar' },
      { status: 409, refusal: { name: 'TransferConflictError', field: 'device' } },
    ])
    expect((await stage.client.device(device.id)).tenures).toMatchObject([
      { subjectName: 'plant' },
      { subjectName: 'cellar' },
    ])
  })

  it('keeps its uniqueness: what its maker vouched for is enrolled no second time', async () => {
    const maker = createMaker('acme', bootMs / 1000)
    const vouched = maker.device('one', { serial: numberBytes(1) })
    const stage = await stageWith([createTestDevice('meter', testStream)], {
      maxDevicesPerSubject: 1,
    })
    const post = async (path: string, body: object, scope?: CapabilityScope) => {
      const response = await fetch(`${stage.worker.url}${path}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(scope === undefined ? {} : { authorization: `Plumbline ${capability({}, scope)}` }),
        },
        body: JSON.stringify(body),
      })
      return { status: response.status, json: (await response.json()) as Record<string, unknown> }
    }
    const enrol = async (subject: string, device = vouched) => {
      const { json } = await post('/v1/enrolments/nonce', {})
      const nonce = String(json['nonce']) as Hex
      return post('/v1/enrolments', enrolmentOf(testStream, device, subject, nonce), 'enrol')
    }
    expect(await enrol('plant')).toMatchObject({ status: 200, json: { isNew: true } })
    await move(stage, vouched.id, 'cellar')
    expect(await enrol('plant')).toMatchObject({
      status: 409,
      json: { error: { name: 'DuplicateIdentityError' } },
    })
    expect(await enrol('cellar')).toMatchObject({ status: 200, json: { isNew: false } })
    // The place that it left is free, the one that it took is not.
    const second = maker.device('two', { serial: numberBytes(2) })
    expect(await enrol('cellar', second)).toMatchObject({ status: 403 })
    expect(await enrol('plant', second)).toMatchObject({ status: 200 })
    await expect(move(stage, second.id, 'cellar')).rejects.toMatchObject({
      status: 403,
      refusal: { name: 'EnrolmentQuotaError' },
    })
    await stage.restart()
    expect(await enrol('cellar')).toMatchObject({ status: 200, json: { isNew: false } })
  })
})

describe('what a transfer is refused for', () => {
  const device = createTestDevice('meter', testStream)
  const retired = createTestDevice('retired meter', testStream)
  const attempt = (stage: Stage, token: string, id = device.id, subject = 'cellar') =>
    stage.client.transferDevice(id, { subject, capability: token })

  it('a capability that is not the operator’s, has expired, or does not reach so far', async () => {
    const stage = await stageWith([device])
    const route = transferRoute(plant, cellar)
    const wrong: readonly (readonly [string, number, string])[] = [
      ['00', 401, 'UnauthorizedError'],
      [capability({}, 'transfer', new Uint8Array(32).fill(0x0c)), 401, 'UnauthorizedError'],
      [capability({ stream: `0x${'01'.repeat(32)}` }), 401, 'UnauthorizedError'],
      [capability({ expiresAtMs: bootMs - 1 }), 403, 'ForbiddenError'],
      [capability({ expiresAtMs: bootMs + 100_000_000 }), 403, 'ForbiddenError'],
      [capability({}, 'retire'), 403, 'ForbiddenError'],
      [capability({}, 'enrol'), 403, 'ForbiddenError'],
      [capability({ subject: plant }), 403, 'ForbiddenError'],
      [capability({ subject: cellar }), 403, 'ForbiddenError'],
      [capability({ subject: transferRoute(cellar, plant) }), 403, 'ForbiddenError'],
    ]
    for (const [token, status, name] of wrong) {
      await expect(attempt(stage, token)).rejects.toMatchObject({ status, refusal: { name } })
    }
    await expect(
      attempt(stage, capability({ subject: route }), `0x${'00'.repeat(32)}`),
    ).rejects.toMatchObject({ status: 403 })
    expect(await attempt(stage, capability({ subject: route }))).toMatchObject({ isNew: true })
    // The same capability sends it again, and does not take it back.
    expect(await attempt(stage, capability({ subject: route }))).toMatchObject({ isNew: false })
    await expect(
      attempt(stage, capability({ subject: route }), device.id, 'plant'),
    ).rejects.toMatchObject({ status: 403 })
  })

  it('a device, a subject or an instant that will not do', async () => {
    const stage = await stageWith([device, retired])
    await stage.client.retireDevice(retired.id, capability({}, 'retire'))
    stage.world.nowMs = bootMs + minute + 6000
    await stage.worker.closeDue()
    const wrong: readonly (readonly [Hex, string, number | undefined, number, string, string])[] = [
      [`0x${'00'.repeat(32)}`, 'cellar', undefined, 404, 'UnknownDeviceError', 'device'],
      [device.id, 'attic', undefined, 404, 'UnknownSubjectError', 'subject'],
      [device.id, 'plant', undefined, 409, 'TransferConflictError', 'subject'],
      [retired.id, 'cellar', undefined, 409, 'DeviceOutOfServiceError', 'device'],
      [device.id, 'cellar', bootMs + minute - 1, 409, 'TransferConflictError', 'fromMs'],
      [device.id, 'cellar', bootMs + 400 * 86_400_000, 409, 'TransferConflictError', 'fromMs'],
      [device.id, 'cellar', -1, 400, 'InvalidMessageError', 'fromMs'],
      [device.id, '', undefined, 400, 'InvalidMessageError', 'subject'],
    ]
    const described =
      calls.find(({ path }) => path === '/v1/admin/devices/{device}/transfer')?.problems ?? []
    for (const [id, subject, fromMs, status, name, field] of wrong) {
      expect(described).toContain(status)
      await expect(move(stage, id, subject, fromMs), `${name} ${field}`).rejects.toMatchObject({
        status,
        refusal: { name, field: expect.stringContaining(field) as unknown },
      })
    }
    expect(await move(stage, device.id, 'cellar', bootMs + minute)).toMatchObject({ isNew: true })
    await expect(move(stage, device.id, 'plant', bootMs + minute)).rejects.toMatchObject({
      status: 409,
      refusal: { field: 'fromMs' },
    })
  })

  it('more moves than a device can have', async () => {
    const stage = await stageWith([device])
    for (let index = 1; index < 64; index += 1) {
      await move(stage, device.id, index % 2 === 1 ? 'cellar' : 'plant', bootMs + index)
    }
    await expect(move(stage, device.id, 'plant', bootMs + 99)).rejects.toMatchObject({
      status: 409,
      refusal: { name: 'TransferConflictError', field: 'device' },
    })
  })

  it('a configuration that puts the device elsewhere afterwards does not start', async () => {
    const stage = await stageWith([device])
    await move(stage, device.id, 'cellar')
    const devices = [
      {
        publicKey: toHex(coseKeyBytes(device.signer.key)),
        algorithm: 'ES256',
        subject: 'cellar',
        tier: 'hardware',
        intervalMs: 1000,
        series: ['power'],
      },
    ]
    await expect(stage.restart({ devices })).rejects.toMatchObject({
      name: 'DeviceElsewhereError',
      field: 'config.devices',
    })
    await stage.restart()
    expect(await stage.client.device(device.id)).toMatchObject({ subject: cellar })
  })
})

describe('a transfer and rights', () => {
  it('grants what was before to the old subject and what is after to the new one', async () => {
    const device = createTestDevice('meter', testStream)
    const right = {
      ...tumbling,
      interpolation: { kind: 'interval-mean', step: '1s', stamp: 'start' },
      audience: {
        kind: 'right',
        impactClass: 'carbon',
        chainId: '8453',
        contract: `0x${'cc'.repeat(20)}`,
      },
    }
    const stage = await stageWith([device], { policies: [right] })
    stage.world.nowMs = bootMs + minute
    await send(stage, device.next(seconds(bootMs), watts(60)))
    await move(stage, device.id, 'cellar', bootMs + 15_000)
    stage.world.nowMs += 6000
    const batch = await stage.worker.closeDue()
    expect(outcome(batch)).toStrictEqual([
      ['cellar', 0, 750, 750],
      ['plant', 0, 250, 250],
    ])
    expect(batch?.reports.every(({ report }) => report.verdict !== verdicts.PASS)).toBe(true)
  })
})
