import type { Abi, AbiItem } from 'viem'
import { appraisalPolicyAbi } from '#schemas/abi/appraisalPolicy.ts'
import { batchBroadcasterAbi } from '#schemas/abi/batchBroadcaster.ts'
import { batchReceiverAbi } from '#schemas/abi/batchReceiver.ts'
import { carbonCreditAbi } from '#schemas/abi/carbonCredit.ts'
import { collateralStoreAbi } from '#schemas/abi/collateralStore.ts'
import { dcapQuoteVerifierAbi } from '#schemas/abi/dcapQuoteVerifier.ts'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import { localnetQuoteVerifierAbi } from '#schemas/abi/localnetQuoteVerifier.ts'
import { parametricCoverAbi } from '#schemas/abi/parametricCover.ts'
import { performanceEscrowAbi } from '#schemas/abi/performanceEscrow.ts'
import { proofRegistryAbi } from '#schemas/abi/proofRegistry.ts'
import { quoteVerifierAbi } from '#schemas/abi/quoteVerifier.ts'
import { endpointAbi } from '../transports/layerzero/abi.ts'

const interfaces: readonly (readonly AbiItem[])[] = [
  appraisalPolicyAbi,
  batchBroadcasterAbi,
  batchReceiverAbi,
  carbonCreditAbi,
  collateralStoreAbi,
  dcapQuoteVerifierAbi,
  enclaveRegistryAbi,
  localnetQuoteVerifierAbi,
  parametricCoverAbi,
  performanceEscrowAbi,
  proofRegistryAbi,
  endpointAbi,
  quoteVerifierAbi,
]

/** Errors that the contracts on the way of a report can raise, so that a refusal has a name. */
export const contractErrors: Abi = interfaces.flatMap((items) =>
  items.filter((item) => item.type === 'error'),
)
