/**
 * A whole worker over a large fleet: every device sends packs over HTTP, then a window closes. How
 * long it takes from the call that closes it, and from the cut, to the signed batch on the disk; and
 * what the worker's process holds in memory, as the kernel tells it. The fleet is a process of its own.
 *
 * `node enclave-worker/fleet.bench.ts [--short] [--devices N] [--packs N] [--reports N] [--windows N]`
 *
 * With more reports than devices each subject is judged by several policies: `--reports 1000000` closes
 * a million of them into one batch. `--profile FILE` writes a profile of the last close.
 */
import { type ChildProcess, fork } from 'node:child_process'
import {
  type KeyObject,
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
} from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { streamId } from '#schemas/batch.ts'
import { type Hex, toHex } from '#schemas/bytes.ts'
import { type DeviceKey, coseKeyBytes, deviceKeyFromJwk } from '#schemas/pack/deviceKey.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { maxReportsPerPage } from '#schemas/workerApi.ts'
import { type WorkerConfig, readConfig } from './config.ts'
import { startWorker } from './createWorker.ts'
import type { Span } from './tracing.ts'

const option = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? fallback : Number(process.argv[at + 1])
}
const isShort = process.argv.includes('--short')
const deviceCount = option('devices', isShort ? 500 : 100_000)
const packsPerDevice = option('packs', 1)
const windows = option('windows', 3)
const reportCount = option('reports', isShort ? 50 : 1000)
/** The fleet is spread over as many subjects as there are reports, and each is judged once or more. */
const subjectCount = Math.min(reportCount, deviceCount)
const policyCount = Math.ceil(reportCount / subjectCount)
const packsPerBody = 500
const readingsPerPack = 10
const stream = streamId('bench')

type ToFleet = { readonly nowMs: number; readonly port: number } | { readonly wants: 'keys' }
type FromFleet = { readonly keys: string[] } | { readonly sent: number }

type FleetDevice = {
  readonly key: DeviceKey
  readonly secret: KeyObject
  sequence: bigint
  previous: Hex
}

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
  const say = (message: FromFleet): void => {
    process.send?.(message)
  }
  async function speak(nowMs: number, port: number): Promise<void> {
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
  process.on('message', (message: ToFleet) => {
    if ('wants' in message) say({ keys: fleet.map(({ key }) => toHex(coseKeyBytes(key))) })
    else void speak(message.nowMs, message.port)
  })
}

/** What the kernel says about this process, in MB: now, and at its highest since it was last reset. */
function resident(): { nowMegabytes: number; mostMegabytes: number } {
  const status = readFileSync('/proc/self/status', 'utf8')
  const megabytes = (name: string): number =>
    Math.round((Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) * 1024) / 1e6)
  return { nowMegabytes: megabytes('VmRSS'), mostMegabytes: megabytes('VmHWM') }
}

/** Begins a new highest mark (proc(5), `clear_refs`). */
function resetMost(): void {
  writeFileSync('/proc/self/clear_refs', '5')
}

async function ask(fleet: ChildProcess, message: ToFleet): Promise<FromFleet> {
  const answer = new Promise<FromFleet>((resolve, reject) => {
    fleet.once('message', (value) => {
      resolve(value as FromFleet)
    })
    fleet.once('exit', () => {
      reject(new Error('the fleet has ended'))
    })
  })
  fleet.send(message)
  return answer
}

async function createConfig(fleet: ChildProcess, dataFolder: string): Promise<WorkerConfig> {
  const answer = await ask(fleet, { wants: 'keys' })
  if (!('keys' in answer)) throw new Error('the fleet does not tell its keys')
  const subjects = Array.from({ length: subjectCount }, (_, index) => `plant ${index}`)
  const policies = Array.from({ length: policyCount }, (_, index) => ({
    version: 1,
    name: `At least ${index + 1} Wh`,
    signal: { series: 'power', unit: 'W', interval: '1s' },
    window: { kind: 'tumbling', length: '1m', anchorMs: 0 },
    interpolation: { kind: 'hold', max: '1s500ms' },
    gaps: 'unknown',
    minCoverage: '10%',
    aggregates: [{ kind: 'integral', per: 'h', unit: 'Wh', negative: 'zero' }],
    objectives: [{ measure: 'integral', operator: 'ge', limit: String(index + 1) }],
    quality: {},
    settlement: { measure: 'integral', unit: 'Wh', rounding: 'down' },
    audience: { kind: 'anyone' },
  }))
  return readConfig({
    version: 1,
    stream: 'bench',
    listen: { host: '127.0.0.1', port: 0 },
    dataFolder,
    guestAgent: 'http://127.0.0.1:1',
    registries: [{ chainId: 1, registry: `0x${'ab'.repeat(20)}`, rpcUrl: 'http://127.0.0.1:1' }],
    anchorChainId: 1,
    release: `0x${'00'.repeat(32)}`,
    allowedLatenessMs: 10_000,
    tickMs: 250,
    limits: { verifyThreads: 2, requestTimeoutMs: 120_000 },
    devices: answer.keys.map((publicKey, index) => ({
      publicKey,
      algorithm: 'ES256',
      subject: subjects[index % subjectCount],
      tier: 'hardware',
      intervalMs: 1000,
      series: ['power'],
    })),
    policies,
    assignments: Array.from({ length: reportCount }, (_, index) => ({
      subject: subjects[Math.floor(index / policyCount)],
      policy: policies[index % policyCount]?.name,
    })),
  })
}

