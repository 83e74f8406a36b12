import { encodeFunctionData } from 'viem'
import { batchBroadcasterAbi } from '#schemas/abi/batchBroadcasterCalls.ts'
import type { Batch } from '#schemas/batch.ts'
import type { Hex } from '#schemas/bytes.ts'
import type { Call } from '../../lane/job.ts'

/** One spoke that a message goes to, and what LayerZero is paid for it at most. */
export type Destination = { readonly eid: number; readonly feeWei: bigint; readonly options: Hex }

const paidFor = (destinations: readonly Destination[]): bigint =>
  destinations.reduce((sum, { feeWei }) => sum + feeWei, 0n)

export function broadcastBatchCall(
  broadcaster: Hex,
  batch: Batch,
  signature: Hex,
  destinations: readonly Destination[],
): Call {
  return {
    to: broadcaster,
    valueWei: paidFor(destinations),
    data: encodeFunctionData({
      abi: batchBroadcasterAbi,
      functionName: 'broadcastBatch',
      args: [batch, signature, destinations],
    }),
  }
}

export function broadcastRegistrationCall(
  broadcaster: Hex,
  signer: Hex,
  endorsements: Hex,
  destinations: readonly Destination[],
): Call {
  return {
    to: broadcaster,
    valueWei: paidFor(destinations),
    data: encodeFunctionData({
      abi: batchBroadcasterAbi,
      functionName: 'broadcastRegistration',
      args: [signer, endorsements, destinations],
    }),
  }
}
