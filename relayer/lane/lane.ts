import type { Hex } from '#schemas/bytes.ts'
import type { Fees, FeeQuote } from './fees.ts'
import type { Call, Job } from './job.ts'

/** Everything about a lane that an operator may set. */
export type LanePolicy = {
  readonly chainId: number
  readonly sender: Hex
  readonly confirmations: number
  readonly window: number
  /** Settlements of one batch and contract that may share a transaction; 1 sends each alone. */
  readonly batchSize: number
  readonly pollMs: number
  /** How often a lane with nothing to do looks at its chain. */
  readonly idleMs: number
  readonly maxFeePerGasWei: bigint
  readonly maxPriorityFeePerGasWei: bigint
  readonly dailySpendWei: bigint
  /** A transaction that is not in a block after this long is replaced. */
  readonly replaceAfterMs: number
  /** Stored bytes are offered to a node again after this long. */
  readonly rebroadcastAfterMs: number
  /** Nothing that costs money is concluded before a second look this much later. */
  readonly secondLookMs: number
  /** Bytes that every node refuses for this long are given up; their nonce is used for nothing. */
  readonly abandonAfterMs: number
  /** After so many failures a job is put aside for a person. */
  readonly failuresBeforeQuarantine: number
}

export type Attempt = Fees & {
  readonly hash: Hex
  readonly raw: Hex
  readonly signedAtMs: number
  readonly signedAtBlock: number
}

export type TransactionInclusion = {
  readonly hash: Hex
  readonly blockNumber: number
  readonly blockHash: Hex
  readonly isSuccess: boolean
  readonly gasUsed: bigint
  readonly effectiveGasPriceWei: bigint
  /** The block's own time. */
  readonly minedAtMs: number
}

/** A nonce that this lane owns, and every signed attempt at using it. */
export type LaneTransaction = {
  readonly nonce: number
  /** What it carries. None for a filler: a transfer of nothing to oneself that closes a gap. */
  readonly jobIds: readonly string[]
  readonly call: Call
  readonly gasLimit: bigint
  readonly stage: 'signed' | 'sent' | 'included' | 'final' | 'lost'
  /** Oldest first; any of them may be the one that got in. */
  readonly attempts: readonly Attempt[]
  readonly offeredAtMs?: number
  readonly sentAtMs?: number
  readonly inclusion?: TransactionInclusion
  /** First look that found the nonce used and no receipt. */
  readonly doubtSinceMs?: number
  /** Since when the contract's state contradicts the receipt. */
  readonly contradictedSinceMs?: number
  /** What the node said last, when it refused. */
  readonly refusal?: string
}

export type ChainHead = {
  readonly number: number
  readonly hash: Hex
  readonly timestampMs: number
}

export type LaneMode = 'running' | 'paused' | 'draining'

/** Something that holds a whole lane, as opposed to one job. */
export type Hold = {
  readonly kind: 'fee' | 'spend' | 'balance' | 'rpc' | 'nonce'
  readonly reason: string
  readonly remedy: string
  readonly sinceMs: number
}

/** The working set of one (chain, sender). The backlog stays in the store. */
export type Lane = {
  readonly policy: LanePolicy
  readonly mode: LaneMode
  /** The next nonce to hand out; undefined until the chain was asked for the first time. */
  readonly nextNonce?: number
  /** Nonces below this one are final and are never thought about again. */
  readonly finalNonce: number
  readonly head?: ChainHead
  readonly quote?: FeeQuote
  readonly balanceWei?: bigint
  readonly spend: { readonly day: number; readonly wei: bigint }
  readonly jobs: ReadonlyMap<string, Job>
  readonly transactions: ReadonlyMap<number, LaneTransaction>
  readonly hold?: Hold
  /** The hold of the turn before, so that a hold knows since when it lasts. */
  readonly lastHold?: Hold
  /** When the earliest queued job that is still in the store is due. */
  readonly nextDueMs?: number
  /** First look at which the chain's nonce did not fit ours. */
  readonly nonceDoubtSinceMs?: number
  /** First look that showed an older chain than one seen before. */
  readonly staleSinceMs?: number
  /** Consecutive looks at the chain that failed. */
  readonly failedLooks: number
  readonly wakeAtMs?: number
  /** Times that an included transaction went back in flight. */
  readonly reorgs: number
}

export function createLane(policy: LanePolicy): Lane {
  return {
    policy,
    mode: 'running',
    finalNonce: 0,
    spend: { day: 0, wei: 0n },
    jobs: new Map(),
    transactions: new Map(),
    failedLooks: 0,
    reorgs: 0,
  }
}
