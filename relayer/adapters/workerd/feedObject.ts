import { DurableObject } from 'cloudflare:workers'
import { writeExactJson } from '../../exactJson.ts'
import { createHttpWorkerSource } from '../../feed/httpWorkerSource.ts'
import { type FeedRuntime, createFeedRuntime } from '../../runtime/feedRuntime.ts'
import { createFeedStore } from '../../runtime/feedStore.ts'
import { type FeedStatus, feedStatus } from '../../runtime/status.ts'
import { type Environment, createObjectSql, planOf, platformFetch } from './environment.ts'

/** The durable cursor over one stream of batches. */
export class Feed extends DurableObject<Environment> {
  readonly #runtime: FeedRuntime

  constructor(state: DurableObjectState, environment: Environment) {
    super(state, environment)
    const plan = planOf(environment)
    this.#runtime = createFeedRuntime({
      store: createFeedStore(createObjectSql(state.storage)),
      alarm: { set: (atMs) => state.storage.setAlarm(atMs) },
      now: Date.now,
      plan,
      source: createHttpWorkerSource(plan.worker, platformFetch),
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
    return feedStatus(planOf(this.env), this.#runtime.state())
  }
}
