import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '#schemas/bytes.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { subjectId } from '#schemas/report.ts'
import { trustTiers } from '#schemas/trustTier.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import { type WorkerClient, createWorkerClient } from '#schemas/workerClient.ts'
import { type DoorDevice, createDoorDevice } from './doorDevice.ts'
import {
  type Rig,
  type WorkerProcess,
  eventually,
  startProcess,
  startRig,
  testConfig,
  testPolicy,
  testStream,
} from './rig.ts'

let rig: Rig
let worker: WorkerProcess
let client: WorkerClient
let device: DoorDevice
let config: Record<string, unknown>
let folder: string
const now = Date.now()

beforeAll(async () => {
  rig = await startRig()
  device = createDoorDevice('forms', testStream)
  folder = rig.folder()
  config = testConfig(rig, folder, [], {
    allowedLatenessMs: 3000,
    publishesReadings: true,
    certificationService: rig.guestAgent,
    devices: [
      {
        publicKey: toHex(coseKeyBytes(device.signer.key)),
        algorithm: 'ES256',
        subject: 'plant',
        tier: 'hardware',
        intervalMs: 1000,
        series: ['power'],
      },
    ],
    assignments: [
      {
        subject: 'plant',
        policy: testPolicy.name,
        periods: [{ startMs: now - 60_000, endMs: now }],
      },
    ],
  })
  worker = await startProcess(config, folder)
  client = createWorkerClient({ url: worker.url, fetch: (url, init) => fetch(url, init) })
})
afterAll(async () => {
  await worker.kill9()
  await rig.stop()
})

type Answer = {
  readonly receipt?: { readonly packSequence: string; readonly packHash: string }
  readonly signature?: string
  readonly refusal?: { readonly name: string; readonly field?: string }
}

async function post(
  type: string,
  body: Uint8Array | string,
  signature?: string,
): Promise<{ status: number; answer: Answer | undefined; error: unknown }> {
  const response = await fetch(`${worker.url}/v1/packs`, {
    method: 'POST',
    headers: {
      'content-type': type,
      ...(signature === undefined ? {} : { 'x-signature': signature }),
    },
    body: typeof body === 'string' ? body : Buffer.from(body),
  })
  const json = (await response.json()) as Answer[] | { error: unknown }
  return Array.isArray(json)
    ? { status: response.status, answer: json[0], error: undefined }
    : { status: response.status, answer: undefined, error: json.error }
}

describe('one device that speaks in every form', () => {
  it('has one chain: each form is receipted in its place, and twice gives one receipt', async () => {
    const detached = device.detached.bind(device)
    const sends: ((again: boolean) => ReturnType<typeof post>)[] = []
    const kept: Record<string, unknown>[] = []
    const hold = <T>(make: () => T): ((again: boolean) => T) => {
      let made: T | undefined
      return () => (made ??= make())
    }
    const cose = hold(() => device.cose(now - 50_000))
    const jws = hold(() => device.jws(now - 40_000))
    const senml = hold(() => detached(now - 30_000))
    const json = hold(() => device.json(now - 20_000))
    const plain = hold(() => device.cose(now - 10_000))
    sends.push(
      (again) => post('application/cose; cose-type="cose-sign1"', cose(again)),
      (again) => post('application/jose', jws(again)),
      (again) => post('application/senml+json', senml(again).body, senml(again).signature),
      (again) => post('application/json', json(again).body, json(again).signature),
      (again) => post('application/cbor', plain(again)),
    )
    for (const [index, send] of sends.entries()) {
      const { answer } = await send(false)
      expect(answer?.receipt).toMatchObject({ packSequence: String(index + 1) })
      kept.push({ ...answer })
    }
    for (const [index, send] of sends.entries()) {
      expect((await send(true)).answer).toStrictEqual(kept[index])
    }
  })

  it('is refused a gap, and caught when it says two things in one place, whatever the form', async () => {
    const skipped = createDoorDevice('forms', testStream)
    for (let at = 0; at < 6; at += 1) skipped.json(now)
    expect((await post('application/jose', skipped.jws(now))).answer?.refusal).toMatchObject({
      name: 'PackAheadError',
    })
    const other = createDoorDevice('forms', testStream)
    const { answer } = await post('application/jose', other.jws(now - 50_000))
    expect(answer?.refusal).toMatchObject({ name: 'EquivocationError' })
    const { equivocations } = await client.equivocations()
    const forms = equivocations.flatMap(({ standing, contradicting }) =>
      [standing, contradicting].map((text) => decodePack(Buffer.from(text ?? '', 'base64')).form),
    )
    expect(forms).toStrictEqual(['cose', 'jws'])
  })

  it('keeps the tier of its key: a report on every form is hardware, and its packs prove it', async () => {
    const { batches } = await eventually(
      () => client.batches(0n),
      (page) => page.batches.some(({ reports }) => reports.length === 1),
      60_000,
    )
    const report = batches.flatMap(({ reports }) => reports)[0]?.report
    expect(report?.tier).toBe(trustTiers.hardware)
    expect(report?.subject).toBe(subjectId('plant'))
    const packs = await client.packs(device.id)
    expect(packs.map((bytes) => decodePack(bytes).form)).toStrictEqual([
      'cose',
      'jws',
      'jws',
      'json',
      'cose',
    ])
    const bundle = await eventually(
      () => client.bundleText(subjectId('plant'), { withPacks: true }).catch(() => ''),
      (text) => text.includes('"packs":'),
      60_000,
    )
    expect(bundle).toContain('"receivedMs"')
  })

  it('goes on with its chain after the worker was killed', async () => {
    await worker.kill9()
    worker = await startProcess(config, folder)
    const { answer } = await post('application/jose', device.jws(now + 1000))
    expect(answer?.receipt).toMatchObject({ packSequence: '6' })
  })
})

describe('a request in a form that is not taken', () => {
  it('names the media types that are', async () => {
    const { status, error } = await post('text/plain', 'x')
    expect(status).toBe(415)
    expect(error).toMatchInlineSnapshot(`
      {
        "field": "Content-Type",
        "message": "Packs are not sent as this media type.",
        "name": "UnsupportedMediaError",
        "remedy": "Use one of application/cbor-seq, application/cose, application/cbor, application/jose, application/senml+json, application/json; for one COSE pack application/cose; cose-type="cose-sign1".",
        "retryable": false,
      }
    `)
  })

  it.each([
    ['no compact JWS', () => post('application/jose', 'a.b'), 'body'],
    ['SenML-JSON without its JWS', () => post('application/senml+json', '[]'), 'x-signature'],
    ['JSON without its signature', () => post('application/json', '{}'), 'x-signature'],
    ['JSON with half a signature', () => post('application/json', '{}', 'AAAA'), 'x-signature'],
  ])('%s is refused by name', async (_, send, field) => {
    const { status, error } = await send()
    expect(status).toBe(400)
    expect(error).toMatchObject({ name: 'InvalidRequestError', field })
  })

  it('a pack of a device that is not enrolled, in a form that is known, is refused by itself', async () => {
    const stranger = createDoorDevice('stranger', testStream)
    const { body, signature } = stranger.json(now)
    const { answer } = await post('application/json', body, signature)
    expect(answer?.refusal?.name).toBe('UnknownDeviceError')
  })
})
