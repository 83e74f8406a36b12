import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serve } from '@hono/node-server'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseEther } from 'viem'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEscrow } from '#contracts/deploy/agreements.ts'
import {
  type Crosschain,
  type CrosschainSpoke,
  createCrosschain,
  endorserKeys,
} from '#localnet/layerzero/crosschain.ts'
import { packetsIn } from '#localnet/layerzero/workers.ts'
import { startNodeRelayer, type NodeRelayer } from '#relayer/adapters/node/nodeRelayer.ts'
import { commitCall } from '#relayer/chain/calls.ts'
import { createRpc } from '#relayer/chain/rpc.ts'
import { createLocalSigner } from '#relayer/chain/localSigner.ts'
import {
  type PlanLayerZero,
  type SettlementPlan,
  type SettlementPlanFile,
  InvalidPlanError,
  decodePlan,
} from '#relayer/plan/plan.ts'
import type { RelayerStatus } from '#relayer/runtime/status.ts'
import { createJob } from '#relayer/lane/job.ts'
import { deliveriesTo, sendsFrom } from '#relayer/transports/layerzero/transport.ts'
import { createEndorser } from '#relayer/transports/layerzero/endorser.ts'
import { endpointAbi } from '#relayer/transports/layerzero/abi.ts'
import { proofRegistryAbi } from '#schemas/abi/proofRegistry.ts'
import { testTokenAbi } from '#schemas/abi/testToken.ts'
import { type Hex, fromHex } from '#schemas/bytes.ts'
import { signDigest } from '#schemas/signatures.ts'
import { anvilKey } from '#tools/anvil.ts'
import { developmentKeys } from '../support/anvil.ts'
import { testPolicy, testReport, testStream } from '../support/testStream.ts'
import { type TestWorker, platformFacts, startTestWorker } from '../support/testWorker.ts'

const payee: Hex = '0x00000000000000000000000000000000000000a1'
const relayerKey = developmentKeys[1]

