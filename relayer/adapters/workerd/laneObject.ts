import { DurableObject } from 'cloudflare:workers'
import { readExactJson } from '../../exactJson.ts'
import { createHttpWorkerSource } from '../../feed/httpWorkerSource.ts'
import type { OperationResult } from '../../http/app.ts'
import type { OperatorRequest } from '../../lane/events.ts'
import type { Job } from '../../lane/job.ts'
import { type PlanChain, feedOf } from '../../plan/plan.ts'
import { type LaneRuntime, createLaneRuntime } from '../../runtime/laneRuntime.ts'
import { chainOf, createLaneWorld } from '../../runtime/laneWorld.ts'
import { type LaneStore } from '../../runtime/laneStore.ts'
import { type LaneStatus, laneStatus } from '../../runtime/status.ts'
import {
  type Environment,
  createObjectSql,
  planOf,
  platformFetch,
  signerOf,
} from './environment.ts'

/** How soon a lane that cannot even start (no key, no plan) tries again. */
const afterFaultMs = 30_000

type Started = {
  readonly runtime: LaneRuntime
  readonly store: LaneStore
  readonly chain: PlanChain
}

/** One (chain, sender): the only writer of its nonces. */
export class Lane extends DurableObject<Environment> {
  #started: Started | undefined

  #start(): Started {
    if (this.#started !== undefined) return this.#started
    const chainId = Number(this.ctx.id.name)
    const plan = planOf(this.env)
    const chain = chainOf(plan, chainId)
    const world = createLaneWorld({
      plan,
      chain,
      sql: createObjectSql(this.ctx.storage),
      alarm: { set: (atMs) => this.ctx.storage.setAlarm(atMs) },
      now: Date.now,
      fetch: platformFetch,
      signer: signerOf(this.env, chainId),
      sourceOf: (stream) => createHttpWorkerSource(feedOf(plan, stream).worker, platformFetch),
    })
    const started = { runtime: createLaneRuntime(world), store: world.store, chain }
    this.#started = started
    return started
  }

  override async alarm(): Promise<void> {
    try {
      await this.#start().runtime.turn()
    } catch {
      // An alarm that throws is retried six times and then never again.
      await this.ctx.storage.setAlarm(Date.now() + afterFaultMs)
    }
  }

  /** @param jobs - Exact JSON of a list of jobs. */
  async enqueue(_chainId: number, jobs: string): Promise<void> {
    await this.#start().runtime.enqueue(readExactJson(jobs) as Job[])
  }

  async wake(): Promise<void> {
    await this.#start().runtime.wake()
  }

  /** @param request - An operator's request as JSON. */
  async operate(request: string): Promise<OperationResult> {
    return this.#start().runtime.operate(JSON.parse(request) as OperatorRequest)
  }

  status(): LaneStatus {
    const { runtime, store, chain } = this.#start()
    return laneStatus(chain, runtime.lane(), store, runtime.endpoints())
  }
}
