import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runKillLoop } from './support/killLoop.ts'
import { type Rehearsal, rehearse } from './support/rehearsal.ts'

// The long form is test/relayer/soak.ts.
describe.each(['workerd', 'node'] as const)('SIGKILL at random instants, %s adapter', (engine) => {
  let rehearsal: Rehearsal

  beforeAll(async () => {
    rehearsal = await rehearse({ chainIds: [31_360, 31_361], blockTimeSeconds: 0.25 })
  })

  afterAll(async () => {
    await rehearsal.stop()
  })

  it('nothing is lost, nothing is settled twice, no nonce is spent in vain', async () => {
    const batches = 6
    const subjects = 10
    const result = await runKillLoop({
      rehearsal,
      engine,
      kills: 12,
      batches,
      subjects,
      seed: 7,
      plan: { chain: { confirmations: 3, batchSize: 4 } },
      timeoutMs: 90_000,
    })
    expect(result.settled).toEqual([60n, 60n])
    expect(result.wasted).toEqual([0n, 0n])
    // At most one transaction for each job; sharing makes it fewer, a gap or a repeat would add some.
    for (const used of result.nonces) expect(used).toBeLessThanOrEqual(1 + batches * (1 + subjects))
  }, 180_000)
})
