import { encodeFunctionData } from 'viem'
import type { Batch } from '#schemas/batch.ts'
import type { Hex } from '#schemas/bytes.ts'
import type { Attestation } from '#schemas/workerApi.ts'
import type { Call } from '../lane/job.ts'
import { enclaveRegistryAbi, proofRegistryAbi } from './abi.ts'
import { type SettleInclusion, settleData } from './settleData.ts'

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

/** @param report - As `encodeReport` writes it. */
export function settleCall(
  contract: Hex,
  agreementId: bigint,
  report: Uint8Array,
  inclusion: SettleInclusion,
): Call {
  return { to: contract, data: settleData(agreementId, report, inclusion) }
}
