import { createPublicClient, http } from 'viem'
import { proofRegistryAbi } from '#schemas/abi/proofRegistry.ts'
import type { Hex } from '#schemas/bytes.ts'
import { ChainUnreachableError } from './chainBlocks.ts'
import type { HeadSource } from '../ports.ts'

const requestTimeoutMs = 5000

/** The newest batch of a stream that a chain’s proof registry holds. */
export function createChainHeads(chainId: bigint, rpcUrl: string, proofRegistry: Hex): HeadSource {
  const client = createPublicClient({
    transport: http(rpcUrl, { timeout: requestTimeoutMs, retryCount: 1 }),
    cacheTime: 0,
  })
  return {
    async head(stream) {
      try {
        const [sequence, digest] = await client.readContract({
          address: proofRegistry,
          abi: proofRegistryAbi,
          functionName: 'head',
          args: [stream],
        })
        return { sequence, digest }
      } catch (cause) {
        throw new ChainUnreachableError(
          `The proof registry on chain ${chainId} does not tell its head.`,
          {
            field: 'registries.proofRegistry',
            remedy: 'Check the node and the address of the registry.',
            cause,
          },
        )
      }
    },
  }
}
