import { rehearse, statusOf, until } from './support/rehearsal.ts'
import { testReport } from './support/testStream.ts'

/**
 * `node test/relayer/measure.ts [proofs] [rounds]`: how many settlements of one batch a lane carries a
 * second, shared and one by one, and how long a single report takes from the closing of its batch to
 * its settlement in a block of a chain with 1-s blocks. Raw workerd, anvil; prints one JSON object.
 */

const [proofs = 2_000, rounds = 15] = process.argv.slice(2).map(Number)

async function throughput(batchSize: number, count: number): Promise<number> {
  const rehearsal = await rehearse({ chainIds: [31_398], blockTimeSeconds: 0.25 })
  try {
    const chain = { batchSize, window: 64, dailySpendWei: `1${'0'.repeat(22)}` }
    const relayer = await rehearsal.start(rehearsal.plan({ subjects: count, chain }))
    const from = performance.now()
    rehearsal.worker.close(Array.from({ length: count }, (_, at) => testReport(at, 1)))
    await until(
      () => rehearsal.chains[0]?.settlements() ?? Promise.resolve(0n),
      (settled) => settled === BigInt(count),
      300_000,
      100,
    )
    const seconds = (performance.now() - from) / 1_000
    await relayer.stop()
    return Math.round(count / seconds)
  } finally {
    await rehearsal.stop()
  }
}

async function latencies(): Promise<number[]> {
  const rehearsal = await rehearse({ chainIds: [31_397], blockTimeSeconds: 1 })
  try {
    const relayer = await rehearsal.start()
    const seen: number[] = []
    for (let round = 1; round <= rounds; round += 1) {
      const from = performance.now()
      rehearsal.worker.close([testReport(0, round)])
      await until(
        () => statusOf(relayer.url),
        ({ settlements }) =>
          settlements.filter(({ transaction }) => transaction?.isSuccess === true).length === round,
      )
      seen.push(Math.round(performance.now() - from))
      // Not in step with the blocks.
      await new Promise((resolve) => setTimeout(resolve, (round * 370) % 1_000))
    }
    await relayer.stop()
    return seen.toSorted((left, right) => left - right)
  } finally {
    await rehearsal.stop()
  }
}

const seen = await latencies()
const at = (part: number): number => seen[Math.floor((seen.length - 1) * part)] ?? 0
const result = {
  sharedPerSecond: await throughput(100, proofs),
  singlePerSecond: await throughput(1, Math.ceil(proofs / 4)),
  closedToSettledMs: { rounds, p50: at(0.5), p95: at(0.95), worst: at(1) },
}
process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`)
