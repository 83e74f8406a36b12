import type { Hex } from '#schemas/bytes.ts'
import type { PlanChain } from '../plan/plan.ts'
import type { LanePolicy } from './lane.ts'

const gwei = 1_000_000_000n

/** What holds where the plan says nothing. */
export const policyDefaults = {
  /** Ethereum finalises after two epochs of 32 blocks; chains that are faster say so in the plan. */
  confirmations: 64,
  window: 16,
  // EIP-7825 caps a transaction at 2^24 gas; a hundred settlements stay below 9 million.
  batchSize: 100,
  pollMs: 1_000,
  idleMs: 60_000,
  maxFeePerGasWei: 300n * gwei,
  maxPriorityFeePerGasWei: 5n * gwei,
  dailySpendWei: 10n ** 18n,
  replaceAfterMs: 30_000,
  rebroadcastAfterMs: 15_000,
  secondLookMs: 3_000,
  abandonAfterMs: 60_000,
  failuresBeforeQuarantine: 8,
} as const

/** The lane policy of one chain of the plan. */
export function lanePolicy(chain: PlanChain, sender: Hex): LanePolicy {
  return {
    ...policyDefaults,
    chainId: chain.chainId,
    sender,
    confirmations: chain.confirmations ?? policyDefaults.confirmations,
    window: chain.window ?? policyDefaults.window,
    batchSize: chain.batchSize ?? policyDefaults.batchSize,
    pollMs: chain.pollMs ?? policyDefaults.pollMs,
    maxFeePerGasWei: chain.maxFeePerGasWei ?? policyDefaults.maxFeePerGasWei,
    maxPriorityFeePerGasWei:
      chain.maxPriorityFeePerGasWei ?? policyDefaults.maxPriorityFeePerGasWei,
    dailySpendWei: chain.dailySpendWei ?? policyDefaults.dailySpendWei,
  }
}
