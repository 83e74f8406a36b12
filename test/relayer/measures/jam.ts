import { encodeFunctionData } from 'viem'
import { commitCall, settleCall } from '#relayer/chain/calls.ts'
import { encodeReport, zeroHash } from '#schemas/report.ts'
import { developmentKeys } from '../support/anvil.ts'
import { createDice } from '../support/dice.ts'
import { type ProxyFault, startFaultProxy } from '../support/faultProxy.ts'
import { type Rehearsal, rehearse, senderKey, until } from '../support/rehearsal.ts'
import { clientsOf, standIn } from '../support/standIn.ts'
import { testReport, testStream } from '../support/testStream.ts'
import { contestants, inFlight } from './contestants.ts'

/**
 * The jam test, after a report about another relayer's nonces (OpenZeppelin/openzeppelin-relayer #843):
 * steady submission, a while in which half of all requests to the node fail, then a strict count.
 * One settlement a transaction, blocks of one second, for everybody.
 */
export const jamRecipe = {
  perSecond: 20,
  seconds: 15,
  errorsFromSecond: 5,
  errorsToSecond: 12,
  errorPercent: 50,
  countAfterSeconds: 60,
} as const

export type JamResult = {
  readonly name: string
  readonly how: string
  readonly submitted: number
  readonly landed: number
  readonly sentTwice: number
  /** From the last submission to the last settlement; absent when some never landed. */
  readonly drainedSeconds?: number
}

const windowFaults: readonly ProxyFault[] = ['dropBefore', 'dropAfter', 'busy']

export async function jamTest(contestant: string): Promise<JamResult> {
  const { perSecond, seconds, countAfterSeconds } = jamRecipe
  const rehearsal = await rehearse({ chainIds: [31_391], blockTimeSeconds: 1 })
  const chain = rehearsal.chains[0]
  if (chain === undefined) throw new Error('no chain')
  const proxy = await startFaultProxy(chain.rpcUrl)
  const running =
    contestant === 'plumbline'
      ? await ourselves(rehearsal, proxy.url)
      : await another(rehearsal, proxy.url, contestant)
  try {
    const roll = createDice(20_260_843)
    const from = performance.now()
    proxy.setFault(() => {
      const second = (performance.now() - from) / 1_000
      const isBad = second >= jamRecipe.errorsFromSecond && second < jamRecipe.errorsToSecond
      if (!isBad || roll() >= jamRecipe.errorPercent) return 'none'
      return windowFaults[roll() % windowFaults.length] ?? 'none'
    })
    for (let second = 0; second < seconds; second += 1) {
      const due = from + second * 1_000
      await new Promise((resolve) => {
        setTimeout(resolve, Math.max(0, due - performance.now()))
      })
      await running.submit(second)
    }
    const submittedAt = performance.now()
    const submitted = perSecond * seconds
    let drainedSeconds: number | undefined
    try {
      await until(
        () => chain.settlements(),
        (count) => count === BigInt(submitted),
        countAfterSeconds * 1_000,
        200,
      )
      drainedSeconds = Math.round((performance.now() - submittedAt) / 100) / 10
    } catch {
      // Counted as it stands.
    }
    return {
      name: running.name,
      how: running.how,
      submitted,
      landed: Number(await chain.settlements()),
      sentTwice: Number(await chain.wasted()),
      ...(drainedSeconds === undefined ? {} : { drainedSeconds }),
    }
  } finally {
    await running.stop()
    await proxy.stop()
    await rehearsal.stop()
  }
}

type Running = {
  readonly name: string
  readonly how: string
  submit(second: number): Promise<void>
  stop(): Promise<void>
}

function reportsOf(second: number) {
  return Array.from({ length: jamRecipe.perSecond }, (_, subject) =>
    testReport(subject, second + 1),
  )
}

async function ourselves(rehearsal: Rehearsal, url: string): Promise<Running> {
  const relayer = await rehearsal.start(
    rehearsal.plan({
      subjects: jamRecipe.perSecond,
      rpcUrls: () => [url],
      chain: { batchSize: 1, pollMs: 200, window: inFlight },
    }),
  )
  return {
    name: 'Plumbline lane',
    how: 'raw workerd; one settlement a transaction; registers and anchors each batch besides',
    submit(second) {
      rehearsal.worker.close(reportsOf(second))
      return Promise.resolve()
    },
    stop: () => relayer.stop(),
  }
}

async function another(rehearsal: Rehearsal, url: string, name: string): Promise<Running> {
  const chain = rehearsal.chains[0]
  const contestant = contestants[name]
  if (chain === undefined || contestant === undefined) throw new Error(`no contestant ${name}`)
  // Others only settle: signer and batches are put on the chain for them beforehand.
  const { wallet, chainClient } = clientsOf(chain.rpcUrl, chain.chainId, developmentKeys[2])
  const direct = async (data: `0x${string}`): Promise<void> => {
    const hash = await wallet.sendTransaction({ to: chain.contract, data })
    await chainClient.waitForTransactionReceipt({ hash })
  }
  await direct(
    encodeFunctionData({
      abi: standIn().abi,
      functionName: 'register',
      args: [
        {
          version: 1,
          signer: rehearsal.worker.signer,
          ed25519PublicKey: zeroHash,
          stream: testStream,
          release: zeroHash,
          anchorChainId: BigInt(chain.chainId),
          registry: chain.contract,
        },
        0n,
        '0x',
        '0x',
      ],
    }),
  )
  for (let second = 0; second < jamRecipe.seconds; second += 1) {
    const { batch, signature } = rehearsal.worker.close(reportsOf(second))
    await direct(commitCall(chain.contract, batch, signature).data)
  }
  const running = await contestant.start({ rpcUrl: url, chainId: chain.chainId, key: senderKey })
  return {
    name: contestant.name,
    how: contestant.how,
    async submit(second) {
      const signed = rehearsal.worker.batches()[second]
      for (const [agreement, { report, index, path }] of signed?.reports.entries() ?? []) {
        const { stream, sequence } = signed?.batch ?? { stream: testStream, sequence: 0n }
        await running.submit(
          settleCall(chain.contract, BigInt(agreement), encodeReport(report), {
            stream,
            sequence,
            index,
            path,
          }),
        )
      }
    },
    stop: () => running.stop(),
  }
}
