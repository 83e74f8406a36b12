import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { developmentCompose } from '#localnet/agent/developmentCompose.ts'
import { type GuestAgent, startGuestAgent } from '#localnet/agent/server.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { type Hex, toHex } from '#schemas/bytes.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
import { createGuestAgent } from '#worker/adapters/guestAgent.ts'
import { readConfig } from '#worker/config.ts'
import { type WorkerPorts, startWorker } from '#worker/createWorker.ts'
import { type TestWorld, createTestWorld, testPorts } from './inner.ts'
import { anchorChainId, createTestDevice, eventually, testConfig, testStream } from './rig.ts'

const bootMs = 1_800_000_000_000
const hourMs = 3_600_000
const chainId = BigInt(anchorChainId)
const nowhere = { rpcUrl: 'http://127.0.0.1:1', guestAgent: '/var/run/dstack.sock' } as never
const hash: Hex = `0x${'0b'.repeat(32)}`

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'plumbline-attest-'))
  cleanups.push(() => {
    rmSync(path, { recursive: true, force: true })
  })
  return path
}

async function start(
  world: TestWorld,
  { overrides = {}, ports = {} }: { overrides?: object; ports?: Partial<WorkerPorts> } = {},
) {
  const device = createTestDevice('meter', testStream)
  const config = readConfig(
    testConfig(nowhere, folder(), [device], {
      tickMs: 60_000,
      limits: { verifyThreads: 0 },
      ...overrides,
    }),
  )
  const worker = await startWorker(config, { ...testPorts(world, [chainId]), ...ports })
  cleanups.push(() => worker.stop())
  const client = createWorkerClient({ url: worker.url, fetch: (url, init) => fetch(url, init) })
  const count = (event: string): number => world.lines.filter((line) => line.event === event).length
  return { worker, client, count }
}

const block = (number: bigint) => ({ number, hash, timestampMs: bootMs })

describe('the attestation of a boot', () => {
  it('is given as it is until its block is 64 blocks old, then made anew', async () => {
    const world = createTestWorld(bootMs)
    world.block = block(1000n)
    const { client } = await start(world)
    world.nowMs += hourMs
    world.block = block(1063n)
    expect((await client.attestation({ chainId })).blockNumber).toBe(1000n)
    world.block = block(1064n)
    expect((await client.attestation({ chainId })).blockNumber).toBe(1064n)
  })

  it('is renewed twice a day even if nobody asks, long before a registration of seven days ends', async () => {
    const world = createTestWorld(bootMs)
    world.block = block(1000n)
    const { worker, client, count } = await start(world)
    world.nowMs += 12 * hourMs - 1
    await new Promise((resolve) => setTimeout(resolve, 2500))
    expect(count('attested')).toBe(1)
    world.nowMs += 1
    world.block = block(9000n)
    await eventually(
      () => Promise.resolve(count('attested')),
      (times) => times === 2,
    )
    // In the ledger too: it is what an auditor, or a relayer after a crash, is given.
    const stored = await client.attestation({ chainId, signer: worker.signer })
    expect(stored.blockNumber).toBe(9000n)
    const metrics = await (await fetch(`${worker.url}/metrics`)).text()
    expect(metrics).toContain(`plumbline_attestation_age_seconds{chain="${anchorChainId}"} 0`)
  })

  it('stays as it was while the platform does not quote; that is said, and once a minute', async () => {
    const world = createTestWorld(bootMs)
    world.block = block(1000n)
    const { agent } = testPorts(world, [chainId])
    let isAway = false
    const quote: WorkerPorts['agent']['quote'] = (reportData) =>
      isAway ? Promise.reject(new Error('no agent')) : agent.quote(reportData)
    const { worker, client, count } = await start(world, { ports: { agent: { ...agent, quote } } })
    isAway = true
    world.nowMs += 12 * hourMs
    await eventually(
      () => Promise.resolve(count('renewal failed')),
      (times) => times === 1,
    )
    await new Promise((resolve) => setTimeout(resolve, 2500))
    expect(count('renewal failed')).toBe(1)
    expect((await client.attestation({ chainId })).statement.signer).toBe(worker.signer)
    const metrics = await (await fetch(`${worker.url}/metrics`)).text()
    expect(metrics).toContain(`plumbline_attestation_age_seconds{chain="${anchorChainId}"} 43200`)
    isAway = false
    world.nowMs += 60_000
    await eventually(
      () => Promise.resolve(count('attested')),
      (times) => times === 2,
    )
  })
})

