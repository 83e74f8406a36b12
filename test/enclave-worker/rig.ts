import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { anvilBinary } from '#localnet/chains/startChain.ts'
import { startGuestAgent } from '#localnet/agent/server.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { type Hex, toHex } from '#schemas/bytes.ts'
import { streamId } from '#schemas/batch.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { type DeviceSigner, createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import { sha256 } from '@noble/hashes/sha2'

/** What worker tests run against: a real EVM node, a real guest agent, devices that really sign. */

export const anchorChainId = 31_337
export const registryAddress: Hex = `0x${'ab'.repeat(20)}`

export async function freePort(): Promise<number> {
  const server = createServer()
  const listening = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', () => {
    listening.resolve()
  })
  await listening.promise
  const address = server.address()
  const closed = Promise.withResolvers<void>()
  server.close(() => {
    closed.resolve()
  })
  await closed.promise
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return address.port
}

export type Rig = {
  readonly rpcUrl: string
  readonly guestAgent: string
  /** DER of the root certificate behind the rig's quotes. */
  readonly rootCertificate: Uint8Array
  /** Makes an empty folder that goes away with the rig. */
  folder(): string
  stop(): Promise<void>
}

async function startAnvil(): Promise<{ child: ChildProcess; rpcUrl: string }> {
  const port = await freePort()
  const child = spawn(
    anvilBinary(),
    ['--host', '127.0.0.1', '--port', String(port), '--chain-id', String(anchorChainId)].concat([
      '--block-time',
      '1',
      '--silent',
    ]),
    { stdio: 'ignore' },
  )
  const rpcUrl = `http://127.0.0.1:${port}`
  const deadline = Date.now() + 20_000
  for (;;) {
    try {
      const response = await fetch(rpcUrl, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}',
      })
      if (response.ok) return { child, rpcUrl }
    } catch {
      if (Date.now() > deadline) throw new Error('anvil does not answer')
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

export async function startRig(): Promise<Rig> {
  const folders: string[] = []
  const { child, rpcUrl } = await startAnvil()
  const platform = createPlatform({ now: Math.floor(Date.now() / 1000) })
  const agent = await startGuestAgent({
    platform,
    composeFile: JSON.stringify({ manifest_version: 2, name: 'rig', runner: 'docker-compose' }),
    port: 0,
  })
  return {
    rpcUrl,
    guestAgent: agent.endpoint,
    rootCertificate: platform.rootCertificateDer,
    folder() {
      const folder = mkdtempSync(join(tmpdir(), 'plumbline-worker-'))
      folders.push(folder)
      return folder
    },
    async stop() {
      await agent.close()
      child.kill('SIGKILL')
      for (const folder of folders) rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A device that keeps its own chain, as firmware does. */
export type TestDevice = {
  readonly signer: DeviceSigner
  readonly id: Hex
  /** Signs the next pack of the chain: one reading per time. */
  next(times: readonly number[], valuesMicro: readonly number[]): Uint8Array
  readonly sequence: () => bigint
}

export function createTestDevice(
  name: string,
  stream: Hex,
  {
    series = 'power',
    unit = 'W',
    seed = name,
  }: { series?: string; unit?: string; seed?: string } = {},
): TestDevice {
  const signer = createDeviceSigner('ES256', sha256(new TextEncoder().encode(`device ${seed}`)))
  let sequence = 0n
  let previous: Hex = noPrevious
  return {
    signer,
    id: signer.key.id,
    sequence: () => sequence,
    next(times, valuesMicro) {
      sequence += 1n
      const pack = encodePack({
        claims: {
          stream,
          sequence,
          previous,
          bootCount: 1n,
          firmware: `0x${'11'.repeat(32)}`,
        },
        kid: signer.key.id,
        algorithm: 'ES256',
        records: times.map((timeMs, index) => ({
          name: series,
          unit,
          timeMs,
          valueMicro: valuesMicro[index] ?? 0,
        })),
        sign: signer.sign,
      })
      previous = pack.packHash
      return pack.bytes
    },
  }
}

export const testPolicy = {
  version: 1,
  name: 'At least 1 Wh',
  signal: { series: 'power', unit: 'W', interval: '1s' },
  window: { kind: 'period' },
  interpolation: { kind: 'hold', max: '1s500ms' },
  gaps: 'unknown',
  minCoverage: '50%',
  aggregates: [{ kind: 'integral', per: 'h', unit: 'Wh', negative: 'zero' }],
  objectives: [{ measure: 'integral', operator: 'ge', limit: '1' }],
  quality: {},
  settlement: { measure: 'integral', unit: 'Wh', rounding: 'down' },
  audience: { kind: 'anyone' },
}

/** A configuration as JSON, over a rig and its devices. */
export function testConfig(
  rig: Rig,
  dataFolder: string,
  devices: readonly TestDevice[],
  overrides: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    version: 1,
    stream: 'test',
    listen: { host: '127.0.0.1', port: 0 },
    dataFolder,
    guestAgent: rig.guestAgent,
    registries: [{ chainId: anchorChainId, registry: registryAddress, rpcUrl: rig.rpcUrl }],
    anchorChainId,
    release: `0x${'22'.repeat(32)}`,
    allowedLatenessMs: 200,
    tickMs: 50,
    limits: { verifyThreads: 1 },
    devices: devices.map((device) => ({
      publicKey: toHex(coseKeyBytes(device.signer.key)),
      algorithm: 'ES256',
      subject: 'plant',
      tier: 'hardware',
      intervalMs: 1000,
      series: ['power'],
    })),
    policies: [testPolicy],
    assignments: [],
    ...overrides,
  }
}

export const testStream = streamId('test')

export type WorkerProcess = {
  readonly child: ChildProcess
  readonly url: string
  readonly lines: Record<string, unknown>[]
  kill9(): Promise<void>
  exit(): Promise<number | null>
}

/** Starts `main.ts` as its own process and waits until it listens. */
export async function startProcess(
  config: Record<string, unknown>,
  folder: string,
  entry = 'enclave-worker/main.ts',
  env: Record<string, string> = {},
): Promise<WorkerProcess> {
  const path = join(folder, 'worker.json')
  writeFileSync(path, JSON.stringify(config))
  const child = spawn(process.execPath, [entry, path], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  const lines: Record<string, unknown>[] = []
  const exited = Promise.withResolvers<number | null>()
  const listening = Promise.withResolvers<string>()
  listening.promise.catch(() => undefined)
  let errors = ''
  let rest = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
  })
  child.stdout.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n')
    rest = parts.pop() ?? ''
    for (const part of parts) {
      const line = JSON.parse(part) as Record<string, unknown>
      lines.push(line)
      if (line['event'] === 'listening') listening.resolve(String(line['url']))
    }
  })
  child.once('exit', (code) => {
    listening.reject(new Error(`worker ended with ${code}: ${errors} ${JSON.stringify(lines)}`))
    exited.resolve(code)
  })
  return {
    child,
    lines,
    url: await listening.promise,
    async kill9() {
      child.kill('SIGKILL')
      await exited.promise
    },
    exit: () => exited.promise,
  }
}

export async function postPacks(
  url: string,
  packs: readonly Uint8Array[],
): Promise<Record<string, unknown>[]> {
  const response = await fetch(`${url}/v1/packs`, {
    method: 'POST',
    headers: { 'content-type': 'application/cbor-seq' },
    body: Buffer.concat(packs),
  })
  const body = (await response.json()) as Record<string, unknown>[]
  if (!response.ok) throw new Error(`${response.status} ${JSON.stringify(body)}`)
  return body
}

/** Asks until the answer satisfies, or fails with the last one. */
export async function eventually<Answer>(
  ask: () => Promise<Answer>,
  satisfies: (answer: Answer) => boolean,
  timeoutMs = 20_000,
): Promise<Answer> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (satisfies(answer)) return answer
    if (Date.now() > deadline)
      throw new Error(
        `not within ${timeoutMs} ms: ${JSON.stringify(answer, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v))}`,
      )
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
