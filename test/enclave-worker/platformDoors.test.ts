import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Hex, toHex, utf8 } from '#schemas/bytes.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { subjectId } from '#schemas/report.ts'
import { trustTiers } from '#schemas/trustTier.ts'
import { type WorkerClient, createWorkerClient } from '#schemas/workerClient.ts'
import { visit } from '#worker/adapters/http/visit.ts'
import { readConfig } from '#worker/config.ts'
import { type RunningWorker, createPorts, startWorker } from '#worker/createWorker.ts'
import { awsConfirmationOf } from '#worker/doors/platformMessages.ts'
import { type DoorDevice, createDoorDevice } from './doorDevice.ts'
import { type Rig, eventually, startRig, testConfig, testPolicy, testStream } from './rig.ts'

const secret = 'a secret of thirty-two characters'
const bearer = { authorization: `Bearer ${secret}` }
const now = Date.now()
const account = '123456789012'
const arn = `arn:aws:iot:eu-central-1:${account}:ruledestination/http/7a280e37-b9c6-47a2-a751-0703693f46e4`
const enableUrl = 'https://iot.eu-central-1.amazonaws.com/confirmdestination/AYADeMXLrPrNY2wqJAKs'

let rig: Rig
let worker: RunningWorker
let client: WorkerClient
let device: DoorDevice
let folder: string
const visited: string[] = []
const lines: { event: string; fields: unknown }[] = []

async function start(overrides: Record<string, unknown> = {}): Promise<RunningWorker> {
  const secretFile = join(folder, 'secret')
  writeFileSync(secretFile, `${secret}\n`)
  const config = readConfig(
    testConfig(rig, folder, [], {
      allowedLatenessMs: 3000,
      publishesReadings: true,
      doors: {
        awsIot: {
          secretFile,
          destinations: [{ account, region: 'eu-central-1' }],
          confirmation: 'visit',
        },
        eventGrid: { secretFile },
      },
      sources: [
        { platform: 'awsIot', name: 'thing-7', subject: 'cellar', intervalMs: 1000 },
        {
          platform: 'eventGrid',
          name: 'hub-7',
          subject: 'attic',
          intervalMs: 1000,
          series: ['power'],
        },
      ],
      devices: [
        {
          publicKey: toHex(coseKeyBytes(device.signer.key)),
          algorithm: 'ES256',
          subject: 'plant',
          tier: 'hardware',
          intervalMs: 1000,
        },
      ],
      assignments: [
        {
          subject: 'cellar',
          policy: testPolicy.name,
          periods: [{ startMs: now - 60_000, endMs: now }],
        },
      ],
      ...overrides,
    }),
  )
  const ports = createPorts(config, (_, event, fields) => {
    lines.push({ event, fields })
  })
  const started = await startWorker(config, {
    ...ports,
    visit: (url) => {
      visited.push(url)
      return Promise.resolve(200)
    },
  })
  return started
}

function use(started: RunningWorker): void {
  worker = started
  client = createWorkerClient({ url: worker.url, fetch: (url, init) => fetch(url, init) })
}

beforeAll(async () => {
  rig = await startRig()
  folder = rig.folder()
  device = createDoorDevice('platforms', testStream)
  use(await start())
})
afterAll(async () => {
  await worker.stop()
  await rig.stop()
})

type Reply = { readonly status: number; readonly headers: Headers; readonly json: unknown }