describe('relayer/transports/layerzero', () => {
  let world: Crosschain
  let spoke: CrosschainSpoke
  let worker: TestWorker
  let relayer: NodeRelayer
  let agreementId: bigint
  let plan: SettlementPlan
  const endorsers: Server[] = []
  const dataFolder = mkdtempSync(join(tmpdir(), 'relayer-lz-'))
  const nowSeconds = Math.floor(Date.now() / 1000)
  const periodStartMs = BigInt(nowSeconds - 3_600) * 1_000n
  const report = {
    ...testReport(0, 0),
    periodStartMs,
    periodEndMs: periodStartMs + 1_800_000n,
  }

  const headOf = async (): Promise<bigint> => {
    const [sequence] = await spoke.hand.client.readContract({
      address: spoke.proofRegistry,
      abi: proofRegistryAbi,
      functionName: 'head',
      args: [testStream],
    })
    return sequence
  }

  const statusOf = async (): Promise<RelayerStatus> => {
    const response = await fetch(`${relayer.url}/v1/status`)
    return (await response.json()) as RelayerStatus
  }

  async function until<Value>(
    what: string,
    look: () => Promise<Value | undefined>,
  ): Promise<Value> {
    const deadline = Date.now() + 45_000
    for (;;) {
      const found = await look()
      if (found !== undefined) return found
      if (Date.now() > deadline) {
        throw new Error(`${what}\n${JSON.stringify(await statusOf(), undefined, 1)}`)
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 50)
      })
    }
  }

  /** Packets that the hub's endpoint has sent, oldest first. */
  async function sentPackets() {
    const { client } = world.hub.hand
    const logs = await client.getLogs({
      address: world.hub.layerZero.endpoint,
      event: endpointAbi[0],
      fromBlock: 0n,
    })
    const hashes = [...new Set(logs.map(({ transactionHash }) => transactionHash))]
    const receipts = await Promise.all(hashes.map((hash) => client.getTransactionReceipt({ hash })))
    return receipts.flatMap((receipt) => packetsIn(receipt, world.hub.layerZero.endpoint))
  }

  const packetAt = (position: number) =>
    until(`message ${position} was not sent`, async () => (await sentPackets())[position])

  beforeAll(async () => {
    const believes = platformFacts()
    world = await createCrosschain({
      key: anvilKey,
      stream: testStream,
      genesisSeconds: nowSeconds - 7_200,
      spokes: 1,
      believes,
    })
    const [only] = world.spokes
    if (only === undefined) throw new Error('no spoke')
    spoke = only
    agreementId = await createEscrow(
      { ...spoke.layerZero, key: anvilKey },
      spoke.performanceEscrow,
      {
        payee,
        token: spoke.token,
        report: {
          stream: testStream,
          subject: report.subject,
          policyId: testPolicy,
          unit: report.unit,
        },
        graceSeconds: 2_592_000,
        penalty: { shape: 'flat', maximumPpm: 1_000_000 },
        tranches: [{ periodStartMs, periodEndMs: report.periodEndMs, amount: 7_000n }],
      },
    )
    await world.warp(BigInt(Math.floor(Date.now() / 1000)))
    const { layerZero, contracts, identity } = world.hub
    worker = await startTestWorker(() => [
      { ...layerZero, registry: contracts.enclaveRegistry.toLowerCase() as Hex },
    ])
    for (const key of endorserKeys) {
      const app = createEndorser({
        hub: identity,
        rpc: createRpc({
          chainId: layerZero.chainId,
          urls: [layerZero.rpcUrl],
          fetch: (url, init) => fetch(url, init),
          now: Date.now,
        }),
        sign: (digest) => signDigest(digest, fromHex(key, 'key', 32)),
        blockTag: 'latest',
      })
      endorsers.push(serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server)
    }
    await until('endorsers listen', () =>
      Promise.resolve(endorsers.every((server) => server.listening) || undefined),
    )
    plan = decodePlan({
      version: 1,
      worker: worker.url,
      stream: testStream,
      pollMs: 100,
      chains: [
        {
          chainId: layerZero.chainId,
          rpcUrls: [layerZero.rpcUrl],
          enclaveRegistry: contracts.enclaveRegistry,
          proofRegistry: contracts.proofRegistry,
          confirmations: 1,
          pollMs: 50,
        },
        {
          chainId: spoke.layerZero.chainId,
          rpcUrls: [spoke.layerZero.rpcUrl],
          enclaveRegistry: spoke.batchReceiver,
          proofRegistry: spoke.proofRegistry,
          confirmations: 1,
          pollMs: 50,
          layerZero: {
            hub: layerZero.chainId,
            hubEid: layerZero.eid,
            eid: spoke.layerZero.eid,
            broadcaster: world.hub.batchBroadcaster,
            endpoint: spoke.layerZero.endpoint,
            endorsers: endorsers.map((server) => {
              const { port } = server.address() as AddressInfo
              return `http://127.0.0.1:${port}`
            }),
            threshold: 2,
            maxFeeWei: parseEther('0.01').toString(),
            executorGraceMs: 0,
          },
        },
      ],
      settlements: [
        {
          chainId: spoke.layerZero.chainId,
          contract: spoke.performanceEscrow,
          kind: 'performance-escrow',
          agreementId: Number(agreementId),
          subject: report.subject,
          policyId: testPolicy,
          label: 'escrow on the spoke',
        },
      ],
    } satisfies SettlementPlanFile)
    relayer = await startNodeRelayer({
      plan,
      signerOf: () => createLocalSigner(relayerKey, 'key'),
      dataFolder,
      port: 0,
    })
  })

  afterAll(async () => {
    await relayer.stop()
    await worker.stop()
    for (const server of endorsers) server.close()
    await world.stop()
    rmSync(dataFolder, { recursive: true, force: true })
  })

  it('carries key and batch by message, carries out what the executor left, and settles on the same proof', async () => {
    worker.close([report])
    const registration = await packetAt(0)
    const batch = await packetAt(1)
    expect([registration, batch].map(({ packet }) => packet.nonce)).toEqual([1n, 2n])
    // The networks vouch for both; of the registration the executor makes nothing, of the batch a mess.
    for (const { packet } of [registration, batch]) {
      expect(await spoke.workers.state(packet)).toBe('unverified')
      await spoke.workers.verify(packet)
      await spoke.workers.commit(packet)
    }
    await spoke.workers.execute(batch.packet, 30_000n)
    await until('the batch is anchored', async () => ((await headOf()) === 1n ? true : undefined))
    expect(await spoke.workers.state(registration.packet)).toBe('delivered')
    expect(await spoke.workers.state(batch.packet)).toBe('delivered')
    await until('the escrow has paid', async () => {
      const balance = await spoke.hand.client.readContract({
        address: spoke.token,
        abi: testTokenAbi,
        functionName: 'balanceOf',
        args: [payee],
      })
      return balance === 7_000n ? balance : undefined
    })
  })

  it('a message is sent once and carried out once, whoever is faster, and no lane is jammed', async () => {
    worker.close([testReport(5, 1)])
    const batch = await packetAt(2)
    expect((await spoke.workers.deliver(batch)).state).toBe('delivered')
    await until('the batch is anchored', async () => ((await headOf()) === 2n ? true : undefined))
    const status = await until('both lanes have ended their work', async () => {
      const now = await statusOf()
      const open = now.lanes
        .flatMap(({ jobs }) => jobs)
        .filter(({ stage }) => stage !== 'final' && stage !== 'quarantined')
      return open.length === 0 ? now : undefined
    })
    const ended = status.lanes.flatMap(({ jobs }) =>
      jobs.map(({ kind, stage }) => `${kind} ${stage}`),
    )
    expect(ended.filter((entry) => entry.startsWith('send') || entry.startsWith('commit'))).toEqual(
      expect.not.arrayContaining(['send quarantined', 'commit quarantined']),
    )
    expect(await sentPackets()).toHaveLength(3)
  })

  /** What the hub would do about a message, were the plan another. */
  async function sending(change: Partial<PlanLayerZero>) {
    const [hub, behind] = plan.chains
    if (hub === undefined || behind?.layerZero === undefined) throw new Error('the plan is short')
    const changed = { ...behind, layerZero: { ...behind.layerZero, ...change } }
    const { chainId, rpcUrls: urls } = hub
    const rpc = createRpc({ chainId, urls, fetch: (url, init) => fetch(url, init), now: Date.now })
    const task = {
      kind: 'send',
      what: 'registration',
      toChainId: behind.chainId,
      stream: testStream,
      signer: worker.signer,
      sequence: 1n,
    } as const
    const job = { ...createJob(task, 0), task }
    return sendsFrom(hub, [changed], (url, init) => fetch(url, init))(rpc, job)
  }

  it('what was sent is done, whoever sent it; the chain’s state says so', async () => {
    expect(await sending({})).toEqual({ kind: 'done' })
  })

  it('without enough endorsers a registration waits and says for how many', async () => {
    const [{ layerZero } = {}] = plan.chains.slice(1)
    const endorsersOfPlan = layerZero?.endorsers ?? []
    const gone = ['http://127.0.0.1:9', ...endorsersOfPlan.slice(1, 2)]
    expect(await sending({ endorsers: gone })).toEqual({
      kind: 'waits',
      reason: `1 of 2 endorsers have endorsed signer ${worker.signer}.`,
    })
    // One that is gone is made up for by the next; this very message was not sent yet.
    const others = ['http://127.0.0.1:9', ...endorsersOfPlan.slice(1)]
    expect(await sending({ endorsers: others })).toMatchObject({ kind: 'call' })
  })

  it('a fee above the cap waits, and one below it is paid with room that comes back', async () => {
    const [{ layerZero } = {}] = plan.chains.slice(1)
    const endorsersOfPlan = layerZero?.endorsers.slice(1) ?? []
    expect(await sending({ endorsers: endorsersOfPlan, maxFeeWei: 1n })).toMatchObject({
      kind: 'waits',
      reason: expect.stringMatching(/^LayerZero asks \d+ wei, above the 1 of the plan/) as string,
    })
    const before = await world.hub.hand.client.getBalance({ address: world.hub.batchBroadcaster })
    expect(before).toBe(0n)
  })

  it('a message that is not verified yet, or not sent, waits', async () => {
    const [hub, behind] = plan.chains
    if (hub === undefined || behind?.layerZero === undefined) throw new Error('the plan is short')
    const rpcOf = ({ chainId, rpcUrls: urls }: typeof hub) =>
      createRpc({ chainId, urls, fetch: (url, init) => fetch(url, init), now: Date.now })
    const prepare = deliveriesTo(
      { ...behind, layerZero: behind.layerZero },
      hub,
      rpcOf(hub),
      (url, init) => fetch(url, init),
    )
    const next = worker.close([testReport(6, 2)])
    const commit = createJob(
      {
        kind: 'commit',
        stream: testStream,
        sequence: 99n,
        digest: next.digest,
        signer: next.signer,
      },
      0,
      commitCall(behind.proofRegistry, { ...next.batch, sequence: 99n }, next.signature),
    )
    expect(await prepare(rpcOf(behind), commit, 0n)).toEqual({
      kind: 'waits',
      reason: 'The hub has not sent it yet.',
    })
    const packet = (await packetAt(3)).packet
    const sent = createJob(
      {
        kind: 'commit',
        stream: testStream,
        sequence: 3n,
        digest: next.digest,
        signer: next.signer,
      },
      0,
      commitCall(behind.proofRegistry, next.batch, next.signature),
    )
    expect(await prepare(rpcOf(behind), sent, 0n)).toEqual({
      kind: 'waits',
      reason: `Message 4 (${packet.guid}) is sent and not verified here yet.`,
    })
  })

  it('a plan whose hub is no hub, or whose threshold no endorsers can meet, is refused', () => {
    const [hub, behind] = plan.chains
    const file = (change: Partial<PlanLayerZero>) => ({
      version: 1,
      worker: plan.worker,
      stream: plan.stream,
      chains: [
        { ...hub },
        {
          ...behind,
          layerZero: {
            ...behind?.layerZero,
            maxFeeWei: behind?.layerZero?.maxFeeWei.toString(),
            ...change,
          },
        },
      ],
      settlements: [],
    })
    expect(decodePlan(file({})).chains).toHaveLength(2)
    expect(() => decodePlan(file({ hub: behind?.chainId ?? 0 }))).toThrow(InvalidPlanError)
    expect(() => decodePlan(file({ threshold: 4 }))).toThrow(
      'A chain asks for more endorsements than there are endorsers.',
    )
  })
})
