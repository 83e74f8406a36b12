/** The calls a relayer makes, as the contracts’ own compiler describes them. */
export { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
export { proofRegistryAbi } from '#schemas/abi/proofRegistry.ts'
export { reportConsumerAbi } from '#schemas/abi/reportConsumer.ts'
