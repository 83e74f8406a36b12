import { z } from 'zod'
import type { Hex } from '#schemas/bytes.ts'
import { type Deployment, deploymentSchema } from '#schemas/deployment.ts'
import { keccakText } from '#schemas/keccak.ts'
import { type Policy, decodePolicy } from '#schemas/policy/policy.ts'
import type { DeviceList, Health } from '#schemas/workerAnswers.ts'
import { type SignedBatch, readMessage } from '#schemas/workerApi.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'

/** A settlement as its chain tells it. */
export type ChainSettlement = {
  readonly chainId: number
  readonly contract: Hex
  readonly agreementId: bigint
  readonly leaf: Hex
  readonly beneficiary: Hex
  readonly amount: bigint
  readonly transactionHash: Hex
  readonly blockNumber: number
  readonly gasUsed: number
  readonly minedAtMs: number
}

/** Everything that is known just now; replaced as a whole when something changes. */
export type World = {
  readonly deployment: Deployment | undefined
  readonly health: Health | undefined
  readonly devices: DeviceList['devices']
  readonly policies: ReadonlyMap<Hex, Policy>
  readonly batches: readonly SignedBatch[]
  /** How far the relayer is with each agreement, by `chain/contract/agreement`. */
  readonly stages: ReadonlyMap<string, string>
  readonly settlements: readonly ChainSettlement[]
  /** What cannot be reached at present, in words. */
  readonly problem: string | undefined
}

export const emptyWorld: World = {
  deployment: undefined,
  health: undefined,
  devices: [],
  policies: new Map(),
  batches: [],
  stages: new Map(),
  settlements: [],
  problem: undefined,
}

export function agreementKey(of: {
  readonly chainId: number
  readonly contract: Hex
  readonly agreementId: bigint | string
}): string {
  return `${of.chainId}/${of.contract}/${of.agreementId}`
}

const timeoutMs = 8_000
/** A page follows the newest; older batches are the worker's to tell, one by one. */
const keptBatches = 300n

export const worker = createWorkerClient({
  url: 'worker',
  fetch: async (url, { method, headers, signal }) => {
    const response = await fetch(url, { method, headers, ...(signal ? { signal } : {}) })
    return {
      status: response.status,
      headers: response.headers,
      body: null,
      text: () => response.text(),
    }
  },
  signal: () => AbortSignal.timeout(timeoutMs),
})

const relayerSchema = z.object({
  settlements: z.array(
    z.object({
      chainId: z.number(),
      contract: z.string(),
      agreementId: z.string(),
      stage: z.string(),
    }),
  ),
})

const quantity = z.string().regex(/^0x[0-9a-f]{1,64}$/)
const hash = z.string().regex(/^0x[0-9a-f]{64}$/)
const logSchema = z.object({
  topics: z.tuple([hash, hash, hash, hash]),
  data: hash,
  transactionHash: hash,
  blockNumber: quantity,
})
const receiptSchema = z.object({ gasUsed: quantity })
const blockSchema = z.object({ timestamp: quantity })

const settledTopic = keccakText('ReportSettled(uint256,bytes32,address,uint256)')

