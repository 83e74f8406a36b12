import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createDice } from './support/dice.ts'
import {
  type FaultProxy,
  type ProxyFault,
  proxyFaults,
  startFaultProxy,
} from './support/faultProxy.ts'
import { type Rehearsal, rehearse, statusOf, until } from './support/rehearsal.ts'
import { testReport } from './support/testStream.ts'

const subjects = 6

type Running = { readonly url: string; stop(): Promise<void> }

/** Real nodes, real signatures; between relayer and node stands a proxy that fails on demand. */
describe.each(['workerd', 'node'] as const)('real chains under faults, %s adapter', (engine) => {
  let rehearsal: Rehearsal
  let proxy: FaultProxy
  let relayer: Running

  const chain = () => {
    const first = rehearsal.chains[0]
    if (first === undefined) throw new Error('no chain')
    return first
  }

  async function start(options: Parameters<Rehearsal['plan']>[0] = {}): Promise<void> {
    const plan = rehearsal.plan({ subjects, rpcUrls: () => [proxy.url], ...options })
    relayer = engine === 'workerd' ? await rehearsal.start(plan) : await rehearsal.startNode(plan)
  }

  function closeBatch(period: number): void {
    rehearsal.worker.close(
      Array.from({ length: subjects }, (_, subject) => testReport(subject, period)),
    )
  }

  const whenFinal = (count: number, timeoutMs = 50_000) =>
    until(
      () => statusOf(relayer.url),
      ({ lanes }) => lanes[0]?.counts.final === count,
      timeoutMs,
    )

  beforeEach(async () => {
    rehearsal = await rehearse({ chainIds: [31_350], blockTimeSeconds: 0.2 })
    proxy = await startFaultProxy(chain().rpcUrl)
  })

  afterEach(async () => {
    await relayer.stop()
    await proxy.stop()
    await rehearsal.stop()
  })

  it('three requests of ten fail in every way there is, and everything settles once', async () => {
    const roll = createDice(20_261_124)
    proxy.setFault(() =>
      roll() < 30 ? (proxyFaults[roll() % proxyFaults.length] ?? 'none') : 'none',
    )
    await start({ chain: { batchSize: 2 } })
    for (const period of [1, 2, 3]) closeBatch(period)
    await whenFinal(1 + 3 + 3 * subjects)
    expect(await chain().settlements()).toBe(BigInt(3 * subjects))
    expect(await chain().wasted()).toBe(0n)
  })

  it('an outage holds the lane with a reason and ends by itself', async () => {
    let fault: ProxyFault = 'busy'
    proxy.setFault(() => fault)
    await start()
    closeBatch(1)
    const held = await until(
      () => statusOf(relayer.url),
      ({ lanes, feed }) => lanes[0]?.hold !== undefined && feed.sequence === '1',
    )
    expect(held.lanes[0]?.hold?.kind).toBe('rpc')
    expect(held.lanes[0]?.hold?.reason).toMatch(/^127\.0\.0\.1:\d+ answered with HTTP 503\.$/)
    fault = 'none'
    await whenFinal(2 + subjects, 15_000)
    expect(await chain().settlements()).toBe(BigInt(subjects))
  })

  it('an endpoint of another chain is never believed; the next one is used', async () => {
    proxy.setFault(() => 'wrongChain')
    await start({ rpcUrls: ({ rpcUrl }) => [proxy.url, rpcUrl] })
    closeBatch(1)
    const { lanes } = await whenFinal(2 + subjects)
    expect(lanes[0]?.endpoints[0]?.problem).toMatch(/is not an endpoint of chain 31350\.$/)
    expect(await chain().settlements()).toBe(BigInt(subjects))
  })

  it.each(['phantomReceipts', 'nullReceipts', 'futureNonce', 'staleHead'] as const)(
    'a preferred endpoint that lies throughout (%s) makes nothing settle twice',
    async (lie) => {
      proxy.setFault(() => lie)
      await start({
        rpcUrls: ({ rpcUrl }) => [proxy.url, rpcUrl],
        chain: { confirmations: 2 },
      })
      closeBatch(1)
      await whenFinal(2 + subjects)
      expect(await chain().settlements()).toBe(BigInt(subjects))
      expect(await chain().wasted()).toBe(0n)
    },
  )

  it('settlements land again after a reorganisation to depth five', async () => {
    // On a fast machine the batch is in within fewer blocks than the reorganisation takes back.
    await chain().call('anvil_mine', '0x8')
    await start({ chain: { confirmations: 12 } })
    closeBatch(1)
    await until(
      () => statusOf(relayer.url),
      ({ lanes }) => lanes[0]?.counts.included === 2 + subjects,
    )
    await chain().call('anvil_reorg', 5, [])
    await whenFinal(2 + subjects)
    expect(await chain().settlements()).toBe(BigInt(subjects))
    expect(await chain().wasted()).toBe(0n)
  })

  it('a base fee a hundred times as high parks the lane at its cap, and it resumes by itself', async () => {
    const capWei = 20_000_000_000n
    await chain().call('evm_setIntervalMining', 0)
    await chain().call('anvil_setNextBlockBaseFeePerGas', '0x174876e800') // 100 gwei
    await chain().call('evm_mine')
    await start({ chain: { maxFeePerGasWei: String(capWei) } })
    closeBatch(1)
    const parked = await until(
      () => statusOf(relayer.url),
      ({ lanes }) => lanes[0]?.hold?.kind === 'fee',
    )
    expect(parked.lanes[0]?.counts.final).toBe(0)
    expect(parked.lanes[0]?.transactions).toEqual([])
    await chain().call('anvil_setNextBlockBaseFeePerGas', '0x3b9aca00') // 1 gwei
    await chain().call('evm_mine')
    await chain().call('evm_setIntervalMining', 1)
    const { lanes } = await whenFinal(2 + subjects)
    for (const { maxFeePerGasWei } of lanes[0]?.transactions ?? []) {
      expect(BigInt(maxFeePerGasWei)).toBeLessThanOrEqual(capWei)
    }
  })
})