async function post(
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const response = await fetch(`${worker.url}/v1/doors/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return {
    status: response.status,
    headers: response.headers,
    json: await response.json(),
  }
}
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const reading = (timeMs: number): Record<string, unknown> => ({
  series: 'power',
  time_ms: timeMs,
  value: 4000,
  unit: 'W',
})
async function sourceId(label: string): Promise<Hex> {
  const { devices } = await client.devices()
  const found = devices.find((entry) => entry.label === label)
  if (found === undefined) throw new Error(`no source ${label}`)
  return found.device
}

describe('the door of AWS IoT rules', () => {
  const aws = (body: unknown, headers: Record<string, string> = bearer): Promise<Reply> =>
    post('aws-iot', body, headers)
  const confirmation = {
    arn,
    confirmationToken: 'AYADeMXLrPrNY2wqJAKs',
    enableUrl,
    messageType: 'DestinationConfirmation',
  }
  const asking = { 'x-amz-rules-engine-message-type': 'DestinationConfirmation' }

  it('confirms a destination of an account that the operator named, by visiting AWS and nobody else', async () => {
    // The rules engine puts a slash and the token behind the address that it was given.
    const { status, json } = await post(
      'aws-iot/?confirmationToken=AYADeMXLrPrNY2wqJAKs',
      confirmation,
      asking,
    )
    expect([status, json]).toStrictEqual([200, { confirmation: 'visited' }])
    expect(visited).toStrictEqual([enableUrl])

    const foreign = { ...confirmation, arn: arn.replace(account, '210987654321') }
    expect(await post('aws-iot', foreign, asking)).toMatchObject({
      status: 403,
      json: { error: { name: 'ForbiddenError', field: 'arn' } },
    })
    const elsewhere = { ...confirmation, enableUrl: 'https://169.254.169.254/confirmdestination/x' }
    expect(await post('aws-iot', elsewhere, asking)).toMatchObject({
      status: 400,
      json: { error: { name: 'PlatformMessageError', field: 'enableUrl' } },
    })
    expect(visited).toHaveLength(1)
  })

  it.each([
    'http://iot.eu-central-1.amazonaws.com/confirmdestination/x',
    'https://iot.eu-central-1.amazonaws.com.evil.example/confirmdestination/x',
    'https://evil.example/confirmdestination/x#iot.eu-central-1.amazonaws.com',
    'https://iot.eu-central-1.amazonaws.com:8443/confirmdestination/x',
    'https://iot.eu-central-1.amazonaws.com@evil.example/confirmdestination/x',
    'https://user:word@iot.eu-central-1.amazonaws.com/confirmdestination/x',
    'https://bucket.s3.eu-central-1.amazonaws.com/confirmdestination/x',
    'https://iot.us-east-1.amazonaws.com/confirmdestination/x',
    'https://iot.eu-central-1.amazonaws.com/../metadata',
    'file:///etc/passwd',
    'not an address',
  ])('never visits %s', (url) => {
    expect(() =>
      awsConfirmationOf(utf8(JSON.stringify({ ...confirmation, enableUrl: url }))),
    ).toThrow(expect.objectContaining({ name: 'PlatformMessageError', field: 'enableUrl' }))
  })

  it('follows no redirect: where it leads was not judged', async () => {
    let calls = 0
    const server = createServer((request, response) => {
      calls += 1
      response.writeHead(request.url === '/first' ? 302 : 200, { location: '/second' }).end()
    })
    const listening = Promise.withResolvers<void>()
    server.listen(0, '127.0.0.1', () => {
      listening.resolve()
    })
    await listening.promise
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    expect(await visit(`http://127.0.0.1:${port}/first`)).toBe(302)
    expect(calls).toBe(1)
    server.close()
  })

  it.each([
    ['without the secret', {}],
    ['with another secret', { authorization: 'Bearer another secret of the same length' }],
  ])('refuses a delivery %s', async (_, headers) => {
    expect(await aws({ source: 'thing-7', id: '1', readings: [] }, headers)).toMatchObject({
      status: 401,
      json: { error: { name: 'UnauthorizedError' } },
    })
  })

  it('lets what a device signed through as it is: its own chain, its own tier', async () => {
    const jws = device.jws(now - 5000)
    const reply = await aws([
      { packs: base64(device.cose(now - 4000)) },
      { packs: base64(utf8(jws)), contentType: 'application/jose' },
    ])
    // The rule delivered them in another order than the device sent them in.
    expect(reply).toMatchObject({ status: 503, json: { error: { name: 'DeliverAgainError' } } })
    const again = await aws({ packs: base64(utf8(jws)), contentType: 'application/jose' })
    expect(again.json).toMatchObject([{ receipt: { device: device.id, packSequence: '1' } }])
    expect((await client.devices()).devices.find(({ device: id }) => id === device.id)?.tier).toBe(
      trustTiers.hardware,
    )
  })

  it('writes down what AWS says of an enrolled source, once however often it is delivered', async () => {
    const message = (id: string, timeMs: number): Record<string, unknown> => ({
      source: 'thing-7',
      id,
      readings: Array.from({ length: 30 }, (_, index) => reading(timeMs + index * 1000)),
    })
    const first = await aws(message('a', now - 60_000))
    const second = await aws([message('b', now - 30_000)])
    expect(first.json).toMatchObject([{ receipt: { packSequence: '1' } }])
    expect(second.json).toMatchObject([{ receipt: { packSequence: '2' } }])
    expect((await aws(message('a', now - 60_000))).json).toStrictEqual(first.json)

    await worker.stop()
    use(await start())
    const hashOf = (reply: Reply): string =>
      (reply.json as { receipt: { packHash: string } }[])[0]?.receipt.packHash ?? ''
    expect(hashOf(await aws(message('b', now - 30_000)))).toBe(hashOf(second))
    expect((await aws(message('c', now))).json).toMatchObject([{ receipt: { packSequence: '3' } }])

    const id = await sourceId('awsIot/thing-7')
    const packs = (await client.packs(id)).map((bytes) => decodePack(bytes))
    expect(packs.map(({ claims }) => claims.sequence)).toStrictEqual([1n, 2n, 3n])
    // On a slow machine a period before the first reading may close as well, with nothing in it.
    const observed = ({ batches }: Awaited<ReturnType<typeof client.batches>>) =>
      batches
        .flatMap(({ reports }) => reports.map(({ report }) => report))
        .find(({ coveragePpm }) => coveragePpm > 0)
    const page = await eventually(
      () => client.batches(0n),
      (found) => observed(found) !== undefined,
      60_000,
    )
    expect(observed(page)).toMatchObject({
      subject: subjectId('cellar'),
      tier: trustTiers.gateway,
    })
  })

  it.each([
    [
      'a source that nobody enrolled',
      { source: 'thing-8', id: '1', readings: [reading(now)] },
      'UnknownDeviceError',
    ],
    [
      'the source of another platform',
      { source: 'hub-7', id: '1', readings: [reading(now)] },
      'UnknownDeviceError',
    ],
    [
      'a reading in a unit that is none',
      { source: 'thing-7', id: 'u', readings: [{ ...reading(now), unit: 'parsec' }] },
      'AdapterRefusedError',
    ],
    ['a pack that is none', { packs: 'gA==' }, 'InvalidSign1Error'],
  ])('answers %s with a refusal that lasts', async (_, message, name) => {
    expect(await aws(message)).toMatchObject({ status: 200, json: [{ refusal: { name } }] })
  })

  it.each([
    ['neither packs nor readings', { hello: 1 }, 'PlatformMessageError'],
    ['packs that are no base64', { packs: '!' }, 'PlatformMessageError'],
    ['no name of the delivery', { source: 'thing-7', readings: [] }, 'PlatformMessageError'],
    ['no JSON', '{', 'InvalidJsonError'],
    ['nothing', [], 'PlatformMessageError'],
  ])('refuses a body with %s', async (_, message, name) => {
    expect(await aws(message)).toMatchObject({ status: 400, json: { error: { name } } })
  })

  it('tells the operator instead, where it may not visit', async () => {
    const usual = worker
    const other = await start({
      dataFolder: rig.folder(),
      sources: [],
      doors: {
        awsIot: {
          secretFile: join(folder, 'secret'),
          destinations: [{ account, region: 'eu-central-1' }],
        },
      },
      assignments: [],
    })
    use(other)
    const before = visited.length
    const { json } = await post('aws-iot', confirmation, asking)
    expect(json).toStrictEqual({ confirmation: 'told' })
    expect(visited).toHaveLength(before)
    expect(lines).toContainEqual({
      event: 'aws destination waits for its confirmation',
      fields: { arn, enableUrl },
    })
    expect((await post('event-grid', [])).status).toBe(404)
    use(usual)
    await other.stop()
  })
})

