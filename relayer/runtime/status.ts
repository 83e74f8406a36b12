import type { Hex } from '#schemas/bytes.ts'
import { unitText } from '#schemas/report.ts'
import type { EndpointHealth } from '../chain/rpc.ts'
import type { Job, Stage } from '../lane/job.ts'
import type { Hold, Lane, LaneTransaction } from '../lane/lane.ts'
import type { PlanChain, PlanFeed } from '../plan/plan.ts'
import type { FeedState } from './feedStore.ts'
import type { LaneStore } from './laneStore.ts'

/** What `GET /v1/status` says, as JSON: integers beyond 2^53 and all wei as decimal text. */
export type RelayerStatus = {
  readonly version: 1
  /** The first worker of the plan. */
  readonly feed: FeedStatus
  /** Every worker of the plan, the first one included. */
  readonly feeds: readonly FeedStatus[]
  readonly lanes: readonly LaneStatus[]
  /** Every settlement of the newest batches, over all lanes, newest first. */
  readonly settlements: readonly SettlementStatus[]
}

export type FeedStatus = {
  readonly stream: Hex
  readonly workerHost: string
  readonly sequence: string
  readonly digest: Hex
  readonly workerHead: string
  readonly lastAnswerMs?: number
  readonly failures: number
  readonly problem?: string
  readonly remedy?: string
}

export type TransactionStatus = {
  readonly nonce: number
  /** Jobs that it carries; none for a filler. */
  readonly jobCount: number
  readonly stage: LaneTransaction['stage']
  /** The attempt that got in, otherwise the newest. */
  readonly hash: Hex
  readonly attempts: number
  readonly maxFeePerGasWei: string
  readonly signedAtMs: number
  readonly sentAtMs?: number
  readonly blockNumber?: number
  readonly gasUsed?: string
  readonly effectiveGasPriceWei?: string
  readonly isSuccess?: boolean
  readonly minedAtMs?: number
  readonly refusal?: string
}

export type JobStatus = {
  readonly id: string
  readonly kind: Job['task']['kind']
  readonly stage: Stage
  readonly failures: number
  readonly at: Job['at']
  readonly doneBy?: 'us' | 'other'
  readonly reason?: string
  readonly remedy?: string
  readonly transaction?: TransactionStatus
}

export type SettlementStatus = JobStatus & {
  readonly chainId: number
  readonly chainName: string
  readonly sequence: string
  readonly batchDigest?: Hex
  readonly label: string
  readonly settlementKind: string
  readonly contract: Hex
  readonly agreementId: string
  readonly leaf: Hex
  readonly subject: Hex
  readonly subjectName: string
  readonly policyId: Hex
  readonly policyName: string
  readonly verdict: 'PASS' | 'FAIL' | 'INCONCLUSIVE'
  readonly valueMicro: string
  readonly unit: string
  readonly lastReadingMs: string
  readonly lastReceivedMs: string
  readonly closedAtMs: string
}

export type LaneStatus = {
  readonly chainId: number
  readonly chainName: string
  readonly sender: Hex
  readonly mode: Lane['mode']
  readonly isDrained: boolean
  readonly head?: Lane['head']
  readonly baseFeePerGasWei?: string
  readonly balanceWei?: string
  readonly spentTodayWei: string
  readonly dailySpendWei: string
  readonly nextNonce?: number
  readonly inFlight: number
  readonly reorgs: number
  readonly oldestOpenMs?: number
  readonly hold?: Hold
  readonly endpoints: readonly EndpointHealth[]
  readonly counts: Readonly<Record<Stage, number>>
  readonly jobs: readonly JobStatus[]
  readonly settlements: readonly SettlementStatus[]
  readonly transactions: readonly TransactionStatus[]
}

const verdictNames = ['PASS', 'FAIL', 'INCONCLUSIVE'] as const

export function feedStatus(feed: PlanFeed, state: FeedState): FeedStatus {
  return {
    stream: feed.stream,
    workerHost: new URL(feed.worker).host,
    sequence: String(state.cursor.sequence),
    digest: state.cursor.digest,
    workerHead: String(state.workerHead),
    failures: state.failures,
    ...(state.lastAnswerMs === undefined ? {} : { lastAnswerMs: state.lastAnswerMs }),
    ...(state.problem === undefined ? {} : { problem: state.problem }),
    ...(state.remedy === undefined ? {} : { remedy: state.remedy }),
  }
}

function transactionStatus(transaction: LaneTransaction): TransactionStatus {
  const { inclusion, attempts } = transaction
  const attempt = attempts.find(({ hash }) => hash === inclusion?.hash) ?? attempts.at(-1)
  return {
    nonce: transaction.nonce,
    jobCount: transaction.jobIds.length,
    stage: transaction.stage,
    hash: attempt?.hash ?? '0x',
    attempts: attempts.length,
    maxFeePerGasWei: String(attempt?.maxFeePerGasWei ?? 0n),
    signedAtMs: attempts[0]?.signedAtMs ?? 0,
    ...(transaction.sentAtMs === undefined ? {} : { sentAtMs: transaction.sentAtMs }),
    ...(transaction.refusal === undefined ? {} : { refusal: transaction.refusal }),
    ...(inclusion === undefined
      ? {}
      : {
          blockNumber: inclusion.blockNumber,
          gasUsed: String(inclusion.gasUsed),
          effectiveGasPriceWei: String(inclusion.effectiveGasPriceWei),
          isSuccess: inclusion.isSuccess,
          minedAtMs: inclusion.minedAtMs,
        }),
  }
}

