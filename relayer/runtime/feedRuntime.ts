import { BaseError } from '#schemas/errors.ts'
import { jobsOfBatch } from '../feed/jobsOfBatch.ts'
import { verifiedParts } from '../feed/verifiedParts.ts'
import type { Job } from '../lane/job.ts'
import type { PlanFeed, SettlementPlan } from '../plan/plan.ts'
import type { Alarm, Now, WorkerSource } from '../ports.ts'
import type { FeedState, FeedStore } from './feedStore.ts'

export type FeedWorld = {
  readonly store: FeedStore
  readonly alarm: Alarm
  readonly now: Now
  readonly plan: SettlementPlan
  /** The worker of the plan that this feed reads. */
  readonly feed: PlanFeed
  readonly source: WorkerSource
  /** Hands jobs to the lane of a chain; resolves once they are durable there. */
  readonly enqueue: (chainId: number, jobs: readonly Job[]) => Promise<void>
}

export type FeedRuntime = {
  /** One turn: everything the worker has, as far as it verifies. Never throws. */
  turn(): Promise<void>
  /** Looks at the worker soon. */
  wake(): Promise<void>
  state(): FeedState
}

const batchesPerPage = 20
/** Some three megabytes: a call between Durable Objects may carry 32. */
const jobsPerCall = 1_000
const usualPollMs = 1_000
const longestPauseMs = 60_000

/**
 * Reads a worker's batches in order, verifies each, and moves its cursor only when every lane has
 * stored its share. Dying in between means handing the same jobs over twice, which lanes ignore.
 */
export function createFeedRuntime(world: FeedWorld): FeedRuntime {
  const { store, alarm, now, plan, source } = world
  const { stream, pollMs = usualPollMs } = world.feed
  let state = store.load()
  let isTurning = false
  let isWokenAgain = false

  function set(next: FeedState): void {
    store.save(next)
    state = next
  }

  async function handOver(chainId: number, jobs: readonly Job[]): Promise<void> {
    for (let from = 0; from < jobs.length; from += jobsPerCall) {
      await world.enqueue(chainId, jobs.slice(from, from + jobsPerCall))
    }
  }

  async function readOn(): Promise<void> {
    for (;;) {
      const page = await source.batches(state.cursor.sequence, batchesPerPage)
      if (page.stream !== stream) {
        throw new BaseError('The worker serves another stream than the plan names.', {
          field: 'plan.stream',
          metaMessages: [`Expected: ${stream}`, `Actual: ${page.stream}`],
          remedy: 'Correct the worker address or the stream in the plan.',
        })
      }
      const { problem: _, remedy: __, ...healthy } = state
      set({ ...healthy, workerHead: page.head, lastAnswerMs: now(), failures: 0 })
      for (const signed of page.batches) {
        let { cursor } = state
        for await (const part of verifiedParts(source, stream, state.cursor, signed)) {
          const jobs = jobsOfBatch(plan, part.signed, part.reports, now())
          await Promise.all([...jobs].map(([chainId, list]) => handOver(chainId, list)))
          cursor = part.cursor
        }
        set({ ...state, cursor })
      }
      if (page.batches.length < batchesPerPage) return
    }
  }

  return {
    async turn() {
      if (isTurning) {
        isWokenAgain = true
        return
      }
      isTurning = true
      isWokenAgain = false
      let pauseMs = pollMs
      try {
        // Should the process die in this turn, the alarm that is set here comes back to it.
        await alarm.set(now() + pollMs)
        await readOn()
      } catch (cause) {
        const failures = state.failures + 1
        const isOurs = cause instanceof BaseError
        set({
          ...state,
          failures,
          problem: isOurs ? cause.message : 'The worker could not be read.',
          remedy: (isOurs ? cause.remedy : undefined) ?? 'Check the worker and its address.',
        })
        pauseMs = Math.min(longestPauseMs, pollMs * 2 ** Math.min(failures, 6))
      } finally {
        isTurning = false
      }
      await alarm.set(isWokenAgain ? now() : now() + pauseMs)
    },
    async wake() {
      isWokenAgain = true
      await alarm.set(now())
    },
    state: () => state,
  }
}
