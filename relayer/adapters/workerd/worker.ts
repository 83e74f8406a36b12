import { createApp } from '../../http/app.ts'
import type { SettlementPlan } from '../../plan/plan.ts'
import type { LaneStatus } from '../../runtime/status.ts'
import { type Environment, planOf } from './environment.ts'

export { Feed } from './feedObject.ts'
export { Lane } from './laneObject.ts'

function feedOf(environment: Environment, plan: SettlementPlan) {
  return environment.FEED.getByName(plan.stream)
}

async function wakeAll(environment: Environment): Promise<void> {
  const plan = planOf(environment)
  await Promise.all([
    feedOf(environment, plan).wake(),
    ...plan.chains.map(({ chainId }) => environment.LANE.getByName(String(chainId)).wake()),
  ])
}

export default {
  fetch(request, environment, context) {
    const app = createApp({
      feedStatus: async () => feedOf(environment, planOf(environment)).status(),
      laneStatuses: () =>
        Promise.all(
          planOf(environment).chains.map(async ({ chainId }): Promise<LaneStatus> =>
            environment.LANE.getByName(String(chainId)).status(),
          ),
        ),
      wake: () => wakeAll(environment),
    })
    return app.fetch(request, environment, context)
  },

  /** The watchdog: whatever lost its alarm is looked at once a minute. */
  async scheduled(_controller, environment) {
    await wakeAll(environment)
  },
} satisfies ExportedHandler<Environment>
