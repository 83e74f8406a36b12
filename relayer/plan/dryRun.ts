import type { Hex } from '#schemas/bytes.ts'
import { messagesOf } from '../runtime/laneWorld.ts'
import { checkJobs } from '../chain/check.ts'
import { contractErrors } from '../chain/contractErrors.ts'
import { lookAtChain } from '../chain/look.ts'
import { createRpc } from '../chain/rpc.ts'
import { jobsOfBatch } from '../feed/jobsOfBatch.ts'
import { verifiedParts } from '../feed/verifiedParts.ts'
import { type FeedCursor, feedStart } from '../feed/verifyBatch.ts'
import type { CheckResult, MergedCall } from '../lane/events.ts'
import { type Job, jobId } from '../lane/job.ts'
import { lanePolicy } from '../lane/policy.ts'
import type { Fetch, Now, WorkerSource } from '../ports.ts'
import { type PlanFeed, type SettlementPlan, feedsOf } from './plan.ts'

/**
 * Gas of what cannot be simulated yet because something else has to happen first. Rounded up from
 * the measured gas of the contracts.
 */
export const nominalGas = {
  upload: 400_000n,
  register: 400_000n,
  commit: 120_000n,
  send: 300_000n,
  settle: 120_000n,
} as const

export type PlannedJob = {
  readonly id: string
  readonly label: string
  readonly outcome: CheckResult['outcome']
  /** Absent when nothing is to be sent. */
  readonly gas?: bigint
  readonly isNominal?: boolean
  /** Settlements that share its transaction; the gas is its part. */
  readonly sharedBy?: number
  readonly reason?: string
}

export type ChainForecast = {
  readonly chainId: number
  readonly baseFeePerGasWei: bigint
  readonly jobs: readonly PlannedJob[]
  readonly gas: bigint
  /** At the present base fee and tip. */
  readonly costWei: bigint
  readonly balanceWei: bigint | undefined
  /** Agreements that no report of the worker has matched so far. */
  readonly unmatched: readonly string[]
}

export type PlanForecast = {
  readonly batches: number
  readonly reports: number
  readonly chains: readonly ChainForecast[]
}

/** Whoever only asks sends from nowhere. */
const nobody: Hex = `0x${'00'.repeat(20)}`
const pageSize = 20

/**
 * What a plan would do now, and what it would cost, without sending anything: every batch of the worker
 * is verified, every job is held against its chain, what can be simulated is.
 *
 * @param senderOf - The paying address of a chain, when it is known.
 * @throws {@link InvalidBatchError} | {@link WorkerUnavailableError} | {@link ChainUnreachableError}
 */
