import type { Hex } from '#schemas/bytes.ts'
import type { LaneCommand, Observation, Reached, SignRequest } from './events.ts'
import type { Job } from './job.ts'
import type { LaneTransaction, TransactionInclusion } from './lane.ts'
import { fillGaps, replaceStuck } from './replace.ts'
import {
  type Step,
  type WorkingLane,
  carriedJobs,
  enter,
  failed,
  inFlight,
  offerOf,
  openTransactions,
  scheduled,
  withJob,
  withJobs,
  withTransaction,
  without,
} from './working.ts'

const dayMs = 86_400_000

/** A node that is behind must not undo what a better one has shown; after a while it is believed. */
function isStaleLook(lane: WorkingLane, nowMs: number, seen: Observation): boolean {
  if (lane.head === undefined || seen.head.number >= lane.head.number) return false
  return nowMs - (lane.staleSinceMs ?? nowMs) < lane.policy.secondLookMs
}

/** One look at the chain: what became of every open transaction, and what to do next about each. */
export function observed(before: WorkingLane, nowMs: number, seen: Observation): Step {
  if (isStaleLook(before, nowMs, seen)) {
    const staleSinceMs = before.staleSinceMs ?? nowMs
    return {
      lane: { ...before, staleSinceMs, wakeAtMs: nowMs + before.policy.pollMs },
      commands: [{ kind: 'distrust' }],
    }
  }
  const day = Math.floor(nowMs / dayMs)
  let lane: WorkingLane = {
    ...without(before, 'hold', 'lastHold', 'staleSinceMs'),
    ...(before.hold === undefined ? {} : { lastHold: before.hold }),
    head: seen.head,
    quote: seen.quote,
    balanceWei: seen.balanceWei,
    failedLooks: 0,
    spend: before.spend.day === day ? before.spend : { day, wei: 0n },
  }
  const offers: LaneTransaction[] = []
  const recheck: Job[] = []
  for (const transaction of openTransactions(lane)) {
    const isSameHead = seen.head.hash === before.head?.hash
    const inclusion =
      inclusionOf(transaction, seen) ??
      (isSameHead && isKnown(transaction) ? transaction.inclusion : undefined)
    if (inclusion !== undefined) {
      lane = included(lane, transaction, inclusion, nowMs)
      recheck.push(...atFinalDepth(lane, transaction.nonce))
      lane = withoutCargo(lane, transaction.nonce)
    } else if (transaction.stage === 'included') {
      lane = rolledBack(lane, transaction, nowMs)
      const again = lane.transactions.get(transaction.nonce)
      if (again !== undefined) offers.push(again)
    } else if (seen.minedNonce > transaction.nonce) {
      lane = nonceUsedWithoutReceipt(lane, transaction, nowMs)
    } else {
      const clear = without(transaction, 'doubtSinceMs')
      if (transaction.doubtSinceMs !== undefined) lane = withTransaction(lane, clear)
      const isDue = nowMs - (transaction.offeredAtMs ?? 0) >= lane.policy.rebroadcastAfterMs
      if (transaction.stage === 'signed' || isDue) offers.push(clear)
    }
  }
  const isUndone = isNonceUndone(lane, seen, nowMs)
  lane = ownNonce(lane, seen, nowMs)
  recheck.push(...doneByOthersAtFinalDepth(lane, seen))
  const requests: SignRequest[] = []
  if (lane.mode !== 'paused') {
    const replaced = replaceStuck(lane, nowMs)
    requests.push(...replaced.requests)
    if (!isUndone) requests.push(...fillGaps(lane, seen))
    if (replaced.hold !== undefined) lane = { ...lane, hold: replaced.hold }
  }
  const renewed = new Set(requests.map(({ nonce }) => nonce))
  const kept = offers.filter(({ nonce }) => !renewed.has(nonce))
  const commands: LaneCommand[] = []
  if (kept.length > 0) commands.push(offerOf(kept))
  if (requests.length > 0) commands.push({ kind: 'sign', requests })
  if (recheck.length > 0) commands.push({ kind: 'check', jobs: recheck, isCareful: true })
  if (isUndone) commands.push({ kind: 'reopen', fromNonce: seen.minedNonce })
  const room = lane.policy.window - inFlight(lane)
  if (lane.mode === 'running' && room > 0 && lane.nextNonce !== undefined) {
    const limit = room * lane.policy.batchSize
    commands.push({ kind: 'load', limit, reached: reached(lane, seen.anchored) })
  }
  return { lane: scheduled(lane, nowMs), commands }
}