describe('the door of Azure Event Grid', () => {
  const telemetry = 'Microsoft.Devices.DeviceTelemetry'
  const data = (body: unknown, contentType = 'application/json'): Record<string, unknown> => ({
    properties: {},
    systemProperties: {
      'iothub-connection-device-id': 'hub-7',
      'iothub-content-type': contentType,
      contentType,
    },
    body,
  })
  const event = (id: string, body: unknown, contentType?: string): Record<string, unknown> => ({
    id,
    topic: '/SUBSCRIPTIONS/x',
    subject: 'devices/hub-7',
    eventType: telemetry,
    eventTime: '2026-01-01T00:00:00Z',
    data: data(body, contentType),
    dataVersion: '',
    metadataVersion: '1',
  })
  const notify = (events: unknown): Promise<Reply> =>
    post('event-grid', events, { ...bearer, 'aeg-event-type': 'Notification' })
  const validation = [
    {
      id: '1',
      eventType: 'Microsoft.EventGrid.SubscriptionValidationEvent',
      data: { validationCode: '512d38b6-c7b8', validationUrl: 'https://evil.example/' },
    },
  ]

  it('says the code of a subscription back to whoever knows the secret, and visits nothing', async () => {
    const before = visited.length
    const headers = { 'aeg-event-type': 'SubscriptionValidation' }
    const { json } = await post(
      `event-grid?code=${encodeURIComponent(secret)}`,
      validation,
      headers,
    )
    expect(json).toStrictEqual({ validationResponse: '512d38b6-c7b8' })
    expect((await post('event-grid', validation, headers)).status).toBe(401)
    expect((await post('event-grid?code=wrong', validation, headers)).status).toBe(401)
    expect(visited).toHaveLength(before)
  })

  it('allows the origins that the operator named to deliver CloudEvents', async () => {
    const ask = (origin: string | undefined, code = secret): Promise<Response> =>
      fetch(`${worker.url}/v1/doors/event-grid?code=${encodeURIComponent(code)}`, {
        method: 'OPTIONS',
        headers: {
          'webhook-request-rate': '120',
          ...(origin === undefined ? {} : { 'webhook-request-origin': origin }),
        },
      })
    const allowed = await ask('eventgrid.azure.net')
    expect(allowed.status).toBe(200)
    expect(allowed.headers.get('webhook-allowed-origin')).toBe('eventgrid.azure.net')
    expect(allowed.headers.get('webhook-allowed-rate')).toBe('120')
    expect((await ask('evil.example')).status).toBe(403)
    expect((await ask(undefined)).status).toBe(400)
    expect((await ask('eventgrid.azure.net', 'wrong')).status).toBe(401)
  })

  it('takes packs and telemetry out of what an IoT hub reports, each at its tier', async () => {
    const pack = device.cose(Date.now())
    // The pack before it was refused for its place; a device sends again what has no receipt.
    const replies = await notify([
      event('1', base64(device.json(Date.now()).body), 'application/octet-stream'),
      event('2', { readings: [reading(now)] }),
      event('3', [reading(now + 1000)]),
      event('4', [{ n: 'power', u: 'W', v: 3, t: now / 1000 + 2 }]),
    ])
    expect(replies.status).toBe(200)
    expect(replies.json).toMatchObject([
      { refusal: { name: 'InvalidCborError' } },
      { receipt: { packSequence: '1' } },
      { receipt: { packSequence: '2' } },
      { receipt: { packSequence: '3' } },
    ])
    expect((await notify([event('2', { readings: [reading(now)] })])).json).toMatchObject([
      { receipt: { packSequence: '1' } },
    ])
    // Out of its place: kept back until the one before it has come.
    expect((await notify([event('5', base64(pack), 'application/octet-stream')])).status).toBe(503)
    const { devices } = await client.devices()
    expect(devices.find(({ label }) => label === 'eventGrid/hub-7')?.tier).toBe(trustTiers.gateway)
  })

  it('takes CloudEvents, one or many', async () => {
    const cloud = (body: Record<string, unknown>): Record<string, unknown> => ({
      specversion: '1.0',
      id: 'c1',
      source: '/hubs/x',
      type: telemetry,
      ...body,
    })
    const send = (body: unknown, type = 'application/cloudevents+json'): Promise<Reply> =>
      post('event-grid', body, { ...bearer, 'content-type': type })
    const { json } = await send(cloud({ data: data([reading(now + 5000)]) }))
    expect(json).toMatchObject([{ receipt: { packSequence: '4' } }])
    const fresh = createDoorDevice('cloud', testStream)
    const batch = await send(
      [
        cloud({
          type: 'any',
          datacontenttype: 'application/cose',
          data_base64: base64(fresh.cose(now)),
        }),
      ],
      'application/cloudevents-batch+json; charset=utf-8',
    )
    expect(batch.json).toMatchObject([{ refusal: { name: 'UnknownDeviceError' } }])
    expect((await send({ specversion: '0.3' })).status).toBe(400)
    expect((await send(cloud({ type: 'other', data: {} }))).status).toBe(400)
    expect((await send('x', 'text/plain')).status).toBe(415)
  })

  it.each([
    [
      'an event that is none of a device',
      [{ ...event('9', []), eventType: 'x' }],
      {},
      'PlatformMessageError',
    ],
    ['no word about what it is', [], { 'aeg-event-type': '' }, 'InvalidRequestError'],
    ['an event without a body', [event('9', null)], {}, 'PlatformMessageError'],
  ])('refuses %s', async (_, body, headers, name) => {
    const reply = await post('event-grid', body, {
      ...bearer,
      'aeg-event-type': 'Notification',
      ...headers,
    })
    expect(reply).toMatchObject({ status: 400, json: { error: { name } } })
  })
})

describe('the configuration of platforms', () => {
  const refused = (overrides: Record<string, unknown>): unknown => {
    try {
      readConfig(testConfig(rig, folder, [], overrides))
      return undefined
    } catch (error) {
      return error
    }
  }
  const source = { platform: 'awsIot', name: 'x', subject: 's', intervalMs: 1 }
  const awsIot = { secretFile: '/none', destinations: [{ account, region: 'eu-west-1' }] }

  it('names a source whose door is shut, or that is there twice', () => {
    expect(refused({ sources: [source] })).toMatchObject({ field: 'config.sources.0.platform' })
    expect(refused({ sources: [source, source], doors: { awsIot } })).toMatchObject({
      field: 'config.sources.1.name',
    })
  })

  it('does not start with a secret that is missing or too short', async () => {
    await expect(start({ doors: { awsIot }, sources: [], assignments: [] })).rejects.toMatchObject({
      name: 'DoorSetupError',
      field: 'config.doors.awsIot.secretFile',
    })
    const short = join(folder, 'short')
    writeFileSync(short, 'short')
    await expect(
      start({ doors: { awsIot: { ...awsIot, secretFile: short } }, sources: [], assignments: [] }),
    ).rejects.toMatchObject({ name: 'DoorSetupError' })
  })
})
