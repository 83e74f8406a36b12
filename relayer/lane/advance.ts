import type { Hex } from '#schemas/bytes.ts'
import type {
  CheckResult,
  LaneCommand,
  LaneEvent,
  Observation,
  OfferResult,
  OperatorRequest,
  SignRequest,
  SignedTransaction,
} from './events.ts'
import { coversBaseFee, initialFees, replacementFees } from './fees.ts'
import { type CommitTask, type Job, type Stage, createJob, isTerminal } from './job.ts'
import type { Attempt, Hold, Lane, LaneTransaction, TransactionInclusion } from './lane.ts'

const dayMs = 86_400_000

/** Room above the simulated gas: state may move between simulation and inclusion. */
const gasMarginPercent = 20n
const fillerGas = 21_000n

/** Back-off after the n-th failure: 1 s, 2 s, 4 s, … at most 5 min. */
export function backOffMs(failures: number): number {
  return Math.min(300_000, 1_000 * 2 ** Math.max(0, Math.min(failures, 20) - 1))
}

/** How soon a job that waits for another one is looked at again. */
const waitingMs = 1_000

type Step = { readonly lane: Lane; readonly commands: LaneCommand[] }

/**
 * The lane as one pure step: what is known, plus what has happened, gives what is known now and what
 * to do about it. Storage and chains carry out the commands. The runtime persists `lane` before it
 * touches the first command.
 */
export function advance(lane: Lane, event: LaneEvent): Step {
  const swept = forgetTerminal(lane)
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
      return checked(swept, event.nowMs, event.results)
    case 'signed':
      return signed(swept, event.nowMs, event.transactions)
    case 'signingFailed':
      return signingFailed(swept, event.nowMs, event.reason)
    case 'offered':
      return offered(swept, event.nowMs, event.results)
    case 'reopened':
      return reopened(swept, event)
    case 'operator':
      return operated(swept, event.nowMs, event.request)
  }
}

// What has reached its end was stored by the step that brought it there; it need not be carried on.
function forgetTerminal(lane: Lane): Lane {
  const jobs = new Map<string, Job>()
  for (const [id, job] of lane.jobs) if (!isTerminal(job.stage)) jobs.set(id, job)
  const transactions = new Map<number, LaneTransaction>()
  for (const [nonce, transaction] of lane.transactions) {
    if (transaction.stage !== 'final' && transaction.stage !== 'lost') {
      transactions.set(nonce, transaction)
    }
  }
  if (jobs.size === lane.jobs.size && transactions.size === lane.transactions.size) return lane
  return { ...lane, jobs, transactions }
}

function withJob(lane: Lane, job: Job): Lane {
  const jobs = new Map(lane.jobs)
  jobs.set(job.id, job)
  return { ...lane, jobs }
}

function withTransaction(lane: Lane, transaction: LaneTransaction): Lane {
  const transactions = new Map(lane.transactions)
  transactions.set(transaction.nonce, transaction)
  return { ...lane, transactions }
}

function without<Key extends string, Value extends { readonly [key in Key]?: unknown }>(
  value: Value,
  ...keys: readonly Key[]
): Value {
  const copy: Record<string, unknown> = { ...value }
  for (const key of keys) delete copy[key]
  return copy as Value
}

/** Enters a stage; what explained the old one no longer holds. */
function enter(job: Job, stage: Stage, nowMs: number, change: Partial<Job> = {}): Job {
  return {
    ...without(job, 'reason', 'remedy'),
    ...change,
    stage,
    at: { ...job.at, [stage]: nowMs },
  }
}

function openTransactions(lane: Lane): LaneTransaction[] {
  return [...lane.transactions.values()]
    .filter((transaction) => transaction.stage !== 'final' && transaction.stage !== 'lost')
    .sort((left, right) => left.nonce - right.nonce)
}

function inFlight(lane: Lane): number {
  return openTransactions(lane).filter((transaction) => transaction.stage !== 'included').length
}

