/**
 * A whole worker over a large fleet: every device sends packs over HTTP, then a window closes. What
 * it holds in memory, and how long it takes from the cut to the signed batch on the disk.
 *
 * `node enclave-worker/fleet.bench.ts [--short] [--devices N] [--packs N] [--reports N]`
 */
import {
  type KeyObject,
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
} from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { streamId } from '#schemas/batch.ts'
import { type Hex, toHex } from '#schemas/bytes.ts'
import { type DeviceKey, coseKeyBytes, deviceKeyFromJwk } from '#schemas/pack/deviceKey.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { readConfig } from './config.ts'
import { startWorker } from './createWorker.ts'
import type { Span } from './tracing.ts'

const option = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? fallback : Number(process.argv[at + 1])
}
const isShort = process.argv.includes('--short')
const deviceCount = option('devices', isShort ? 500 : 100_000)
const packsPerDevice = option('packs', 2)
const windows = option('windows', 3)
/** How many subjects get a report at each close; the fleet is spread over them. */
const subjectCount = option('reports', isShort ? 50 : 1000)
const packsPerBody = 500
const readingsPerPack = 10
const stream = streamId('bench')

type ToClient = { readonly window: number; readonly nowMs: number; readonly port: number }
type FromClient = { readonly keys: string[] } | { readonly sent: number }

type FleetDevice = {
  readonly key: DeviceKey
  readonly secret: KeyObject
  sequence: bigint
  previous: Hex
}

