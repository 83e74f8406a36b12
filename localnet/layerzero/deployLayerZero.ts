import {
  type Abi,
  type Address,
  type Hex,
  type PublicClient,
  type TransactionReceipt,
  createPublicClient,
  createWalletClient,
  encodeDeployData,
  encodeFunctionData,
  http,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { BaseError } from '#schemas/errors.ts'
import { type ProtocolArtifact, protocolContracts } from './protocol.ts'

/** Raised when a transaction of the local LayerZero was mined and failed. */
export class LayerZeroSetupError extends BaseError {
  override readonly name = 'LayerZeroSetupError'
}

export type LayerZeroChain = {
  readonly eid: number
  readonly chainId: number
  readonly rpcUrl: string
}

/** LayerZero on one local chain. */
export type LayerZeroDeployment = LayerZeroChain & {
  readonly endpoint: Address
  readonly sendUln: Address
  readonly receiveUln: Address
  readonly executor: Address
  readonly dvn: Address
  /** What the verifier network signs its instructions for. */
  readonly vid: number
}

/** Prices hang on the id that the first version of LayerZero had: that of the second is 30000 more. */
const priceId = (eid: number) => eid % 30_000

const denominator = 10n ** 20n
const noCap = 2n ** 128n - 1n

/** A sender that waits for each transaction and says which one failed. */
export function createChainHand({ chainId, rpcUrl }: LayerZeroChain, key: Hex) {
  const account = privateKeyToAccount(key)
  const transport = http(rpcUrl)
  const chain = {
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [rpcUrl] } },
  }
  const client: PublicClient = createPublicClient({
    chain,
    transport,
    pollingInterval: 20,
    cacheTime: 0,
  })
  const wallet = createWalletClient({ account, chain, transport })

  async function send(
    label: string,
    transaction: {
      readonly to?: Address
      readonly data: Hex
      readonly value?: bigint
      readonly gas?: bigint
    },
  ): Promise<TransactionReceipt> {
    const hash = await wallet.sendTransaction(transaction)
    const receipt = await client.waitForTransactionReceipt({ hash, timeout: 60_000 })
    if (receipt.status === 'success') return receipt
    throw new LayerZeroSetupError(`${label} failed on chain ${chainId}.`, {
      metaMessages: [`Transaction: ${hash}`],
    })
  }

  return {
    account,
    client,
    send,
    async deploy(label: string, { abi, bytecode }: ProtocolArtifact, args: readonly unknown[]) {
      const data = encodeDeployData({ abi, bytecode, args })
      const { contractAddress } = await send(label, { data, gas: 12_000_000n })
      if (contractAddress === undefined || contractAddress === null) {
        throw new LayerZeroSetupError(`${label} left no contract on chain ${chainId}.`)
      }
      return contractAddress.toLowerCase() as Address
    },
    call(to: Address, abi: Abi, functionName: string, args: readonly unknown[], gas?: bigint) {
      const data = encodeFunctionData({ abi, functionName, args })
      return send(functionName, { to, data, ...(gas === undefined ? {} : { gas }) })
    },
  }
}

export type ChainHand = ReturnType<typeof createChainHand>

/**
 * LayerZero V2 on a local chain: endpoint, ULN302 in both directions, a verifier network of one signer
 * and an executor, both of which the given key runs. Paths to the other chains are configured in the
 * order that the contracts demand: configurations of the libraries before the libraries themselves.
 */
export async function deployLayerZero(
  chain: LayerZeroChain,
  others: readonly LayerZeroChain[],
  key: Hex,
): Promise<LayerZeroDeployment> {
  const contracts = protocolContracts()
  const hand = createChainHand(chain, key)
  const self = hand.account.address
  const { eid } = chain
  const vid = priceId(eid)
  const zero = '0x0000000000000000000000000000000000000000'

  const endpoint = await hand.deploy('endpoint', contracts.endpoint, [eid, self])
  // No treasury, so its gas and its share of the fee do not matter.
  const sendUln = await hand.deploy('send library', contracts.sendUln, [endpoint, 0n, 0n])
  const receiveUln = await hand.deploy('receive library', contracts.receiveUln, [endpoint])
  const priceFeed = await hand.deploy('price feed', contracts.priceFeed, [])
  await hand.call(priceFeed, contracts.priceFeed.abi, 'initialize', [self])
  const decimals = 10n ** 18n
  const executorFees = await hand.deploy('executor fees', contracts.executorFeeLib, [eid, decimals])
  const dvnFees = await hand.deploy('verifier fees', contracts.dvnFeeLib, [eid, decimals])
  const executor = await hand.deploy('executor', contracts.executor, [])
  await hand.call(executor, contracts.executor.abi, 'initialize', [
    endpoint,
    zero,
    [sendUln],
    priceFeed,
    self,
    [self],
  ])
  await hand.call(executor, contracts.executor.abi, 'setWorkerFeeLib', [executorFees])
  const dvn = await hand.deploy('verifier network', contracts.dvn, [
    eid,
    vid,
    [sendUln],
    priceFeed,
    [self],
    1n,
    [self],
  ])
  await hand.call(dvn, contracts.dvn.abi, 'setWorkerFeeLib', [dvnFees])

  const config = {
    confirmations: 1n,
    requiredDVNCount: 1,
    optionalDVNCount: 0,
    optionalDVNThreshold: 0,
    requiredDVNs: [dvn],
    optionalDVNs: [],
  }
  const ulnConfigs = others.map((other) => ({ eid: other.eid, config }))
  await hand.call(sendUln, contracts.sendUln.abi, 'setDefaultUlnConfigs', [ulnConfigs])
  await hand.call(sendUln, contracts.sendUln.abi, 'setDefaultExecutorConfigs', [
    others.map((other) => ({ eid: other.eid, config: { maxMessageSize: 10_000, executor } })),
  ])
  await hand.call(receiveUln, contracts.receiveUln.abi, 'setDefaultUlnConfigs', [ulnConfigs])
  const endpointCall = (name: string, args: readonly unknown[]) =>
    hand.call(endpoint, contracts.endpoint.abi, name, args)
  await endpointCall('registerLibrary', [sendUln])
  await endpointCall('registerLibrary', [receiveUln])
  for (const other of others) {
    await endpointCall('setDefaultSendLibrary', [other.eid, sendUln])
    await endpointCall('setDefaultReceiveLibrary', [other.eid, receiveUln, 0n])
  }
  await hand.call(priceFeed, contracts.priceFeed.abi, 'setPrice', [
    others.map((other) => ({
      eid: priceId(other.eid),
      price: { priceRatio: denominator, gasPriceInUnit: 1_000_000_000n, gasPerByte: 16 },
    })),
  ])
  await hand.call(priceFeed, contracts.priceFeed.abi, 'setNativeTokenPriceUSD', [denominator])
  await hand.call(executor, contracts.executor.abi, 'setDstConfig', [
    others.map((other) => ({
      dstEid: other.eid,
      lzReceiveBaseGas: 85_000n,
      lzComposeBaseGas: 85_000n,
      multiplierBps: 10_000,
      floorMarginUSD: 0n,
      nativeCap: noCap,
    })),
  ])
  await hand.call(dvn, contracts.dvn.abi, 'setDstConfig', [
    others.map((other) => ({
      dstEid: other.eid,
      gas: 145_000n,
      multiplierBps: 10_000,
      floorMarginUSD: 0n,
    })),
  ])
  return { ...chain, endpoint, sendUln, receiveUln, executor, dvn, vid }
}
