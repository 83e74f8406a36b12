import { secp256k1 } from '@noble/curves/secp256k1'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Hex } from '#schemas/bytes.ts'
import { type Capability, type CapabilityScope, writeCapability } from '#schemas/capability.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { subjectId, zeroHash } from '#schemas/report.ts'
import { addressOf } from '#schemas/signatures.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
import { readConfig } from '#worker/config.ts'
import { type RunningWorker, startWorker } from '#worker/createWorker.ts'
import { createTestWorld, testPorts } from './inner.ts'
import { type DeviceCertificate, createMaker, enrolmentOf, numberBytes, signWith } from './maker.ts'
import { anchorChainId, testConfig, testPolicy, testStream } from './rig.ts'

/** More in the long form: `PLUMBLINE_FAKES=10000 vitest run test/enclave-worker/fakes.test.ts`. */
const fakes = Number(process.env['PLUMBLINE_FAKES'] ?? 200)
/** The long form takes its time: six milliseconds for each, on a loaded machine ten times that. */
vi.setConfig({ testTimeout: 60_000 + fakes * 60 })

const bootMs = 1_800_000_000_000
const operatorKey = new Uint8Array(32).fill(0x0b)
const operator = addressOf(secp256k1.getPublicKey(operatorKey, false))
const nowhere = { rpcUrl: 'http://127.0.0.1:1', guestAgent: 'http://127.0.0.1:1' } as never
const maker = createMaker('acme', bootMs / 1000)

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

function token(scope: CapabilityScope = 'enrol', changes: Partial<Capability> = {}): string {
  return `Plumbline ${writeCapability(
    {
      stream: testStream,
      scope,
      subject: zeroHash,
      notBeforeMs: bootMs - 1000,
      expiresAtMs: bootMs + 3_600_000,
      ...changes,
    },
    operatorKey,
  )}`
}

