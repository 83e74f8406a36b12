import { createApp } from '../../http/app.ts'
import { type SettlementPlan, feedsOf } from '../../plan/plan.ts'
import type { FeedStatus, LaneStatus } from '../../runtime/status.ts'
import { type Environment, planOf } from './environment.ts'

export { Feed } from './feedObject.ts'
export { Lane } from './laneObject.ts'

function feedObjects(environment: Environment, plan: SettlementPlan) {
  return feedsOf(plan).map(({ stream }) => environment.FEED.getByName(stream))
}

async function wakeAll(environment: Environment): Promise<void> {
  const plan = planOf(environment)
  await Promise.all([
    ...feedObjects(environment, plan).map((feed) => feed.wake()),
    ...plan.chains.map(({ chainId }) => environment.LANE.getByName(String(chainId)).wake()),
  ])
}

export default {
  fetch(request, environment, context) {
    const plan = planOf(environment)
    const app = createApp({
      now: Date.now,
      operatorToken: environment.OPERATOR_TOKEN,
      chainIds: plan.chains.map(({ chainId }) => chainId),
      feedStatuses: () =>
        Promise.all(
          feedObjects(environment, plan).map(async (feed): Promise<FeedStatus> => feed.status()),
        ),
      laneStatuses: () =>
        Promise.all(
          plan.chains.map(async ({ chainId }): Promise<LaneStatus> =>
            environment.LANE.getByName(String(chainId)).status(),
          ),
        ),
      operate: async (chainId, request) =>
        environment.LANE.getByName(String(chainId)).operate(JSON.stringify(request)),
      wake: () => wakeAll(environment),
    })
    return app.fetch(request, environment, context)
  },

  /** The watchdog: whatever lost its alarm is looked at once a minute. */
  async scheduled(_controller, environment) {
    await wakeAll(environment)
  },
} satisfies ExportedHandler<Environment>
