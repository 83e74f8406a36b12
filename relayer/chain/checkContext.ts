import type { Hex } from '#schemas/bytes.ts'
import type { CheckResult, MergedCall } from '../lane/events.ts'
import type { Call, Job, SendTask, UploadTask } from '../lane/job.ts'
import type { Rpc } from './rpc.ts'

export type CheckContext = {
  readonly rpc: Pick<Rpc, 'ask'>
  readonly sender: Hex
  readonly batchSize: number
  readonly enclaveRegistry: Hex
  readonly proofRegistry: Hex
  /** Fetches and appraises a signer's attestation and writes the call that registers it. */
  readonly prepareRegistration: (signer: Hex, stream: Hex) => Promise<Call>
  /**
   * The next item of collateral that a signer's registration lacks, asked of this very node. Absent
   * where somebody else keeps the store supplied.
   */
  readonly missingUpload?: (
    rpc: Pick<Rpc, 'ask'>,
    signer: Hex,
    stream: Hex,
  ) => Promise<{ readonly task: UploadTask; readonly call: Call } | undefined>
  /**
   * On a hub: how a message to a spoke goes out, or that it has. Absent where nothing is sent.
   */
  readonly prepareSend?: (
    rpc: Pick<Rpc, 'ask'>,
    job: Job & { readonly task: SendTask },
  ) => Promise<Preparation>
  /**
   * On a spoke: how a message that is verified here is carried out. Absent where keys are registered
   * on the chain itself; `undefined` for a job that needs no message.
   */
  readonly prepareDelivery?: (
    rpc: Pick<Rpc, 'ask'>,
    job: Job,
    nowSeconds: bigint,
  ) => Promise<Preparation | undefined>
  /** A job as it stands. */
  readonly storedJob: (id: string) => Job | undefined
  /**
   * What was learned about this chain's node and contracts. Without it nothing is simulated ahead of
   * what the chain holds.
   */
  readonly skills?: NodeSkills
}

/** What the state of a message between chains asks for. */
export type Preparation =
  | { readonly kind: 'call'; readonly call: Call }
  | { readonly kind: 'done' }
  | { readonly kind: 'waits'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string; readonly remedy: string }

/** Learned while asking, forgotten with the process. */
export type NodeSkills = {
  /** Whether the node runs several calls one after the other. @see eth_simulateV1 */
  isSequential: boolean
  /** Contracts for which settling together costs more than one by one. */
  readonly dearTogether: Set<Hex>
}

/** Answers about jobs, and calls that do several of them at once. A job is in one of the two. */
export type CheckAnswer = {
  readonly results: readonly CheckResult[]
  readonly merged: readonly MergedCall[]
}

/** A commit that is not on the chain yet and goes before whatever leans on it. */
export type Ahead = { readonly jobId: string; readonly rank: number; readonly call: Call }

/** A job with its call, and what has to be on the chain before it. */
export type Prepared = {
  readonly job: Job
  readonly call: Call
  readonly after: readonly Ahead[]
}

export type ChainTime = { readonly number: number; readonly timestampSeconds: bigint }
