import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleRelayer } from '#relayer/local/bundle.ts'
import type { RelayerStatus } from '#relayer/runtime/status.ts'
import { createDice } from '../support/dice.ts'
import { type ProxyFault, proxyFaults, startFaultProxy } from '../support/faultProxy.ts'
import { type Rehearsal, operatorToken, rehearse, statusOf, until } from '../support/rehearsal.ts'
import { testReport } from '../support/testStream.ts'

/** The relayer measured on its own: one function for each goal. Everything runs for real. */

const muchWei = `1${'0'.repeat(22)}`
const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
}

function onlyChain(rehearsal: Rehearsal) {
  const chain = rehearsal.chains[0]
  if (chain === undefined) throw new Error('no chain')
  return chain
}

function closeBatch(rehearsal: Rehearsal, subjects: number, period: number): void {
  rehearsal.worker.close(
    Array.from({ length: subjects }, (_, subject) => testReport(subject, period)),
  )
}

export function quantiles(values: readonly number[]) {
  const sorted = values.toSorted((left, right) => left - right)
  const at = (part: number): number =>
    Math.round(sorted[Math.ceil((sorted.length - 1) * part)] ?? 0)
  return { count: sorted.length, p50: at(0.5), p95: at(0.95), worst: at(1) }
}

/** R1: proofs a second from the closing of the last batch's worth of work to the last settlement. */
export async function throughput(options: {
  readonly engine: 'workerd' | 'node'
  readonly batchSize: number
  readonly proofs: number
}) {
  const { engine, batchSize, proofs } = options
  const perBatch = Math.min(proofs, 1_000)
  const rehearsal = await rehearse({ chainIds: [31_398], blockTimeSeconds: 0.2 })
  try {
    const chain = { batchSize, window: batchSize === 1 ? 256 : 64, dailySpendWei: muchWei }
    const plan = rehearsal.plan({ subjects: perBatch, chain })
    for (let period = 1; period <= proofs / perBatch; period += 1) {
      closeBatch(rehearsal, perBatch, period)
    }
    const from = performance.now()
    const relayer =
      engine === 'workerd' ? await rehearsal.start(plan) : await rehearsal.startNode(plan)
    await until(
      () => onlyChain(rehearsal).settlements(),
      (settled) => settled === BigInt(proofs),
      240_000,
      100,
    )
    const seconds = (performance.now() - from) / 1_000
    await relayer.stop()
    return { ...options, perSecond: Math.round(proofs / seconds) }
  } finally {
    await rehearsal.stop()
  }
}

/** R2: from the closing of a batch to its last settlement, blocks of one second, 50 proofs a second. */
export async function latency() {
  const perBatch = 10
  // No divisor of a second: closings fall on every place between two blocks.
  const periodMs = 193
  const perSecond = Math.round((perBatch * 1_000) / periodMs)
  const rehearsal = await rehearse({ chainIds: [31_397], blockTimeSeconds: 1 })
  try {
    const relayer = await rehearsal.start(rehearsal.plan({ subjects: perBatch }))
    const chain = onlyChain(rehearsal)
    const closedAt: number[] = []
    const seen: number[] = []
    // What a host that runs both sets up: the worker's batch wakes the relayer.
    const wake = async (): Promise<void> => {
      await fetch(`${relayer.url}/v1/wake`, {
        method: 'POST',
        headers: { authorization: `Bearer ${operatorToken}` },
      })
    }
    const rounds = 100
    const begun = performance.now()
    const closing = (async () => {
      for (let round = 1; round <= rounds; round += 1) {
        closedAt.push(performance.now())
        closeBatch(rehearsal, perBatch, round)
        await wake()
        await pause(Math.max(0, begun + round * periodMs - performance.now()))
      }
    })()
    while (seen.length < rounds) {
      const settled = Number(await chain.settlements())
      for (const at of closedAt.slice(seen.length, Math.floor(settled / perBatch))) {
        seen.push(performance.now() - at)
      }
      await pause(20)
    }
    await closing
    await relayer.stop()
    return { proofsPerSecond: perSecond, milliseconds: quantiles(seen) }
  } finally {
    await rehearsal.stop()
  }
}

