/**
 * A whole worker under load over HTTP: signed 60-reading packs in, durable receipts out. Beside it,
 * in the same run, what the machine can do at most: signatures checked, receipts signed, disk syncs.
 *
 * `node enclave-worker/ingest.bench.ts [--short] [--devices N] [--packs N] [--connections N]`
 */
import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { type Hex, toHex } from '#schemas/bytes.ts'
import { streamId } from '#schemas/batch.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import { coseKeyBytes, deviceKeyFromJwk } from '#schemas/pack/deviceKey.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { signDigest } from '#schemas/signatures.ts'
import { readConfig } from './config.ts'
import { startWorker } from './createWorker.ts'

const isShort = process.argv.includes('--short')
const option = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? fallback : Number(process.argv[at + 1])
}
const deviceCount = option('devices', isShort ? 20 : 200)
const packsPerDevice = option('packs', isShort ? 40 : 200)
const connections = option('connections', 16)
const packsPerBody = option('body', 64)
const readingsPerPack = 60
const threads = option('threads', 2)
const stream = streamId('bench')

type ClientData = {
  readonly port: number
  readonly bodies: readonly Uint8Array[][]
  readonly path: string
}

async function post(agent: Agent, port: number, path: string, body: Uint8Array): Promise<void> {
  const done = Promise.withResolvers<void>()
  const call = request(
    {
      agent,
      host: '127.0.0.1',
      port,
      path,
      method: 'POST',
      headers: { 'Content-Type': 'application/cbor-seq', 'Content-Length': body.length },
    },
    (response) => {
      const chunks: Uint8Array[] = []
      response.on('data', (chunk: Uint8Array) => {
        chunks.push(chunk)
      })
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        // A refused pack costs the worker less than a taken one: a run with one counts for nothing.
        if (response.statusCode === 200 && !text.includes('"refusal"')) done.resolve()
        else done.reject(new Error(`status ${response.statusCode}: ${text.slice(0, 300)}`))
      })
    },
  )
  call.on('error', done.reject)
  call.end(body)
  return done.promise
}

/** The client has a thread of its own, so that its work is not the worker's. */
async function runClient({ port, bodies, path }: ClientData): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const latencies: number[] = []
  const begun = performance.now()
  await Promise.all(
    bodies.map(async (lane) => {
      for (const body of lane) {
        const sent = performance.now()
        await post(agent, port, path, body)
        latencies.push(performance.now() - sent)
      }
    }),
  )
  const milliseconds = performance.now() - begun
  latencies.sort((left, right) => left - right)
  agent.destroy()
  const answer = {
    milliseconds,
    p50: latencies[Math.floor(latencies.length / 2)],
    p99: latencies[Math.floor(latencies.length * 0.99)],
  }
  parentPort?.postMessage(answer, [])
}

type Device = { readonly jwk: Record<string, string>; readonly packs: Uint8Array[] }