function jobStatus(job: Job, transaction: LaneTransaction | undefined): JobStatus {
  return {
    id: job.id,
    kind: job.task.kind,
    stage: job.stage,
    failures: job.failures,
    at: job.at,
    ...(job.doneBy === undefined ? {} : { doneBy: job.doneBy }),
    ...(job.reason === undefined ? {} : { reason: job.reason }),
    ...(job.remedy === undefined ? {} : { remedy: job.remedy }),
    ...(transaction === undefined ? {} : { transaction: transactionStatus(transaction) }),
  }
}

function remembered<Key, Value>(read: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>()
  return (key) => {
    const found = known.get(key)
    if (found !== undefined || known.has(key)) return found as Value
    const value = read(key)
    known.set(key, value)
    return value
  }
}

/** Jobs and transactions that a status answer carries per lane; the store has all of them. */
export const statusLimit = 200

export function laneStatus(
  chain: PlanChain,
  lane: Lane,
  store: LaneStore,
  endpoints: readonly EndpointHealth[],
): LaneStatus {
  const chainName = chain.name ?? `chain ${chain.chainId}`
  const newest = store.jobs(statusLimit)
  const shown = new Map(newest.map((job) => [job.id, job]))
  // What needs a person is never crowded out by what is new.
  for (const job of store.jobsIn('quarantined', statusLimit)) shown.set(job.id, job)
  const settlements: SettlementStatus[] = []
  const jobs: JobStatus[] = []
  // Many jobs share a transaction and a commit: each is read once.
  const transactionAt = remembered((nonce: number) => store.transactionAt(nonce))
  const commitOf = remembered((id: string) => store.job(id))
  for (const job of shown.values()) {
    const status = jobStatus(job, job.nonce === undefined ? undefined : transactionAt(job.nonce))
    jobs.push(status)
    const { task } = job
    if (task.kind !== 'settle') continue
    const commit = commitOf(`commit/${task.stream}/${task.sequence}`)
    settlements.push({
      ...status,
      chainId: chain.chainId,
      chainName,
      sequence: String(task.sequence),
      ...(commit?.task.kind === 'commit' ? { batchDigest: commit.task.digest } : {}),
      label: task.label,
      settlementKind: task.settlementKind,
      contract: task.contract,
      agreementId: String(task.agreementId),
      leaf: task.leaf,
      subject: task.subject,
      subjectName: task.subjectName,
      policyId: task.policyId,
      policyName: task.policyName,
      verdict: verdictNames[task.verdict - 1] ?? 'INCONCLUSIVE',
      valueMicro: String(task.valueMicro),
      unit: unitText(task.unit),
      lastReadingMs: String(task.lastReadingMs),
      lastReceivedMs: String(task.lastReceivedMs),
      closedAtMs: String(task.closedAtMs),
    })
  }
  const oldestOpenMs = store.oldestOpenMs()
  const open = [...lane.transactions.values()].filter(
    ({ stage }) => stage === 'signed' || stage === 'sent' || stage === 'included',
  )
  return {
    chainId: chain.chainId,
    chainName,
    sender: lane.policy.sender,
    mode: lane.mode,
    isDrained: lane.mode === 'draining' && open.length === 0,
    ...(lane.head === undefined ? {} : { head: lane.head }),
    ...(lane.quote === undefined ? {} : { baseFeePerGasWei: String(lane.quote.baseFeePerGasWei) }),
    ...(lane.balanceWei === undefined ? {} : { balanceWei: String(lane.balanceWei) }),
    spentTodayWei: String(lane.spend.wei),
    dailySpendWei: String(lane.policy.dailySpendWei),
    ...(lane.nextNonce === undefined ? {} : { nextNonce: lane.nextNonce }),
    inFlight: open.filter(({ stage }) => stage !== 'included').length,
    reorgs: lane.reorgs,
    ...(oldestOpenMs === undefined ? {} : { oldestOpenMs }),
    ...(lane.hold === undefined ? {} : { hold: lane.hold }),
    endpoints,
    counts: store.countByStage(),
    jobs,
    settlements,
    transactions: store.transactions(statusLimit).map(transactionStatus),
  }
}

export function relayerStatus(
  feeds: readonly [FeedStatus, ...FeedStatus[]],
  lanes: readonly LaneStatus[],
): RelayerStatus {
  const settlements = lanes
    .flatMap((lane) => lane.settlements)
    .sort((left, right) => Number(BigInt(right.sequence) - BigInt(left.sequence)))
  return { version: 1, feed: feeds[0], feeds, lanes, settlements }
}