/** R4: from starting a killed relayer again to its next broadcast, with work under way. */
export async function restart(engine: 'workerd' | 'node') {
  const rehearsal = await rehearse({ chainIds: [31_396], blockTimeSeconds: 0.2 })
  const proxy = await startFaultProxy(onlyChain(rehearsal).rpcUrl)
  try {
    const plan = rehearsal.plan({
      subjects: 100,
      rpcUrls: () => [proxy.url],
      chain: { batchSize: 1, window: 4 },
    })
    const start = () =>
      engine === 'workerd' ? rehearsal.start(plan) : rehearsal.startNodeProcess(plan)
    for (let period = 1; period <= 8; period += 1) closeBatch(rehearsal, 100, period)
    let relayer = await start()
    const broadcastMs: number[] = []
    for (let kill = 0; kill < 20; kill += 1) {
      await pause(300)
      await relayer.kill9()
      const before = proxy.broadcasts()
      const from = performance.now()
      const starting = start()
      await until(
        () => Promise.resolve(proxy.broadcasts()),
        (count) => count > before,
        30_000,
        2,
      )
      broadcastMs.push(performance.now() - from)
      relayer = await starting
    }
    await relayer.stop()
    return { engine, milliseconds: quantiles(broadcastMs) }
  } finally {
    await proxy.stop()
    await rehearsal.stop()
  }
}

/** R5: three requests of ten fail in every way there is; then a whole minute without an answer. */
export async function faults() {
  const subjects = 20
  const rehearsal = await rehearse({ chainIds: [31_395], blockTimeSeconds: 0.5 })
  const chain = onlyChain(rehearsal)
  const proxy = await startFaultProxy(chain.rpcUrl)
  try {
    const roll = createDice(30)
    const atRandom = (): ProxyFault =>
      roll() < 30 ? (proxyFaults[roll() % proxyFaults.length] ?? 'none') : 'none'
    proxy.setFault(atRandom)
    const relayer = await rehearsal.start(
      rehearsal.plan({ subjects, rpcUrls: () => [proxy.url], chain: { batchSize: 5 } }),
    )
    for (let period = 1; period <= 10; period += 1) closeBatch(rehearsal, subjects, period)
    const from = performance.now()
    await until(
      () => chain.settlements(),
      (settled) => settled === BigInt(10 * subjects),
      120_000,
    )
    const faultySeconds = (performance.now() - from) / 1_000
    proxy.setFault(() => 'busy')
    for (let period = 11; period <= 15; period += 1) closeBatch(rehearsal, subjects, period)
    await pause(60_000)
    proxy.setFault(() => 'none')
    const back = performance.now()
    await until(
      () => chain.settlements(),
      (settled) => settled === BigInt(15 * subjects),
      60_000,
      20,
    )
    const drainedSeconds = (performance.now() - back) / 1_000
    const expected = 1 + 15 * (1 + subjects)
    await until(
      () => statusOf(relayer.url),
      ({ lanes }) => lanes[0]?.counts.final === expected,
    )
    await relayer.stop()
    return {
      proofs: 15 * subjects,
      settled: Number(await chain.settlements()),
      settledTwice: Number(await chain.wasted()),
      faultPercent: 30,
      secondsUnderFaults: Math.round(faultySeconds * 10) / 10,
      outageSeconds: 60,
      drainedAfterOutageSeconds: Math.round(drainedSeconds * 10) / 10,
    }
  } finally {
    await proxy.stop()
    await rehearsal.stop()
  }
}

/** R6: five blocks vanish with what stood in them. */
export async function reorganisation() {
  const subjects = 6
  const rehearsal = await rehearse({ chainIds: [31_394], blockTimeSeconds: 0.5 })
  const chain = onlyChain(rehearsal)
  try {
    const relayer = await rehearsal.start(
      rehearsal.plan({ subjects, chain: { confirmations: 12 } }),
    )
    await until(
      () => chain.call('eth_blockNumber'),
      (block) => Number(block) > 10,
    )
    closeBatch(rehearsal, subjects, 1)
    const isIncluded = ({ lanes }: RelayerStatus): boolean =>
      lanes[0]?.counts.included === 2 + subjects
    await until(() => statusOf(relayer.url), isIncluded, 30_000, 10)
    const from = performance.now()
    await chain.call('anvil_reorg', 5, [])
    await until(
      () => statusOf(relayer.url),
      ({ lanes }) => (lanes[0]?.reorgs ?? 0) > 0,
      30_000,
      10,
    )
    const shownMs = performance.now() - from
    await until(() => statusOf(relayer.url), isIncluded, 30_000, 10)
    const landedMs = performance.now() - from
    await until(
      () => statusOf(relayer.url),
      ({ lanes }) => lanes[0]?.counts.final === 2 + subjects,
    )
    await relayer.stop()
    return {
      depth: 5,
      blockMs: 500,
      shownAsRolledBackMs: Math.round(shownMs),
      landedAgainMs: Math.round(landedMs),
      settled: Number(await chain.settlements()),
      settledTwice: Number(await chain.wasted()),
    }
  } finally {
    await rehearsal.stop()
  }
}

