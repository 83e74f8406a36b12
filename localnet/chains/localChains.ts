import type { ChainSpec } from './startChain.ts'

/**
 * Three chains that differ in what a relayer trips over: identity, pace and gas rules.
 *
 * @param portBase - Port of the first chain; the others take the next two.
 */
export function localChains(portBase: number, genesisSeconds: number): readonly ChainSpec[] {
  return [
    {
      name: 'harbour',
      chainId: 31_337,
      port: portBase,
      blockTimeSeconds: 1,
      gasLimit: 30_000_000n,
      genesisSeconds,
    },
    {
      name: 'meadow',
      chainId: 31_338,
      port: portBase + 1,
      blockTimeSeconds: 2,
      gasLimit: 60_000_000n,
      genesisSeconds,
    },
    {
      name: 'quay',
      chainId: 31_339,
      port: portBase + 2,
      blockTimeSeconds: 0.5,
      gasLimit: 1_000_000_000n,
      genesisSeconds,
    },
  ]
}
