import type { CheckResult, MergedCall, SignRequest } from './events.ts'
import { initialFees } from './fees.ts'
import {
  type Call,
  type CommitTask,
  type Job,
  type UploadTask,
  createJob,
  isTerminal,
} from './job.ts'
import type { Hold } from './lane.ts'
import { finalTransaction } from './observe.ts'
import {
  type Step,
  type WorkingLane,
  carriedJobs,
  committedWei,
  enter,
  failed,
  feeHold,
  holdOf,
  inFlight,
  scheduled,
  withJob,
  withTransaction,
  without,
} from './working.ts'

/** Room above the simulated gas: state may move between simulation and inclusion. */
const gasMarginPercent = 20n

/** @see EIP-7825 */
const transactionGasCap = 2n ** 24n

/** So many times the pause of a second look, before a receipt that changed nothing is believed. */
const contradictionLooks = 10

/** How soon a job about which nobody could be asked is looked at again. */
const unknownPauseMs = 1_000

/** What the chain said about jobs: some are done, some wait, and what is ready gets its nonce. */
export function checked(
  before: WorkingLane,
  nowMs: number,
  results: readonly CheckResult[],
  merged: readonly MergedCall[],
): Step {
  let lane = before
  const ready: Ready[] = []
  const toConfirm: { readonly job: Job; readonly result: CheckResult }[] = []
  for (const result of results) {
    const job = lane.jobs.get(result.jobId)
    if (job === undefined || isTerminal(job.stage)) continue
    if (job.stage === 'included') toConfirm.push({ job, result })
    if (job.stage !== 'queued') continue
    switch (result.outcome) {
      case 'ready':
        ready.push({ jobs: [job], ...result })
        break
      case 'done':
        lane = withJob(
          lane,
          enter(job, 'included', nowMs, { doneBy: 'other', seenDoneAtBlock: result.atBlock }),
        )
        break
      case 'waits':
      case 'unknown':
        lane = withJob(lane, {
          ...job,
          reason: result.reason,
          notBeforeMs: nowMs + (result.outcome === 'waits' ? lane.policy.pollMs : unknownPauseMs),
        })
        break
      case 'signerUnknown':
        lane = registrationWanted(lane, job, result, nowMs)
        break
      case 'collateralMissing':
        lane = uploadWanted(lane, job, result, nowMs)
        break
      case 'refused':
        lane = failed(lane, job, nowMs, result.reason, result.remedy)
        break
      case 'hopeless':
        lane = withJob(
          lane,
          enter(job, 'quarantined', nowMs, { reason: result.reason, remedy: result.remedy }),
        )
        break
    }
  }
  const confirmation = confirmed(lane, toConfirm, nowMs)
  lane = confirmation.lane
  for (const { jobIds, ...rest } of merged) {
    const jobs = jobIds.flatMap((id) => {
      const job = lane.jobs.get(id)
      return job?.stage === 'queued' ? [job] : []
    })
    // All or none: the merged call settles every one of them.
    if (jobs.length === jobIds.length) ready.push({ jobs, ...rest })
  }
  const step = claimNonces(lane, ready, nowMs)
  return { lane: step.lane, commands: [...confirmation.commands, ...step.commands] }
}

function registrationWanted(
  lane: WorkingLane,
  job: Job,
  { task, registration }: { readonly task: CommitTask; readonly registration?: Job },
  nowMs: number,
): WorkingLane {
  if (registration?.stage === 'quarantined') {
    return withJob(lane, {
      ...job,
      notBeforeMs: nowMs + unknownPauseMs,
      reason: `Signer ${task.signer} could not be registered: ${registration.reason ?? ''}`,
      remedy: `Settle what is wrong, then retry ${registration.id}.`,
    })
  }
  const waiting = withJob(lane, {
    ...job,
    notBeforeMs: nowMs + lane.policy.pollMs,
    reason: `The registry does not know signer ${task.signer} yet.`,
  })
  // One that is under way is not started twice; one that was final and has expired starts again.
  const isUnderWay = registration !== undefined && registration.stage !== 'final'
  const known = createJob({ kind: 'register', stream: task.stream, signer: task.signer }, nowMs)
  if (isUnderWay || lane.jobs.has(known.id)) return waiting
  return withJob(waiting, known)
}

