/** The calls a relayer makes, as the contracts’ own compiler describes them. */
export {
  enclaveRegistryAbi,
  proofRegistryAbi,
  reportConsumerAbi,
} from '#schemas/abi/relayerCalls.ts'
