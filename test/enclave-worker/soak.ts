/**
 * A worker under load and faults, one after the other, for as long as is asked:
 *
 * `node test/enclave-worker/soak.ts [--seconds 600]`
 *
 * A disk that is really full (a small tmpfs), a disk whose syncs take long, a clock that is stepped,
 * a guest agent that is gone, SIGKILL; and all the time clients that never finish, cut their bodies
 * off or send rubbish. At the end every receipt has to be kept by the batch that it names, no batch
 * may have changed since anybody first saw it, and memory has to have stayed where it was. Prints
 * JSON; exit code 1 when something does not hold.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
  writeSync,
  openSync,
  closeSync,
} from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startGuestAgent } from '#localnet/agent/server.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { zeroHash } from '#schemas/report.ts'
import { WorkerRefusedError, createWorkerClient } from '#schemas/workerClient.ts'
import { createTestDevice, startRig, testConfig, testPolicy, testStream } from './rig.ts'

const agentCompose = JSON.stringify({ manifest_version: 2, name: 'soak', runner: 'docker-compose' })

export type SoakResult = {
  readonly seconds: number
  readonly faults: Readonly<Record<string, number>>
  readonly lives: number
  readonly receipts: number
  readonly batches: number
  /** Receipts that no batch keeps. */
  readonly broken: number
  /** Batches that were shown with two contents, or do not follow each other. */
  readonly changed: number
  /** Refusals of honest packs that no waiting mends. */
  readonly wronglyRefused: number
  readonly slowClientsCut: number
  readonly bodiesCut: number
  readonly rubbishRefused: number
  readonly heldSeen: number
  readonly fullDiskAnswers: number
  /** Of the longest life: bytes held after its first third and at its end, and packs between. */
  readonly memory: {
    readonly earlyBytes: number
    readonly lateBytes: number
    readonly packs: number
  }
  readonly notChecked: readonly string[]
  readonly problems: readonly string[]
}

type Life = {
  readonly child: ChildProcess
  readonly url: string
  packs: number
  readonly samples: { atMs: number; bytes: number; packs: number }[]
}

