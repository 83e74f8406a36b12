import { createDice } from './dice.ts'
import type { RunningRelayer } from '#relayer/local/engineProcess.ts'
import { type Rehearsal, statusOf, until } from './rehearsal.ts'
import { testReport } from './testStream.ts'

export type KillLoopOptions = {
  readonly rehearsal: Rehearsal
  readonly engine?: 'workerd' | 'node'
  readonly kills: number
  readonly batches: number
  readonly subjects: number
  readonly seed: number
  readonly plan: Parameters<Rehearsal['plan']>[0]
  readonly timeoutMs: number
  /** The longest that a process lives, milliseconds; at least 20. */
  readonly longestLifeMs?: number
  /** No kill begins later than this; what was closed by then is counted. */
  readonly killingMs?: number
  readonly onKill?: (kill: number) => void
}

export type KillLoopResult = {
  readonly kills: number
  readonly proofsPerChain: number
  readonly settled: readonly bigint[]
  readonly wasted: readonly bigint[]
  /** Nonces that each sender has used. */
  readonly nonces: readonly number[]
  /** From the start of the process to its first answer, milliseconds, ascending. */
  readonly restartMs: readonly number[]
  readonly seconds: number
}

/**
 * Closes batches while the relayer is killed with SIGKILL at random instants and started again on the
 * same data folder, then waits until everything is final and counts on the chains.
 */
export async function runKillLoop(options: KillLoopOptions): Promise<KillLoopResult> {
  const { rehearsal, kills, batches, subjects, longestLifeMs = 812 } = options
  const roll = createDice(options.seed)
  const plan = rehearsal.plan({ subjects, ...options.plan })
  const restartMs: number[] = []
  const startedAt = Date.now()
  let closed = 0
  const start = (): Promise<RunningRelayer> =>
    options.engine === 'node' ? rehearsal.startNodeProcess(plan) : rehearsal.start(plan)
  let relayer = await start()
  const killUntil = startedAt + (options.killingMs ?? Infinity)
  let done = 0
  for (let kill = 1; kill <= kills && Date.now() < killUntil; kill += 1) {
    // Spread the batches over the kills, so that each finds work under way.
    for (const due = Math.ceil((kill * batches) / kills); closed < due; closed += 1) {
      rehearsal.worker.close(
        Array.from({ length: subjects }, (_, subject) => testReport(subject, closed + 1)),
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 20 + (roll() * (longestLifeMs - 20)) / 99))
    await relayer.kill9()
    const from = performance.now()
    relayer = await start()
    restartMs.push(performance.now() - from)
    done = kill
    options.onKill?.(kill)
  }
  // A registration, then for each batch its commit and its settlements.
  const expected = 1 + closed * (1 + subjects)
  await until(
    () => statusOf(relayer.url),
    ({ lanes }) => lanes.every(({ counts }) => counts.final === expected),
    options.timeoutMs,
    250,
  )
  await relayer.stop()
  const { chains } = rehearsal
  return {
    kills: done,
    proofsPerChain: closed * subjects,
    settled: await Promise.all(chains.map((chain) => chain.settlements())),
    wasted: await Promise.all(chains.map((chain) => chain.wasted())),
    nonces: await Promise.all(
      chains.map(async (chain) =>
        Number(await chain.call('eth_getTransactionCount', rehearsal.sender, 'latest')),
      ),
    ),
    restartMs: restartMs.toSorted((left, right) => left - right),
    seconds: (Date.now() - startedAt) / 1_000,
  }
}
