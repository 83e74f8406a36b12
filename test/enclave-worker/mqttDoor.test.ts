import { type IPublishPacket, type MqttClient, connectAsync } from 'mqtt'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeProgram } from '#test/shared.ts'
import { type Hex, toHex } from '#schemas/bytes.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
import { openMqttDoor, packsTopic, receiptsTopic } from '#worker/adapters/mqtt/mqttDoor.ts'
import { DoorSetupError } from '#worker/doors/secretFile.ts'
import { mqttDoorSchema } from '#worker/doors/doorsConfig.ts'
import { type DoorDevice, createDoorDevice } from './doorDevice.ts'
import { type Broker, createBroker } from './mosquitto.ts'
import {
  type Rig,
  type WorkerProcess,
  eventually,
  startProcess,
  startRig,
  testConfig,
  testStream,
} from './rig.ts'

type Answer = { readonly topic: string; readonly packet: IPublishPacket; readonly json: unknown }

/** A device's side of the broker: what it published, and what it was answered. */
type Sender = {
  readonly client: MqttClient
  readonly answers: Answer[]
  /** Hashes of packs that a receipt came for. */
  readonly receipted: Set<string>
}

async function createSender(url: string, names: readonly string[]): Promise<Sender> {
  const client = await connectAsync(url, { protocolVersion: 5, reconnectPeriod: 100 })
  const sender: Sender = { client, answers: [], receipted: new Set() }
  client.on('error', () => undefined)
  client.on('message', (topic, payload, packet) => {
    const json = JSON.parse(payload.toString()) as unknown
    sender.answers.push({ topic, packet, json })
    if (!Array.isArray(json)) return
    for (const { receipt } of json as { receipt?: { packHash: string } }[]) {
      if (receipt !== undefined) sender.receipted.add(receipt.packHash)
    }
  })
  for (const name of names) {
    await client.subscribeAsync(`${receiptsTopic(testStream, name)}/#`, { qos: 1 })
  }
  return sender
}

