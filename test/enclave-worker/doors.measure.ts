import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstream } from '@nats-io/jetstream'
import { connect as connectNats } from '@nats-io/transport-node'
import { sha256 } from '@noble/hashes/sha2'
import { connectAsync } from 'mqtt'
import { programPath } from '#test/shared.ts'
import { streamId } from '#schemas/batch.ts'
import { type Hex, concatBytes, toHex, utf8 } from '#schemas/bytes.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import { packsTopic, receiptsTopic } from '#worker/adapters/mqtt/mqttDoor.ts'
import { natsPackSubject, natsReceiptSubject } from '#worker/adapters/nats/natsDoor.ts'
import { createBroker } from './mosquitto.ts'
import { createNatsServer } from './natsServer.ts'
import { type Rig, eventually, startProcess, startRig, testConfig } from './rig.ts'

/**
 * `node test/enclave-worker/doors.measure.ts`: packs of 60 readings through real brokers until the
 * last receipt is back, and how long a killed host's partition is without a worker. Everything on
 * one machine.
 */

const deviceCount = 20
const packsPerDevice = 160
const packsPerMessage = 64
const readings = 60

type Load = { readonly messages: Uint8Array[]; readonly devices: Record<string, unknown>[] }

function makeLoad(stream: Hex): Load {
  const devices: Record<string, unknown>[] = []
  const packs: Uint8Array[] = []
  const firstMs = Date.now() - packsPerDevice * readings * 1000
  const chains = Array.from({ length: deviceCount }, (_, index) => {
    const signer = createDeviceSigner('ES256', sha256(utf8(`measured ${index}`)))
    devices.push({
      publicKey: toHex(coseKeyBytes(signer.key)),
      algorithm: 'ES256',
      subject: 'plant',
      tier: 'hardware',
      intervalMs: 1000,
    })
    return { signer, previous: noPrevious }
  })
  for (let round = 0; round < packsPerDevice; round += 1) {
    for (const chain of chains) {
      const pack = encodePack({
        claims: {
          stream,
          sequence: BigInt(round + 1),
          previous: chain.previous,
          bootCount: 1n,
          firmware: noPrevious,
        },
        kid: chain.signer.key.id,
        algorithm: 'ES256',
        records: Array.from({ length: readings }, (_, at) => ({
          name: 'power',
          unit: 'W',
          timeMs: firstMs + (round * readings + at) * 1000,
          valueMicro: 1_000_000 + at,
        })),
        sign: chain.signer.sign,
      })
      chain.previous = pack.packHash
      packs.push(pack.bytes)
    }
  }
  const messages: Uint8Array[] = []
  for (let at = 0; at < packs.length; at += packsPerMessage) {
    messages.push(concatBytes(...packs.slice(at, at + packsPerMessage)))
  }
  return { messages, devices }
}

const total = deviceCount * packsPerDevice

function countReceipts(text: string): number {
  return text.split('"receipt":').length - 1
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function report(what: string, elapsedMs: number): void {
  const perSecond = Math.round((total * 1000) / elapsedMs)
  say(`${what}: ${perSecond} packs/s, ${perSecond * readings} readings/s`)
}

async function measureMqtt(rig: Rig, program: string): Promise<void> {
  const { messages, devices } = makeLoad(streamId('test'))
  const broker = await createBroker(program, rig.folder())
  await broker.start()
  const folder = rig.folder()
  const worker = await startProcess(
    testConfig(rig, folder, [], { devices, doors: { mqtt: { url: broker.url } } }),
    folder,
  )
  await eventually(
    () => Promise.resolve(worker.lines),
    (lines) => lines.some(({ event }) => event === 'mqtt subscribed'),
    60_000,
  )
  const client = await connectAsync(broker.url, { protocolVersion: 5 })
  let receipts = 0
  client.on('message', (_, payload) => {
    receipts += countReceipts(payload.toString())
  })
  const stream = streamId('test')
  await client.subscribeAsync(receiptsTopic(stream, 'gateway'), { qos: 1 })
  const start = performance.now()
  for (const message of messages) {
    client.publish(packsTopic(stream, 'gateway'), Buffer.from(message), { qos: 1 })
  }
  await eventually(
    () => Promise.resolve(receipts),
    (count) => count === total,
    120_000,
  )
  report('MQTT, mosquitto, one connection', performance.now() - start)
  await client.endAsync(true)
  await worker.kill9()
  await broker.kill9()
}

async function measureNats(rig: Rig, program: string): Promise<void> {
  const stream = streamId('fleet/0')
  const { messages, devices } = makeLoad(stream)
  const nats = await createNatsServer(program, rig.folder())
  await nats.start()
  const shared = rig.folder()
  const leaseMs = 4000
  const startHost = (host: string) => {
    const path = join(rig.folder(), 'fleet.json')
    const worker = testConfig(rig, '', [], { stream: 'fleet', devices })
    writeFileSync(
      path,
      JSON.stringify({
        version: 1,
        host,
        broker: { servers: [nats.url], leaseMs },
        count: 1,
        folder: shared,
        worker: { ...worker, dataFolder: undefined },
      }),
    )
    const child = spawn(process.execPath, ['enclave-worker/partitions/main.ts', path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const state = { child, output: '' }
    child.stdout.on('data', (chunk: Buffer) => {
      state.output += chunk.toString()
    })
    return state
  }
  const isTaken = (host: { output: string }): Promise<boolean> =>
    eventually(
      () => Promise.resolve(host.output.includes('partition taken')),
      (taken) => taken,
      60_000,
    )
  const a = startHost('a')
  await isTaken(a)
  const b = startHost('b')
  await eventually(
    () => Promise.resolve(b.output),
    (text) => text.includes('looking for partitions'),
    60_000,
  )
  const connection = await connectNats({ servers: nats.url })
  let receipts = 0
  connection.subscribe(natsReceiptSubject(stream, 'gateway'), {
    callback: (_, message) => {
      receipts += countReceipts(message.string())
    },
  })
  const js = jetstream(connection)
  const start = performance.now()
  for (const message of messages) await js.publish(natsPackSubject(stream, 'gateway'), message)
  await eventually(
    () => Promise.resolve(receipts),
    (count) => count === total,
    120_000,
  )
  report('NATS JetStream, one partition, fenced', performance.now() - start)
  const killed = performance.now()
  a.child.kill('SIGKILL')
  await isTaken(b)
  const takenMs = Math.round(performance.now() - killed)
  say(`taken over ${takenMs} ms after SIGKILL, lease ${leaseMs} ms, ${total} packs copied`)
  b.child.kill('SIGKILL')
  await connection.close()
  await nats.kill9()
}

const rig = await startRig()
const mosquitto = programPath('mosquitto')
const nats = programPath('nats-server')
if (mosquitto === undefined) say('NOT MEASURED: needs mosquitto')
else await measureMqtt(rig, mosquitto)
if (nats === undefined) say('NOT MEASURED: needs nats-server')
else await measureNats(rig, nats)
await rig.stop()
process.exit(0)
