import { encodeFunctionData } from 'viem'
import type { Batch } from '#schemas/batch.ts'
import type { Hex } from '#schemas/bytes.ts'
import type { Report } from '#schemas/report.ts'
import type { Attestation } from '#schemas/workerApi.ts'
import type { Call } from '../lane/job.ts'
import { enclaveRegistryAbi, proofRegistryAbi, reportConsumerAbi } from './abi.ts'

export function registerCall(registry: Hex, attestation: Attestation, evidence: Hex): Call {
  const { statement, blockNumber, possession } = attestation
  return {
    to: registry,
    data: encodeFunctionData({
      abi: enclaveRegistryAbi,
      functionName: 'register',
      args: [statement, blockNumber, possession, evidence],
    }),
  }
}

export function commitCall(registry: Hex, batch: Batch, signature: Hex): Call {
  return {
    to: registry,
    data: encodeFunctionData({
      abi: proofRegistryAbi,
      functionName: 'commit',
      args: [batch, signature],
    }),
  }
}

export function settleCall(
  contract: Hex,
  agreementId: bigint,
  report: Report,
  inclusion: {
    readonly stream: Hex
    readonly sequence: bigint
    readonly index: number
    readonly path: readonly Hex[]
  },
): Call {
  return {
    to: contract,
    data: encodeFunctionData({
      abi: reportConsumerAbi,
      functionName: 'settle',
      args: [agreementId, report, inclusion],
    }),
  }
}