/** How far each stream has come that the chain's registry could be asked about. */
function reached(lane: WorkingLane, anchored: Observation['anchored']): ReadonlyMap<Hex, Reached> {
  const furthest = new Map<Hex, Reached>()
  for (const [stream, sequence] of anchored) furthest.set(stream, { sequence, isMoving: false })
  for (const { task, nonce } of lane.jobs.values()) {
    if (task.kind !== 'commit' || nonce === undefined) continue
    const known = furthest.get(task.stream)
    if (known === undefined || known.sequence >= task.sequence) continue
    furthest.set(task.stream, { sequence: task.sequence, isMoving: true })
  }
  return furthest
}

/** Whether a receipt of it was seen that nothing has contradicted. */
export function isKnown({ inclusion, contradictedSinceMs }: LaneTransaction): boolean {
  return inclusion !== undefined && contradictedSinceMs === undefined
}

function inclusionOf(
  transaction: LaneTransaction,
  seen: Observation,
): TransactionInclusion | undefined {
  for (const { hash } of transaction.attempts) {
    const inclusion = seen.inclusions.get(hash)
    if (inclusion !== undefined) return inclusion
  }
  return undefined
}

function included(
  before: WorkingLane,
  transaction: LaneTransaction,
  inclusion: TransactionInclusion,
  nowMs: number,
): WorkingLane {
  if (transaction.inclusion?.blockHash === inclusion.blockHash) return before
  let lane = withTransaction(before, {
    ...without(transaction, 'doubtSinceMs', 'refusal'),
    stage: 'included',
    inclusion,
  })
  if (transaction.inclusion === undefined) {
    // What a contract gave back of the value is not known here: the budget counts all of it.
    const paidWei = inclusion.isSuccess ? (transaction.call.valueWei ?? 0n) : 0n
    const wei = inclusion.gasUsed * inclusion.effectiveGasPriceWei + paidWei
    lane = { ...lane, spend: { ...lane.spend, wei: lane.spend.wei + wei } }
  }
  const jobs = carriedJobs(lane, transaction)
  if (inclusion.isSuccess) {
    return withJobs(
      lane,
      jobs.map((job) => enter(job, 'included', nowMs, { doneBy: 'us' })),
    )
  }
  for (const job of jobs) {
    lane = failed(
      lane,
      without(job, 'nonce', 'doneBy'),
      nowMs,
      'The transaction was included and reverted.',
      'The next simulation names the contract’s reason.',
    )
  }
  return lane
}

function isDeep(lane: WorkingLane, blockNumber: number): boolean {
  return (lane.head?.number ?? 0) - blockNumber + 1 >= lane.policy.confirmations
}

/**
 * Jobs of a transaction that is deep enough. A receipt is one node's word: a job is final when the
 * state that it should have made is there too.
 */
function atFinalDepth(lane: WorkingLane, nonce: number): Job[] {
  const transaction = lane.transactions.get(nonce)
  if (transaction?.inclusion === undefined) return []
  if (!isDeep(lane, transaction.inclusion.blockNumber)) return []
  return carriedJobs(lane, transaction).filter(({ stage }) => stage === 'included')
}

/** A deep transaction that carries nothing any more (a filler, a revert) has reached its end. */
function withoutCargo(lane: WorkingLane, nonce: number): WorkingLane {
  const transaction = lane.transactions.get(nonce)
  if (transaction?.inclusion === undefined) return lane
  if (!isDeep(lane, transaction.inclusion.blockNumber)) return lane
  if (carriedJobs(lane, transaction).length > 0) return lane
  return finalTransaction(lane, transaction)
}