/** R9: proofs a second that become durable and verified in a lane that sends nothing. */
export async function ingress(engine: 'workerd' | 'node') {
  const perBatch = 1_000
  const batches = 10
  const rehearsal = await rehearse({ chainIds: [31_393] })
  try {
    const plan = rehearsal.plan({ subjects: perBatch })
    const relayer =
      engine === 'workerd' ? await rehearsal.start(plan) : await rehearsal.startNode(plan)
    const response = await fetch(`${relayer.url}/v1/operate`, {
      method: 'POST',
      headers: { authorization: `Bearer ${operatorToken}` },
      body: JSON.stringify({ action: 'pause' }),
    })
    if (!response.ok) throw new Error('not paused')
    // Signed in one go, before this thread can answer: the worker's work is not the relayer's.
    for (let period = 1; period <= batches; period += 1) closeBatch(rehearsal, perBatch, period)
    const from = performance.now()
    await until(
      () => statusOf(relayer.url),
      ({ lanes }) => lanes[0]?.counts.queued === batches * (perBatch + 1),
      120_000,
      50,
    )
    const seconds = (performance.now() - from) / 1_000
    await relayer.stop()
    return {
      engine,
      proofs: batches * perBatch,
      perSecond: Math.round((batches * perBatch) / seconds),
    }
  } finally {
    await rehearsal.stop()
  }
}

/** R11: one report settles on two chains while a third is dead. */
export async function severalChains() {
  const rehearsal = await rehearse({ chainIds: [31_381, 31_382, 31_383], blockTimeSeconds: 1 })
  const stuck = rehearsal.chains[2]
  if (stuck === undefined) throw new Error('no third chain')
  const proxy = await startFaultProxy(stuck.rpcUrl)
  try {
    const relayer = await rehearsal.start(
      rehearsal.plan({
        rpcUrls: (chain) => [chain === stuck ? proxy.url : chain.rpcUrl],
      }),
    )
    const rounds = 12
    const measured: Record<'allAlive' | 'oneDead', number[]> = { allAlive: [], oneDead: [] }
    for (let round = 1; round <= 2 * rounds; round += 1) {
      const isDead = round > rounds
      if (round === rounds + 1) proxy.setFault(() => 'slow')
      if (isDead) proxy.setFault(() => (round % 2 === 0 ? 'busy' : 'dropBefore'))
      const from = performance.now()
      closeBatch(rehearsal, 1, round)
      const awaited = isDead ? rehearsal.chains.slice(0, 2) : rehearsal.chains
      await Promise.all(
        awaited.map((chain) =>
          until(
            () => chain.settlements(),
            (settled) => settled === BigInt(round),
            60_000,
            20,
          ),
        ),
      )
      measured[isDead ? 'oneDead' : 'allAlive'].push(performance.now() - from)
      await pause((round * 370) % 1_000)
    }
    await relayer.stop()
    return {
      chains: 3,
      allAliveMs: quantiles(measured.allAlive),
      oneDeadOthersMs: quantiles(measured.oneDead),
    }
  } finally {
    await proxy.stop()
    await rehearsal.stop()
  }
}

/**
 * R12: what it weighs. A cold start is everything that `startRelayer` does over a bundle that is up to
 * date: checking that it is, writing the configuration, the engine's process, the first answer over
 * HTTP, and every feed and lane awake. What a supervisor or the command line needs before is not in it.
 */
export async function weight() {
  const { modules } = await bundleRelayer(root)
  const kb = (which: (module: (typeof modules)[number]) => boolean): number =>
    Math.round(modules.filter(which).reduce((sum, { bytes }) => sum + bytes, 0) / 1_000)
  const rehearsal = await rehearse({ chainIds: [31_392] })
  try {
    const startMs: number[] = []
    let idleMib = 0
    for (let round = 0; round < 5; round += 1) {
      const from = performance.now()
      const relayer = await rehearsal.start()
      startMs.push(performance.now() - from)
      if (round === 4) {
        await pause(5_000)
        const status = readFileSync(join('/proc', String(relayer.pid), 'status'), 'utf8')
        idleMib = Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1_024)
      }
      await relayer.stop()
    }
    return {
      bundleKb: kb(({ atStart }) => atStart),
      layerZeroKb: kb(({ name }) => name.startsWith('parts/transport-')),
      wholeKb: kb(() => true),
      coldStartMs: quantiles(startMs),
      idleMib,
    }
  } finally {
    await rehearsal.stop()
  }
}

