import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Abi, type Hex, createWalletClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { createPublicClient, defineChain } from 'viem'

type Compiler = { compile(input: string): string }
type Output = {
  errors?: { severity: string; formattedMessage: string }[]
  contracts: Record<string, Record<string, { abi: Abi; evm: { bytecode: { object: string } } }>>
}

let compiled: { abi: Abi; bytecode: Hex } | undefined

/** The stand-in contract, compiled once per process. */
export function standIn(): { abi: Abi; bytecode: Hex } {
  if (compiled !== undefined) return compiled
  const solc = createRequire(import.meta.url)('solc') as Compiler
  const content = readFileSync(new URL('StandIn.sol', import.meta.url), 'utf8')
  const input = {
    language: 'Solidity',
    sources: { 'StandIn.sol': { content } },
    settings: {
      evmVersion: 'osaka',
      optimizer: { enabled: true },
      outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
    },
  }
  const output = JSON.parse(solc.compile(JSON.stringify(input))) as Output
  const failure = output.errors?.find(({ severity }) => severity === 'error')
  if (failure !== undefined) throw new Error(failure.formattedMessage)
  const contract = output.contracts['StandIn.sol']?.['StandIn']
  if (contract === undefined) throw new Error('The stand-in did not compile.')
  compiled = { abi: contract.abi, bytecode: `0x${contract.evm.bytecode.object}` }
  return compiled
}

export function clientsOf(rpcUrl: string, chainId: number, key: Hex) {
  const chain = defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [rpcUrl] } },
  })
  const transport = http(rpcUrl, { retryCount: 2 })
  return {
    wallet: createWalletClient({ account: privateKeyToAccount(key), chain, transport }),
    chainClient: createPublicClient({ chain, transport, pollingInterval: 50, cacheTime: 0 }),
  }
}

export async function deployStandIn(rpcUrl: string, chainId: number, key: Hex): Promise<Hex> {
  const { wallet, chainClient } = clientsOf(rpcUrl, chainId, key)
  const hash = await wallet.deployContract({ ...standIn(), args: [] })
  const { contractAddress } = await chainClient.waitForTransactionReceipt({ hash })
  if (contractAddress === null || contractAddress === undefined) throw new Error('not deployed')
  return contractAddress.toLowerCase() as Hex
}
