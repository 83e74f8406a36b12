import type { Hex } from '#schemas/bytes.ts'
import type { Fees, FeeQuote } from './fees.ts'
import type { Call, CommitTask, Job, UploadTask } from './job.ts'
import type { ChainHead, LaneTransaction, TransactionInclusion } from './lane.ts'

/** How far a stream has come on a chain. */
export type Reached = {
  /** The newest batch that is anchored or on its way under a nonce of ours. */
  readonly sequence: bigint
  /** Whether any is on its way. */
  readonly isMoving: boolean
}

/** A nonce of ours whose end is not known yet. */
export type WatchedNonce = {
  readonly nonce: number
  /** Of every attempt. */
  readonly hashes: readonly Hex[]
  /** Whether it is known to be in a block and nothing speaks against it. */
  readonly isKnown: boolean
}

/** One look at a chain: answers to one batch of reads, all from one node. */
export type Observation = {
  readonly head: ChainHead
  readonly quote: FeeQuote
  /** Transactions of the sender that are in blocks. */
  readonly minedNonce: number
  readonly balanceWei: bigint
  /** Newest batch of each stream that the chain's registry has anchored, where it could be read. */
  readonly anchored: ReadonlyMap<Hex, bigint>
  /**
   * By transaction hash; only those that the node has and whose block is on its chain. Under the head
   * of the look before, those that were known then are not among them.
   */
  readonly inclusions: ReadonlyMap<Hex, TransactionInclusion>
}

/** What the chain says about a job that is about to be carried out. */
export type CheckResult = { readonly jobId: string } & (
  | {
      readonly outcome: 'ready'
      readonly gas: bigint
      readonly call: Call
      /** Jobs that were simulated before it and have to be on the chain before it. */
      readonly after?: readonly string[]
    }
  /** The chain has it already. */
  | { readonly outcome: 'done'; readonly atBlock: number }
  /** Something else must happen first; it is looked at again soon. */
  | { readonly outcome: 'waits'; readonly reason: string }
  /** A commit whose signer the registry does not know. */
  | {
      readonly outcome: 'signerUnknown'
      readonly task: CommitTask
      /** The stored job that registers it, if there ever was one. */
      readonly registration?: Job
    }
  /** A registration whose quote stands on collateral that the chain lacks. */
  | {
      readonly outcome: 'collateralMissing'
      readonly task: UploadTask
      readonly call: Call
      /** The stored job that uploads it, if there ever was one. */
      readonly upload?: Job
    }
  /** The contract refuses. It may be a matter of time, so it is tried again, then put aside. */
  | { readonly outcome: 'refused'; readonly reason: string; readonly remedy: string }
  /** Can never become right; no further try. */
  | { readonly outcome: 'hopeless'; readonly reason: string; readonly remedy: string }
  /** Nobody could be asked. */
  | { readonly outcome: 'unknown'; readonly reason: string }
)

/** Several jobs that one call does, simulated as a whole. */
export type MergedCall = {
  readonly jobIds: readonly string[]
  readonly gas: bigint
  readonly call: Call
  /** As in {@link CheckResult}. */
  readonly after?: readonly string[]
}

export type SignRequest = {
  readonly nonce: number
  /** What it carries; nothing for a filler. */
  readonly jobIds: readonly string[]
  readonly call: Call
  readonly gasLimit: bigint
  readonly fees: Fees
}

export type SignedTransaction = SignRequest & { readonly hash: Hex; readonly raw: Hex }

export type OfferResult = {
  readonly nonce: number
  readonly hash: Hex
  /** `taken` also when the node had it already. */
  readonly outcome: 'taken' | 'refused' | 'unknown'
  readonly reason?: string
}

export type OperatorRequest =
  | { readonly action: 'pause' | 'resume' | 'drain' }
  | { readonly action: 'retry' | 'quarantine'; readonly jobId: string; readonly note?: string }

export type LaneEvent =
  | { readonly kind: 'woken'; readonly nowMs: number }
  | { readonly kind: 'observed'; readonly nowMs: number; readonly observation: Observation }
  | { readonly kind: 'lookFailed'; readonly nowMs: number; readonly reason: string }
  | {
      readonly kind: 'loaded'
      readonly nowMs: number
      readonly jobs: readonly Job[]
      /** When the earliest queued job beyond these is due. */
      readonly nextDueMs?: number
    }
  | {
      readonly kind: 'checked'
      readonly nowMs: number
      readonly results: readonly CheckResult[]
      readonly merged: readonly MergedCall[]
    }
  | {
      readonly kind: 'signed'
      readonly nowMs: number
      readonly transactions: readonly SignedTransaction[]
    }
  | {
      readonly kind: 'signingFailed'
      readonly nowMs: number
      readonly reason: string
      readonly remedy?: string
    }
  | { readonly kind: 'offered'; readonly nowMs: number; readonly results: readonly OfferResult[] }
  | {
      readonly kind: 'reopened'
      readonly nowMs: number
      readonly fromNonce: number
      readonly transactions: readonly LaneTransaction[]
      readonly jobs: readonly Job[]
    }
  | { readonly kind: 'operator'; readonly nowMs: number; readonly request: OperatorRequest }

/**
 * What the world is to do next. The runtime makes the lane durable before it carries out an `offer`;
 * a crash before any other command loses what a new look at the chain finds again.
 */
export type LaneCommand =
  /**
   * Look at the chain: head, fees, nonce, balance, and what became of these transactions. A careful
   * look asks a second node too and believes the less convenient answer.
   */
  | {
      readonly kind: 'look'
      readonly watched: readonly WatchedNonce[]
      /** The head of the look before: while it stands, what is known to be in a block still is. */
      readonly knownHead?: Hex
      readonly isCareful: boolean
    }
  /** The node that was asked last contradicts what is known: prefer another one. */
  | { readonly kind: 'distrust' }
  /** Bring back transactions that were final, and their jobs, from this nonce on. */
  | { readonly kind: 'reopen'; readonly fromNonce: number }
  /**
   * Bring up to `limit` queued jobs that are due, oldest first, none further than one batch ahead of
   * what of its stream is anchored or on its way: the rest would only be asked to wait.
   */
  | {
      readonly kind: 'load'
      readonly limit: number
      readonly reached: ReadonlyMap<Hex, Reached>
    }
  /** Read what the chain says about these jobs and simulate those that are to be sent. */
  | {
      readonly kind: 'check'
      readonly jobs: readonly Job[]
      /** Finality hangs on it: every node that answers must agree. */
      readonly isCareful: boolean
    }
  | { readonly kind: 'sign'; readonly requests: readonly SignRequest[] }
  /** Offer stored bytes to a node, in this order. */
  | {
      readonly kind: 'offer'
      readonly transactions: readonly {
        readonly nonce: number
        readonly hash: Hex
        readonly raw: Hex
      }[]
    }