function newestAttempt(transaction: LaneTransaction): Attempt {
  const attempt = transaction.attempts.at(-1)
  // The only door into a transaction is `signed`, which always brings an attempt.
  if (attempt === undefined) throw new TypeError('A lane transaction without an attempt.')
  return attempt
}

function woken(before: Lane, nowMs: number): Step {
  const lane = leftToStore(before, nowMs)
  const hashes: Hex[] = []
  for (const transaction of openTransactions(lane)) {
    for (const attempt of transaction.attempts) hashes.push(attempt.hash)
  }
  // Should this turn die with the process, the alarm that was set before it is already gone.
  return {
    lane: { ...lane, wakeAtMs: nowMs + lane.policy.pollMs },
    commands: [{ kind: 'look', hashes, isCareful: isInDoubt(lane) }],
  }
}

/** Whether something that costs money is about to be concluded from what nodes say. */
function isInDoubt(lane: Lane): boolean {
  if (lane.nonceDoubtSinceMs !== undefined) return true
  return openTransactions(lane).some(({ doubtSinceMs }) => doubtSinceMs !== undefined)
}

/**
 * Queued jobs are the store's to keep: what is due comes back with `load`. A job that is still
 * `simulated` at the start of a turn was about to be signed when the process died or the signer
 * failed; it owns no nonce yet and simply waits again.
 */
function leftToStore(lane: Lane, nowMs: number): Lane {
  const jobs = new Map<string, Job>()
  for (const [id, job] of lane.jobs) {
    if (job.stage === 'simulated') jobs.set(id, enter(job, 'queued', nowMs))
    else if (job.stage !== 'queued') jobs.set(id, job)
  }
  return { ...without(lane, 'nextDueMs'), jobs }
}

function lookFailed(lane: Lane, nowMs: number, reason: string): Step {
  const failedLooks = lane.failedLooks + 1
  const hold = holdOf(
    { ...lane, ...(lane.hold === undefined ? {} : { lastHold: lane.hold }) },
    'rpc',
    nowMs,
    reason,
    'Check the RPC addresses of this chain in the plan; the lane goes on by itself.',
  )
  // Soon after the first failure, then slower, so that a chain that is back is noticed within 5 s.
  const delayMs = Math.min(5_000, lane.policy.pollMs * 2 ** Math.min(failedLooks, 10))
  return { lane: { ...lane, failedLooks, hold, wakeAtMs: nowMs + delayMs }, commands: [] }
}

/** Worst case of what is in flight: every gas unit at the highest fee that was signed. */
export function committedWei(lane: Lane): bigint {
  let wei = 0n
  for (const transaction of openTransactions(lane)) {
    if (transaction.stage === 'included') continue
    wei += transaction.gasLimit * newestAttempt(transaction).maxFeePerGasWei
  }
  return wei
}

/** A node that is behind must not undo what a better one has shown; after a while it is believed. */
function isStaleLook(lane: Lane, nowMs: number, seen: Observation): boolean {
  if (lane.head === undefined || seen.head.number >= lane.head.number) return false
  return nowMs - (lane.staleSinceMs ?? nowMs) < lane.policy.secondLookMs
}

