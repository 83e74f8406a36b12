import type { ProxyFault } from '../support/faultProxy.ts'
import { startFaultProxy } from '../support/faultProxy.ts'
import type { RunningRelayer } from '#relayer/local/engineProcess.ts'
import { rehearse, statusOf, until } from '../support/rehearsal.ts'
import { testReport } from '../support/testStream.ts'

const subjects = 2

/**
 * SIGKILL at every request of a batch's way, once as it leaves (what it leans on has just been stored)
 * and once when the node has carried it out and the answer is on its way. Between two requests a lane
 * stores at most a few transitions, so that each of them is the last before some kill.
 */
export async function killPlaces(engine: 'workerd' | 'node', mostPlaces = 60) {
  const rehearsal = await rehearse({ chainIds: [31_389], blockTimeSeconds: 0.2 })
  const chain = rehearsal.chains[0]
  if (chain === undefined) throw new Error('no chain')
  const proxy = await startFaultProxy(chain.rpcUrl)
  const plan = rehearsal.plan({ subjects, rpcUrls: () => [proxy.url], chain: { confirmations: 2 } })
  const start = (): Promise<RunningRelayer> =>
    engine === 'workerd' ? rehearsal.start(plan) : rehearsal.startNodeProcess(plan)
  let relayer = await start()
  let kills = 0
  let batches = 0
  try {
    let isReached = true
    for (let place = 1; isReached && place <= mostPlaces; place += 1) {
      for (const when of ['dropBefore', 'dropAfter'] as const) {
        let seen = 0
        let isKilled = false
        proxy.setFault((): ProxyFault => {
          seen += 1
          if (seen !== place) return 'none'
          isKilled = true
          process.kill(relayer.pid, 'SIGKILL')
          return when
        })
        batches += 1
        rehearsal.worker.close(
          Array.from({ length: subjects }, (_, subject) => testReport(subject, batches)),
        )
        const expected = 1 + batches * (1 + subjects)
        const isFinal = async (): Promise<boolean> => {
          try {
            const { lanes } = await statusOf(relayer.url)
            return lanes[0]?.counts.final === expected
          } catch (cause) {
            if (isKilled) return false
            throw cause
          }
        }
        // Either it dies on the way, or the batch had fewer requests than that.
        await until(
          async () => isKilled || (await isFinal()),
          (isOver) => isOver,
        )
        isReached = isKilled
        proxy.setFault(() => 'none')
        if (isKilled) {
          kills += 1
          await relayer.kill9()
          relayer = await start()
        }
        await until(isFinal, (isOver) => isOver)
      }
    }
    await relayer.stop()
    const nonces = Number(await chain.call('eth_getTransactionCount', rehearsal.sender, 'latest'))
    return {
      engine,
      kills,
      proofs: batches * subjects,
      settled: Number(await chain.settlements()),
      settledTwice: Number(await chain.wasted()),
      noncesUsed: nonces,
      mostNoncesNeeded: 1 + batches * (1 + subjects),
    }
  } finally {
    await relayer.kill9()
    await proxy.stop()
    await rehearsal.stop()
  }
}
