import { Hono } from 'hono'
import type { FeedStatus, LaneStatus } from '../runtime/status.ts'
import { relayerStatus } from '../runtime/status.ts'

/** What the HTTP side needs of whatever runs the feed and the lanes. */
export type RelayerHost = {
  feedStatus(): Promise<FeedStatus>
  laneStatuses(): Promise<readonly LaneStatus[]>
  wake(): Promise<void>
}

/** The relayer's HTTP side, the same on every platform. */
export function createApp(host: RelayerHost): Hono {
  const app = new Hono()
  app.get('/healthz', (context) => context.json({ status: 'ok' }))
  app.get('/v1/status', async (context) => {
    const [feed, lanes] = await Promise.all([host.feedStatus(), host.laneStatuses()])
    return context.json(relayerStatus(feed, lanes))
  })
  app.post('/v1/wake', async (context) => {
    await host.wake()
    return context.json({ status: 'awake' }, 202)
  })
  return app
}
