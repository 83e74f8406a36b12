import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { simulate, simulatedJobs } from '../support/simulation.ts'
import type { Fault } from '../support/simulatedChain.ts'

/** 0 to 99, the same sequence for the same seed (xorshift32), so that a failure can be replayed. */
function createDice(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % 100
  }
}

describe('lane under faults', () => {
  it('carries a batch to its end: signer registered, batch anchored, everything settled once', async () => {
    const simulation = simulate()
    for (const jobs of simulatedJobs(3, 20)) await simulation.enqueue(jobs)
    expect(await simulation.settle()).toBe(true)
    expect(simulation.chain.settled().size).toBe(60)
    expect(simulation.chain.sequence()).toBe(3n)
    expect(simulation.chain.wasted()).toBe(0)
    // One registration, three commits, sixty settlements: no nonce was spent on anything else.
    expect(simulation.chain.nonce()).toBe(64)
  })

  it('a process that dies at any one place loses nothing and settles nothing twice', async () => {
    const jobs = simulatedJobs(2, 2)
    let isReached = true
    for (let place = 1; isReached; place += 1) {
      const simulation = simulate()
      simulation.dieAfter(place)
      for (const batch of jobs) await simulation.enqueue(batch)
      expect(await simulation.settle(), `place ${place}`).toBe(true)
      expect(simulation.chain.settled().size, `place ${place}`).toBe(4)
      expect(simulation.chain.wasted(), `place ${place}`).toBe(0)
      expect(simulation.chain.nonce(), `place ${place}`).toBe(7)
      isReached = simulation.deaths() > 0
    }
  })

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
          const simulation = simulate({ confirmations: 6 })
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
      { numRuns: 60 },
    )
  })
})