function makeDevice(index: number, startMs: number): Device {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = pair.publicKey.export({ format: 'jwk' }) as Record<string, string>
  const key = createPrivateKey(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const { id } = deviceKeyFromJwk(jwk)
  let previous: Hex = noPrevious
  const packs: Uint8Array[] = []
  for (let number = 0; number < packsPerDevice; number += 1) {
    const pack = encodePack({
      claims: {
        stream,
        sequence: BigInt(number + 1),
        previous,
        bootCount: 1n,
        firmware: `0x${'00'.repeat(32)}`,
      },
      kid: id,
      algorithm: 'ES256',
      records: Array.from({ length: readingsPerPack }, (_, row) => ({
        name: 'temperature',
        unit: 'Cel',
        timeMs: startMs + (number * readingsPerPack + row) * 1000,
        valueMicro: 4_000_000 + ((index * 7 + row * 13) % 100) * 10_000,
      })),
      sign: (message) => sign('sha256', message, { key, dsaEncoding: 'ieee-p1363' }),
    })
    previous = pack.packHash
    packs.push(pack.bytes)
  }
  return { jwk, packs }
}

/** Bodies for each connection: a device stays on one, its packs in order. */
function makeLanes(devices: readonly Device[]): Uint8Array[][] {
  const lanes: Uint8Array[][] = Array.from({ length: connections }, () => [])
  for (const [index, device] of devices.entries()) {
    for (let at = 0; at < device.packs.length; at += packsPerBody) {
      lanes[index % connections]?.push(
        new Uint8Array(Buffer.concat(device.packs.slice(at, at + packsPerBody))),
      )
    }
  }
  return lanes
}

function perSecond(count: number, work: () => void): number {
  const begun = performance.now()
  work()
  return Math.round((count * 1000) / (performance.now() - begun))
}

async function limits(
  device: Device,
  folder: string,
): Promise<{
  signaturesCheckedPerSecond: number
  receiptsSignedPerSecond: number
  syncsPerSecond: number
}> {
  const verifier = createNodeSignatures()
  const key = deviceKeyFromJwk(device.jwk)
  const decoded = device.packs.slice(0, isShort ? 40 : 200).map((pack) => decodePack(pack))
  const rounds = isShort ? 10 : 40
  const verifies = perSecond(decoded.length * rounds, () => {
    for (let round = 0; round < rounds; round += 1) {
      for (const pack of decoded) verifier.verify(key, pack.signedBytes, pack.signature)
    }
  })
  const secret = createHash('sha256').update('bench').digest()
  const digest: Hex = `0x${'5a'.repeat(32)}`
  signDigest(digest, secret)
  const signs = perSecond(isShort ? 200 : 2000, () => {
    for (let round = 0; round < (isShort ? 200 : 2000); round += 1) signDigest(digest, secret)
  })
  const file = await open(join(folder, 'sync'), 'w')
  const block = new Uint8Array(64 * 1024)
  const syncs = isShort ? 50 : 300
  const begun = performance.now()
  for (let round = 0; round < syncs; round += 1) {
    await file.write(block, 0, block.length, round * block.length)
    await file.datasync()
  }
  const syncsPerSecond = Math.round((syncs * 1000) / (performance.now() - begun))
  await file.close()
  return { signaturesCheckedPerSecond: verifies, receiptsSignedPerSecond: signs, syncsPerSecond }
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-bench-'))
  const startMs = Date.now() - packsPerDevice * readingsPerPack * 1000
  const devices = Array.from({ length: deviceCount }, (_, index) => makeDevice(index, startMs))
  const first = devices[0]
  if (first === undefined) return
  const ceiling = await limits(first, folder)
  for (const path of ['/v1/packs', '/v1/packs?receipts=tree']) {
    const dataFolder = mkdtempSync(join(folder, 'data-'))
    const config = readConfig({
      version: 1,
      stream: 'bench',
      listen: { host: '127.0.0.1', port: 0 },
      dataFolder,
      guestAgent: 'http://127.0.0.1:1',
      registries: [{ chainId: 1, registry: `0x${'ab'.repeat(20)}`, rpcUrl: 'http://127.0.0.1:1' }],
      anchorChainId: 1,
      release: `0x${'00'.repeat(32)}`,
      allowedLatenessMs: 0,
      limits: { verifyThreads: threads },
      devices: devices.map(({ jwk }) => ({
        publicKey: toHex(coseKeyBytes(deviceKeyFromJwk(jwk))),
        algorithm: 'ES256',
        subject: 'fleet',
        tier: 'hardware',
        intervalMs: 1000,
      })),
      policies: [],
      assignments: [],
    })
    const worker = await startWorker(config, {
      clock: { nowMs: () => Date.now() },
      log: () => undefined,
      agent: {
        quote: () => Promise.resolve({ quote: '0x00', eventLog: '' }),
        sealingKey: () => Promise.resolve(new Uint8Array(32).fill(7)),
        appCompose: () => Promise.resolve(undefined),
      },
      blocks: new Map([
        [
          1n,
          {
            latest: () =>
              Promise.resolve({
                number: 1n,
                hash: `0x${'01'.repeat(32)}`,
                timestampMs: Date.now(),
              }),
          },
        ],
      ]),
      heads: new Map(),
      randomBytes: (length) => randomBytes(length),
    })
    const cpuBefore = process.cpuUsage()
    const client = new Worker(new URL(import.meta.url), {
      argv: process.argv.slice(2),
      workerData: { port: worker.port, bodies: makeLanes(devices), path } satisfies ClientData,
    })
    const answered = Promise.withResolvers<{ milliseconds: number; p50: number; p99: number }>()
    client.on('message', answered.resolve)
    client.on('error', answered.reject)
    const { milliseconds, p50, p99 } = await answered.promise
    const cpu = process.cpuUsage(cpuBefore)
    await worker.stop()
    const packs = deviceCount * packsPerDevice
    const packsPerSecond = (packs * 1000) / milliseconds
    const cpuSeconds = (cpu.user + cpu.system) / 1e6
    console.log(
      JSON.stringify({
        benchmark: 'worker ingest, durable, over HTTP',
        receipts: path.endsWith('tree') ? 'one signature per body' : 'one signature per pack',
        devices: deviceCount,
        packs,
        packsPerBody,
        connections,
        readingsPerSecond: Math.round(packsPerSecond * readingsPerPack),
        packsPerSecond: Math.round(packsPerSecond),
        bodyP50Ms: Math.round(p50),
        bodyP99Ms: Math.round(p99),
        coresUsed: Math.round((cpuSeconds * 10_000) / milliseconds) / 10,
        readingsPerCpuSecond: Math.round((packs * readingsPerPack) / cpuSeconds),
        ...ceiling,
        shareOfSignatureLimitPerCore:
          Math.round((packsPerSecond * 100) / ceiling.signaturesCheckedPerSecond) / 100,
      }),
    )
  }
  rmSync(folder, { recursive: true, force: true })
}

if (isMainThread) await main()
else await runClient(workerData as ClientData)