/** A local agent behind a socket, as a guest's own is. */
async function agentOnSocket(): Promise<GuestAgent & { readonly path: string }> {
  const path = join(folder(), 'dstack.sock')
  const agent = await startGuestAgent({
    platform: createPlatform({ now: Math.floor(Date.now() / 1000) }),
    composeFile: developmentCompose,
    socketPath: path,
  })
  cleanups.push(() => agent.close())
  return { ...agent, path }
}

describe('a worker of production', () => {
  const production = {
    production: true,
    kms: { root: `0x02${'ab'.repeat(32)}` },
    guestAgent: '/var/run/dstack.sock',
  }

  it.each([
    ['an open ledger', { sealing: 'none' }, 'LedgerNotSealed'],
    ['an agent over a network', { guestAgent: 'http://127.0.0.1:8070' }, 'GuestAgentOverNetwork'],
    ['no KMS root', { kms: undefined }, 'KmsRootNotPinned'],
    [
      'the KMS root of the local platform',
      { kms: { root: '0x026e3b47881825f15a2145fd1c48c6b2d72248ea7966db7dd206d9b6f95b64c6aa' } },
      'DevelopmentKmsRoot',
    ],
  ])('does not read a configuration with %s', (_, changes, setting) => {
    const value = testConfig(nowhere, '/data', [], { ...production, ...changes })
    expect(() => readConfig(value)).toThrowError(expect.objectContaining({ setting }))
    expect(() => readConfig({ ...value, production: false })).not.toThrow()
  })

  it('does not start on a local platform, and leaves no trace', async () => {
    const agent = await agentOnSocket()
    const world = createTestWorld(bootMs)
    await expect(
      start(world, { overrides: production, ports: { agent: createGuestAgent(agent.path) } }),
    ).rejects.toMatchObject({ name: 'NotForProductionError', setting: 'LocalRoot' })
    expect(world.lines).toEqual([])
  })
})

describe('a sealing key', () => {
  it('is taken when its signatures lead to the pinned KMS, for this application', async () => {
    const { path, kmsRootPublicKey, appId } = await pinned()
    const plain = await createGuestAgent(path).sealingKey('plumbline/ledger/1')
    for (const kms of [{ root: kmsRootPublicKey }, { root: kmsRootPublicKey, appId }]) {
      expect(await createGuestAgent(path, kms).sealingKey('plumbline/ledger/1')).toEqual(plain)
    }
  })

  it('of another KMS or for another application seals nothing', async () => {
    const { path, kmsRootPublicKey } = await pinned()
    const others = [
      { root: `0x02${'ab'.repeat(32)}` as const },
      { root: kmsRootPublicKey, appId: `0x${'ee'.repeat(20)}` as const },
    ]
    for (const kms of others) {
      const failure = await createGuestAgent(path, kms)
        .sealingKey('plumbline/ledger/1')
        .catch((error: unknown) => error)
      expect(failure).toMatchObject({ name: 'ForeignKeyError', retryable: false })
      expect(failure).toMatchObject({ cause: { code: 'KmsRootMismatch' } })
    }
  })

  async function pinned() {
    const agent = await agentOnSocket()
    const { kmsRootPublicKey, appId } = agent
    if (kmsRootPublicKey === undefined) throw new Error('the agent has no KMS')
    return {
      path: agent.path,
      kmsRootPublicKey: toHex(kmsRootPublicKey),
      appId: toHex(appId),
    }
  }
})