/** R7: the base fee rises a hundredfold over what is already in the pool, under geth's 10 % rule. */
export async function feeSpike() {
  const gwei = 1_000_000_000n
  const capWei = 500n * gwei
  const rehearsal = await rehearse({ chainIds: [31_387], blockTimeSeconds: 0.5 })
  const chain = onlyChain(rehearsal)
  const proxy = await startFaultProxy(chain.rpcUrl)
  try {
    const relayer = await rehearsal.start(
      rehearsal.plan({
        subjects: 4,
        rpcUrls: () => [proxy.url],
        chain: { maxFeePerGasWei: String(capWei), dailySpendWei: muchWei },
      }),
    )
    const spike = async (): Promise<void> => {
      await chain.call('anvil_setNextBlockBaseFeePerGas', `0x${(100n * gwei).toString(16)}`)
      await chain.call('evm_mine')
    }
    await chain.call('evm_setIntervalMining', 0)
    closeBatch(rehearsal, 4, 1)
    await until(
      () => statusOf(relayer.url),
      ({ lanes }) => lanes[0]?.counts.sent === 1,
    )
    const from = performance.now()
    // The fee stays up: anvil would let it fall by an eighth with every empty block.
    const over = new AbortController()
    const mining = (async () => {
      while (!over.signal.aborted) {
        await spike()
        await pause(500)
      }
    })()
    const { lanes } = await until(
      () => statusOf(relayer.url),
      (status) => status.lanes[0]?.counts.final === 6,
      120_000,
      200,
    )
    over.abort()
    await mining
    await relayer.stop()
    const transactions = lanes[0]?.transactions ?? []
    return {
      settled: Number(await chain.settlements()),
      settledTwice: Number(await chain.wasted()),
      secondsToLand: Math.round((performance.now() - from) / 100) / 10,
      mostAttempts: Math.max(...transactions.map(({ attempts }) => attempts)),
      refusedReplacements: proxy.refusedReplacements(),
      highestFeeGwei: Number(
        transactions.reduce((most, { maxFeePerGasWei }) => {
          const fee = BigInt(maxFeePerGasWei)
          return fee > most ? fee : most
        }, 0n) / gwei,
      ),
      capGwei: Number(capWei / gwei),
    }
  } finally {
    await proxy.stop()
    await rehearsal.stop()
  }
}

/** R8: the preferred endpoint lies in one way throughout; the second is honest. */
export async function liars() {
  const lies: readonly ProxyFault[] = [
    'nullReceipts',
    'phantomReceipts',
    'staleHead',
    'futureNonce',
    'wrongChain',
    'garbage',
  ]
  const results = []
  for (const lie of lies) {
    const rehearsal = await rehearse({ chainIds: [31_386], blockTimeSeconds: 0.3 })
    const chain = onlyChain(rehearsal)
    const proxy = await startFaultProxy(chain.rpcUrl)
    try {
      proxy.setFault(() => lie)
      const relayer = await rehearsal.start(
        rehearsal.plan({
          subjects: 5,
          rpcUrls: ({ rpcUrl }) => [proxy.url, rpcUrl],
          chain: { confirmations: 2 },
        }),
      )
      closeBatch(rehearsal, 5, 1)
      let isNamed = false
      await until(
        () => statusOf(relayer.url),
        ({ lanes }) => {
          const [lane] = lanes
          isNamed ||= lane?.endpoints.some(({ problem }) => problem !== undefined) ?? false
          isNamed ||= lane?.hold !== undefined
          return lane?.counts.final === 7
        },
        60_000,
        20,
      ).catch(() => undefined)
      await relayer.stop()
      results.push({
        lie,
        settled: Number(await chain.settlements()),
        settledTwice: Number(await chain.wasted()),
        isNamed,
      })
    } finally {
      await proxy.stop()
      await rehearsal.stop()
    }
  }
  return { proofsEach: 5, results }
}
