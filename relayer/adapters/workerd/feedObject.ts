import { DurableObject } from 'cloudflare:workers'
import { writeExactJson } from '../../exactJson.ts'
import { createHttpWorkerSource } from '../../feed/httpWorkerSource.ts'
import { type PlanFeed, feedOf } from '../../plan/plan.ts'
import { type FeedRuntime, createFeedRuntime } from '../../runtime/feedRuntime.ts'
import { createFeedStore } from '../../runtime/feedStore.ts'
import { type FeedStatus, feedStatus } from '../../runtime/status.ts'
import { type Environment, createObjectSql, planOf, platformFetch } from './environment.ts'

/** The durable cursor over one stream of batches. */
export class Feed extends DurableObject<Environment> {
  readonly #feed: PlanFeed
  readonly #runtime: FeedRuntime

  constructor(state: DurableObjectState, environment: Environment) {
    super(state, environment)
    const plan = planOf(environment)
    // The object is named after its stream.
    this.#feed = feedOf(plan, state.id.name)
    this.#runtime = createFeedRuntime({
      store: createFeedStore(createObjectSql(state.storage)),
      alarm: { set: (atMs) => state.storage.setAlarm(atMs) },
      now: Date.now,
      plan,
      feed: this.#feed,
      source: createHttpWorkerSource(this.#feed.worker, platformFetch),
      enqueue: async (chainId, jobs) => {
        await environment.LANE.getByName(String(chainId)).enqueue(chainId, writeExactJson(jobs))
      },
    })
  }

  override async alarm(): Promise<void> {
    await this.#runtime.turn()
  }

  /** Looks at the worker soon. */
  async wake(): Promise<void> {
    await this.#runtime.wake()
  }

  status(): FeedStatus {
    return feedStatus(this.#feed, this.#runtime.state())
  }
}
