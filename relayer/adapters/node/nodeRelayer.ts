import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { serve } from '@hono/node-server'
import { BaseError } from '#schemas/errors.ts'
import { createHttpWorkerSource } from '../../feed/httpWorkerSource.ts'
import { createApp } from '../../http/app.ts'
import { type SettlementPlan, feedOf, feedsOf } from '../../plan/plan.ts'
import type { Fetch, Now, TransactionSigner } from '../../ports.ts'
import { createFeedRuntime } from '../../runtime/feedRuntime.ts'
import { createFeedStore } from '../../runtime/feedStore.ts'
import { createLaneRuntime } from '../../runtime/laneRuntime.ts'
import { createLaneWorld } from '../../runtime/laneWorld.ts'
import { feedStatus, laneStatus } from '../../runtime/status.ts'
import { createNodeAlarm } from './nodeAlarm.ts'
import { createNodeSql } from './nodeSql.ts'

export type NodeRelayerOptions = {
  readonly plan: SettlementPlan
  readonly signerOf: (chainId: number) => TransactionSigner
  readonly dataFolder: string
  /** 0 picks a free one. */
  readonly port: number
  readonly hostname?: string
  readonly operatorToken?: string
  readonly fetch?: Fetch
  readonly now?: Now
}

export type NodeRelayer = {
  readonly url: string
  stop(): Promise<void>
}

const watchdogMs = 60_000

const platformFetch: Fetch = (url, init) => fetch(url, init)

/**
 * The same feed and lanes in one Node process, each over its own SQLite file. One process per data
 * folder: the lanes own their nonces.
 */
export async function startNodeRelayer(options: NodeRelayerOptions): Promise<NodeRelayer> {
  const { plan, dataFolder } = options
  const now = options.now ?? Date.now
  const fetch = options.fetch ?? platformFetch
  mkdirSync(dataFolder, { recursive: true })
  const sourceOf = (stream: string) => createHttpWorkerSource(feedOf(plan, stream).worker, fetch)
  const lanes = plan.chains.map((chain) => {
    const sql = createNodeSql(join(dataFolder, `lane-${chain.chainId}.sqlite`))
    const alarm = createNodeAlarm(now)
    const signer = options.signerOf(chain.chainId)
    const world = createLaneWorld({ plan, chain, sql, alarm, now, fetch, signer, sourceOf })
    return { chain, sql, alarm, store: world.store, runtime: createLaneRuntime(world) }
  })
  const feeds = feedsOf(plan).map((feed, index) => {
    // The first keeps the name that it had when there was only one.
    const name = index === 0 ? 'feed' : `feed-${feed.stream.slice(2, 18)}`
    const sql = createNodeSql(join(dataFolder, `${name}.sqlite`))
    const alarm = createNodeAlarm(now)
    const runtime = createFeedRuntime({
      store: createFeedStore(sql),
      alarm,
      now,
      plan,
      feed,
      source: sourceOf(feed.stream),
      async enqueue(chainId, jobs) {
        await lanes.find(({ chain }) => chain.chainId === chainId)?.runtime.enqueue(jobs)
      },
    })
    return { feed, sql, alarm, runtime }
  })

  async function wake(): Promise<void> {
    await Promise.all([...feeds, ...lanes].map(({ runtime }) => runtime.wake()))
  }

  const app = createApp({
    now,
    operatorToken: options.operatorToken,
    chainIds: plan.chains.map(({ chainId }) => chainId),
    async operate(chainId, request) {
      const lane = lanes.find(({ chain }) => chain.chainId === chainId)
      return (await lane?.runtime.operate(request)) ?? { isDone: false, reason: 'No such lane.' }
    },
    feedStatuses: () =>
      Promise.resolve(feeds.map(({ feed, runtime }) => feedStatus(feed, runtime.state()))),
    laneStatuses: () =>
      Promise.resolve(
        lanes.map(({ chain, runtime, store }) =>
          laneStatus(chain, runtime.lane(), store, runtime.endpoints()),
        ),
      ),
    wake,
  })
  const server = await new Promise<{ close: () => Promise<void>; port: number }>((settle, fail) => {
    const listening = serve(
      { fetch: app.fetch, port: options.port, hostname: options.hostname ?? '127.0.0.1' },
      ({ port }) => {
        settle({
          port,
          close: () =>
            new Promise((done) => {
              listening.close(() => {
                done()
              })
              // Whoever keeps a connection open would keep the process alive with it.
              if ('closeAllConnections' in listening) listening.closeAllConnections()
            }),
        })
      },
    )
    listening.once('error', (cause: Error) => {
      fail(
        new BaseError('The relayer cannot listen.', {
          field: 'port',
          metaMessages: [`Problem: ${cause.message}`],
          remedy: 'Free the port, or choose another one.',
          cause,
        }),
      )
    })
  })
  for (const { alarm, runtime } of [...feeds, ...lanes]) alarm.start(() => runtime.turn())
  await wake()
  // What the cron trigger does on Cloudflare: a second look at whatever lost its alarm.
  const watchdog = setInterval(() => void wake(), watchdogMs)
  watchdog.unref()
  return {
    url: `http://127.0.0.1:${server.port}`,
    async stop() {
      clearInterval(watchdog)
      await Promise.all([...feeds, ...lanes].map(({ alarm }) => alarm.stop()))
      await server.close()
      for (const { sql } of [...feeds, ...lanes]) sql.close()
    },
  }
}