async function rpc<Result>(
  chainId: number,
  schema: z.ZodType<Result>,
  method: string,
  params: readonly unknown[],
): Promise<Result> {
  const response = await fetch(`rpc/${chainId}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    signal: AbortSignal.timeout(timeoutMs),
  })
  const answer = readMessage(
    z.object({ result: z.unknown() }),
    await response.json(),
    `answer of chain ${chainId}`,
  )
  return readMessage(schema, answer.result, `${method} of chain ${chainId}`)
}

async function readSettlements(
  { chainId, contract, agreementId }: Deployment['agreements'][number],
  known: ReadonlySet<Hex>,
): Promise<ChainSettlement[]> {
  const topic = `0x${agreementId.toString(16).padStart(64, '0')}`
  const logs = await rpc(chainId, z.array(logSchema), 'eth_getLogs', [
    { address: contract, fromBlock: '0x0', topics: [settledTopic, topic] },
  ])
  const found: ChainSettlement[] = []
  for (const { topics, data, transactionHash, blockNumber } of logs) {
    const leaf = topics[2] as Hex
    if (known.has(leaf)) continue
    const [receipt, block] = await Promise.all([
      rpc(chainId, receiptSchema, 'eth_getTransactionReceipt', [transactionHash]),
      rpc(chainId, blockSchema, 'eth_getBlockByNumber', [blockNumber, false]),
    ])
    found.push({
      chainId,
      contract,
      agreementId,
      leaf,
      beneficiary: `0x${topics[3].slice(26)}`,
      amount: BigInt(data),
      transactionHash: transactionHash as Hex,
      blockNumber: Number(blockNumber),
      gasUsed: Number(receipt.gasUsed),
      minedAtMs: Number(block.timestamp) * 1000,
    })
  }
  return found
}

async function readAllDevices(): Promise<DeviceList['devices']> {
  const devices: DeviceList['devices'] = []
  let after: Hex | undefined
  do {
    const page = await worker.devices(after)
    devices.push(...page.devices)
    after = page.next
    // More than a page can show: the fleet's size is told by the worker's health.
  } while (after !== undefined && devices.length < 1000)
  return devices
}

/** One look around; what cannot be reached keeps its last known state. */
export async function lookAround(world: World): Promise<World> {
  const problems: string[] = []
  async function attempt<Value>(what: string, last: Value, read: () => Promise<Value>) {
    try {
      return await read()
    } catch {
      problems.push(what)
      return last
    }
  }
  const deployment =
    world.deployment ??
    (await attempt('the local world is still being built', undefined, async () => {
      const response = await fetch('deployment.json')
      if (!response.ok) throw new TypeError('not yet')
      return readMessage(deploymentSchema, await response.json(), 'deployment')
    }))
  if (deployment === undefined) return { ...world, problem: problems.join('; ') }

  const health = await attempt('the worker does not answer', undefined, () => worker.health())
  const isUp = health !== undefined
  const [devices, policies, batches] = await Promise.all([
    isUp ? attempt('devices', world.devices, readAllDevices) : world.devices,
    isUp && world.policies.size === 0
      ? attempt('policies', world.policies, async () => {
          const { policies } = await worker.policies()
          return new Map(policies.map(({ id, policy }) => [id, decodePolicy(policy)]))
        })
      : world.policies,
    isUp
      ? attempt('batches', world.batches, async () => {
          const begin = health.head > keptBatches ? health.head - keptBatches : 0n
          const known = world.batches.at(-1)?.batch.sequence ?? begin
          const page = await worker.batches(known, 100)
          if (page.batches.length === 0) return world.batches
          return [...world.batches, ...page.batches].slice(-Number(keptBatches))
        })
      : world.batches,
  ])
  const stages =
    batches.length === 0
      ? world.stages
      : await attempt('the relayer does not answer', world.stages, async () => {
          const response = await fetch('relayer/v1/status', {
            signal: AbortSignal.timeout(timeoutMs),
          })
          const status = readMessage(relayerSchema, await response.json(), 'relayer status')
          return new Map(
            status.settlements.map((job) => [
              agreementKey({ ...job, contract: job.contract as Hex }),
              job.stage,
            ]),
          )
        })
  const settlements = [...world.settlements]
  if (batches.length > 0) {
    await Promise.all(
      deployment.agreements.map(async (agreement) => {
        const known = new Set(
          settlements
            .filter((each) => agreementKey(each) === agreementKey(agreement))
            .map(({ leaf }) => leaf),
        )
        settlements.push(
          ...(await attempt(`chain ${agreement.chainId} does not answer`, [], () =>
            readSettlements(agreement, known),
          )),
        )
      }),
    )
  }
  return {
    deployment,
    health,
    devices,
    policies,
    batches,
    stages,
    settlements,
    problem: problems.length === 0 ? undefined : [...new Set(problems)].join('; '),
  }
}
