import { createRequire } from 'node:module'
import { join } from 'node:path'
import {
  type PublicClient,
  type TestClient,
  createPublicClient,
  createTestClient,
  http,
} from 'viem'
import { assertPortFree } from '../processes/ports.ts'
import type { Service, Supervisor } from '../processes/supervisor.ts'

/** One EVM chain of the local world. */
export type ChainSpec = {
  readonly name: string
  readonly chainId: number
  readonly port: number
  /** Seconds between blocks; may be a fraction. */
  readonly blockTimeSeconds: number
  readonly gasLimit: bigint
  /** Unix seconds of the first block: a chain that has been running for a while. */
  readonly genesisSeconds: number
}

export type Chain = ChainSpec & {
  readonly rpcUrl: string
  readonly client: PublicClient
  readonly control: TestClient
  readonly service: Service
}

export function anvilBinary(): string {
  return createRequire(import.meta.url).resolve('@foundry-rs/anvil-linux-amd64/bin/anvil')
}

/**
 * Starts a real EVM node (anvil, Osaka rules: EIP-7951 and EIP-2935 are there) for one chain.
 *
 * @param dataFolder - Takes the states that anvil spills to disk; else they pile up in the home folder.
 */
export async function startChain(
  spec: ChainSpec,
  supervisor: Supervisor,
  dataFolder: string,
): Promise<Chain> {
  await assertPortFree(spec.port, `chain ${spec.chainId} (${spec.name})`)
  const rpcUrl = `http://127.0.0.1:${spec.port}`
  const client = createPublicClient({
    transport: http(rpcUrl, { retryCount: 0 }),
    pollingInterval: 50,
    cacheTime: 0,
  })
  const control = createTestClient({ mode: 'anvil', transport: http(rpcUrl) })
  const service = await supervisor.start({
    name: `chain-${spec.chainId}`,
    command: anvilBinary(),
    args: [
      ['--host', '127.0.0.1'],
      ['--port', String(spec.port)],
      ['--chain-id', String(spec.chainId)],
      ['--hardfork', 'osaka'],
      ['--block-time', String(spec.blockTimeSeconds)],
      ['--gas-limit', String(spec.gasLimit)],
      ['--timestamp', String(spec.genesisSeconds)],
      ['--cache-path', join(dataFolder, `anvil-${spec.chainId}`)],
    ].flat(),
    isReady: async () => (await client.getChainId()) === spec.chainId,
    readyTimeoutMs: 15_000,
    isRestarted: false,
  })
  return { ...spec, rpcUrl, client, control, service }
}
