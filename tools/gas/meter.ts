import {
  type Address,
  type Hex,
  type TransactionReceipt,
  concatHex,
  createTestClient,
  createWalletClient,
  http,
  padHex,
  publicActions,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { type Anvil, anvilKey, startAnvil } from '../anvil.ts'

/** A chain on which transactions are sent one by one and their gas read from receipts. */
export type Meter = {
  readonly anvil: Anvil
  readonly sender: Address
  /** Sends and waits. Gas is what the receipt says: intrinsic cost, calldata and execution. */
  send(to: Address, data: Hex, gas?: bigint): Promise<TransactionReceipt>
  /** The same, and remembers its gas under a name. */
  measure(name: string, to: Address, data: Hex, gas?: bigint): Promise<TransactionReceipt>
  /**
   * Gas that a view costs another contract: its execution and the access to a cold account, without
   * calldata and without the floor that EIP-7623 puts under a transaction's price.
   */
  executionGas(to: Address, data: Hex): Promise<number>
  /** Moves the clock. */
  warp(unixSeconds: bigint): Promise<void>
  latestBlock(): Promise<{ number: bigint; hash: Hex; timestamp: bigint }>
  readonly gas: Record<string, number>
  /** Remembers the size of the code at an address. */
  weigh(name: string, address: Address): Promise<void>
  readonly runtimeBytes: Record<string, number>
  stop(): Promise<void>
}

const probeAddress: Address = '0x00000000000000000000000000000000009a5b0e'

/**
 * Calls the address in its first word with the rest of its calldata and returns the gas that took:
 * `CALLDATACOPY; GAS; STATICCALL; GAS; SUB; RETURN`, or a revert where the call reverts.
 */
const probeCode: Hex = '0x602036038060205f375a5f5f835f5f355afa5a901560205790035f5260205ff35b5f5ffd'

export async function createMeter(genesisSeconds: number): Promise<Meter> {
  const anvil = await startAnvil(31_337, genesisSeconds)
  const account = privateKeyToAccount(anvilKey)
  const chain = {
    id: anvil.chainId,
    name: 'anvil',
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [anvil.rpcUrl] } },
  }
  const transport = http(anvil.rpcUrl)
  const client = createWalletClient({ account, chain, transport, pollingInterval: 20 }).extend(
    publicActions,
  )
  const control = createTestClient({ mode: 'anvil', transport })
  const gas: Record<string, number> = {}
  const runtimeBytes: Record<string, number> = {}

  const send: Meter['send'] = async (to, data, limit = 12_000_000n) => {
    const hash = await client.sendTransaction({ to, data, gas: limit })
    const receipt = await client.waitForTransactionReceipt({ hash })
    if (receipt.status !== 'success') {
      // Asks again for the reason, which a receipt does not hold.
      await client.call({ account, to, data, gas: limit })
      throw new Error(`A transaction to ${to} failed and does not fail again: ${hash}`)
    }
    return receipt
  }
  return {
    anvil,
    sender: account.address,
    gas,
    runtimeBytes,
    async weigh(name, address) {
      const code = (await client.getCode({ address })) ?? '0x'
      runtimeBytes[name] = (code.length - 2) / 2
    },
    send,
    async measure(name, to, data, limit) {
      const receipt = await send(to, data, limit)
      gas[name] = Number(receipt.gasUsed)
      return receipt
    },
    async executionGas(to, data) {
      const { data: answer } = await client.call({
        to: probeAddress,
        data: concatHex([padHex(to), data]),
        stateOverride: [{ address: probeAddress, code: probeCode }],
      })
      return Number(BigInt(answer ?? '0x0'))
    },
    async warp(unixSeconds) {
      await control.setNextBlockTimestamp({ timestamp: unixSeconds })
      await control.mine({ blocks: 1 })
    },
    async latestBlock() {
      const { number, hash, timestamp } = await client.getBlock()
      return { number, hash, timestamp }
    },
    stop: () => anvil.stop(),
  }
}