/** One item at a time, in the order in which the store takes them; the registration waits. */
function uploadWanted(
  lane: WorkingLane,
  job: Job,
  { task, call, upload }: { readonly task: UploadTask; readonly call: Call; readonly upload?: Job },
  nowMs: number,
): WorkingLane {
  if (upload?.stage === 'quarantined') {
    return withJob(lane, {
      ...job,
      notBeforeMs: nowMs + unknownPauseMs,
      reason: `The ${task.item} could not be uploaded: ${upload.reason ?? ''}`,
      remedy: `Settle what is wrong, then retry ${upload.id}.`,
    })
  }
  const waiting = withJob(lane, {
    ...job,
    notBeforeMs: nowMs + lane.policy.pollMs,
    reason: `The chain lacks the ${task.item} that the quote stands on; it is being uploaded.`,
  })
  const known = createJob(task, nowMs, call)
  const isUnderWay = upload !== undefined && upload.stage !== 'final'
  if (isUnderWay || lane.jobs.has(known.id)) return waiting
  return withJob(waiting, known)
}

/** The second half of finality: the chain's state, asked at the depth at which nothing changes. */
function confirmed(
  before: WorkingLane,
  entries: readonly { readonly job: Job; readonly result: CheckResult }[],
  nowMs: number,
): Step {
  let lane = before
  for (const { job, result } of entries) {
    if (result.outcome === 'done') lane = withJob(lane, enter(job, 'final', nowMs))
  }
  for (const { job, result } of entries) {
    if (result.outcome === 'done' || result.outcome === 'unknown') continue
    lane = notConfirmed(lane, job, nowMs)
  }
  for (const nonce of new Set(entries.map(({ job }) => job.nonce))) {
    const transaction = nonce === undefined ? undefined : lane.transactions.get(nonce)
    if (transaction?.inclusion === undefined) continue
    const isOver = carriedJobs(lane, transaction).every(({ stage }) => isTerminal(stage))
    if (isOver) lane = finalTransaction(lane, transaction)
  }
  const isContradicted = entries.some(({ job: { nonce } }) => {
    const transaction = nonce === undefined ? undefined : lane.transactions.get(nonce)
    return transaction?.contradictedSinceMs !== undefined
  })
  return { lane, commands: isContradicted ? [{ kind: 'distrust' }] : [] }
}

function notConfirmed(lane: WorkingLane, job: Job, nowMs: number): WorkingLane {
  if (job.nonce === undefined) {
    // Somebody else's deed was undone by a reorganisation: it is ours to do again.
    return withJob(
      lane,
      enter(without(job, 'doneBy', 'seenDoneAtBlock'), 'queued', nowMs, {
        reason: 'What another relayer had done is gone from the chain.',
        notBeforeMs: nowMs,
      }),
    )
  }
  const transaction = lane.transactions.get(job.nonce)
  const hasLanded =
    transaction !== undefined &&
    transaction.jobIds.some((id) => id !== job.id && lane.jobs.get(id)?.stage === 'final')
  if (hasLanded) {
    // The others of its transaction are there: the contract left this one out.
    return failed(
      lane,
      without(job, 'nonce', 'doneBy'),
      nowMs,
      'The contract settled the others of its batch and left this one out.',
      'It is tried alone next; the simulation names the contract’s reason.',
    )
  }
  const sinceMs = transaction?.contradictedSinceMs
  if (sinceMs !== undefined && nowMs - sinceMs >= lane.policy.secondLookMs * contradictionLooks) {
    return failed(
      lane,
      without(job, 'nonce', 'doneBy'),
      nowMs,
      'The transaction succeeded and changed nothing: the contract does not show it as done.',
      'It is tried again; should it repeat, look at the contract, then retry.',
    )
  }
  // Our own receipt says success and the state disagrees: one of the nodes may be wrong. Nothing is
  // sent again at once; another node is asked, and if it shows no receipt, the bytes go back in flight.
  const doubted =
    transaction === undefined || transaction.contradictedSinceMs !== undefined
      ? lane
      : withTransaction(lane, { ...transaction, contradictedSinceMs: nowMs })
  return withJob(doubted, {
    ...job,
    reason: 'The receipt says that it succeeded, the contract’s state does not show it yet.',
    remedy: 'Check the RPC addresses of this chain: one of them may be lying or lagging.',
  })
}