function observed(before: Lane, nowMs: number, seen: Observation): Step {
  if (isStaleLook(before, nowMs, seen)) {
    const staleSinceMs = before.staleSinceMs ?? nowMs
    return {
      lane: { ...before, staleSinceMs, wakeAtMs: nowMs + before.policy.pollMs },
      commands: [{ kind: 'distrust' }],
    }
  }
  const day = Math.floor(nowMs / dayMs)
  let lane: Lane = {
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
    const inclusion = inclusionOf(transaction, seen)
    if (inclusion !== undefined) {
      lane = included(lane, transaction, inclusion, nowMs, recheck)
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
  lane = confirmDoneByOthers(lane, seen, recheck)
  const commands: LaneCommand[] = []
  const requests: SignRequest[] = []
  if (lane.mode !== 'paused') {
    const replaced = replacements(lane, nowMs)
    requests.push(...replaced.requests)
    if (!isUndone) requests.push(...gapFillers(lane, seen))
    if (replaced.hold !== undefined) lane = { ...lane, hold: replaced.hold }
  }
  const renewed = new Set(requests.map((request) => request.nonce))
  const kept = offers.filter((transaction) => !renewed.has(transaction.nonce))
  if (kept.length > 0) commands.push(offerOf(kept))
  if (requests.length > 0) commands.push({ kind: 'sign', requests })
  if (recheck.length > 0) commands.push({ kind: 'check', jobs: recheck, isCareful: true })
  if (isUndone) commands.push({ kind: 'reopen', fromNonce: seen.minedNonce })
  const room = lane.policy.window - inFlight(lane)
  if (lane.mode === 'running' && room > 0 && lane.nextNonce !== undefined) {
    commands.push({ kind: 'load', limit: room })
  }
  return { lane: scheduled(lane, nowMs), commands }
}

function inclusionOf(
  transaction: LaneTransaction,
  seen: Observation,
): TransactionInclusion | undefined {
  for (const attempt of transaction.attempts) {
    const inclusion = seen.inclusions.get(attempt.hash)
    if (inclusion !== undefined) return inclusion
  }
  return undefined
}

function included(
  before: Lane,
  transaction: LaneTransaction,
  inclusion: TransactionInclusion,
  nowMs: number,
  recheck: Job[],
): Lane {
  let lane = before
  const isNew = transaction.inclusion?.blockHash !== inclusion.blockHash
  // A job that a revert sent back to the queue belongs to another nonce, or to none, by now.
  const carried = transaction.jobId === undefined ? undefined : lane.jobs.get(transaction.jobId)
  const job = carried?.nonce === transaction.nonce ? carried : undefined
  if (isNew) {
    lane = withTransaction(lane, {
      ...without(transaction, 'doubtSinceMs', 'refusal'),
      stage: 'included',
      inclusion,
    })
    if (transaction.inclusion === undefined) {
      const wei = inclusion.gasUsed * inclusion.effectiveGasPriceWei
      lane = { ...lane, spend: { ...lane.spend, wei: lane.spend.wei + wei } }
    }
    if (job !== undefined && inclusion.isSuccess) {
      lane = withJob(lane, enter(job, 'included', nowMs, { doneBy: 'us' }))
    }
    if (job !== undefined && !inclusion.isSuccess) lane = revertedOnChain(lane, job, nowMs)
  }
  const depth = (lane.head?.number ?? 0) - inclusion.blockNumber + 1
  if (depth < lane.policy.confirmations) return lane
  const owned = lane.transactions.get(transaction.nonce)
  if (owned === undefined) return lane
  // A receipt is one node's word. The job is final when the state it should have made is there too.
  if (job !== undefined && inclusion.isSuccess) {
    recheck.push(lane.jobs.get(job.id) ?? job)
    return lane
  }
  return finalNonce(withTransaction(lane, { ...owned, stage: 'final' }), transaction.nonce)
}

function finalNonce(lane: Lane, nonce: number): Lane {
  return { ...lane, finalNonce: Math.max(lane.finalNonce, nonce + 1) }
}

/** A transaction that reverted used its nonce; its job starts again, and gives up in the end. */
function revertedOnChain(lane: Lane, job: Job, nowMs: number): Lane {
  return failed(
    lane,
    without(job, 'nonce', 'doneBy'),
    nowMs,
    'The transaction was included and reverted.',
    'The next simulation names the contract’s reason.',
  )
}

function failed(lane: Lane, job: Job, nowMs: number, reason: string, remedy: string): Lane {
  const failures = job.failures + 1
  if (failures >= lane.policy.failuresBeforeQuarantine) {
    return withJob(lane, enter(job, 'quarantined', nowMs, { failures, reason, remedy }))
  }
  const notBeforeMs = nowMs + backOffMs(failures)
  return withJob(lane, enter(job, 'queued', nowMs, { failures, notBeforeMs, reason, remedy }))
}

/** A reorganisation took the block away. The same bytes are as good as before: they go out again. */
function rolledBack(before: Lane, transaction: LaneTransaction, nowMs: number): Lane {
  let lane: Lane = { ...before, reorgs: before.reorgs + 1 }
  lane = withTransaction(lane, {
    ...without(transaction, 'inclusion', 'contradictedSinceMs'),
    stage: 'sent',
  })
  const job = transaction.jobId === undefined ? undefined : lane.jobs.get(transaction.jobId)
  if (job === undefined || job.nonce !== transaction.nonce) return lane
  const reason = 'A reorganisation removed the block that held it; it is in flight again.'
  return withJob(lane, enter(without(job, 'doneBy'), 'sent', nowMs, { reason }))
}

/**
 * The chain says that the nonce is used and shows no receipt for any of our attempts. One look proves
 * nothing: reads in one batch are not atomic, and nodes behind one address differ. After the second
 * look the nonce counts as used by somebody else, and the job asks the chain's state again.
 */
function nonceUsedWithoutReceipt(lane: Lane, transaction: LaneTransaction, nowMs: number): Lane {
  if (transaction.doubtSinceMs === undefined) {
    return withTransaction(lane, { ...transaction, doubtSinceMs: nowMs })
  }
  if (nowMs - transaction.doubtSinceMs < lane.policy.secondLookMs) return lane
  const lost = withTransaction(lane, { ...transaction, stage: 'lost' })
  const job = transaction.jobId === undefined ? undefined : lost.jobs.get(transaction.jobId)
  if (job === undefined || job.nonce !== transaction.nonce) return lost
  const reason = `Nonce ${transaction.nonce} was used by a transaction that is not ours.`
  return withJob(
    lost,
    enter(without(job, 'nonce', 'doneBy'), 'queued', nowMs, { reason, notBeforeMs: nowMs }),
  )
}

/** Whether a second look confirms that nonces which were final are free again. */
function isNonceUndone(lane: Lane, seen: Observation, nowMs: number): boolean {
  if (seen.minedNonce >= lane.finalNonce || lane.nonceDoubtSinceMs === undefined) return false
  return nowMs - lane.nonceDoubtSinceMs >= lane.policy.secondLookMs
}

/** Fits the nonce that comes next to the chain's own count, never on the strength of one look. */
function ownNonce(lane: Lane, seen: Observation, nowMs: number): Lane {
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
function confirmDoneByOthers(lane: Lane, seen: Observation, recheck: Job[]): Lane {
  for (const job of lane.jobs.values()) {
    if (job.stage !== 'included' || job.seenDoneAtBlock === undefined) continue
    const depth = seen.head.number - job.seenDoneAtBlock + 1
    if (depth >= lane.policy.confirmations) recheck.push(job)
  }
  return lane
}

/**
 * No node has ever taken it, for reasons that are neither fee nor funds, and it has been tried for
 * long. Its nonce must not block what stands above it: it is used for nothing, and the job tries
 * again by itself.
 */
function isHopeless(lane: Lane, transaction: LaneTransaction, nowMs: number): boolean {
  const { quote, policy } = lane
  const first = transaction.attempts[0]
  if (transaction.jobId === undefined || transaction.sentAtMs !== undefined) return false
  if (transaction.refusal === undefined || first === undefined || quote === undefined) return false
  if (nowMs - first.signedAtMs < policy.abandonAfterMs) return false
  const newest = newestAttempt(transaction)
  const costWei = transaction.gasLimit * newest.maxFeePerGasWei
  return coversBaseFee(newest, quote) && (lane.balanceWei ?? 0n) >= costWei
}

function replacements(
  lane: Lane,
  nowMs: number,
): { readonly requests: SignRequest[]; readonly hold?: Hold } {
  const { quote, policy } = lane
  if (quote === undefined) return { requests: [] }
  const requests: SignRequest[] = []
  let hold: Hold | undefined
  for (const transaction of openTransactions(lane)) {
    if (transaction.stage === 'included' || transaction.doubtSinceMs !== undefined) continue
    const newest = newestAttempt(transaction)
    // A chain that makes no blocks is not persuaded by a higher fee.
    const isPassedOver = (lane.head?.number ?? 0) >= newest.signedAtBlock + 2
    const isOld = isPassedOver && nowMs - newest.signedAtMs >= policy.replaceAfterMs
    const isRefusedForFee = transaction.refusal !== undefined && !coversBaseFee(newest, quote)
    if (!isOld && !isRefusedForFee && !isHopeless(lane, transaction, nowMs)) continue
    const fees = replacementFees(newest, quote, policy)
    if (fees !== undefined && isHopeless(lane, transaction, nowMs)) {
      const call = { to: policy.sender, data: '0x' } as const
      requests.push({ nonce: transaction.nonce, call, gasLimit: fillerGas, fees })
    } else if (fees !== undefined) {
      requests.push({
        nonce: transaction.nonce,
        ...(transaction.jobId === undefined ? {} : { jobId: transaction.jobId }),
        call: transaction.call,
        gasLimit: transaction.gasLimit,
        fees,
      })
    } else if (!coversBaseFee(newest, quote)) {
      hold ??= feeHold(lane, nowMs)
    }
  }
  return hold === undefined ? { requests } : { requests, hold }
}

function holdOf(
  lane: Lane,
  kind: Hold['kind'],
  nowMs: number,
  reason: string,
  remedy: string,
): Hold {
  const sinceMs = lane.lastHold?.kind === kind ? lane.lastHold.sinceMs : nowMs
  return { kind, reason, remedy, sinceMs }
}

function feeHold(lane: Lane, nowMs: number): Hold {
  const baseFee = lane.quote?.baseFeePerGasWei ?? 0n
  return holdOf(
    lane,
    'fee',
    nowMs,
    `The base fee of ${baseFee} wei is above the cap of ${lane.policy.maxFeePerGasWei} wei.`,
    'Wait, or raise maxFeePerGasWei of this chain in the plan; the lane resumes by itself.',
  )
}

/**
 * A nonce below one of ours that no transaction of ours carries would block everything above it for
 * ever. It is filled by a transfer of nothing to ourselves.
 */
function gapFillers(lane: Lane, seen: Observation): SignRequest[] {
  const open = openTransactions(lane)
  const highest = open.at(-1)?.nonce
  if (highest === undefined || lane.quote === undefined) return []
  const fees = initialFees(lane.quote, lane.policy)
  if (fees === undefined) return []
  const owned = new Set(open.map((transaction) => transaction.nonce))
  const requests: SignRequest[] = []
  for (let nonce = Math.max(seen.minedNonce, lane.finalNonce); nonce < highest; nonce += 1) {
    if (owned.has(nonce)) continue
    requests.push({
      nonce,
      call: { to: lane.policy.sender, data: '0x' },
      gasLimit: fillerGas,
      fees,
    })
  }
  return requests
}

function offerOf(transactions: readonly LaneTransaction[]): LaneCommand {
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

/**
 * When to look again: soon while something moves, otherwise when the next job is due, and now and then
 * in any case, so that an alarm that got lost is no end.
 */
function scheduled(lane: Lane, nowMs: number): Lane {
  const soonMs = nowMs + lane.policy.pollMs
  let wakeAtMs: number | undefined
  if (openTransactions(lane).length > 0 || lane.nonceDoubtSinceMs !== undefined) wakeAtMs = soonMs
  let dueMs = lane.nextDueMs
  for (const job of lane.jobs.values()) {
    if (job.stage === 'included') wakeAtMs = soonMs
    else if (job.stage === 'simulated') dueMs = Math.min(dueMs ?? soonMs, soonMs)
    else if (job.stage === 'queued') dueMs = Math.min(dueMs ?? job.notBeforeMs, job.notBeforeMs)
  }
  if (dueMs !== undefined && lane.mode === 'running') {
    // What holds the whole lane back is not removed by looking without a pause.
    const isHeld = lane.hold !== undefined || inFlight(lane) >= lane.policy.window
    const at = isHeld ? Math.max(dueMs, soonMs) : Math.max(dueMs, nowMs)
    wakeAtMs = Math.min(wakeAtMs ?? at, at)
  }
  return { ...lane, wakeAtMs: Math.min(wakeAtMs ?? Infinity, nowMs + lane.policy.idleMs) }
}

function loaded(
  lane: Lane,
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
  const next: Lane = {
    ...without(lane, 'nextDueMs'),
    ...(nextDueMs === undefined ? {} : { nextDueMs }),
    jobs: merged,
  }
  return {
    lane: scheduled(next, nowMs),
    commands: due.length === 0 ? [] : [{ kind: 'check', jobs: due, isCareful: false }],
  }
}

function checked(before: Lane, nowMs: number, results: readonly CheckResult[]): Step {
  let lane = before
  const ready: { job: Job; gas: bigint; call: Job['call'] }[] = []
  const commands: LaneCommand[] = []
  for (const result of results) {
    const job = lane.jobs.get(result.jobId)
    if (job === undefined || isTerminal(job.stage)) continue
    if (job.stage === 'included') {
      lane = confirmed(lane, job, result, nowMs)
      if (isContradicted(lane, job)) commands.push({ kind: 'distrust' })
      continue
    }
    if (job.stage !== 'queued') continue
    switch (result.outcome) {
      case 'ready':
        ready.push({ job, gas: result.gas, call: result.call })
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
          notBeforeMs: nowMs + (result.outcome === 'waits' ? lane.policy.pollMs : waitingMs),
        })
        break
      case 'signerUnknown': {
        lane = registrationWanted(lane, job, result, nowMs)
        break
      }
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
  const step = claimNonces(lane, ready, nowMs)
  return { lane: step.lane, commands: [...commands.slice(0, 1), ...step.commands] }
}

function isContradicted(lane: Lane, { nonce }: Job): boolean {
  const transaction = nonce === undefined ? undefined : lane.transactions.get(nonce)
  return transaction?.contradictedSinceMs !== undefined
}

function registrationWanted(
  lane: Lane,
  job: Job,
  { task, registration }: { readonly task: CommitTask; readonly registration?: Job },
  nowMs: number,
): Lane {
  const notBeforeMs = nowMs + lane.policy.pollMs
  if (registration?.stage === 'quarantined') {
    return withJob(lane, {
      ...job,
      notBeforeMs: nowMs + waitingMs,
      reason: `Signer ${task.signer} could not be registered: ${registration.reason ?? ''}`,
      remedy: `Settle what is wrong, then retry ${registration.id}.`,
    })
  }
  const waiting = withJob(lane, {
    ...job,
    notBeforeMs,
    reason: `The registry does not know signer ${task.signer} yet.`,
  })
  // One that is under way is not started twice; one that was final and has expired starts again.
  const isUnderWay = registration !== undefined && registration.stage !== 'final'
  const known = createJob({ kind: 'register', stream: task.stream, signer: task.signer }, nowMs)
  if (isUnderWay || lane.jobs.has(known.id)) return waiting
  return withJob(waiting, known)
}

/** The second half of finality: the chain's state, asked at the depth at which nothing changes. */
function confirmed(before: Lane, job: Job, result: CheckResult, nowMs: number): Lane {
  if (result.outcome === 'unknown') return before
  if (result.outcome === 'done') {
    let lane = withJob(before, enter(job, 'final', nowMs))
    const transaction = job.nonce === undefined ? undefined : lane.transactions.get(job.nonce)
    if (transaction !== undefined) {
      lane = withTransaction(lane, { ...transaction, stage: 'final' })
      lane = finalNonce(lane, transaction.nonce)
    }
    return lane
  }
  if (job.nonce === undefined) {
    // Somebody else's deed was undone by a reorganisation: it is ours to do again.
    return withJob(
      before,
      enter(without(job, 'doneBy', 'seenDoneAtBlock'), 'queued', nowMs, {
        reason: 'What another relayer had done is gone from the chain.',
        notBeforeMs: nowMs,
      }),
    )
  }
  // Our own receipt says success and the state disagrees: one of the nodes is wrong. Nothing is sent
  // again on that; another node is asked, and if it shows no receipt, the bytes go back in flight.
  const transaction = before.transactions.get(job.nonce)
  const lane =
    transaction === undefined || transaction.contradictedSinceMs !== undefined
      ? before
      : withTransaction(before, { ...transaction, contradictedSinceMs: nowMs })
  return withJob(lane, {
    ...job,
    reason: 'The receipt says that it succeeded, the contract’s state does not show it yet.',
    remedy: 'Check the RPC addresses of this chain: one of them may be lying or lagging.',
  })
}

function claimNonces(
  before: Lane,
  ready: readonly { readonly job: Job; readonly gas: bigint; readonly call: Job['call'] }[],
  nowMs: number,
): Step {
  let lane = before
  const done = (hold?: Hold): Step => ({
    lane: scheduled(hold === undefined ? lane : { ...lane, hold }, nowMs),
    commands: [],
  })
  const { quote, nextNonce } = lane
  if (ready.length === 0 || quote === undefined || nextNonce === undefined) return done()
  if (lane.mode !== 'running' || lane.nonceDoubtSinceMs !== undefined) return done()
  const fees = initialFees(quote, lane.policy)
  if (fees === undefined) return done(feeHold(lane, nowMs))
  let nonce = nextNonce
  let budgetWei = lane.policy.dailySpendWei - lane.spend.wei - committedWei(lane)
  let fundsWei = (lane.balanceWei ?? 0n) - committedWei(lane)
  const requests: SignRequest[] = []
  let hold: Hold | undefined
  const byPriority = ready.toSorted((left, right) => rank(left.job) - rank(right.job))
  for (const { job, gas, call } of byPriority) {
    if (call === undefined) continue
    const gasLimit = gas + (gas * gasMarginPercent) / 100n
    const costWei = gasLimit * fees.maxFeePerGasWei
    if (costWei > budgetWei) {
      hold ??= holdOf(
        lane,
        'spend',
        nowMs,
        `The daily budget of ${lane.policy.dailySpendWei} wei leaves no room for ${costWei} wei.`,
        'Wait for the next UTC day, or raise dailySpendWei of this chain in the plan.',
      )
      continue
    }
    if (costWei > fundsWei) {
      hold ??= holdOf(
        lane,
        'balance',
        nowMs,
        `The sender holds ${lane.balanceWei ?? 0n} wei; the next transaction may cost ${costWei} wei.`,
        `Send gas money to ${lane.policy.sender}; the lane resumes by itself.`,
      )
      continue
    }
    budgetWei -= costWei
    fundsWei -= costWei
    requests.push({ nonce, jobId: job.id, call, gasLimit, fees })
    lane = withJob(lane, enter(job, 'simulated', nowMs, { call }))
    nonce += 1
  }
  const step = done(hold)
  if (requests.length > 0) step.commands.push({ kind: 'sign', requests })
  return step
}

function rank(job: Job): number {
  if (job.task.kind === 'register') return 0
  return Number(job.task.sequence) * 2 + (job.task.kind === 'commit' ? 1 : 2)
}

/**
 * Nonce, signed bytes and the job's claim on them become durable in one commit; only then are the
 * bytes offered to a node. A crash on either side of that commit leaves no gap and no unknown bytes.
 */
function signed(before: Lane, nowMs: number, transactions: readonly SignedTransaction[]): Step {
  let lane = before
  const offers: LaneTransaction[] = []
  for (const { nonce, jobId, call, gasLimit, fees, hash, raw } of transactions) {
    const existing = lane.transactions.get(nonce)
    const isAbandoned = existing?.jobId !== undefined && jobId === undefined
    const attempt: Attempt = {
      ...fees,
      hash,
      raw,
      signedAtMs: nowMs,
      signedAtBlock: lane.head?.number ?? 0,
    }
    const transaction: LaneTransaction =
      existing === undefined
        ? {
            nonce,
            ...(jobId === undefined ? {} : { jobId }),
            call,
            gasLimit,
            stage: 'signed',
            attempts: [attempt],
          }
        : {
            ...without(existing, 'refusal', ...(isAbandoned ? (['jobId'] as const) : [])),
            call,
            gasLimit,
            stage: 'signed',
            attempts: [...existing.attempts, attempt],
          }
    lane = withTransaction(lane, transaction)
    lane = { ...lane, nextNonce: Math.max(lane.nextNonce ?? 0, nonce + 1) }
    const job = jobId === undefined ? undefined : lane.jobs.get(jobId)
    if (job !== undefined && existing === undefined) {
      lane = withJob(lane, enter(job, 'signed', nowMs, { nonce }))
    }
    const given = existing?.jobId === undefined ? undefined : lane.jobs.get(existing.jobId)
    if (isAbandoned && given !== undefined && given.nonce === nonce) {
      const said = existing.refusal ?? 'nothing'
      lane = failed(
        lane,
        without(given, 'nonce'),
        nowMs,
        `No node took its transaction; the last one said: ${said}`,
        'Mend what the node names (gas limit, call size, account), then retry.',
      )
    }
    offers.push(transaction)
  }
  return {
    lane: scheduled(lane, nowMs),
    commands: offers.length === 0 ? [] : [offerOf(offers)],
  }
}

/** A reorganisation deeper than the confirmations asked for: what was final goes out again. */
function reopened(
  before: Lane,
  {
    nowMs,
    fromNonce,
    transactions,
    jobs,
  }: {
    readonly nowMs: number
    readonly fromNonce: number
    readonly transactions: readonly LaneTransaction[]
    readonly jobs: readonly Job[]
  },
): Step {
  let lane: Lane = { ...before, finalNonce: Math.min(before.finalNonce, fromNonce) }
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

function signingFailed(before: Lane, nowMs: number, reason: string): Step {
  let lane = before
  for (const job of lane.jobs.values()) {
    if (job.stage !== 'simulated') continue
    lane = withJob(
      lane,
      enter(job, 'queued', nowMs, {
        reason,
        remedy: 'Check the signer of this chain.',
        notBeforeMs: nowMs + backOffMs(4),
      }),
    )
  }
  return { lane: scheduled(lane, nowMs), commands: [] }
}

function offered(before: Lane, nowMs: number, results: readonly OfferResult[]): Step {
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
    const job = transaction.jobId === undefined ? undefined : lane.jobs.get(transaction.jobId)
    if (job === undefined || job.nonce !== nonce) continue
    if (isTaken && job.stage === 'signed') lane = withJob(lane, enter(job, 'sent', nowMs))
    if (!isTaken && reason !== undefined) {
      lane = withJob(lane, { ...job, reason: `The node did not take it: ${reason}` })
    }
  }
  return { lane: scheduled(lane, nowMs), commands: [] }
}

function operated(lane: Lane, nowMs: number, request: OperatorRequest): Step {
  const wake = { wakeAtMs: nowMs }
  switch (request.action) {
    case 'pause':
      return { lane: { ...lane, mode: 'paused' }, commands: [] }
    case 'resume':
      return { lane: { ...lane, mode: 'running', ...wake }, commands: [] }
    case 'drain':
      return { lane: { ...lane, mode: 'draining', ...wake }, commands: [] }
    case 'retry': {
      const job = lane.jobs.get(request.jobId)
      if (job === undefined || job.nonce !== undefined || job.stage !== 'queued') {
        return { lane, commands: [] }
      }
      const again = { ...without(job, 'reason', 'remedy'), failures: 0, notBeforeMs: nowMs }
      return { lane: { ...withJob(lane, again), ...wake }, commands: [] }
    }
    case 'quarantine': {
      const job = lane.jobs.get(request.jobId)
      if (job === undefined || job.nonce !== undefined) return { lane, commands: [] }
      const quarantined = enter(job, 'quarantined', nowMs, {
        reason: request.note ?? 'Put aside by the operator.',
        remedy: 'Release it with retry.',
      })
      return { lane: withJob(lane, quarantined), commands: [] }
    }
  }
}