export function finalTransaction(lane: WorkingLane, transaction: LaneTransaction): WorkingLane {
  return {
    ...withTransaction(lane, { ...transaction, stage: 'final' }),
    finalNonce: Math.max(lane.finalNonce, transaction.nonce + 1),
  }
}

/** A reorganisation took the block away. The same bytes are as good as before: they go out again. */
function rolledBack(before: WorkingLane, transaction: LaneTransaction, nowMs: number): WorkingLane {
  const reason = 'A reorganisation removed the block that held it; it is in flight again.'
  const lane = withTransaction(
    { ...before, reorgs: before.reorgs + 1 },
    { ...without(transaction, 'inclusion', 'contradictedSinceMs'), stage: 'sent' },
  )
  return withJobs(
    lane,
    carriedJobs(lane, transaction).map((job) =>
      enter(without(job, 'doneBy'), 'sent', nowMs, { reason }),
    ),
  )
}

/**
 * The chain says that the nonce is used and shows no receipt for any of our attempts. One look proves
 * nothing: reads in one batch are not atomic, and nodes behind one address differ. After the second
 * look the nonce counts as used by somebody else, and the jobs ask the chain's state again.
 */
function nonceUsedWithoutReceipt(
  before: WorkingLane,
  transaction: LaneTransaction,
  nowMs: number,
): WorkingLane {
  if (transaction.doubtSinceMs === undefined) {
    return withTransaction(before, { ...transaction, doubtSinceMs: nowMs })
  }
  if (nowMs - transaction.doubtSinceMs < before.policy.secondLookMs) return before
  let lane = withTransaction(before, { ...transaction, stage: 'lost' })
  const reason = `Nonce ${transaction.nonce} was used by a transaction that is not ours.`
  for (const job of carriedJobs(lane, transaction)) {
    const free = without(job, 'nonce', 'doneBy')
    lane = withJob(lane, enter(free, 'queued', nowMs, { reason, notBeforeMs: nowMs }))
  }
  return lane
}

/** Whether a second look confirms that nonces which were final are free again. */
function isNonceUndone(lane: WorkingLane, seen: Observation, nowMs: number): boolean {
  if (seen.minedNonce >= lane.finalNonce || lane.nonceDoubtSinceMs === undefined) return false
  return nowMs - lane.nonceDoubtSinceMs >= lane.policy.secondLookMs
}

/** Fits the nonce that comes next to the chain's own count, never on the strength of one look. */
function ownNonce(lane: WorkingLane, seen: Observation, nowMs: number): WorkingLane {
  if (lane.nextNonce === undefined) return { ...lane, nextNonce: seen.minedNonce }
  const highest = openTransactions(lane).at(-1)?.nonce
  const isBehind = seen.minedNonce > lane.nextNonce
  const isAhead = highest === undefined && seen.minedNonce < lane.nextNonce
  // Deeper than the confirmations asked for: what was final is not on the chain any more.
  const isUndone = seen.minedNonce < lane.finalNonce
  if (!isBehind && !isAhead && !isUndone) return without(lane, 'nonceDoubtSinceMs')
  if (lane.nonceDoubtSinceMs === undefined) return { ...lane, nonceDoubtSinceMs: nowMs }
  if (nowMs - lane.nonceDoubtSinceMs < lane.policy.secondLookMs) return lane
  return {
    ...without(lane, 'nonceDoubtSinceMs'),
    nextNonce: highest === undefined ? seen.minedNonce : Math.max(seen.minedNonce, highest + 1),
    finalNonce: Math.min(lane.finalNonce, seen.minedNonce),
  }
}

/** What others did counts once it is as deep as our own transactions have to be. */
function doneByOthersAtFinalDepth(lane: WorkingLane, seen: Observation): Job[] {
  return [...lane.jobs.values()].filter(
    ({ stage, seenDoneAtBlock }) =>
      stage === 'included' &&
      seenDoneAtBlock !== undefined &&
      seen.head.number - seenDoneAtBlock + 1 >= lane.policy.confirmations,
  )
}
