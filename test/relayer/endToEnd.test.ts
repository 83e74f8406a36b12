import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunningRelayer } from '#relayer/local/engineProcess.ts'
import { testReport } from './support/testStream.ts'
import { type Rehearsal, rehearse, statusOf, until } from './support/rehearsal.ts'

describe('relayer in raw workerd', () => {
  let rehearsal: Rehearsal
  let relayer: RunningRelayer

  beforeAll(async () => {
    rehearsal = await rehearse({ chainIds: [31_337, 31_338] })
    relayer = await rehearsal.start(rehearsal.plan({ subjects: 2 }))
  })

  afterAll(async () => {
    await relayer.stop()
    await rehearsal.stop()
  })

  it('one batch registers the signer, is anchored and settles on every chain of the plan', async () => {
    rehearsal.worker.close([testReport(0, 1), testReport(1, 1), testReport(9, 1)])
    const status = await until(
      () => statusOf(relayer.url),
      ({ settlements }) =>
        settlements.length === 4 && settlements.every(({ stage }) => stage === 'final'),
    )
    expect(
      status.settlements
        .map(({ chainId, label, verdict, valueMicro, unit }) =>
          [chainId, label, verdict, valueMicro, unit].join(' '),
        )
        .sort(),
    ).toMatchInlineSnapshot(`
      [
        "31337 plant 0 on 31337 PASS 0 Wh",
        "31337 plant 1 on 31337 PASS 1000000 Wh",
        "31338 plant 0 on 31338 PASS 0 Wh",
        "31338 plant 1 on 31338 PASS 1000000 Wh",
      ]
    `)
    for (const chain of rehearsal.chains) {
      expect(await chain.settlements()).toBe(2n)
      expect(await chain.wasted()).toBe(0n)
    }
  })
})
