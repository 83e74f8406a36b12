import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { runKillLoop } from './support/killLoop.ts'
import { rehearse } from './support/rehearsal.ts'

/**
 * The long form of the crash test, in slices that add up in a file:
 * `node test/relayer/soak.ts --engine workerd|node [--kills 60] [--proofs 6000] [--seconds 150]
 * [--parallel 1] [--into FILE]`. Each slice has a chain and a data folder of its own and another seed.
 * No kill begins after the seconds; what was closed by then is brought to its end and counted. Prints
 * the slices, or with a file the sum per engine.
 */

type Slice = {
  readonly engine: 'workerd' | 'node'
  readonly seed: number
  readonly kills: number
  readonly proofs: number
  readonly settled: number
  readonly settledTwice: number
  readonly noncesUsed: number
  readonly restartP50Ms: number
  readonly restartP95Ms: number
  readonly seconds: number
}

const proofsPerBatch = 100

const { values } = parseArgs({
  options: {
    engine: { type: 'string', default: 'workerd' },
    kills: { type: 'string', default: '60' },
    proofs: { type: 'string', default: '6000' },
    seconds: { type: 'string', default: '150' },
    parallel: { type: 'string', default: '1' },
    into: { type: 'string' },
  },
})
const engine = values.engine === 'node' ? 'node' : 'workerd'
const kills = Number(values.kills)
const batches = Math.ceil(Number(values.proofs) / proofsPerBatch)

const earlier: Slice[] =
  values.into !== undefined && existsSync(values.into)
    ? (JSON.parse(readFileSync(values.into, 'utf8')) as { slices: Slice[] }).slices
    : []

async function runSlice(seed: number): Promise<Slice> {
  const rehearsal = await rehearse({ chainIds: [31_400 + seed], blockTimeSeconds: 0.25 })
  try {
    const result = await runKillLoop({
      rehearsal,
      engine,
      kills,
      batches,
      subjects: proofsPerBatch,
      seed,
      longestLifeMs: 400,
      killingMs: Number(values.seconds) * 1_000,
      plan: { chain: { confirmations: 4, batchSize: 50, dailySpendWei: `1${'0'.repeat(22)}` } },
      timeoutMs: 120_000,
      onKill(kill) {
        if (kill % 25 === 0) process.stderr.write(`${kill} of ${kills} kills\n`)
      },
    })
    const at = (part: number): number =>
      Math.round(result.restartMs[Math.floor((result.restartMs.length - 1) * part)] ?? 0)
    return {
      engine,
      seed,
      kills: result.kills,
      proofs: result.proofsPerChain,
      settled: Number(result.settled[0]),
      settledTwice: Number(result.wasted[0]),
      noncesUsed: result.nonces[0] ?? 0,
      restartP50Ms: at(0.5),
      restartP95Ms: at(0.95),
      seconds: Math.round(result.seconds),
    }
  } finally {
    await rehearsal.stop()
  }
}

function sumOf(slices: readonly Slice[]) {
  const total = (pick: (slice: Slice) => number): number =>
    slices.reduce((sum, slice) => sum + pick(slice), 0)
  return {
    slices: slices.length,
    kills: total(({ kills: count }) => count),
    proofs: total(({ proofs }) => proofs),
    lost: total(({ proofs, settled }) => proofs - settled),
    settledTwice: total(({ settledTwice }) => settledTwice),
    noncesUsed: total(({ noncesUsed }) => noncesUsed),
    restartP95Ms: Math.max(0, ...slices.map(({ restartP95Ms }) => restartP95Ms)),
    seconds: total(({ seconds }) => seconds),
  }
}

const fresh = await Promise.all(
  Array.from({ length: Number(values.parallel) }, (_, at) => runSlice(1 + earlier.length + at)),
)
const slices = [...earlier, ...fresh]
const sums = {
  workerd: sumOf(slices.filter((entry) => entry.engine === 'workerd')),
  node: sumOf(slices.filter((entry) => entry.engine === 'node')),
}
if (values.into !== undefined) {
  const command = 'node test/relayer/soak.ts --engine workerd|node --into FILE'
  writeFileSync(values.into, `${JSON.stringify({ command, sums, slices }, undefined, 2)}\n`)
}
process.stdout.write(`${JSON.stringify(values.into === undefined ? fresh : sums, undefined, 2)}\n`)
const isGood = fresh.every(
  ({ settled, proofs, settledTwice }) => settled === proofs && settledTwice === 0,
)
if (!isGood) process.exitCode = 1
