import type { OfferResult, SignedTransaction } from './events.ts'
import type { Job } from './job.ts'
import type { Attempt, LaneTransaction } from './lane.ts'
import {
  type Step,
  type WorkingLane,
  backOffMs,
  carriedJobs,
  enter,
  failed,
  offerOf,
  scheduled,
  withJob,
  withJobs,
  withTransaction,
  without,
} from './working.ts'

/**
 * Nonce, signed bytes and the jobs' claim on them become durable in one commit; only then are the
 * bytes offered to a node. A crash on either side of that commit leaves no gap and no unknown bytes.
 */
export function signed(
  before: WorkingLane,
  nowMs: number,
  transactions: readonly SignedTransaction[],
): Step {
  let lane = before
  const offers: LaneTransaction[] = []
  for (const { nonce, jobIds, call, gasLimit, fees, hash, raw } of transactions) {
    const existing = lane.transactions.get(nonce)
    const signedAtBlock = lane.head?.number ?? 0
    const attempt: Attempt = { ...fees, hash, raw, signedAtMs: nowMs, signedAtBlock }
    const transaction: LaneTransaction =
      existing === undefined
        ? { nonce, jobIds, call, gasLimit, stage: 'signed', attempts: [attempt] }
        : {
            ...without(existing, 'refusal'),
            jobIds,
            call,
            gasLimit,
            stage: 'signed',
            attempts: [...existing.attempts, attempt],
          }
    if (existing === undefined) {
      const claimed = jobIds.flatMap((id) => {
        const job = lane.jobs.get(id)
        return job === undefined ? [] : [enter(job, 'signed', nowMs, { nonce })]
      })
      lane = withJobs(lane, claimed)
    } else if (jobIds.length === 0) {
      lane = givenUp(lane, existing, nowMs)
    }
    lane = withTransaction(lane, transaction)
    lane = { ...lane, nextNonce: Math.max(lane.nextNonce ?? 0, nonce + 1) }
    offers.push(transaction)
  }
  return {
    lane: scheduled(lane, nowMs),
    commands: offers.length === 0 ? [] : [offerOf(offers)],
  }
}

/** The nonce goes to a filler; the jobs that it carried look for another one. */
function givenUp(before: WorkingLane, existing: LaneTransaction, nowMs: number): WorkingLane {
  let lane = before
  for (const job of carriedJobs(lane, existing)) {
    lane = failed(
      lane,
      without(job, 'nonce'),
      nowMs,
      `No node took its transaction; the last one said: ${existing.refusal ?? 'nothing'}`,
      'Mend what the node names (gas limit, call size, account), then retry.',
    )
  }
  return lane
}

export function signingFailed(
  before: WorkingLane,
  nowMs: number,
  reason: string,
  remedy = 'Check the signer of this chain.',
): Step {
  const waiting = [...before.jobs.values()]
    .filter(({ stage }) => stage === 'simulated')
    .map((job) =>
      enter(job, 'queued', nowMs, {
        reason,
        remedy,
        notBeforeMs: nowMs + backOffMs(4),
      }),
    )
  return { lane: scheduled(withJobs(before, waiting), nowMs), commands: [] }
}

/** What nodes said to bytes that were offered to them. Only a look at the chain is conclusive. */
export function offered(before: WorkingLane, nowMs: number, results: readonly OfferResult[]): Step {
  let lane = before
  for (const { nonce, outcome, reason } of results) {
    const transaction = lane.transactions.get(nonce)
    if (transaction === undefined || transaction.stage === 'included') continue
    const isTaken = outcome === 'taken'
    lane = withTransaction(lane, {
      ...without(transaction, 'refusal'),
      stage: isTaken ? 'sent' : transaction.stage,
      offeredAtMs: nowMs,
      ...(isTaken && transaction.sentAtMs === undefined ? { sentAtMs: nowMs } : {}),
      ...(isTaken || reason === undefined ? {} : { refusal: reason }),
    })
    for (const job of carriedJobs(lane, transaction)) {
      if (isTaken && job.stage === 'signed') lane = withJob(lane, enter(job, 'sent', nowMs))
      if (!isTaken && reason !== undefined) {
        lane = withJob(lane, { ...job, reason: `The node did not take it: ${reason}` })
      }
    }
  }
  return { lane: scheduled(lane, nowMs), commands: [] }
}

/** A reorganisation deeper than the confirmations asked for: what was final goes out again. */
export function reopened(
  before: WorkingLane,
  event: {
    readonly nowMs: number
    readonly fromNonce: number
    readonly transactions: readonly LaneTransaction[]
    readonly jobs: readonly Job[]
  },
): Step {
  const { nowMs, fromNonce, transactions, jobs } = event
  let lane: WorkingLane = { ...before, finalNonce: Math.min(before.finalNonce, fromNonce) }
  const offers: LaneTransaction[] = []
  for (const stored of transactions) {
    if (lane.transactions.has(stored.nonce)) continue
    const transaction: LaneTransaction = { ...without(stored, 'inclusion'), stage: 'sent' }
    lane = withTransaction({ ...lane, reorgs: lane.reorgs + 1 }, transaction)
    lane = { ...lane, nextNonce: Math.max(lane.nextNonce ?? 0, stored.nonce + 1) }
    offers.push(transaction)
  }
  const reason = 'A reorganisation deeper than the confirmations removed it; it is in flight again.'
  for (const job of jobs) {
    if (job.nonce === undefined || !lane.transactions.has(job.nonce)) continue
    lane = withJob(lane, enter(without(job, 'doneBy'), 'sent', nowMs, { reason }))
  }
  return {
    lane: scheduled(lane, nowMs),
    commands: offers.length === 0 ? [] : [offerOf(offers)],
  }
}
