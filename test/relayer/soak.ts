import { runKillLoop } from './support/killLoop.ts'
import { rehearse } from './support/rehearsal.ts'

/**
 * The long form of the crash test: `node test/relayer/soak.ts [kills] [batches] [proofs a batch]`,
 * by default 1 000 kills over 100 000 proofs on one chain. Prints one JSON object.
 */

const [kills = 1_000, batches = 1_000, subjects = 100] = process.argv.slice(2).map(Number)

const rehearsal = await rehearse({ chainIds: [31_399], blockTimeSeconds: 0.5 })
try {
  const result = await runKillLoop({
    rehearsal,
    kills,
    batches,
    subjects,
    seed: 1,
    plan: { chain: { confirmations: 4, batchSize: 50, dailySpendWei: `1${'0'.repeat(22)}` } },
    timeoutMs: 3_600_000,
    onKill(kill) {
      if (kill % 50 === 0) process.stderr.write(`${kill} of ${kills} kills\n`)
    },
  })
  const at = (part: number): number =>
    Math.round(result.restartMs[Math.floor((result.restartMs.length - 1) * part)] ?? 0)
  const isGood =
    result.settled.every((count) => count === BigInt(result.proofsPerChain)) &&
    result.wasted.every((count) => count === 0n)
  process.stdout.write(
    `${JSON.stringify(
      {
        kills: result.kills,
        proofs: result.proofsPerChain,
        settled: result.settled.map(String),
        settledTwice: result.wasted.map(String),
        noncesUsed: result.nonces,
        restartP50Ms: at(0.5),
        restartP95Ms: at(0.95),
        seconds: Math.round(result.seconds),
        isGood,
      },
      undefined,
      2,
    )}\n`,
  )
  if (!isGood) process.exitCode = 1
} finally {
  await rehearsal.stop()
}
