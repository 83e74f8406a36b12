import { createPublicClient, http } from 'viem'
import { BaseError } from '#schemas/errors.ts'
import type { BlockSource } from '../ports.ts'

/** Raised when a chain’s node does not tell its newest block, or speaks for another chain. */
export class ChainUnreachableError extends BaseError {
  override readonly name = 'ChainUnreachableError'
  override readonly retryable = true
}

const requestTimeoutMs = 5000

/**
 * Newest blocks of one chain by JSON-RPC. The chain id is compared once: a block of another chain
 * would make attestations that no registry takes.
 */
export function createChainBlocks(chainId: bigint, rpcUrl: string): BlockSource {
  const client = createPublicClient({
    transport: http(rpcUrl, { timeout: requestTimeoutMs, retryCount: 1 }),
    cacheTime: 0,
  })
  let isChecked = false
  const unreachable = (message: string, cause?: unknown): ChainUnreachableError =>
    new ChainUnreachableError(message, {
      field: 'registries.rpcUrl',
      metaMessages: [`Chain: ${chainId}`],
      remedy: 'Check the node, or name another one.',
      cause,
    })
  return {
    async latest() {
      try {
        if (!isChecked) {
          const found = BigInt(await client.getChainId())
          if (found !== chainId) {
            throw unreachable(`The node speaks for chain ${found}, not ${chainId}.`)
          }
          isChecked = true
        }
        const block = await client.getBlock({ blockTag: 'latest' })
        return {
          number: block.number,
          hash: block.hash,
          timestampMs: Number(block.timestamp) * 1000,
        }
      } catch (cause) {
        if (cause instanceof ChainUnreachableError) throw cause
        throw unreachable(`The node of chain ${chainId} does not tell its newest block.`, cause)
      }
    },
  }
}