/** A folder on a disk of its own that can be filled without harm, or why there is none. */
function smallDisk(megabytes: number): { folder: string; isSmall: boolean; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-soak-'))
  const disk = join(folder, 'disk')
  mkdirSync(disk)
  const { status } = spawnSync(
    'mount',
    ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', disk],
    {
      stdio: 'ignore',
    },
  )
  return {
    folder: disk,
    isSmall: status === 0,
    remove: () => {
      if (status === 0) spawnSync('umount', [disk], { stdio: 'ignore' })
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Fills a disk to its last byte. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (let size = 1 << 20; size >= 1;) {
      try {
        if (writeSync(file, Buffer.alloc(size)) < size) size = Math.floor(size / 2)
      } catch {
        size = Math.floor(size / 2)
      }
    }
  } finally {
    closeSync(file)
  }
}

export async function soak(seconds: number): Promise<SoakResult> {
  const rig = await startRig()
  const platform = createPlatform({ now: Math.floor(Date.now() / 1000) })
  let agent = await startGuestAgent({ platform, composeFile: agentCompose, port: 0 })
  const agentPort = Number(new URL(agent.endpoint).port)
  const disk = smallDisk(64)
  const notChecked = disk.isSmall ? [] : ['full disk: no tmpfs could be mounted']
  const problems: string[] = []
  const counts = {
    slowClientsCut: 0,
    bodiesCut: 0,
    rubbishRefused: 0,
    heldSeen: 0,
    fullDiskAnswers: 0,
    wronglyRefused: 0,
    changed: 0,
    lives: 0,
  }
  const faults: Record<string, number> = {}
  const devices = Array.from({ length: 8 }, (_, index) =>
    createTestDevice(`soaked ${index}`, testStream),
  )
  const policy = { ...testPolicy, window: { kind: 'tumbling', length: '2s', anchorMs: 0 } }
  /** Changes with every life: below it packs are refused; at zero the disk itself refuses. */
  let minFreeBytes = 0
  function writeConfig(): string {
    const file = join(disk.folder, '..', 'worker.json')
    writeFileSync(
      file,
      JSON.stringify(
        testConfig(rig, join(disk.folder, 'data'), devices, {
          guestAgent: agent.endpoint,
          policies: [policy],
          assignments: [{ subject: 'plant', policy: policy.name }],
          allowedLatenessMs: 300,
          maxBatchIntervalMs: 500,
          amendForMs: 10_000,
          maxFutureSkewMs: 2000,
          limits: {
            verifyThreads: 1,
            minFreeBytes,
            headersTimeoutMs: 1500,
            requestTimeoutMs: 2000,
            maxConnections: 256,
          },
        }),
      ),
    )
    return file
  }

  let life: Life | undefined
  let longest: Life | undefined
  /** What everybody below looks at: who sends stops first, the rest once all is looked through. */
  const run = { isSending: true, isEnding: false }
  const lifetime = ({ samples }: Life): number =>
    (samples.at(-1)?.atMs ?? 0) - (samples[0]?.atMs ?? 0)

  /** Starts the worker again whenever it has ended, as whatever runs it in production does. */
  async function keepAlive(): Promise<void> {
    while (!run.isEnding) {
      minFreeBytes = counts.lives % 2 === 0 ? 0 : 2 * 1024 * 1024
      const child = spawn(
        process.execPath,
        ['--expose-gc', new URL('./soakWorker.ts', import.meta.url).pathname, writeConfig()],
        { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] },
      )
      counts.lives += 1
      const ended = new Promise<void>((resolve) => {
        child.once('exit', () => {
          resolve()
        })
      })
      child.on('message', ({ heldBytes }: { heldBytes: number }) => {
        life?.samples.push({ atMs: Date.now(), bytes: heldBytes, packs: life.packs })
      })
      let rest = ''
      child.stdout?.on('data', (chunk: Buffer) => {
        const parts = (rest + chunk.toString()).split('\n')
        rest = parts.pop() ?? ''
        for (const part of parts) {
          const line = JSON.parse(part) as { event: string; url?: string }
          if (line.event === 'listening')
            life = { child, url: line.url ?? '', packs: 0, samples: [] }
        }
      })
      await ended
      if (life !== undefined && (longest === undefined || lifetime(life) > lifetime(longest))) {
        longest = life
      }
      life = undefined
      await sleep(100)
    }
  }

  type Promised = { device: string; sequence: bigint; hash: string; batch: bigint }
  const promised = new Map<string, Promised>()

  async function send(device: (typeof devices)[number]): Promise<void> {
    const waiting: Uint8Array[] = []
    while (run.isSending) {
      const now = Date.now()
      if (waiting.length < 40) waiting.push(device.next([now - 400, now - 200], [7e6, 8e6]))
      const url = life?.url
      if (url !== undefined) {
        try {
          const client = createWorkerClient({
            url,
            fetch: (to, init) => fetch(to, { ...init, signal: AbortSignal.timeout(10_000) }),
          })
          for (const answer of await client.postPacks(waiting.slice(0, 20))) {
            if (!('receipt' in answer)) {
              // A clock that was set back takes nothing; the same pack is taken once it is right again.
              const isWaiting =
                answer.refusal.retryable || answer.refusal.name === 'PackFromFutureError'
              if (!isWaiting) {
                counts.wronglyRefused += 1
                problems.push(`${answer.refusal.name}: ${answer.refusal.message}`)
              }
              break
            }
            const { receipt } = answer
            const key = `${receipt.device}/${receipt.packSequence}`
            const before = promised.get(key)
            if (before !== undefined && before.batch !== receipt.nextBatchSequence) {
              problems.push(`pack ${key} was promised to two batches`)
            }
            promised.set(key, {
              device: receipt.device,
              sequence: receipt.packSequence,
              hash: receipt.packHash,
              batch: receipt.nextBatchSequence,
            })
            waiting.shift()
          }
        } catch (error) {
          // The worker is away, full or busy: it is sent again.
          if (error instanceof WorkerRefusedError && error.refusal.name === 'StorageFullError') {
            counts.fullDiskAnswers += 1
          }
        }
      }
      await sleep(150)
    }
  }

  /** Everything that was ever shown, by sequence: what comes later must be the same. */
  const shown = new Map<bigint, string>()
  async function watch(): Promise<void> {
    let measuredMs = 0
    while (!run.isEnding) {
      const seen = life
      if (seen !== undefined) {
        try {
          const after = Math.max(0, shown.size - 5)
          const ask = (path: string): Promise<Response> =>
            fetch(`${seen.url}${path}`, { signal: AbortSignal.timeout(10_000) })
          const page = (await (await ask(`/v1/batches?after=${after}&limit=100`)).json()) as {
            batches: { digest: string; batch: { sequence: string; previous: string } }[]
          }
          for (const { digest, batch } of page.batches) {
            const sequence = BigInt(batch.sequence)
            const text = `${digest}/${batch.previous}`
            const follows = shown.get(sequence - 1n)?.split('/')[0] ?? zeroHash
            const isSame = (shown.get(sequence) ?? text) === text
            if (!isSame || (sequence > 1n && follows !== batch.previous)) {
              counts.changed += 1
              problems.push(`batch ${sequence} has changed`)
            }
            shown.set(sequence, text)
          }
          const health = (await (await ask('/healthz')).json()) as { status: string }
          if (health.status === 'held') counts.heldSeen += 1
          const metrics = await (await ask('/metrics')).text()
          seen.packs = Number(/^plumbline_packs_accepted_total (\S+)$/m.exec(metrics)?.[1] ?? 0)
          if (Date.now() - measuredMs > 3000) {
            measuredMs = Date.now()
            seen.child.send({ measure: true }, () => undefined)
          }
        } catch {
          // Away just now.
        }
      }
      await sleep(400)
    }
  }

  /** Holds connections open and sends a byte now and then. */
  async function dawdle(): Promise<void> {
    while (!run.isEnding) {
      const url = life?.url
      if (url === undefined) {
        await sleep(200)
        continue
      }
      const { hostname, port } = new URL(url)
      const socket = connect(Number(port), hostname)
      socket.on('error', () => undefined)
      const fate = { isCut: false }
      socket.on('close', () => {
        fate.isCut = true
      })
      socket.write('POST /v1/packs HTTP/1.1\r\nHost: soak\r\nX-Slow: ')
      for (let step = 0; step < 60 && !fate.isCut && !run.isEnding; step += 1) {
        socket.write('a')
        await sleep(250)
      }
      if (fate.isCut) counts.slowClientsCut += 1
      socket.destroy()
    }
  }

  async function disturb(): Promise<void> {
    while (!run.isEnding) {
      const url = life?.url
      if (url !== undefined) {
        const { hostname, port } = new URL(url)
        const socket = connect(Number(port), hostname)
        socket.on('error', () => undefined)
        socket.write(
          'POST /v1/packs HTTP/1.1\r\nHost: soak\r\nContent-Type: application/cbor-seq\r\nContent-Length: 1000000\r\n\r\n',
        )
        socket.write(randomBytes(1000))
        await sleep(100)
        socket.destroy()
        counts.bodiesCut += 1
        try {
          const response = await fetch(`${url}/v1/packs`, {
            method: 'POST',
            headers: { 'content-type': 'application/cbor-seq' },
            body: randomBytes(2000),
            signal: AbortSignal.timeout(10_000),
          })
          if (response.status >= 400 || (await response.text()).includes('"refusal"')) {
            counts.rubbishRefused += 1
          } else problems.push('rubbish was taken')
        } catch {
          // Away just now.
        }
      }
      await sleep(200)
    }
  }

  async function until(holds: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + 90_000
    while (!holds()) {
      if (Date.now() > deadline) {
        problems.push(`not within 90 s: ${what}`)
        return
      }
      await sleep(50)
    }
  }

  const tell = (message: object): void => {
    life?.child.send(message, () => undefined)
  }
  const holdMs = Math.min(8000, Math.max(1000, seconds * 40))
  const injections: Record<string, () => Promise<void>> = {
    async 'slow disk'() {
      tell({ syncDelayMs: 400 })
      await sleep(holdMs)
      tell({ syncDelayMs: 0 })
    },
    async 'clock step'() {
      for (const clockOffsetMs of [-3_600_000, 86_400_000]) {
        tell({ clockOffsetMs })
        await sleep(holdMs / 2)
      }
      tell({ clockOffsetMs: 0 })
    },
    async 'guest agent gone'() {
      await agent.close()
      await sleep(holdMs / 2)
      life?.child.kill('SIGKILL')
      await sleep(holdMs / 2)
      agent = await startGuestAgent({ platform, composeFile: agentCompose, port: agentPort })
    },
    async 'full disk'() {
      if (!disk.isSmall) return
      const filler = join(disk.folder, 'filler')
      fill(filler)
      await sleep(holdMs)
      rmSync(filler)
    },
    async killed() {
      life?.child.kill('SIGKILL')
      await sleep(100)
    },
  }

  const begunMs = Date.now()
  const senders = devices.map(send)
  const running = [keepAlive(), watch(), dawdle(), dawdle(), disturb()]
  await until(() => shown.size > 0, 'the first batch')
  // Faults that end no life come last, so that one life is long enough to tell about memory.
  const calm = ['slow disk', 'clock step']
  for (let round = 0; ; round += 1) {
    for (const [name, inject] of Object.entries(injections)) {
      const spentShare = (Date.now() - begunMs) / (seconds * 1000)
      if (spentShare > 0.5 && round > 0 && !calm.includes(name)) continue
      const before = shown.size
      await inject()
      faults[name] = (faults[name] ?? 0) + 1
      await until(() => life !== undefined && shown.size > before + 1, `a batch after: ${name}`)
    }
    if (Date.now() - begunMs >= seconds * 1000) break
  }
  run.isSending = false
  await Promise.all(senders)
  // Left alone: what was promised has to be kept.
  const newest = Math.max(...[...promised.values()].map(({ batch }) => Number(batch)))
  await until(() => shown.has(BigInt(newest)), 'the last promised batch')
  const survivor = life
  run.isEnding = true
  await Promise.all(running.slice(1))
  let broken = 0
  if (survivor === undefined) problems.push('no worker is left')
  else {
    if (longest === undefined || lifetime(survivor) > lifetime(longest)) longest = survivor
    const client = createWorkerClient({
      url: survivor.url,
      fetch: (to, init) => fetch(to, init),
    })
    const held = new Set<string>()
    for (let sequence = 1n; sequence <= BigInt(newest); sequence += 1n) {
      const { roster } = await client.roster(sequence)
      for (const { device, lastSequence } of roster) {
        if (lastSequence === 0n) continue
        const { packs } = await client.rosterPlace(sequence, device)
        for (const pack of packs) held.add(`${sequence}/${device}/${pack.sequence}/${pack.hash}`)
      }
    }
    for (const { device, sequence, hash, batch } of promised.values()) {
      if (!held.has(`${batch}/${device}/${sequence}/${hash}`)) broken += 1
    }
    survivor.child.kill('SIGKILL')
  }
  await running[0]
  await agent.close()
  await rig.stop()
  disk.remove()

  const samples = longest?.samples ?? []
  const early = samples[Math.floor(samples.length / 3)]
  const late = samples.at(-1)
  return {
    seconds: Math.round((Date.now() - begunMs) / 1000),
    faults,
    receipts: promised.size,
    batches: shown.size,
    broken,
    ...counts,
    memory: {
      earlyBytes: early?.bytes ?? 0,
      lateBytes: late?.bytes ?? 0,
      packs: (late?.packs ?? 0) - (early?.packs ?? 0),
    },
    notChecked,
    problems: [...new Set(problems)].slice(0, 20),
  }
}

/** What a soak has to show. */
export function soakHolds({
  broken,
  changed,
  wronglyRefused,
  problems,
  memory,
}: SoakResult): boolean {
  // A pack leaves 124 bytes and its share of batches behind; two caches fill to 32 MiB each.
  const allowedBytes = memory.earlyBytes + 64 * 1024 * 1024 + memory.packs * 1000
  return (
    broken === 0 &&
    changed === 0 &&
    wronglyRefused === 0 &&
    problems.length === 0 &&
    memory.lateBytes <= allowedBytes
  )
}

if (import.meta.main) {
  const at = process.argv.indexOf('--seconds')
  const result = await soak(at < 0 ? 600 : Number(process.argv[at + 1]))
  process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`)
  process.exit(soakHolds(result) ? 0 : 1)
}
