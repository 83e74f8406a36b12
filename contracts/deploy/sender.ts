import {
  type Address,
  type Hex,
  type LocalAccount,
  type PublicClient,
  TransactionNotFoundError,
  type TransactionReceipt,
  TransactionReceiptNotFoundError,
  createPublicClient,
  http,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { TransactionFailedError, TransactionStalledError, UnsuitableChainError } from './errors.ts'

export type Call = {
  /** What the call does, for the error that names it. */
  readonly label: string
  readonly to: Address
  readonly data: Hex
  /** Gas beyond what the size of the call suggests. */
  readonly extraGas?: bigint
  /** Wei that go with it. */
  readonly valueWei?: bigint
}

export type Sender = {
  readonly account: LocalAccount
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
  const client = await openChain(options)

  return {
    account,
    client,
    async sendAll(calls) {
      const first = await client.getTransactionCount({
        address: account.address,
        blockTag: 'pending',
      })
      const { maxFeePerGas, maxPriorityFeePerGas } = await client.estimateFeesPerGas()
      const sent: Sent[] = []
      for (const [position, call] of calls.entries()) {
        const signed = await account.signTransaction({
          type: 'eip1559',
          chainId: options.chainId,
          to: call.to,
          data: call.data,
          value: call.valueWei ?? 0n,
          nonce: first + position,
          gas: gasOf(call.data) + (call.extraGas ?? 0n),
          // Base fees may climb while the calls wait for their blocks.
          maxFeePerGas: maxFeePerGas * 4n,
          maxPriorityFeePerGas,
        })
        const hash = await client.sendRawTransaction({ serializedTransaction: signed })
        sent.push({ call, hash, signed })
      }
      return whenMined(client, options.chainId, sent)
    },
  }
}

/** The bytes are kept until they are mined: sending signed bytes again is always safe. */
type Sent = { readonly call: Call; readonly hash: Hex; readonly signed: Hex }

const pollMs = 100
/** After this long without a block of ours, look whether the node still knows what it was sent. */
const resendAfterMs = 2_000
/** The longest wait for one more of the calls to be mined. */
const patienceMs = 120_000

/**
 * Receipts of all calls, in order. Nodes forget transactions (a full pool, a restart, a block that was
 * being made while they came), so what the node no longer knows is sent to it again.
 */
async function whenMined(
  client: PublicClient,
  chainId: number,
  sent: readonly Sent[],
): Promise<TransactionReceipt[]> {
  const receipts: TransactionReceipt[] = []
  let since = performance.now()
  let looked = since
  // One account's transactions are mined in the order of their nonces: wait for one after the other.
  for (const [position, { call, hash }] of sent.entries()) {
    let receipt = await findReceipt(client, hash)
    while (receipt === undefined) {
      const now = performance.now()
      if (now - since > patienceMs) {
        throw new TransactionStalledError(`${call.label} was not mined on chain ${chainId}.`, {
          metaMessages: [
            `Transaction: ${hash}`,
            `Waited: ${patienceMs / 1000} s`,
            `Mined before it: ${receipts.length} of ${sent.length}`,
          ],
          remedy: 'Check that the chain makes blocks and that the fee suffices, then run it again.',
        })
      }
      if (now - looked > resendAfterMs) {
        looked = now
        await sendForgotten(client, sent.slice(position))
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs))
      receipt = await findReceipt(client, hash)
    }
    if (receipt.status !== 'success') {
      throw new TransactionFailedError(`${call.label} failed on chain ${chainId}.`, {
        metaMessages: [`Transaction: ${hash}`, `Gas used: ${receipt.gasUsed}`],
        remedy: 'Trace the transaction; its input says which call it was.',
      })
    }
    receipts.push(receipt)
    since = looked = performance.now()
  }
  return receipts
}

async function findReceipt(
  client: PublicClient,
  hash: Hex,
): Promise<TransactionReceipt | undefined> {
  try {
    return await client.getTransactionReceipt({ hash })
  } catch (error) {
    if (error instanceof TransactionReceiptNotFoundError) return undefined
    throw error
  }
}

async function sendForgotten(client: PublicClient, sent: readonly Sent[]): Promise<void> {
  for (const { hash, signed } of sent) {
    try {
      await client.getTransaction({ hash })
    } catch (error) {
      if (!(error instanceof TransactionNotFoundError)) throw error
      // Refused when it came to be mined or known in between; the receipt is what counts.
      await client.sendRawTransaction({ serializedTransaction: signed }).catch(() => {})
    }
  }
}
