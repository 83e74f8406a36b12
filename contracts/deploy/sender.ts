import {
  type Account,
  type Address,
  type Hex,
  type PublicClient,
  type TransactionReceipt,
  createPublicClient,
  createWalletClient,
  http,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { TransactionFailedError, UnsuitableChainError } from './errors.ts'

export type Call = {
  /** What the call does, for the error that names it. */
  readonly label: string
  readonly to: Address
  readonly data: Hex
  /** Gas beyond what the size of the call suggests. */
  readonly extraGas?: bigint
}

export type Sender = {
  readonly account: Account
  readonly client: PublicClient
  /** Sends calls in order, without waiting in between, and waits until all are mined. */
  sendAll(calls: readonly Call[]): Promise<TransactionReceipt[]>
}

export type SenderOptions = {
  readonly rpcUrl: string
  readonly chainId: number
  /** Private key of the account that pays. */
  readonly key: Hex
}

/**
 * Enough gas for a set-up call or a deployment: estimating would need the calls before it to be mined.
 * 260 a byte = 16 calldata + 200 code deposit + 2 init code word + room for constructors.
 *
 * @see EIP-170, EIP-2028, EIP-3860
 */
function gasOf(data: Hex): bigint {
  return 1_000_000n + 260n * BigInt((data.length - 2) / 2)
}

/**
 * A client of one chain.
 *
 * @throws {@link UnsuitableChainError} when the node answers for another chain.
 */
export async function openChain({
  rpcUrl,
  chainId,
}: Pick<SenderOptions, 'rpcUrl' | 'chainId'>): Promise<PublicClient> {
  const transport = http(rpcUrl, { retryCount: 2 })
  const client = createPublicClient({ transport, pollingInterval: 100, cacheTime: 0 })
  const actual = await client.getChainId()
  if (actual !== chainId) {
    throw new UnsuitableChainError('The node answers for another chain.', {
      field: 'chainId',
      metaMessages: [`Expected: ${chainId}`, `Actual: ${actual}`],
      remedy: 'Check which RPC address belongs to which chain.',
    })
  }
  return client
}

/**
 * A sender on one chain.
 *
 * @throws {@link UnsuitableChainError} when the node answers for another chain.
 */
export async function createSender(options: SenderOptions): Promise<Sender> {
  const account = privateKeyToAccount(options.key)
  const transport = http(options.rpcUrl, { retryCount: 2 })
  const client = await openChain(options)
  const actual = options.chainId
  const chain = {
    id: actual,
    name: `chain ${actual}`,
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [options.rpcUrl] } },
  }
  const wallet = createWalletClient({ account, chain, transport })

  return {
    account,
    client,
    async sendAll(calls) {
      const first = await client.getTransactionCount({
        address: account.address,
        blockTag: 'pending',
      })
      const { maxFeePerGas, maxPriorityFeePerGas } = await client.estimateFeesPerGas()
      const sent: { readonly call: Call; readonly hash: Hex }[] = []
      for (const [position, call] of calls.entries()) {
        const hash = await wallet.sendTransaction({
          to: call.to,
          data: call.data,
          nonce: first + position,
          gas: gasOf(call.data) + (call.extraGas ?? 0n),
          // Base fees may climb while the calls wait for their blocks.
          maxFeePerGas: maxFeePerGas * 4n,
          maxPriorityFeePerGas,
        })
        sent.push({ call, hash })
      }
      return Promise.all(
        sent.map(async ({ call, hash }) => {
          const receipt = await client.waitForTransactionReceipt({ hash, timeout: 60_000 })
          if (receipt.status !== 'success') {
            throw new TransactionFailedError(`${call.label} failed on chain ${actual}.`, {
              metaMessages: [`Transaction: ${hash}`, `Gas used: ${receipt.gasUsed}`],
              remedy: 'Trace the transaction; its input says which call it was.',
            })
          }
          return receipt
        }),
      )
    },
  }
}
