import type { Hex } from '#schemas/bytes.ts'

/**
 * Where a job stands. `queued` waits for its turn; `simulated` would succeed now; `signed` owns a
 * nonce and bytes that are stored; `sent` was taken by a node; `included` is in a block; `final` will
 * not leave the chain again. `quarantined` needs a person.
 */
export const stages = [
  'queued',
  'simulated',
  'signed',
  'sent',
  'included',
  'final',
  'quarantined',
] as const
export type Stage = (typeof stages)[number]

export type RegisterTask = {
  readonly kind: 'register'
  readonly stream: Hex
  readonly signer: Hex
}

/** Collateral that a registration stands on and the chain lacks, item by item. */
export type UploadTask = {
  readonly kind: 'upload'
  readonly stream: Hex
  /** Whose attestation carries the item. */
  readonly signer: Hex
  /** Which item, for people. */
  readonly item: string
  /** Keccak-256 of the call: a newer edition of an item is another task. */
  readonly digest: Hex
}

export type CommitTask = {
  readonly kind: 'commit'
  readonly stream: Hex
  readonly sequence: bigint
  readonly digest: Hex
  readonly signer: Hex
}

export type SettleTask = {
  readonly kind: 'settle'
  readonly stream: Hex
  readonly sequence: bigint
  /** Reports in the batch: it decides the shape of the tree. */
  readonly reportCount: number
  readonly leaf: Hex
  readonly contract: Hex
  readonly agreementId: bigint
  /** For people and the status page. */
  readonly label: string
  readonly settlementKind: string
  readonly subject: Hex
  readonly policyId: Hex
  readonly subjectName: string
  readonly policyName: string
  readonly verdict: number
  readonly valueMicro: bigint
  readonly unit: Hex
  readonly lastReadingMs: bigint
  readonly lastReceivedMs: bigint
  readonly closedAtMs: bigint
}

/** On a hub: that a spoke is told of a key or of a batch by message. */
export type SendTask = {
  readonly kind: 'send'
  readonly what: 'registration' | 'batch'
  /** The spoke. */
  readonly toChainId: number
  readonly stream: Hex
  readonly signer: Hex
  /** The batch, or the one for which the key has to be known: it may have been renewed since the last. */
  readonly sequence: bigint
}

export type JobTask = UploadTask | RegisterTask | CommitTask | SendTask | SettleTask

export type Call = {
  readonly to: Hex
  readonly data: Hex
  /** What the call pays to the contract; nothing when absent. */
  readonly valueWei?: bigint
}

/** One thing that has to become true on one chain, once. */
export type Job = {
  /** Names the fact, not the attempt: the same fact always has the same id. */
  readonly id: string
  readonly task: JobTask
  readonly stage: Stage
  /** Absent until prepared (a registration needs a fresh quote) and while nothing is to be called. */
  readonly call?: Call
  /** The nonce that carries it at the moment. */
  readonly nonce?: number
  /** Failed simulations and reverted transactions, for back-off and quarantine. */
  readonly failures: number
  readonly notBeforeMs: number
  /** Why it stands where it stands, and what a person can do about it. */
  readonly reason?: string
  readonly remedy?: string
  /** `other` when the chain already had it without a transaction of ours. */
  readonly doneBy?: 'us' | 'other'
  /** Head at which the chain was first seen to have it without us. */
  readonly seenDoneAtBlock?: number
  /** Unix milliseconds at which each stage was last entered. */
  readonly at: Readonly<Partial<Record<Stage, number>>>
}

/** Whether nothing more will be done for a job unless a person asks for it. */
export function isTerminal(stage: Stage): boolean {
  return stage === 'final' || stage === 'quarantined'
}

/** A job's name: the fact that it makes true. */
export function jobId(task: JobTask | Pick<CommitTask, 'kind' | 'stream' | 'sequence'>): string {
  switch (task.kind) {
    case 'upload':
      return `upload/${task.digest}`
    case 'register':
      return `register/${task.stream}/${task.signer}`
    case 'commit':
      return `commit/${task.stream}/${task.sequence}`
    case 'send':
      return `send/${task.toChainId}/${task.what}/${task.stream}/${task.sequence}`
    case 'settle':
      return `settle/${task.contract}/${task.agreementId}/${task.leaf}`
  }
}

/** Uploads and registrations before commits before settlements; within a kind, batches in order. */
export function jobOrder(task: JobTask): number {
  if (task.kind === 'upload' || task.kind === 'register') return 0
  // Two slots a sequence: its commit, then whatever leans on it.
  return Number(task.sequence) * 2 + (task.kind === 'commit' ? 0 : 1)
}

/** So many batches more are looked at while a stream moves: a backlog of small ones drains faster. */
const batchesBeyond = 3

/**
 * The order of the last job that can be done: the commit that comes next. Where calls can be sent right
 * behind it, also what leans on it, and while the stream moves a few batches more.
 */
export function horizon(
  { sequence, isMoving }: { readonly sequence: bigint; readonly isMoving: boolean },
  isAhead: boolean,
): number {
  const next = Number(sequence) + 1
  if (!isAhead) return next * 2
  return (isMoving ? next + batchesBeyond : next) * 2 + 1
}

export function createJob(task: JobTask, nowMs: number, call?: Call): Job {
  return {
    id: jobId(task),
    task,
    stage: 'queued',
    ...(call === undefined ? {} : { call }),
    failures: 0,
    notBeforeMs: 0,
    at: { queued: nowMs },
  }
}
