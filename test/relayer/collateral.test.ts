import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Hex, createPublicClient, http } from 'viem'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { deployLocalnet } from '#contracts/deploy/deployLocalnet.ts'
import { type Platform, createPlatform } from '#localnet/tdx/platform.ts'
import { createNodeAlarm } from '#relayer/adapters/node/nodeAlarm.ts'
import { createNodeSql } from '#relayer/adapters/node/nodeSql.ts'
import { createLocalSigner } from '#relayer/chain/localSigner.ts'
import { jobsOfBatch } from '#relayer/feed/jobsOfBatch.ts'
import { decodePlan } from '#relayer/plan/plan.ts'
import { createLaneRuntime } from '#relayer/runtime/laneRuntime.ts'
import type { LaneStore } from '#relayer/runtime/laneStore.ts'
import { createLaneWorld } from '#relayer/runtime/laneWorld.ts'
import { proofRegistryAbi } from '#schemas/abi/proofRegistry.ts'
import { toHex } from '#schemas/bytes.ts'
import { encodeReport, reportLeaf } from '#schemas/report.ts'
import type { Attestation } from '#schemas/workerApi.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { imageId } from '#verifier/quote/imageId.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'
import { type Anvil, anvilKey, startAnvil } from '../contracts/anvil.ts'
import { attestEnclave, stream } from '../contracts/dcap/dcapRegistry.ts'
import { createTestStream, testReport } from './support/testStream.ts'

const chainId = 31_361

/** The contracts of production under a local root, and a worker whose attestation carries collateral. */
describe('a relayer that keeps the collateral store supplied', () => {
  let anvil: Anvil
  let folder: string
  let platform: Platform
  const stops: (() => Promise<void>)[] = []

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'plumbline-relayer-collateral-'))
    const now = Math.floor(Date.now() / 1000)
    anvil = await startAnvil(chainId, now)
    platform = createPlatform({ now })
  })

  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop()
    await anvil.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  async function startLane(
    serve: (attestation: Attestation) => Attestation,
    isSupplying = true,
  ): Promise<{ store: LaneStore; sender: Hex; proofRegistry: Hex }> {
    const sample = platform.mintQuote({ reportData: new Uint8Array(64) })
    const addresses = await deployLocalnet({
      rpcUrl: anvil.rpcUrl,
      chainId,
      deployerKey: anvilKey,
      rootCertificate: platform.rootCertificateDer,
      imageIds: [imageId(parseQuote(sample))],
    })
    const { enclaveRegistry, proofRegistry, collateralStore } = addresses
    const plan = decodePlan({
      version: 1,
      worker: 'http://127.0.0.1:1',
      stream,
      chains: [
        {
          chainId,
          rpcUrls: [anvil.rpcUrl],
          enclaveRegistry,
          proofRegistry,
          ...(isSupplying ? { collateralStore } : {}),
          pollMs: 50,
        },
      ],
      settlements: [],
    })
    const [chain] = plan.chains
    if (chain === undefined) throw new Error('a plan without a chain')
    const enclave = createTestStream(stream)
    const signed = enclave.close([testReport(1, 1)])
    const key = enclave.secretOf(enclave.signer)
    if (key === undefined) throw new Error('a stream without a key')
    const alarm = createNodeAlarm(Date.now)
    const signer = createLocalSigner(anvilKey, 'senderKey')
    const world = createLaneWorld({
      plan,
      chain,
      sql: createNodeSql(join(folder, 'lane.sqlite')),
      alarm,
      now: Date.now,
      fetch,
      signer,
      sourceOf: () => ({
        batches: () => Promise.reject(new Error('nobody asks a lane for batches')),
        reports: () => Promise.reject(new Error('nobody asks a lane for reports')),
        attestation: async () =>
          serve(
            await attestEnclave(anvil, { platform, registry: enclaveRegistry, key: toHex(key) }),
          ),
      }),
    })
    const lane = createLaneRuntime(world)
    const verified = signed.reports.map(({ report }) => ({
      encoded: encodeReport(report),
      leaf: reportLeaf(report),
    }))
    await lane.enqueue(jobsOfBatch(plan, signed, verified, Date.now()).get(chainId) ?? [])
    alarm.start(() => lane.turn())
    stops.push(() => alarm.stop())
    return { store: world.store, sender: signer.address, proofRegistry }
  }

  const client = () =>
    createPublicClient({ transport: http(anvil.rpcUrl), cacheTime: 0, pollingInterval: 50 })

  const sentBy = (address: Hex) => client().getTransactionCount({ address })

  const anchored = async ({ proofRegistry }: { proofRegistry: Hex }) => {
    const [sequence] = await client().readContract({
      address: proofRegistry,
      abi: proofRegistryAbi,
      functionName: 'head',
      args: [stream],
    })
    return sequence
  }

  const jobsOf = ({ store }: { store: LaneStore }) => store.jobs(100)
  const jobOf = (started: { store: LaneStore }, kind: string) =>
    jobsOf(started).find(({ task }) => task.kind === kind)

  it('uploads what the registration lacks, in order and once, then registers and commits', async () => {
    const started = await startLane((attestation) => attestation)
    const before = await sentBy(started.sender)
    const uploaded: string[] = []
    await expect
      .poll(
        () => {
          for (const { task, stage } of jobsOf(started)) {
            const isMined = stage === 'included' || stage === 'final'
            if (task.kind !== 'upload' || !isMined || uploaded.includes(task.item)) continue
            uploaded.push(task.item)
          }
          return anchored(started)
        },
        { timeout: 50_000 },
      )
      .toBe(1n)
    expect(uploaded).toEqual([
      'root certificate',
      'root revocation list',
      'PCK CA certificate',
      'PCK revocation list',
      'TCB signing certificate',
      'TCB info',
      'QE identity',
    ])
    // Seven items, a registration, a commit.
    expect((await sentBy(started.sender)) - before).toBe(9)
  })

  it('says which item the store refuses, and lets the registration wait for it', async () => {
    const started = await startLane((attestation) => {
      const collateral = attestation.collateral as Collateral
      // A signature that is none: the store refuses the item, whoever brings it.
      const tcb_info_signature = `${collateral.tcb_info_signature.slice(0, -2)}00`
      return { ...attestation, collateral: { ...collateral, tcb_info_signature } }
    })
    await expect
      .poll(
        () =>
          jobsOf(started).find(({ task: { kind }, failures }) => kind === 'upload' && failures > 0)
            ?.reason,
        { timeout: 50_000 },
      )
      .toMatch(/CollateralStoreTcbInfoSignatureInvalid/)
    expect(jobOf(started, 'register')?.reason).toBe(
      'The chain lacks the TCB info that the quote stands on; it is being uploaded.',
    )
    expect(await anchored(started)).toBe(0n)
  })

  it('leaves the store alone when the plan does not name it', async () => {
    const started = await startLane((attestation) => attestation, false)
    await expect
      .poll(() => jobOf(started, 'register')?.reason, { timeout: 50_000 })
      .toMatch(/CollateralStore.*Missing/)
    expect(jobOf(started, 'upload')).toBeUndefined()
  })
})
