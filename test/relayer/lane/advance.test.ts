import { describe, expect, it } from 'vitest'
import { simulate, simulatedJobs } from '../support/simulation.ts'

const gwei = 1_000_000_000n

/** Lets the lane work without blocks until something is in flight. */
async function untilSent(simulation: ReturnType<typeof simulate>): Promise<void> {
  for (let step = 0; step < 50 && simulation.chain.poolSize() === 0; step += 1) {
    await simulation.ringIfDue()
    simulation.pass(100)
  }
  expect(simulation.chain.poolSize()).toBe(1)
}

describe('lane/advance', () => {
  it('a base fee that rises a hundredfold after sending is answered by replacements up to the cap', async () => {
    const simulation = simulate({ maxFeePerGasWei: 300n * gwei })
    for (const jobs of simulatedJobs(1, 3)) await simulation.enqueue(jobs)
    await untilSent(simulation)
    simulation.chain.setBaseFee(100n * gwei)
    expect(await simulation.settle()).toBe(true)
    expect(simulation.chain.settled().size).toBe(3)
    expect(simulation.chain.nonce()).toBe(5)
    const [replaced] = simulation.store.transactions(10).filter(({ nonce }) => nonce === 0)
    expect(replaced?.attempts.length).toBeGreaterThan(1)
    expect(simulation.chain.highestFeeSeen()).toBeLessThanOrEqual(300n * gwei)
  })

  it('above the cap a lane is parked with its reason, drops nothing and resumes by itself', async () => {
    const simulation = simulate({ maxFeePerGasWei: 20n * gwei })
    for (const jobs of simulatedJobs(1, 3)) await simulation.enqueue(jobs)
    await untilSent(simulation)
    simulation.chain.setBaseFee(100n * gwei)
    expect(await simulation.settle({ steps: 600 })).toBe(false)
    expect(simulation.runtime().lane().hold).toMatchObject({
      kind: 'fee',
      reason: 'The base fee of 100000000000 wei is above the cap of 20000000000 wei.',
    })
    expect(simulation.chain.highestFeeSeen()).toBeLessThanOrEqual(20n * gwei)
    simulation.chain.setBaseFee(gwei)
    expect(await simulation.settle()).toBe(true)
    expect(simulation.chain.settled().size).toBe(3)
    expect(simulation.runtime().lane().hold).toBeUndefined()
  })

  it('the daily budget holds a lane until the next day', async () => {
    // Room for one transaction: 60 000 gas at 2 gwei and a tip.
    const simulation = simulate({ dailySpendWei: 130_000n * gwei })
    for (const jobs of simulatedJobs(1, 2)) await simulation.enqueue(jobs)
    expect(await simulation.settle({ steps: 400 })).toBe(false)
    expect(simulation.runtime().lane().hold?.kind).toBe('spend')
    expect(simulation.chain.settled().size).toBe(0)
    for (let day = 0; day < 4; day += 1) {
      simulation.pass(86_400_000)
      await simulation.settle({ steps: 100 })
    }
    expect(simulation.chain.settled().size).toBe(2)
  })

  it('a nonce that somebody else used is given up after a second look, never after one', async () => {
    const simulation = simulate()
    for (const jobs of simulatedJobs(1, 2)) await simulation.enqueue(jobs)
    await untilSent(simulation)
    simulation.chain.foreignTransaction()
    simulation.pass(600)
    await simulation.ringIfDue()
    const [first] = [...simulation.runtime().lane().transactions.values()]
    expect(first?.stage).toBe('sent')
    expect(first?.doubtSinceMs).toBeDefined()
    expect(await simulation.settle()).toBe(true)
    expect(simulation.chain.settled().size).toBe(2)
    expect(simulation.chain.wasted()).toBe(0)
    // The stranger's, a registration, a commit and two settlements.
    expect(simulation.chain.nonce()).toBe(5)
  })

  it('a reorganisation puts what was included back in flight within one look', async () => {
    const simulation = simulate({ confirmations: 20 })
    for (const jobs of simulatedJobs(1, 2)) await simulation.enqueue(jobs)
    await simulation.settle({ steps: 40 })
    expect(simulation.store.countByStage().included).toBe(4)
    simulation.chain.reorg(9)
    simulation.pass(600)
    await simulation.ringIfDue()
    expect(simulation.store.countByStage().included).toBeLessThan(4)
    expect(simulation.runtime().lane().reorgs).toBeGreaterThan(0)
    expect(await simulation.settle()).toBe(true)
    expect(simulation.chain.settled().size).toBe(2)
    expect(simulation.chain.wasted()).toBe(0)
  })

  it('a reorganisation deeper than the confirmations reopens what was final', async () => {
    const simulation = simulate({ confirmations: 2 })
    for (const jobs of simulatedJobs(1, 4)) await simulation.enqueue(jobs)
    expect(await simulation.settle()).toBe(true)
    simulation.chain.reorg(20)
    expect(simulation.chain.settled().size).toBe(0)
    await simulation.idle(130_000)
    expect(await simulation.settle()).toBe(true)
    expect(simulation.chain.settled().size).toBe(4)
    expect(simulation.chain.wasted()).toBe(0)
  })

  it('what another relayer has done is not done again, and counts only at its depth', async () => {
    const jobs = simulatedJobs(1, 3)
    const theirs = simulate()
    for (const batch of jobs) await theirs.enqueue(batch)
    expect(await theirs.settle()).toBe(true)
    const ours = simulate({}, theirs.chain)
    for (const batch of jobs) await ours.enqueue(batch)
    await ours.ringIfDue()
    expect(ours.store.countByStage()).toMatchObject({ included: 4, final: 0 })
    expect(await ours.settle()).toBe(true)
    expect(theirs.chain.wasted()).toBe(0)
    expect(ours.store.transactions(10)).toEqual([])
    for (const job of ours.store.jobs(10)) expect(job.doneBy).toBe('other')
  })

  it('a paused lane signs nothing new and still sees what it has sent to its end', async () => {
    const simulation = simulate()
    for (const jobs of simulatedJobs(1, 2)) await simulation.enqueue(jobs)
    await untilSent(simulation)
    await simulation.operate({ action: 'pause' })
    await simulation.settle({ steps: 100 })
    expect(simulation.store.countByStage()).toMatchObject({ final: 1, queued: 3 })
    await simulation.operate({ action: 'resume' })
    expect(await simulation.settle()).toBe(true)
    expect(simulation.chain.settled().size).toBe(2)
  })
})