async function stage(overrides: Record<string, unknown> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-fakes-'))
  const world = createTestWorld(bootMs)
  const right = {
    ...testPolicy,
    audience: {
      kind: 'right',
      impactClass: 'carbon',
      chainId: '8453',
      contract: `0x${'cc'.repeat(20)}`,
    },
  }
  const config = readConfig(
    testConfig(nowhere, folder, [], {
      tickMs: 60_000,
      limits: { verifyThreads: 0 },
      operator,
      makers: [maker.statement()],
      policies: [right],
      assignments: [
        {
          subject: 'site',
          policy: right.name,
          periods: [{ startMs: bootMs, endMs: bootMs + 60_000 }],
        },
        {
          subject: 'other',
          policy: right.name,
          periods: [{ startMs: bootMs, endMs: bootMs + 60_000 }],
        },
      ],
      ...overrides,
    }),
  )
  const start = (): Promise<RunningWorker> =>
    startWorker(config, testPorts(world, [BigInt(anchorChainId)]))
  let worker = await start()
  cleanups.push(async () => {
    await worker.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  const post = async (
    path: string,
    body?: unknown,
    authorization: string | undefined = token(),
  ) => {
    const response = await fetch(`${worker.url}${path}`, {
      method: 'POST',
      headers: authorization === '' ? {} : { authorization },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const json = (await response.json()) as Record<string, unknown>
    const error = json['error'] as Record<string, string> | undefined
    return { status: response.status, json, error: error?.['name'], field: error?.['field'] }
  }
  const nonce = async (): Promise<Hex> => (await post('/v1/enrolments/nonce')).json['nonce'] as Hex
  return {
    world,
    post,
    nonce,
    worker: () => worker,
    client: () => createWorkerClient({ url: worker.url, fetch: (url, init) => fetch(url, init) }),
    async restart() {
      await worker.stop()
      worker = await start()
    },
    enrol: async (device: DeviceCertificate, subject = 'site', prover = device.key) =>
      post('/v1/enrolments', enrolmentOf(testStream, device, subject, await nonce(), prover)),
  }
}

/** A pack by an enrolled identity: its key lives in this process instead of a secure element. */
function packBy(device: DeviceCertificate, sequence: bigint, previous: Hex, valueMicro: number) {
  return encodePack({
    claims: {
      stream: testStream,
      sequence,
      previous,
      bootCount: 1n,
      firmware: `0x${'11'.repeat(32)}`,
    },
    kid: device.id,
    algorithm: 'ES256',
    records: [{ name: 'power', unit: 'W', timeMs: bootMs - 1000, valueMicro }],
    sign: (message) => signWith(device.key, message),
  })
}

const each = Array.from({ length: fakes }, (_, index) => index + 1)

describe(`${fakes} fakes from one host`, () => {
  it('software keys that no maker vouches for: none is admitted', async () => {
    const { enrol, client } = await stage()
    // Same names, same structure, another root key: whatever a text editor can copy.
    const impostor = createMaker('forger', bootMs / 1000)
    const root = { ...impostor.root, name: maker.root.name }
    const names = new Set<string>()
    for (const index of each) {
      const device = impostor.device(`soft ${index}`, { serial: numberBytes(index) }, root)
      const { error } = await enrol({ ...device, chain: device.chain.slice(0, 1) })
      names.add(error ?? 'admitted')
      const [answer] = await client().postPacks([packBy(device, 1n, noPrevious, 1).bytes])
      names.add(answer !== undefined && 'refusal' in answer ? answer.refusal.name : 'receipted')
    }
    expect([...names].sort()).toStrictEqual(['UnknownDeviceError', 'UntrustedDeviceError'])
    expect((await client().devices()).devices).toHaveLength(0)
  })

  it('one endorsed key under many names: it is one device, once', async () => {
    const { enrol, client } = await stage()
    const genuine = maker.device('genuine', { serial: numberBytes(1) })
    expect((await enrol(genuine)).json).toMatchObject({ isNew: true, tier: 1 })
    const outcomes = new Map<string, number>()
    for (const index of each) {
      // The same key, endorsed once; the fakes offer it for other subjects, or with proofs of their own.
      const fake = maker.device(`clone ${index}`, { serial: numberBytes(1) })
      for (const { error, json } of [
        await enrol(genuine, 'other'),
        await enrol(genuine, 'site'),
        await enrol(genuine, 'site', fake.key),
      ]) {
        const outcome = error ?? (json['isNew'] === true ? 'new' : 'known')
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      }
    }
    expect(Object.fromEntries(outcomes)).toStrictEqual({
      DuplicateIdentityError: fakes,
      known: fakes,
      PossessionError: fakes,
    })
    expect((await client().devices()).devices).toHaveLength(1)
  })

  it('a cloned stream, replayed from everywhere: it counts once', async () => {
    const { enrol, client, world, worker } = await stage()
    const genuine = maker.device('genuine', { serial: numberBytes(1) })
    await enrol(genuine)
    const pack = packBy(genuine, 1n, noPrevious, 1_000_000)
    const receipts = new Set<string>()
    for (const _ of each) {
      const [answer] = await client().postPacks([pack.bytes])
      receipts.add(
        JSON.stringify(answer, (__, value: unknown) =>
          typeof value === 'bigint' ? `${value}` : value,
        ),
      )
    }
    expect(receipts.size).toBe(1)
    world.nowMs = bootMs + 120_000
    const batch = await worker().closeDue()
    const { roster } = await client().roster(batch?.batch.sequence ?? 0n)
    expect(roster.map(({ heardReadings }) => heardReadings)).toStrictEqual([1])
  })

  it('reset sequences: a key that begins again is caught with both packs', async () => {
    const { enrol, client } = await stage()
    const genuine = maker.device('genuine', { serial: numberBytes(1) })
    await enrol(genuine)
    await client().postPacks([packBy(genuine, 1n, noPrevious, 1).bytes])
    const names = new Set<string>()
    for (const index of each) {
      const [answer] = await client().postPacks([
        packBy(genuine, 1n, noPrevious, 1000 + index).bytes,
      ])
      names.add(answer !== undefined && 'refusal' in answer ? answer.refusal.name : 'receipted')
    }
    expect([...names]).toStrictEqual(['EquivocationError'])
    const { equivocations } = await client().equivocations(0)
    // Evidence is bounded: a hundred more packs prove nothing more.
    expect(equivocations.length).toBe(Math.min(16, fakes))
  })

  it('endorsed keys without number at one site: one reward, and no more devices than a site may have', async () => {
    const { enrol, client, world, worker } = await stage({ maxDevicesPerSubject: 50 })
    const outcomes = new Map<string, number>()
    for (const index of each) {
      const { error } = await enrol(maker.device(`farm ${index}`, { serial: numberBytes(index) }))
      const outcome = error ?? 'admitted'
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    }
    expect(Object.fromEntries(outcomes)).toStrictEqual({
      admitted: 50,
      EnrolmentQuotaError: fakes - 50,
    })
    world.nowMs = bootMs + 120_000
    const batch = await worker().closeDue()
    const rewards = batch?.reports.filter(({ report }) => report.subject === subjectId('site'))
    expect(rewards).toHaveLength(1)
    expect((await client().devices()).devices).toHaveLength(20)
  })
})

describe('honest devices', () => {
  it(`are admitted, all ${fakes} of them, and send`, async () => {
    const made = await stage({ maxDevicesPerSubject: 100_000 })
    const factory = maker.intermediate(0)
    let admitted = 0
    for (const index of each) {
      const device = maker.device(`honest ${index}`, { serial: numberBytes(index) }, factory)
      if ((await made.enrol(device)).json['isNew'] === true) admitted += 1
    }
    expect(admitted).toBe(fakes)
    const device = maker.device('honest 1', { serial: numberBytes(1) }, factory)
    const pack = packBy(device, 1n, noPrevious, 1)
    expect((await made.client().postPacks([pack.bytes]))[0]).toHaveProperty('receipt')
    await made.restart()
    expect((await made.client().postPacks([pack.bytes]))[0]).toHaveProperty('receipt')
    expect((await made.enrol(device)).json).toMatchObject({ isNew: false })
    expect((await made.client().health()).devices).toBe(fakes)
  })
})

describe('what an enrolment is refused for', () => {
  const at = bootMs / 1000
  const serial = numberBytes(7)
  const cases: readonly (readonly [
    string,
    () => DeviceCertificate,
    Record<string, unknown>,
    string,
    string,
  ])[] = [
    [
      'a certificate without hardware',
      () => maker.device('a', { serial, withoutHardware: true }),
      {},
      'UntrustedDeviceError',
      'certificates[0]',
    ],
    [
      'an expired certificate',
      () => maker.device('a', { serial, notAfter: at - 1 }),
      {},
      'UntrustedDeviceError',
      'certificates[0]',
    ],
    [
      'a certificate of tomorrow',
      () => maker.device('a', { serial, notBefore: at + 1 }),
      {},
      'UntrustedDeviceError',
      'certificates[0]',
    ],
    [
      'an authority that poses as a device',
      () => maker.device('a', { serial, isCa: true }),
      {},
      'UntrustedDeviceError',
      'certificates[0]',
    ],
    [
      'an intermediate that may not issue',
      () => maker.device('a', { serial }, maker.intermediate(undefined, false)),
      {},
      'UntrustedDeviceError',
      'certificates[1]',
    ],
    [
      'a path longer than the root allows',
      () => {
        const strict = createMaker('strict', at, 0)
        return strict.device('a', { serial }, strict.intermediate(undefined))
      },
      { makers: [createMaker('strict', at, 0).statement()] },
      'UntrustedDeviceError',
      'certificates[2]',
    ],
    [
      'a model that the maker does not vouch for',
      () => maker.device('a', { serial, hwType: '1.3.6.1.4.1.99999.2' }),
      {},
      'MakerStatusError',
      'certificates[0].hwType',
    ],
    [
      'a revoked maker',
      () => maker.device('a', { serial }),
      { makers: [maker.statement({ status: 'revoked' })] },
      'MakerStatusError',
      'certificates',
    ],
    [
      'a revoked model',
      () => maker.device('a', { serial }),
      { makers: [maker.statement({}, { status: 'revoked' })] },
      'MakerStatusError',
      'certificates[0].hwType',
    ],
    [
      'a revoked certificate',
      () => maker.device('a', { serial }),
      { makers: [maker.statement({ revokedCertificates: ['4000000007'] })] },
      'UntrustedDeviceError',
      'certificates',
    ],
    [
      'a serial that was never made',
      () => maker.device('a', { serial }),
      { makers: [maker.statement({}, { serials: { first: '0x00000010', last: '0x00000020' } })] },
      'MakerStatusError',
      'certificates[0].hwSerialNum',
    ],
    [
      'a serial of another length',
      () => maker.device('a', { serial: numberBytes(0x18, 5) }),
      { makers: [maker.statement({}, { serials: { first: '0x00000010', last: '0x00000020' } })] },
      'MakerStatusError',
      'certificates[0].hwSerialNum',
    ],
  ]
  it.each(cases)('%s', async (_, device, overrides, error, field) => {
    const made = await stage(overrides)
    expect(await made.enrol(device())).toMatchObject({ status: 403, error, field })
    expect((await made.client().devices()).devices).toHaveLength(0)
  })

  it('more devices than were made, or than one day allows', async () => {
    const few = await stage({ makers: [maker.statement({}, { quantity: 1 })] })
    await few.enrol(maker.device('one', { serial: numberBytes(1) }))
    expect(await few.enrol(maker.device('two', { serial: numberBytes(2) }))).toMatchObject({
      status: 403,
      error: 'EnrolmentQuotaError',
    })
    const slow = await stage({ makers: [maker.statement({}, { maxPerDay: 1 })] })
    await slow.enrol(maker.device('one', { serial: numberBytes(1) }))
    const two = maker.device('two', { serial: numberBytes(2) })
    expect(await slow.enrol(two)).toMatchObject({ status: 429, error: 'EnrolmentRateError' })
    await slow.restart()
    expect(await slow.enrol(two)).toMatchObject({ error: 'EnrolmentRateError' })
  })

  it('a subject on which nothing is reported, a nonce that is stale, or of another boot', async () => {
    const made = await stage()
    const device = maker.device('one', { serial: numberBytes(1) })
    expect(await made.enrol(device, 'nowhere')).toMatchObject({
      status: 404,
      error: 'UnknownSubjectError',
    })
    const old = await made.nonce()
    made.world.nowMs += 300_001
    const late = { authorization: token('enrol', { expiresAtMs: bootMs + 3_600_000 }) }
    expect(
      await made.post(
        '/v1/enrolments',
        enrolmentOf(testStream, device, 'site', old),
        late.authorization,
      ),
    ).toMatchObject({ error: 'PossessionError', field: 'nonce' })
    const before = await made.nonce()
    await made.restart()
    expect(
      await made.post('/v1/enrolments', enrolmentOf(testStream, device, 'site', before)),
    ).toMatchObject({ error: 'PossessionError', field: 'nonce' })
  })

  it('hardware that a second key claims: the newcomer is refused and the first is frozen, for good', async () => {
    const made = await stage()
    const first = maker.device('first', { serial: numberBytes(9) })
    const second = maker.device('second', {
      serial: numberBytes(9),
      certificateSerial: Uint8Array.of(0x41, 1),
    })
    await made.enrol(first)
    const sent = packBy(first, 1n, noPrevious, 1)
    expect((await made.client().postPacks([sent.bytes]))[0]).toHaveProperty('receipt')
    expect(await made.enrol(second)).toMatchObject({
      status: 409,
      error: 'DuplicateIdentityError',
      field: 'certificates[0].hwSerialNum',
    })
    await made.restart()
    const next = packBy(first, 2n, sent.packHash, 1)
    expect((await made.client().postPacks([next.bytes]))[0]).toHaveProperty(
      'refusal.name',
      'DeviceOutOfServiceError',
    )
    // What was promised before stays promised.
    expect((await made.client().postPacks([sent.bytes]))[0]).toHaveProperty('receipt')
  })
})

describe('administration', () => {
  it.each([
    ['no capability', '', 401, 'UnauthorizedError'],
    ['another scheme', 'Bearer abc', 401, 'UnauthorizedError'],
    ['a torn token', token().slice(0, -2), 401, 'UnauthorizedError'],
    [
      'a capability of another stream',
      token('enrol', { stream: `0x${'99'.repeat(32)}` }),
      401,
      'UnauthorizedError',
    ],
    ['a capability for something else', token('close'), 403, 'ForbiddenError'],
    [
      'a capability for another subject',
      token('enrol', { subject: subjectId('other') }),
      403,
      'ForbiddenError',
    ],
    ['an expired capability', token('enrol', { expiresAtMs: bootMs - 1 }), 403, 'ForbiddenError'],
    [
      'a capability of tomorrow',
      token('enrol', { notBeforeMs: bootMs + 1 }),
      403,
      'ForbiddenError',
    ],
    [
      'a capability that never ends',
      token('enrol', { expiresAtMs: bootMs + 90_000_000 }),
      403,
      'ForbiddenError',
    ],
  ] as const)('%s enrols nobody', async (_, authorization, status, error) => {
    const made = await stage()
    const device = maker.device('one', { serial: numberBytes(1) })
    const body = enrolmentOf(testStream, device, 'site', await made.nonce())
    expect(await made.post('/v1/enrolments', body, authorization)).toMatchObject({ status, error })
    expect((await made.client().devices()).devices).toHaveLength(0)
  })

  it('a retired device sends no more and is expected no more; what it sent stays committed to', async () => {
    const made = await stage()
    const device = maker.device('one', { serial: numberBytes(1) })
    await made.enrol(device, 'site')
    const sent = packBy(device, 1n, noPrevious, 1)
    await made.client().postPacks([sent.bytes])
    expect(
      await made.post(`/v1/admin/devices/${device.id}/retire`, {}, token('retire')),
    ).toMatchObject({ status: 200 })
    const next = packBy(device, 2n, sent.packHash, 1)
    expect((await made.client().postPacks([next.bytes]))[0]).toHaveProperty(
      'refusal.name',
      'DeviceOutOfServiceError',
    )
    made.world.nowMs = bootMs + 120_000
    expect(await made.post('/v1/admin/close', {}, token('close'))).toMatchObject({
      json: { sequence: '1' },
    })
    expect((await made.client().roster(1n)).roster).toMatchObject([
      { device: device.id, lastSequence: 1n },
    ])
  })
})