const pagesRead = 20

/** What it costs to read a batch's reports page by page: of this thread, which also receives them. */
async function readPages(url: string, sequence: number): Promise<number> {
  const begunMs = performance.now()
  let from = 0
  for (let page = 0; page < pagesRead && from < reportCount; page += 1) {
    const query = `from=${from}&limit=${maxReportsPerPage}`
    const response = await fetch(`${url}/v1/batches/${sequence}/reports?${query}`)
    const text = await response.text()
    if (!response.ok) throw new Error(text.slice(0, 300))
    from += maxReportsPerPage
  }
  return Math.round(((performance.now() - begunMs) * 1000) / Math.min(from, reportCount))
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-fleet-'))
  const fleet = fork(fileURLToPath(import.meta.url), [...process.argv.slice(2), '--fleet'], {
    execArgv: [],
    serialization: 'advanced',
  })
  const config = await createConfig(fleet, folder)
  const startMs = Math.ceil(Date.now() / 60_000) * 60_000
  let nowMs = startMs
  const spans = new Map<string, { times: number; tookMs: number }>()
  let cutMs = 0
  let durableMs = 0
  const span: Span = {
    tell: () => undefined,
    async during(name, work) {
      const begunMs = performance.now()
      const result = await work(span)
      const known = spans.get(name) ?? { times: 0, tookMs: 0 }
      spans.set(name, known)
      known.times += 1
      known.tookMs += performance.now() - begunMs
      return result
    },
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
    failpoint: (name) => {
      if (name === 'close.afterCut') cutMs = performance.now()
      if (name === 'close.afterCommit') durableMs = performance.now()
    },
  })
  const booted = resident()
  resetMost()
  const closes: Record<string, number>[] = []
  let packs = 0
  let sendingMs = 0
  for (let window = 0; window < windows; window += 1) {
    const minuteMs = startMs + window * 60_000
    nowMs = minuteMs + 50_000
    const begunMs = performance.now()
    const answer = await ask(fleet, { nowMs, port: worker.port })
    if ('sent' in answer) packs += answer.sent
    sendingMs += performance.now() - begunMs
    // The minute has ended; the worker judges ahead while it waits for what is late.
    spans.clear()
    nowMs = minuteMs + 62_000
    while ((spans.get('judge ahead')?.times ?? 0) < reportCount) await sleep(200)
    await sleep(1000)
    const aheadMs = spans.get('judge ahead')?.tookMs ?? 0
    nowMs = minuteMs + 71_000
    spans.clear()
    const profileAt = process.argv.indexOf('--profile')
    const isProfiled = profileAt >= 0 && window === windows - 1
    const session = new Session()
    if (isProfiled) {
      session.connect()
      await session.post('Profiler.enable')
      await session.post('Profiler.setSamplingInterval', { interval: 200 })
      await session.post('Profiler.start')
    }
    const closingMs = performance.now()
    const signed = await worker.closeDue()
    const doneMs = performance.now()
    if (isProfiled) {
      const { profile } = await session.post('Profiler.stop')
      writeFileSync(process.argv[profileAt + 1] ?? 'close.cpuprofile', JSON.stringify(profile))
      session.disconnect()
    }
    if (signed === undefined) throw new Error('nothing was closed')
    const of = (name: string): number => Math.round(spans.get(name)?.tookMs ?? 0)
    closes.push({
      reports: signed.batch.reportCount,
      devices: signed.batch.rosterCount,
      judgedAheadMs: Math.round(aheadMs),
      wholeCallMs: Math.round(doneMs - closingMs),
      /** What is due is looked for before the cut; behind the disk periods are closed in the state. */
      callToCutMs: Math.round(cutMs - closingMs),
      cutToDiskMs: Math.round(durableMs - cutMs),
      diskToCallEndMs: Math.round(doneMs - durableMs),
      ...Object.fromEntries(
        [...spans.keys()].map((name) => [`${name.replace(' ', '')}Ms`, of(name)]),
      ),
      residentMegabytes: resident().nowMegabytes,
    })
  }
  const running = resident()
  const readMicrosecondsPerReport = await readPages(worker.url, windows)
  globalThis.gc?.()
  await sleep(500)
  console.log(
    JSON.stringify({
      benchmark: 'a fleet over HTTP, closed and signed',
      devices: deviceCount,
      packs,
      packsPerSecond: Math.round((packs / sendingMs) * 1000),
      readMicrosecondsPerReport,
      /** The worker's process alone: after its boot, at the end, and at its highest in between. */
      bootedMegabytes: booted.nowMegabytes,
      bootMostMegabytes: booted.mostMegabytes,
      residentMegabytes: running.nowMegabytes,
      mostMegabytes: running.mostMegabytes,
      collectedMegabytes: resident().nowMegabytes,
      heapMegabytes: Math.round(process.memoryUsage().heapUsed / 1e6),
      buffersMegabytes: Math.round(process.memoryUsage().arrayBuffers / 1e6),
      closes,
    }),
  )
  await worker.stop()
  fleet.kill()
  rmSync(folder, { recursive: true, force: true })
}

if (process.argv.includes('--fleet')) runFleet()
else await main()