export async function dryRunPlan(options: {
  readonly plan: SettlementPlan
  readonly sourceOf: (feed: PlanFeed) => WorkerSource
  readonly fetch: Fetch
  readonly now: Now
  readonly senderOf: (chainId: number) => Hex | undefined
}): Promise<PlanForecast> {
  const { plan, sourceOf, fetch, now } = options
  const jobs = new Map<number, Job[]>(plan.chains.map(({ chainId }) => [chainId, []]))
  const matched = new Set<string>()
  let batches = 0
  let reports = 0
  for (const feed of feedsOf(plan)) {
    const source = sourceOf(feed)
    let cursor: FeedCursor = feedStart
    for (let hasMore = true; hasMore;) {
      const page = await source.batches(cursor.sequence, pageSize)
      for (const signed of page.batches) {
        batches += 1
        const before = cursor
        for await (const part of verifiedParts(source, feed.stream, before, signed)) {
          cursor = part.cursor
          reports += part.reports.length
          for (const [chainId, made] of jobsOfBatch(plan, part.signed, part.reports, now())) {
            // The commit comes with every part of its batch.
            const others =
              part.signed === signed ? made : made.filter(({ task }) => task.kind === 'settle')
            jobs.get(chainId)?.push(...others)
            for (const { task } of made) {
              if (task.kind === 'settle') {
                matched.add(`${chainId}/${task.contract}/${task.agreementId}/${task.subject}`)
              }
            }
          }
        }
      }
      hasMore = page.batches.length === pageSize
    }
  }
  const chains = await Promise.all(
    plan.chains.map(async (chain): Promise<ChainForecast> => {
      const rpc = createRpc({ chainId: chain.chainId, urls: chain.rpcUrls, fetch, now })
      const known = options.senderOf(chain.chainId)
      const sender = known ?? nobody
      const policy = lanePolicy(chain, sender)
      const { quote, balanceWei } = await lookAtChain(rpc, sender, { watched: [] })
      const listed = jobs.get(chain.chainId) ?? []
      const { results, merged } = await checkJobs(
        {
          rpc,
          sender,
          batchSize: policy.batchSize,
          enclaveRegistry: chain.enclaveRegistry,
          proofRegistry: chain.proofRegistry,
          ...messagesOf(plan, chain, fetch, now),
          prepareRegistration: () => Promise.reject(new TypeError('A dry run registers nothing.')),
          storedJob: () => undefined,
        },
        listed,
        contractErrors,
      )
      const planned = plannedJobs(listed, results, merged)
      const gas = planned.reduce((sum, job) => sum + (job.gas ?? 0n), 0n)
      const paidWei = results.reduce(
        (sum, result) => sum + (result.outcome === 'ready' ? (result.call.valueWei ?? 0n) : 0n),
        0n,
      )
      const tip =
        quote.priorityFeePerGasWei < policy.maxPriorityFeePerGasWei
          ? quote.priorityFeePerGasWei
          : policy.maxPriorityFeePerGasWei
      return {
        chainId: chain.chainId,
        baseFeePerGasWei: quote.baseFeePerGasWei,
        jobs: planned,
        gas,
        costWei: gas * (quote.baseFeePerGasWei + tip) + paidWei,
        balanceWei: known === undefined ? undefined : balanceWei,
        unmatched: plan.settlements
          .filter(
            ({ chainId, contract, agreementId, subject }) =>
              chainId === chain.chainId &&
              !matched.has(`${chainId}/${contract}/${agreementId}/${subject}`),
          )
          .map(({ label }) => label),
      }
    }),
  )
  return { batches, reports, chains }
}

function labelOf({ task }: Job): string {
  switch (task.kind) {
    case 'upload':
      return `upload ${task.item}`
    case 'register':
      return `register ${task.signer}`
    case 'commit':
      return `anchor batch ${task.sequence}`
    case 'send':
      return `send ${task.what} ${task.sequence} to chain ${task.toChainId}`
    case 'settle':
      return `settle ${task.label}`
  }
}

function plannedJobs(
  jobs: readonly Job[],
  results: readonly CheckResult[],
  merged: readonly MergedCall[],
): PlannedJob[] {
  const planned: PlannedJob[] = []
  const registered = new Set<string>()
  for (const job of jobs) {
    const shared = merged.find(({ jobIds }) => jobIds.includes(job.id))
    if (shared !== undefined) {
      const sharedBy = shared.jobIds.length
      // Rounded up: the sum is never below what the transaction takes.
      const gas = (shared.gas + BigInt(sharedBy) - 1n) / BigInt(sharedBy)
      planned.push({ id: job.id, label: labelOf(job), outcome: 'ready', gas, sharedBy })
      continue
    }
    const result = results.find(({ jobId }) => jobId === job.id)
    if (result === undefined) continue
    const base = { id: job.id, label: labelOf(job), outcome: result.outcome }
    switch (result.outcome) {
      case 'ready':
        planned.push({ ...base, gas: result.gas })
        break
      case 'done':
        planned.push(base)
        break
      case 'signerUnknown':
        if (!registered.has(result.task.signer)) {
          registered.add(result.task.signer)
          planned.push({
            id: `register/${result.task.stream}/${result.task.signer}`,
            label: `register ${result.task.signer}`,
            outcome: 'waits',
            gas: nominalGas.register,
            isNominal: true,
          })
        }
        planned.push({ ...base, gas: nominalGas.commit, isNominal: true })
        break
      case 'collateralMissing':
        planned.push(
          {
            id: jobId(result.task),
            label: `upload ${result.task.item}`,
            outcome: 'waits',
            gas: nominalGas.upload,
            isNominal: true,
          },
          { ...base, gas: nominalGas.register, isNominal: true },
        )
        break
      case 'waits':
        planned.push({
          ...base,
          gas: nominalGas[job.task.kind],
          isNominal: true,
          reason: result.reason,
        })
        break
      case 'refused':
      case 'hopeless':
      case 'unknown':
        planned.push({ ...base, reason: result.reason })
        break
    }
  }
  return planned
}
