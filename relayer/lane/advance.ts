import { checked } from './claim.ts'
import type { LaneEvent, OperatorRequest } from './events.ts'
import type { Job } from './job.ts'
import type { Lane } from './lane.ts'
import { isKnown, observed } from './observe.ts'
import { offered, reopened, signed, signingFailed } from './sign.ts'
import {
  type Step,
  type WorkingLane,
  enter,
  holdOf,
  openTransactions,
  ownSet,
  scheduled,
  withJob,
  without,
} from './working.ts'

/**
 * The lane as one pure step: what is known, plus what has happened, gives what is known now and what
 * to do about it. Storage and chains carry out the commands. The runtime makes the lane durable before
 * it offers bytes to a node.
 */
export function advance(lane: Lane, event: LaneEvent): Step {
  const swept = ownSet(lane)
  switch (event.kind) {
    case 'woken':
      return woken(swept, event.nowMs)
    case 'observed':
      return observed(swept, event.nowMs, event.observation)
    case 'lookFailed':
      return lookFailed(swept, event.nowMs, event.reason)
    case 'loaded':
      return loaded(swept, event.nowMs, event.jobs, event.nextDueMs)
    case 'checked':
      return checked(swept, event.nowMs, event.results, event.merged)
    case 'signed':
      return signed(swept, event.nowMs, event.transactions)
    case 'signingFailed':
      return signingFailed(swept, event.nowMs, event.reason, event.remedy)
    case 'offered':
      return offered(swept, event.nowMs, event.results)
    case 'reopened':
      return reopened(swept, event)
    case 'operator':
      return operated(swept, event.nowMs, event.request)
  }
}

function woken(before: WorkingLane, nowMs: number): Step {
  const lane = leftToStore(before, nowMs)
  const watched = openTransactions(lane).map((transaction) => ({
    nonce: transaction.nonce,
    hashes: transaction.attempts.map(({ hash }) => hash),
    isKnown: isKnown(transaction),
  }))
  const isCareful = isInDoubt(lane)
  // Should this turn die with the process, the alarm that was set before it is already gone.
  return {
    lane: { ...lane, wakeAtMs: nowMs + lane.policy.pollMs },
    commands: [
      {
        kind: 'look',
        watched,
        ...(lane.head === undefined ? {} : { knownHead: lane.head.hash }),
        isCareful,
      },
    ],
  }
}

/** Whether something that costs money is about to be concluded from what nodes say. */
function isInDoubt(lane: WorkingLane): boolean {
  // The first nonce of all is taken from a look: one that is too high would leave a gap nobody sees.
  if (lane.nextNonce === undefined) return true
  if (lane.nonceDoubtSinceMs !== undefined) return true
  return openTransactions(lane).some(({ doubtSinceMs }) => doubtSinceMs !== undefined)
}

/**
 * Queued jobs are the store's to keep: what is due comes back with `load`. A job that is still
 * `simulated` at the start of a turn was about to be signed when the process died or the signer
 * failed; it owns no nonce yet and simply waits again.
 */
function leftToStore(lane: WorkingLane, nowMs: number): WorkingLane {
  const jobs = new Map<string, Job>()
  for (const [id, job] of lane.jobs) {
    if (job.stage === 'simulated') jobs.set(id, enter(job, 'queued', nowMs))
    else if (job.stage !== 'queued') jobs.set(id, job)
  }
  return { ...without(lane, 'nextDueMs'), jobs }
}

/** Soon after the first failure, then slower: a chain that is back is noticed within this. */
const longestBlindMs = 2_000

function lookFailed(lane: WorkingLane, nowMs: number, reason: string): Step {
  const failedLooks = lane.failedLooks + 1
  const hold = holdOf(
    { ...lane, ...(lane.hold === undefined ? {} : { lastHold: lane.hold }) },
    'rpc',
    nowMs,
    reason,
    'Check the RPC addresses of this chain in the plan; the lane goes on by itself.',
  )
  const delayMs = Math.min(longestBlindMs, lane.policy.pollMs * 2 ** Math.min(failedLooks, 10))
  return { lane: { ...lane, failedLooks, hold, wakeAtMs: nowMs + delayMs }, commands: [] }
}

function loaded(
  lane: WorkingLane,
  nowMs: number,
  jobs: readonly Job[],
  nextDueMs: number | undefined,
): Step {
  const merged = new Map(lane.jobs)
  const due: Job[] = []
  for (const job of jobs) {
    if (job.stage !== 'queued' || merged.has(job.id)) continue
    merged.set(job.id, job)
    due.push(job)
  }
  const next: WorkingLane = {
    ...without(lane, 'nextDueMs'),
    ...(nextDueMs === undefined ? {} : { nextDueMs }),
    jobs: merged,
  }
  return {
    lane: scheduled(next, nowMs),
    commands: due.length === 0 ? [] : [{ kind: 'check', jobs: due, isCareful: false }],
  }
}

function operated(lane: WorkingLane, nowMs: number, request: OperatorRequest): Step {
  const woken = { ...lane, wakeAtMs: nowMs }
  switch (request.action) {
    case 'pause':
      return { lane: { ...lane, mode: 'paused' }, commands: [] }
    case 'resume':
      return { lane: { ...woken, mode: 'running' }, commands: [] }
    case 'drain':
      return { lane: { ...woken, mode: 'draining' }, commands: [] }
    case 'retry': {
      const job = lane.jobs.get(request.jobId)
      if (job?.stage !== 'queued') return { lane, commands: [] }
      const again = enter(job, 'queued', nowMs, { failures: 0, notBeforeMs: nowMs })
      return { lane: withJob(woken, again), commands: [] }
    }
    case 'quarantine': {
      const job = lane.jobs.get(request.jobId)
      // What owns a nonce is on its way and cannot be called back.
      if (job?.stage !== 'queued') return { lane, commands: [] }
      const quarantined = enter(job, 'quarantined', nowMs, {
        reason: request.note ?? 'Put aside by the operator.',
        remedy: 'Release it with retry.',
      })
      return { lane: withJob(lane, quarantined), commands: [] }
    }
  }
}
