import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createDice } from '../support/dice.ts'
import { simulate, simulatedJobs } from '../support/simulation.ts'
import { type Fault, createSimulatedChain } from '../support/simulatedChain.ts'
import type { LanePolicy } from '#relayer/lane/lane.ts'

describe.each([
  { what: 'a node that simulates calls in order', isSequential: true },
  { what: 'a node that does not', isSequential: false },
])('lane under faults, over $what', ({ isSequential }) => {
  const simulateHere = (policy?: Partial<LanePolicy>) =>
    simulate(policy, createSimulatedChain({ isSequential }))

  it('carries a batch to its end: signer registered, batch anchored, everything settled once', async () => {
    const simulation = simulateHere()
    for (const jobs of simulatedJobs(3, 20)) await simulation.enqueue(jobs)
    expect(await simulation.settle()).toBe(true)
    expect(simulation.chain.settled().size).toBe(60)
    expect(simulation.chain.sequence()).toBe(3n)
    expect(simulation.chain.wasted()).toBe(0)
    // One registration, three commits, sixty settlements: no nonce was spent on anything else.
    expect(simulation.chain.nonce()).toBe(64)
  })

  it('a batch is settled in the block that anchors it, where a node can tell beforehand', async () => {
    const simulation = simulateHere({ batchSize: 10 })
    const [first, second, third] = simulatedJobs(3, 12)
    await simulation.enqueue(first ?? [])
    expect(await simulation.settle()).toBe(true)
    for (const jobs of [second, third]) await simulation.enqueue(jobs ?? [])
    // Two turns: the next batch is loaded when the one before is on its way.
    for (let rings = 0; rings < 2; rings += 1) {
      await simulation.ringIfDue()
      simulation.pass(600)
    }
    simulation.chain.mine()
    expect(simulation.chain.sequence()).toBe(isSequential ? 3n : 2n)
    expect(simulation.chain.settled().size).toBe(isSequential ? 36 : 12)
    expect(await simulation.settle()).toBe(true)
    expect(simulation.chain.settled().size).toBe(36)
    expect(simulation.chain.wasted()).toBe(0)
  })

  it('a backlog of small batches goes out several at a turn, where a node can tell beforehand', async () => {
    const simulation = simulateHere({ batchSize: 10, window: 16 })
    const [first, ...others] = simulatedJobs(6, 2)
    await simulation.enqueue(first ?? [])
    expect(await simulation.settle()).toBe(true)
    for (const jobs of others) await simulation.enqueue(jobs)
    for (let rings = 0; rings < 2; rings += 1) {
      await simulation.ringIfDue()
      simulation.pass(600)
    }
    simulation.chain.mine()
    expect(simulation.chain.sequence()).toBe(isSequential ? 6n : 2n)
    expect(simulation.chain.settled().size).toBe(isSequential ? 12 : 2)
    expect(await simulation.settle()).toBe(true)
    expect(simulation.chain.wasted()).toBe(0)
  })

  it('settlements of one batch share transactions', async () => {
    const simulation = simulateHere({ batchSize: 10 })
    for (const jobs of simulatedJobs(2, 25)) await simulation.enqueue(jobs)
    expect(await simulation.settle()).toBe(true)
    expect(simulation.chain.settled().size).toBe(50)
    expect(simulation.chain.wasted()).toBe(0)
    // One registration, two commits and three transactions of settlements for each batch.
    expect(simulation.chain.nonce()).toBe(9)
  })

  it('poison is put aside by name and holds nobody up', async () => {
    const simulation = simulateHere({ batchSize: 10 })
    for (const jobs of simulatedJobs(2, 12, 2)) await simulation.enqueue(jobs)
    expect(await simulation.settle({ steps: 4_000 })).toBe(true)
    expect(simulation.chain.settled().size).toBe(20)
    expect(simulation.chain.wasted()).toBe(0)
    // What the simulation refuses is never sent: not one transaction more than the honest need.
    const [poison] = simulation.store.jobsIn('quarantined', 10)
    expect(simulation.store.countByStage().quarantined).toBe(4)
    expect(poison?.reason).toMatchInlineSnapshot(`"The contract refuses: execution reverted."`)
    expect(poison?.failures).toBe(8)
  })

  it('a process that dies at any one place loses nothing and settles nothing twice', async () => {
    const jobs = simulatedJobs(2, 2)
    let isReached = true
    for (let place = 1; isReached; place += 1) {
      const simulation = simulateHere()
      simulation.dieAfter(place)
      for (const batch of jobs) await simulation.enqueue(batch)
      expect(await simulation.settle(), `place ${place}`).toBe(true)
      expect(simulation.chain.settled().size, `place ${place}`).toBe(4)
      expect(simulation.chain.wasted(), `place ${place}`).toBe(0)
      expect(simulation.chain.nonce(), `place ${place}`).toBe(7)
      isReached = simulation.deaths() > 0
    }
  }, 240_000)

  it('random faults and deaths end in the same settlements, and no nonce jams', async () => {
    const faults: readonly Fault[] = [
      'dropBefore',
      'dropAfter',
      'nullReceipts',
      'staleHead',
      'futureNonce',
      'phantomReceipts',
    ]
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 0x7fffffff }),
        fc.integer({ min: 5, max: 60 }),
        async (seed, percent) => {
          const roll = createDice(seed)
          // Every other run lets settlements share transactions.
          const simulation = simulateHere({ confirmations: 6, batchSize: seed % 2 === 0 ? 1 : 5 })
          const jobs = simulatedJobs(3, 8)
          simulation.chain.setFault(() =>
            roll() < percent ? (faults[roll() % faults.length] ?? 'none') : 'none',
          )
          for (const batch of jobs) await simulation.enqueue(batch)
          for (let step = 0; step < 150; step += 1) {
            if (roll() < 10) simulation.dieAfter(1 + (roll() % 40))
            if (roll() < 60) simulation.chain.mine()
            if (roll() < 4) simulation.chain.reorg(1 + (roll() % 5))
            if (roll() < 2) simulation.chain.foreignTransaction()
            await simulation.ringIfDue()
            simulation.pass(200 + roll() * 5)
          }
          simulation.chain.setFault(() => 'none')
          simulation.dieAfter(Infinity)
          expect(await simulation.settle()).toBe(true)
          expect(simulation.chain.settled().size).toBe(24)
          expect(simulation.chain.sequence()).toBe(3n)
          expect(simulation.store.countByStage().quarantined).toBe(0)
          expect(simulation.chain.highestFeeSeen()).toBeLessThanOrEqual(100_000_000_000n)
        },
      ),
      { numRuns: 30 },
    )
  }, 240_000)
})