/** The fleet lives in a thread of its own, so that its memory is told apart by what it says. */
function runFleet(): void {
  const fleet = Array.from({ length: deviceCount }, (): FleetDevice => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const key = deviceKeyFromJwk(pair.publicKey.export({ format: 'jwk' }))
    return {
      key,
      secret: createPrivateKey(pair.privateKey.export({ type: 'pkcs8', format: 'pem' })),
      sequence: 0n,
      previous: noPrevious,
    }
  })
  const say = (message: FromClient): void => parentPort?.postMessage(message, [])
  say({ keys: fleet.map(({ key }) => toHex(coseKeyBytes(key))) })
  async function speak({ nowMs, port }: ToClient): Promise<void> {
    for (let round = 0; round < packsPerDevice; round += 1) {
      for (let from = 0; from < fleet.length; from += packsPerBody) {
        const packs = fleet.slice(from, from + packsPerBody).map((device) => {
          device.sequence += 1n
          const pack = encodePack({
            claims: {
              stream,
              sequence: device.sequence,
              previous: device.previous,
              bootCount: 1n,
              firmware: `0x${'00'.repeat(32)}`,
            },
            kid: device.key.id,
            algorithm: 'ES256',
            records: Array.from({ length: readingsPerPack }, (_, row) => ({
              name: 'power',
              unit: 'W',
              timeMs: nowMs - 20_000 + round * 10_000 + row * 1000,
              valueMicro: 90_000_000,
            })),
            sign: (bytes) =>
              sign('sha256', bytes, { key: device.secret, dsaEncoding: 'ieee-p1363' }),
          })
          device.previous = pack.packHash
          return pack.bytes
        })
        const response = await fetch(`http://127.0.0.1:${port}/v1/packs?receipts=tree`, {
          method: 'POST',
          headers: { 'content-type': 'application/cbor-seq' },
          body: Buffer.concat(packs),
        })
        const text = await response.text()
        if (!response.ok || text.includes('"refusal"')) throw new Error(text.slice(0, 300))
      }
    }
    say({ sent: fleet.length * packsPerDevice })
  }
  parentPort?.on('message', (message: ToClient) => {
    void speak(message)
  })
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-fleet-'))
  const client = new Worker(new URL(import.meta.url), {
    argv: process.argv.slice(2),
    workerData: {},
  })
  const hear = (): Promise<FromClient> =>
    new Promise((resolve, reject) => {
      client.once('message', resolve)
      client.once('error', reject)
    })
  const first = await hear()
  if (!('keys' in first)) throw new Error('the fleet does not tell its keys')
  globalThis.gc?.()
  const baseBytes = process.memoryUsage.rss()
  const startMs = Math.ceil(Date.now() / 60_000) * 60_000
  let nowMs = startMs
  const subjects = Array.from({ length: subjectCount }, (_, index) => `plant ${index}`)
  const config = readConfig({
    version: 1,
    stream: 'bench',
    listen: { host: '127.0.0.1', port: 0 },
    dataFolder: folder,
    guestAgent: 'http://127.0.0.1:1',
    registries: [{ chainId: 1, registry: `0x${'ab'.repeat(20)}`, rpcUrl: 'http://127.0.0.1:1' }],
    anchorChainId: 1,
    release: `0x${'00'.repeat(32)}`,
    allowedLatenessMs: 10_000,
    tickMs: 250,
    limits: { verifyThreads: 2, requestTimeoutMs: 120_000 },
    devices: first.keys.map((publicKey, index) => ({
      publicKey,
      algorithm: 'ES256',
      subject: subjects[index % subjectCount],
      tier: 'hardware',
      intervalMs: 1000,
      series: ['power'],
    })),
    policies: [
      {
        version: 1,
        name: 'At least 1 Wh',
        signal: { series: 'power', unit: 'W', interval: '1s' },
        window: { kind: 'tumbling', length: '1m', anchorMs: 0 },
        interpolation: { kind: 'hold', max: '1s500ms' },
        gaps: 'unknown',
        minCoverage: '10%',
        aggregates: [{ kind: 'integral', per: 'h', unit: 'Wh', negative: 'zero' }],
        objectives: [{ measure: 'integral', operator: 'ge', limit: '1' }],
        quality: {},
        settlement: { measure: 'integral', unit: 'Wh', rounding: 'down' },
        audience: { kind: 'anyone' },
      },
    ],
    assignments: subjects.map((subject) => ({ subject, policy: 'At least 1 Wh' })),
  })
  const spans = new Map<string, number[]>()
  const time = async <Result>(name: string, work: () => Promise<Result>): Promise<Result> => {
    const begunMs = performance.now()
    const result = await work()
    const known = spans.get(name)
    const tookMs = performance.now() - begunMs
    if (known === undefined) spans.set(name, [tookMs])
    else known.push(tookMs)
    return result
  }
  const span: Span = {
    tell: () => undefined,
    during: (name, work) => time(name, () => work(span)),
  }
  const worker = await startWorker(config, {
    clock: { nowMs: () => nowMs },
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
            Promise.resolve({ number: 1n, hash: `0x${'01'.repeat(32)}`, timestampMs: nowMs }),
        },
      ],
    ]),
    heads: new Map(),
    randomBytes: (length) => randomBytes(length),
    tracer: span,
  })
  const closes: Record<string, number>[] = []
  const answered = performance.now()
  let packs = 0
  for (let window = 0; window < windows; window += 1) {
    spans.clear()
    const minuteMs = startMs + window * 60_000
    nowMs = minuteMs + 50_000
    client.postMessage({ window, nowMs, port: worker.port } satisfies ToClient, [])
    const answer = await hear()
    if ('sent' in answer) packs += answer.sent
    // The minute has ended; the worker judges ahead while it waits for what is late.
    nowMs = minuteMs + 62_000
    let judged = -1
    const count = (): number => spans.get('judge ahead')?.length ?? 0
    while (judged < count() || count() < subjectCount) {
      judged = count()
      await sleep(500)
    }
    const aheadMs = (spans.get('judge ahead') ?? []).reduce((sum, each) => sum + each, 0)
    nowMs = minuteMs + 71_000
    spans.clear()
    const signed = await worker.closeDue()
    if (signed === undefined) throw new Error('nothing was closed')
    closes.push({
      reports: signed.batch.reportCount,
      devices: signed.batch.rosterCount,
      judgedAheadMs: Math.round(aheadMs),
      ...Object.fromEntries(
        [...spans].map(([name, took]) => [
          `${name.replace(' ', '')}Ms`,
          Math.round(took.reduce((sum, each) => sum + each, 0)),
        ]),
      ),
    })
  }
  const seconds = (performance.now() - answered) / 1000
  globalThis.gc?.()
  const workerBytes = process.memoryUsage.rss() - baseBytes
  console.log(
    JSON.stringify({
      benchmark: 'a fleet over HTTP, closed and signed',
      devices: deviceCount,
      packs,
      packsPerSecond: Math.round(packs / seconds),
      /** What the worker added to a process that held the fleet already. */
      workerMegabytes: Math.round(workerBytes / 1e6),
      bytesPerDevice: Math.round(workerBytes / deviceCount),
      closes,
    }),
  )
  await worker.stop()
  await client.terminate()
  rmSync(folder, { recursive: true, force: true })
}

if (isMainThread) await main()
else if (workerData !== null) runFleet()
