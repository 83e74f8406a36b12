import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Hex } from '#schemas/bytes.ts'
import { type NodeRelayer, startNodeRelayer } from '#relayer/adapters/node/nodeRelayer.ts'
import { createLocalSigner } from '#relayer/chain/localSigner.ts'
import { type SettlementPlanFile, decodePlan } from '#relayer/plan/plan.ts'
import { startNodeProcess } from '#relayer/local/startNodeProcess.ts'
import type { RunningRelayer } from '#relayer/local/engineProcess.ts'
import { startRelayer } from '#relayer/local/startRelayer.ts'
import type { RelayerStatus } from '#relayer/runtime/status.ts'
import { type TestChain, developmentKeys, startAnvil } from './anvil.ts'
import { subjectOf, testPolicy, testStream } from './testStream.ts'
import { type TestWorker, startTestWorker } from './testWorker.ts'
import { clientsOf, deployStandIn, standIn } from './standIn.ts'

export type RehearsedChain = TestChain & {
  readonly contract: Hex
  settlements(): Promise<bigint>
  wasted(): Promise<bigint>
}

/** Chains with the stand-in contract, and a worker that signs for real. */
export type Rehearsal = {
  readonly chains: readonly RehearsedChain[]
  readonly worker: TestWorker
  readonly dataFolder: string
  /** Address that pays on every chain. */
  readonly sender: Hex
  plan(options?: PlanOptions): SettlementPlanFile
  start(plan?: SettlementPlanFile): Promise<RunningRelayer>
  /** The same over the Node adapter, in this process. */
  startNode(plan?: SettlementPlanFile): Promise<NodeRelayer>
  /** The Node adapter in a process of its own, to be killed. */
  startNodeProcess(plan?: SettlementPlanFile): Promise<RunningRelayer>
  stop(): Promise<void>
}

type PlanOptions = {
  /** How many subjects settle on every chain. */
  readonly subjects?: number
  readonly chain?: Partial<SettlementPlanFile['chains'][number]>
  readonly rpcUrls?: (chain: RehearsedChain) => string[]
}

const deployer = developmentKeys[1]
export const senderKey = developmentKeys[0]
export const operatorToken = 'operator-token-of-the-tests'

export async function rehearse(options: {
  readonly chainIds: readonly number[]
  readonly blockTimeSeconds?: number
}): Promise<Rehearsal> {
  const chains = await Promise.all(
    options.chainIds.map(async (chainId): Promise<RehearsedChain> => {
      const { blockTimeSeconds } = options
      const chain = await startAnvil({
        chainId,
        ...(blockTimeSeconds === undefined ? {} : { blockTimeSeconds }),
      })
      const contract = await deployStandIn(chain.rpcUrl, chainId, deployer)
      const { chainClient } = clientsOf(chain.rpcUrl, chainId, deployer)
      const count = (functionName: string) =>
        chainClient.readContract({
          abi: standIn().abi,
          address: contract,
          functionName,
        }) as Promise<bigint>
      return {
        ...chain,
        contract,
        settlements: () => count('settlements'),
        wasted: () => count('wasted'),
      }
    }),
  )
  const worker = await startTestWorker(() =>
    chains.map(({ chainId, rpcUrl, contract }) => ({ chainId, rpcUrl, registry: contract })),
  )
  const dataFolder = mkdtempSync(join(tmpdir(), 'relayer-'))
  const plan = (planOptions: PlanOptions = {}): SettlementPlanFile => ({
    version: 1,
    worker: worker.url,
    stream: testStream,
    pollMs: 100,
    chains: chains.map((chain) => ({
      chainId: chain.chainId,
      name: `test ${chain.chainId}`,
      rpcUrls: planOptions.rpcUrls?.(chain) ?? [chain.rpcUrl],
      enclaveRegistry: chain.contract,
      proofRegistry: chain.contract,
      confirmations: 1,
      pollMs: 50,
      ...planOptions.chain,
    })),
    settlements: chains.flatMap(({ chainId, contract }) =>
      Array.from({ length: planOptions.subjects ?? 1 }, (_, subject) => ({
        chainId,
        contract,
        kind: 'stand-in',
        agreementId: subject,
        subject: subjectOf(subject),
        policyId: testPolicy,
        label: `plant ${subject} on ${chainId}`,
      })),
    ),
  })
  return {
    chains,
    worker,
    dataFolder,
    sender: createLocalSigner(senderKey, 'senderKey').address,
    plan,
    start: (given) =>
      startRelayer({
        plan: given ?? plan(),
        senderKeys: Object.fromEntries(chains.map(({ chainId }) => [chainId, senderKey])),
        dataFolder,
        port: 0,
        operatorToken,
      }),
    startNode: (given) =>
      startNodeRelayer({
        plan: decodePlan(given ?? plan()),
        signerOf: (chainId) => createLocalSigner(senderKey, `SENDER_KEY_${chainId}`),
        dataFolder,
        port: 0,
        operatorToken,
      }),
    startNodeProcess: (given) =>
      startNodeProcess({
        plan: given ?? plan(),
        senderKeys: Object.fromEntries(chains.map(({ chainId }) => [chainId, senderKey])),
        dataFolder: join(dataFolder, 'node'),
        port: 0,
        operatorToken,
      }),
    async stop() {
      await Promise.all([...chains.map((chain) => chain.stop()), worker.stop()])
      rmSync(dataFolder, { recursive: true, force: true })
    },
  }
}

export async function statusOf(url: string): Promise<RelayerStatus> {
  // A kept-alive connection may be closed by the other side just as it is used: asked once more.
  const response = await fetch(`${url}/v1/status`).catch(() => fetch(`${url}/v1/status`))
  if (!response.ok) throw new Error(`status: HTTP ${response.status} ${await response.text()}`)
  return (await response.json()) as RelayerStatus
}

/** Asks until it holds; a hang fails with the last thing seen. */
export async function until<Value>(
  ask: () => Promise<Value>,
  holds: (value: Value) => boolean,
  timeoutMs = 30_000,
  pauseMs = 50,
): Promise<Value> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const value = await ask()
    if (holds(value)) return value
    if (Date.now() > deadline) {
      throw new Error(
        `It did not come to hold within ${timeoutMs} ms: ${JSON.stringify(
          value,
          (_, item: unknown) => (typeof item === 'bigint' ? String(item) : item),
        ).slice(0, 4_000)}`,
      )
    }
    await new Promise((resolve) => {
      setTimeout(resolve, pauseMs)
    })
  }
}
