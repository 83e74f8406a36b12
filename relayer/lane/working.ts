import type { LaneCommand, SignRequest } from './events.ts'
import { type Job, type Stage, isTerminal } from './job.ts'
import type { Attempt, Hold, Lane, LaneTransaction } from './lane.ts'

/**
 * What the steps of a lane share: small changes of its working set, none of which decides anything.
 * Every step works on maps of its own ({@link ownSet}), so that a thousand jobs are not copied for each
 * one that changes.
 */

export type Step = { readonly lane: WorkingLane; readonly commands: LaneCommand[] }

/** Gas of a transfer of nothing to oneself. */
export const fillerGas = 21_000n

/** A lane whose maps belong to the step that is under way. */
export type WorkingLane = Lane & {
  readonly jobs: Map<string, Job>
  readonly transactions: Map<number, LaneTransaction>
}

/**
 * The working set for one step, without what has reached its end: that was stored by the step that
 * brought it there and need not be carried on.
 */
export function ownSet(lane: Lane): WorkingLane {
  const jobs = new Map<string, Job>()
  for (const [id, job] of lane.jobs) if (!isTerminal(job.stage)) jobs.set(id, job)
  const transactions = new Map<number, LaneTransaction>()
  for (const transaction of openTransactions(lane)) {
    transactions.set(transaction.nonce, transaction)
  }
  return { ...lane, jobs, transactions }
}

export function withJob(lane: WorkingLane, job: Job): WorkingLane {
  return withJobs(lane, [job])
}

export function withJobs(lane: WorkingLane, changed: readonly Job[]): WorkingLane {
  for (const job of changed) lane.jobs.set(job.id, job)
  return lane
}

export function withTransaction(lane: WorkingLane, transaction: LaneTransaction): WorkingLane {
  lane.transactions.set(transaction.nonce, transaction)
  return lane
}

export function without<Key extends string, Value extends { readonly [key in Key]?: unknown }>(
  value: Value,
  ...keys: readonly Key[]
): Value {
  const copy: Record<string, unknown> = { ...value }
  for (const key of keys) delete copy[key]
  return copy as Value
}

/** Enters a stage; what explained the old one no longer holds. */
export function enter(job: Job, stage: Stage, nowMs: number, change: Partial<Job> = {}): Job {
  return {
    ...without(job, 'reason', 'remedy'),
    ...change,
    stage,
    at: { ...job.at, [stage]: nowMs },
  }
}

/** Transactions whose end is not known yet, by nonce. */
export function openTransactions(lane: Lane): LaneTransaction[] {
  return [...lane.transactions.values()]
    .filter(({ stage }) => stage !== 'final' && stage !== 'lost')
    .sort((left, right) => left.nonce - right.nonce)
}

/** Transactions that are not in a block; the window counts these. */
export function inFlight(lane: Lane): number {
  return openTransactions(lane).filter(({ stage }) => stage !== 'included').length
}

/** Jobs that this transaction still carries: those that have not moved to another nonce since. */
export function carriedJobs(lane: Lane, { nonce, jobIds }: LaneTransaction): Job[] {
  return jobIds.flatMap((id) => {
    const job = lane.jobs.get(id)
    return job?.nonce === nonce ? [job] : []
  })
}

export function newestAttempt(transaction: LaneTransaction): Attempt {
  const attempt = transaction.attempts.at(-1)
  // The only door into a transaction is `signed`, which always brings an attempt.
  if (attempt === undefined) throw new TypeError('A lane transaction without an attempt.')
  return attempt
}

/** Back-off after the n-th failure: 1 s, 2 s, 4 s, … at most 5 min. */
export function backOffMs(failures: number): number {
  return Math.min(300_000, 1_000 * 2 ** Math.max(0, Math.min(failures, 20) - 1))
}

/** One more failure: the job waits, longer each time, and in the end for a person. */
export function failed(
  lane: WorkingLane,
  job: Job,
  nowMs: number,
  reason: string,
  remedy: string,
): WorkingLane {
  const failures = job.failures + 1
  if (failures >= lane.policy.failuresBeforeQuarantine) {
    return withJob(lane, enter(job, 'quarantined', nowMs, { failures, reason, remedy }))
  }
  const notBeforeMs = nowMs + backOffMs(failures)
  return withJob(lane, enter(job, 'queued', nowMs, { failures, notBeforeMs, reason, remedy }))
}

export function holdOf(
  lane: Lane,
  kind: Hold['kind'],
  nowMs: number,
  reason: string,
  remedy: string,
): Hold {
  const sinceMs = lane.lastHold?.kind === kind ? lane.lastHold.sinceMs : nowMs
  return { kind, reason, remedy, sinceMs }
}

export function feeHold(lane: Lane, nowMs: number): Hold {
  const baseFee = lane.quote?.baseFeePerGasWei ?? 0n
  return holdOf(
    lane,
    'fee',
    nowMs,
    `The base fee of ${baseFee} wei is above the cap of ${lane.policy.maxFeePerGasWei} wei.`,
    'Wait, or raise maxFeePerGasWei of this chain in the plan; the lane resumes by itself.',
  )
}

/** Worst case of what is in flight: every gas unit at the highest fee that was signed. */
export function committedWei(lane: Lane): bigint {
  let wei = 0n
  for (const transaction of openTransactions(lane)) {
    if (transaction.stage === 'included') continue
    wei += transaction.gasLimit * newestAttempt(transaction).maxFeePerGasWei
    wei += transaction.call.valueWei ?? 0n
  }
  return wei
}

export function offerOf(transactions: readonly LaneTransaction[]): LaneCommand {
  return {
    kind: 'offer',
    transactions: transactions
      .toSorted((left, right) => left.nonce - right.nonce)
      .map((transaction) => {
        const { hash, raw } = newestAttempt(transaction)
        return { nonce: transaction.nonce, hash, raw }
      }),
  }
}

/** A request for a transfer of nothing to ourselves. */
export function fillerRequest(lane: Lane, nonce: number, fees: SignRequest['fees']): SignRequest {
  return {
    nonce,
    jobIds: [],
    call: { to: lane.policy.sender, data: '0x' },
    gasLimit: fillerGas,
    fees,
  }
}

/**
 * When to look again: soon while something moves, otherwise when the next job is due, and now and then
 * in any case, so that an alarm that got lost is no end.
 */
export function scheduled(lane: WorkingLane, nowMs: number): WorkingLane {
  const soonMs = nowMs + lane.policy.pollMs
  let wakeAtMs = nowMs + lane.policy.idleMs
  if (openTransactions(lane).length > 0 || lane.nonceDoubtSinceMs !== undefined) wakeAtMs = soonMs
  let dueMs = lane.nextDueMs ?? Infinity
  for (const job of lane.jobs.values()) {
    if (job.stage === 'included') wakeAtMs = Math.min(wakeAtMs, soonMs)
    else if (job.stage === 'simulated') dueMs = Math.min(dueMs, soonMs)
    else if (job.stage === 'queued') dueMs = Math.min(dueMs, job.notBeforeMs)
  }
  if (lane.mode === 'running') {
    // What holds the whole lane back is not removed by looking without a pause.
    const isHeld = lane.hold !== undefined || inFlight(lane) >= lane.policy.window
    wakeAtMs = Math.min(wakeAtMs, Math.max(dueMs, isHeld ? soonMs : nowMs))
  }
  return { ...lane, wakeAtMs }
}
