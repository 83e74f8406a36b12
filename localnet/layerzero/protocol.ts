import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Abi, Hex } from 'viem'

/**
 * LayerZero's own contracts as its packages ship them, bytecode and all. Their licence (LZBL-1.2) lets
 * them run here, on local chains, and nowhere in production, where LayerZero's own deployments stand.
 */

export type ProtocolArtifact = { readonly abi: Abi; readonly bytecode: Hex }

const require = createRequire(import.meta.url)

function read(packageName: string, path: string): ProtocolArtifact {
  const file = require.resolve(`@layerzerolabs/${packageName}/artifacts/contracts/${path}.json`)
  const { abi, bytecode } = JSON.parse(readFileSync(file, 'utf8')) as ProtocolArtifact
  return { abi, bytecode }
}

export type ProtocolContracts = Readonly<
  Record<
    | 'endpoint'
    | 'sendUln'
    | 'receiveUln'
    | 'priceFeed'
    | 'executor'
    | 'executorFeeLib'
    | 'dvn'
    | 'dvnFeeLib',
    ProtocolArtifact
  >
>

let loaded: ProtocolContracts | undefined

export function protocolContracts(): ProtocolContracts {
  loaded ??= {
    endpoint: read('lz-evm-protocol-v2', 'EndpointV2.sol/EndpointV2'),
    sendUln: read('lz-evm-messagelib-v2', 'uln/uln302/SendUln302.sol/SendUln302'),
    receiveUln: read('lz-evm-messagelib-v2', 'uln/uln302/ReceiveUln302.sol/ReceiveUln302'),
    priceFeed: read('lz-evm-messagelib-v2', 'PriceFeed.sol/PriceFeed'),
    executor: read('lz-evm-messagelib-v2', 'Executor.sol/Executor'),
    executorFeeLib: read('lz-evm-messagelib-v2', 'ExecutorFeeLib.sol/ExecutorFeeLib'),
    dvn: read('lz-evm-messagelib-v2', 'uln/dvn/DVN.sol/DVN'),
    dvnFeeLib: read('lz-evm-messagelib-v2', 'uln/dvn/DVNFeeLib.sol/DVNFeeLib'),
  }
  return loaded
}