describe.each(['workerd', 'node'] as const)('a chain that is dead, %s adapter', (engine) => {
  it('holds its own lane, by name, and no other; it catches up by itself', async () => {
    const rehearsal = await rehearse({ chainIds: [31_351, 31_352], blockTimeSeconds: 0.2 })
    const dead = rehearsal.chains[1]
    if (dead === undefined) throw new Error('no second chain')
    const proxy = await startFaultProxy(dead.rpcUrl)
    let isDead = true
    proxy.setFault(() => (isDead ? 'dropBefore' : 'none'))
    const plan = rehearsal.plan({
      subjects,
      rpcUrls: (chain) => [chain === dead ? proxy.url : chain.rpcUrl],
    })
    const relayer =
      engine === 'workerd' ? await rehearsal.start(plan) : await rehearsal.startNode(plan)
    try {
      for (const period of [1, 2]) {
        rehearsal.worker.close(
          Array.from({ length: subjects }, (_, subject) => testReport(subject, period)),
        )
      }
      const expected = 1 + 2 * (1 + subjects)
      const { lanes } = await until(
        () => statusOf(relayer.url),
        (status) =>
          status.lanes[0]?.counts.final === expected && status.lanes[1]?.hold !== undefined,
        60_000,
      )
      expect(lanes[0]?.hold).toBeUndefined()
      expect(lanes[1]?.hold?.kind).toBe('rpc')
      expect(lanes[1]?.counts.queued).toBe(expected - 1)
      isDead = false
      await until(
        () => statusOf(relayer.url),
        (status) => status.lanes[1]?.counts.final === expected,
        60_000,
      )
      expect(await dead.settlements()).toBe(BigInt(2 * subjects))
      expect(await dead.wasted()).toBe(0n)
    } finally {
      await relayer.stop()
      await proxy.stop()
      await rehearsal.stop()
    }
  })
})