/** What can be sent now: one job, or several in one call. */
type Ready = {
  readonly jobs: readonly Job[]
  readonly gas: bigint
  readonly call: SignRequest['call']
  readonly after?: readonly string[]
}

/** Registrations, then batch by batch its commit and its settlements. */
function rank({ jobs: [first] }: Ready): number {
  if (first === undefined || first.task.kind === 'upload' || first.task.kind === 'register')
    return 0
  return Number(first.task.sequence) * 2 + (first.task.kind === 'commit' ? 1 : 2)
}

/** Room above what the simulation used, below what a transaction may have at all. */
function withMargin(gas: bigint): bigint {
  const limit = gas + (gas * gasMarginPercent) / 100n
  return limit > transactionGasCap && gas <= transactionGasCap ? transactionGasCap : limit
}

function claimNonces(before: WorkingLane, ready: readonly Ready[], nowMs: number): Step {
  let lane = before
  const ended = (hold?: Hold): Step => ({
    lane: scheduled(hold === undefined ? lane : { ...lane, hold }, nowMs),
    commands: [],
  })
  const { quote, nextNonce } = lane
  if (ready.length === 0 || quote === undefined || nextNonce === undefined) return ended()
  if (lane.mode !== 'running' || lane.nonceDoubtSinceMs !== undefined) return ended()
  const fees = initialFees(quote, lane.policy)
  if (fees === undefined) return ended(feeHold(lane, nowMs))
  let nonce = nextNonce
  let budgetWei = lane.policy.dailySpendWei - lane.spend.wei - committedWei(lane)
  let fundsWei = (lane.balanceWei ?? 0n) - committedWei(lane)
  const requests: SignRequest[] = []
  const room = lane.policy.window - inFlight(lane)
  /** Jobs that have a nonce, or get one here: what leans on them gets a higher one. */
  const hasNonce = (id: string): boolean =>
    claimed.has(id) || lane.jobs.get(id)?.nonce !== undefined
  const claimed = new Set<string>()
  let hold: Hold | undefined
  for (const { jobs, gas, call, after = [] } of ready.toSorted(
    (left, right) => rank(left) - rank(right),
  )) {
    if (requests.length >= room) break
    if (!after.every(hasNonce)) continue
    const gasLimit = withMargin(gas)
    const costWei = gasLimit * fees.maxFeePerGasWei + (call.valueWei ?? 0n)
    if (costWei > budgetWei) {
      hold ??= spendHold(lane, costWei, nowMs)
      continue
    }
    if (costWei > fundsWei) {
      hold ??= balanceHold(lane, costWei, nowMs)
      continue
    }
    budgetWei -= costWei
    fundsWei -= costWei
    requests.push({ nonce, jobIds: jobs.map(({ id }) => id), call, gasLimit, fees })
    for (const job of jobs) {
      claimed.add(job.id)
      lane = withJob(lane, enter(job, 'simulated', nowMs))
    }
    nonce += 1
  }
  const step = ended(hold)
  if (requests.length > 0) step.commands.push({ kind: 'sign', requests })
  return step
}

function spendHold(lane: WorkingLane, costWei: bigint, nowMs: number): Hold {
  return holdOf(
    lane,
    'spend',
    nowMs,
    `The daily budget of ${lane.policy.dailySpendWei} wei leaves no room for ${costWei} wei.`,
    'Wait for the next UTC day, or raise dailySpendWei of this chain in the plan.',
  )
}

function balanceHold(lane: WorkingLane, costWei: bigint, nowMs: number): Hold {
  return holdOf(
    lane,
    'balance',
    nowMs,
    `The sender holds ${lane.balanceWei ?? 0n} wei; the next transaction may cost ${costWei} wei.`,
    `Send gas money to ${lane.policy.sender}; the lane resumes by itself.`,
  )
}
