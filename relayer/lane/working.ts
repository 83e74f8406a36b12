import type { LaneCommand, SignRequest } from './events.ts'
import type { Job, Stage } from './job.ts'
import type { Attempt, Hold, Lane, LaneTransaction } from './lane.ts'

/** What the steps of a lane share: small changes of its working set, none of which decides anything. */

export type Step = { readonly lane: Lane; readonly commands: LaneCommand[] }

/** Gas of a transfer of nothing to oneself. */
export const fillerGas = 21_000n

export function withJob(lane: Lane, job: Job): Lane {
  return withJobs(lane, [job])
}

export function withJobs(lane: Lane, changed: readonly Job[]): Lane {
  if (changed.length === 0) return lane
  const jobs = new Map(lane.jobs)
  for (const job of changed) jobs.set(job.id, job)
  return { ...lane, jobs }
}

export function withTransaction(lane: Lane, transaction: LaneTransaction): Lane {
  const transactions = new Map(lane.transactions)
  transactions.set(transaction.nonce, transaction)
  return { ...lane, transactions }
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
export function failed(lane: Lane, job: Job, nowMs: number, reason: string, remedy: string): Lane {
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
export function scheduled(lane: Lane, nowMs: number): Lane {
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