describeProgram('the MQTT door', 'mosquitto', (program) => {
  let rig: Rig
  let broker: Broker
  let folder: string
  let worker: WorkerProcess
  let sender: Sender
  const devices: Record<string, DoorDevice> = {}
  const names = ['talks', 'killed', 'broken', 'tls'] as const

  function configOf(mqtt: Record<string, unknown>): Record<string, unknown> {
    return testConfig(rig, folder, [], {
      maxBatchIntervalMs: 500,
      publishesReadings: true,
      doors: { mqtt },
      devices: Object.values(devices).map(({ signer }) => ({
        publicKey: toHex(coseKeyBytes(signer.key)),
        algorithm: 'ES256',
        subject: 'plant',
        tier: 'hardware',
        intervalMs: 1000,
      })),
    })
  }
  async function run(mqtt: Record<string, unknown>): Promise<void> {
    worker = await startProcess(configOf(mqtt), folder)
    await eventually(
      () => Promise.resolve(worker.lines),
      (lines) => lines.some(({ event }) => event === 'mqtt subscribed'),
      60_000,
    )
  }
  const deviceOf = (name: (typeof names)[number]): DoorDevice => {
    const device = devices[name]
    if (device === undefined) throw new Error('unreachable')
    return device
  }
  async function sequencesOf(device: Hex): Promise<bigint[]> {
    const client = createWorkerClient({ url: worker.url, fetch: (url, init) => fetch(url, init) })
    return (await client.packs(device)).map((bytes) => decodePack(bytes).claims.sequence)
  }
  const upTo = (last: bigint): bigint[] =>
    Array.from({ length: Number(last) }, (_, index) => BigInt(index + 1))

  beforeAll(async () => {
    rig = await startRig()
    folder = rig.folder()
    broker = await createBroker(program, rig.folder())
    await broker.start()
    for (const name of names) devices[name] = createDoorDevice(name, testStream)
    await run({ url: broker.url, connections: 2 })
    sender = await createSender(broker.url, names)
  }, 120_000)
  afterAll(async () => {
    await sender.client.endAsync(true)
    await worker.kill9()
    await broker.kill9()
    await rig.stop()
  })

  it('answers packs on the topic that was asked for, with what the sender correlates by', async () => {
    const device = deviceOf('talks')
    const topic = packsTopic(testStream, 'talks')
    const correlationData = Buffer.from('one')
    const responseTopic = `${receiptsTopic(testStream, 'talks')}/mine`
    await sender.client.publishAsync(topic, Buffer.from(device.cose(Date.now())), {
      qos: 1,
      properties: { responseTopic, correlationData },
    })
    const [answer] = await eventually(
      () => Promise.resolve(sender.answers),
      (answers) => answers.length > 0,
      60_000,
    )
    expect(answer?.topic).toBe(responseTopic)
    expect(answer?.packet.properties).toMatchObject({
      correlationData,
      contentType: 'application/json',
      userProperties: { status: '200' },
    })
    expect(answer?.json).toMatchObject([{ receipt: { packSequence: '1', device: device.id } }])
  })

  it('takes every form by its content type, and refuses as HTTP does', async () => {
    const device = deviceOf('talks')
    const topic = packsTopic(testStream, 'talks')
    const ask = async (
      payload: Uint8Array | string,
      properties: IPublishPacket['properties'],
    ): Promise<Answer | undefined> => {
      const before = sender.answers.length
      await sender.client.publishAsync(topic, Buffer.from(payload), {
        qos: 1,
        ...(properties === undefined ? {} : { properties }),
      })
      const answers = await eventually(
        () => Promise.resolve(sender.answers),
        ({ length }) => length > before,
        60_000,
      )
      return answers[before]
    }
    const jws = await ask(device.jws(Date.now()), { contentType: 'application/jose' })
    expect(jws?.json).toMatchObject([{ receipt: { packSequence: '2' } }])
    const { body, signature } = device.json(Date.now())
    const json = await ask(body, {
      contentType: 'application/json',
      userProperties: { 'x-signature': signature },
    })
    expect(json?.json).toMatchObject([{ receipt: { packSequence: '3' } }])
    const text = await ask('hello', { contentType: 'text/plain' })
    expect(text?.packet.properties?.userProperties).toMatchObject({ status: '415' })
    expect(text?.json).toMatchObject({ error: { name: 'UnsupportedMediaError' } })
    const torn = await ask(new Uint8Array([0xff]), undefined)
    expect(torn?.json).toMatchObject({ error: { name: 'InvalidCborError' } })

    // A sender that cannot be answered is not thanked in silence: the operator reads its name, of ever
    // fewer of them.
    const nameless = ['no name', 'no second', 'no third', 'no fourth'].map((name) =>
      packsTopic(testStream, name),
    )
    for (const topic of nameless) await sender.client.publishAsync(topic, 'x', { qos: 1 })
    const told = (lines: readonly Record<string, unknown>[]) =>
      lines
        .filter(({ event }) => event === 'mqtt message refused')
        .map(({ topic, count }) => [topic, count])
    await eventually(
      () => Promise.resolve(worker.lines),
      (lines) => told(lines).length >= 3,
      60_000,
    )
    expect(told(worker.lines)).toStrictEqual([
      [nameless[0], 1],
      [nameless[1], 2],
      [nameless[3], 4],
    ])

    // The worker writes nowhere but below the sender's own receipts.
    const stranger = createDoorDevice('stranger', testStream)
    const foreign = await ask(stranger.cose(Date.now()), {
      responseTopic: packsTopic(testStream, 'victim'),
    })
    expect(foreign?.topic).toBe(receiptsTopic(testStream, 'talks'))
    expect(foreign?.json).toMatchObject([{ refusal: { name: 'UnknownDeviceError' } }])
  })

  it('a worker killed before it acknowledged is handed the messages again: nothing is lost, nothing doubled', async () => {
    await worker.kill9()
    const solo = { url: broker.url, clientId: 'solo', group: 'solo' }
    await run(solo)
    const device = deviceOf('killed')
    const packs = Array.from({ length: 120 }, (_, index) => device.cose(Date.now() + index))
    const hashes = packs.map((bytes) => decodePack(bytes).packHash)
    sender.client.once('message', () => {
      worker.child.kill('SIGKILL')
    })
    for (const pack of packs) {
      sender.client.publish(packsTopic(testStream, 'killed'), Buffer.from(pack), { qos: 1 })
    }
    await worker.exit()
    expect(hashes.every((hash) => sender.receipted.has(hash))).toBe(false)
    // The device sends nothing again: what the first life did not keep, the broker still has.
    await run(solo)
    await eventually(
      () => Promise.resolve(sender.receipted),
      (receipted) => hashes.every((hash) => receipted.has(hash)),
      90_000,
    )
    expect(await sequencesOf(device.id)).toStrictEqual(upTo(120n))
  }, 180_000)

  it('a broker killed and started again is found again: nothing is lost, nothing doubled', async () => {
    const device = deviceOf('broken')
    const packs: { bytes: Uint8Array; hash: string }[] = []
    const send = (): void => {
      const bytes = device.cose(Date.now())
      packs.push({ bytes, hash: decodePack(bytes).packHash })
      sender.client.publish(packsTopic(testStream, 'broken'), Buffer.from(bytes), { qos: 1 })
    }
    for (let index = 0; index < 20; index += 1) send()
    await broker.kill9()
    for (let index = 0; index < 20; index += 1) send()
    await broker.start()
    await eventually(
      async () => {
        for (const { bytes, hash } of packs) {
          if (sender.receipted.has(hash)) continue
          if (!sender.client.connected) break
          await sender.client.publishAsync(packsTopic(testStream, 'broken'), Buffer.from(bytes), {
            qos: 1,
          })
        }
        await new Promise((resolve) => setTimeout(resolve, 500))
        return sender.receipted
      },
      (receipted) => packs.every(({ hash }) => receipted.has(hash)),
      90_000,
    )
    expect(await sequencesOf(device.id)).toStrictEqual(upTo(40n))
  }, 180_000)

  it('trusts a broker under TLS by the authority that it was given, and no other', async () => {
    await worker.kill9()
    await run({ url: broker.tlsUrl, caFile: broker.caFile })
    const device = deviceOf('tls')
    const bytes = device.cose(Date.now())
    await sender.client.publishAsync(packsTopic(testStream, 'tls'), Buffer.from(bytes), { qos: 1 })
    await eventually(
      () => Promise.resolve(sender.receipted),
      (receipted) => receipted.has(decodePack(bytes).packHash),
      60_000,
    )
    const lines: [string, unknown][] = []
    const door = openMqttDoor({
      config: mqttDoorSchema.parse({ url: broker.tlsUrl, clientId: 'wary' }),
      stream: testStream,
      ingest: { limits: { maxBodyBytes: 1024 } } as never,
      log: (_, event, fields) => {
        lines.push([event, fields?.['error']])
      },
    })
    await eventually(
      () => Promise.resolve(lines),
      (all) => all.some(([event]) => event === 'mqtt trouble'),
      60_000,
    )
    expect(door.connected()).toBe(0)
    await door.close()
    expect(lines.find(([event]) => event === 'mqtt trouble')?.[1]).toContain('self')
  }, 180_000)

  it('a secret that cannot be read stops the start by the name of its field', () => {
    const config = mqttDoorSchema.parse({
      url: broker.url,
      passwordFile: join(folder, 'not there'),
    })
    expect(() =>
      openMqttDoor({
        config,
        stream: testStream,
        ingest: undefined as never,
        log: () => undefined,
      }),
    ).toThrow(DoorSetupError)
  })
})
