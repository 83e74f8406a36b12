import { toFunctionSelector } from 'viem'
import { describe, expect, it } from 'vitest'
import { reportConsumerAbi } from '#relayer/chain/abi.ts'
import type { RpcAnswer } from '#relayer/chain/rpc.ts'
import { isSettledSelector, readSettled, settledCall } from '#relayer/chain/settledStates.ts'
import type { Hex } from '#schemas/bytes.ts'
import { reportLeaf } from '#schemas/report.ts'
import { rehearse, statusOf, until } from '../support/rehearsal.ts'
import { testReport } from '../support/testStream.ts'

describe('whether settlements are done, asked in one call', () => {
  it('a real node says of each what its contract says, and nothing where there is no contract', async () => {
    const subjects = 3
    const rehearsal = await rehearse({ chainIds: [31_379] })
    try {
      const [chain] = rehearsal.chains
      if (chain === undefined) throw new Error('no chain')
      const relayer = await rehearsal.startNode(rehearsal.plan({ subjects }))
      const reports = Array.from({ length: subjects }, (_, subject) => testReport(subject, 1))
      rehearsal.worker.close(reports)
      await until(
        () => statusOf(relayer.url),
        ({ lanes }) => lanes[0]?.counts.final === 2 + subjects,
      )
      await relayer.stop()
      const nobody: Hex = `0x${'ee'.repeat(20)}`
      const questions = Array.from({ length: 400 }, (_, at) => ({
        contract: at === 7 ? nobody : chain.contract,
        agreementId: BigInt(at),
        leaf: reportLeaf(testReport(at, 1)),
      }))
      const { method, params } = settledCall(questions)
      const result = await chain.call(method, ...params)
      const expected = questions.map((_, at) => (at === 7 ? undefined : at < subjects))
      expect(readSettled({ ok: true, result }, questions.length)).toEqual(expected)
    } finally {
      await rehearsal.stop()
    }
  }, 60_000)

  it('an answer of another length, or none, is no answer', () => {
    const answers: (RpcAnswer | undefined)[] = [
      undefined,
      { ok: false, code: -32_000, message: 'no contract' },
      { ok: true, result: '0x' },
      { ok: true, result: '0x000100' },
      { ok: true, result: 7 },
    ]
    for (const answer of answers) expect(readSettled(answer, 2)).toBeUndefined()
    expect(readSettled({ ok: true, result: '0x0102' }, 2)).toEqual([true, undefined])
  })

  it('the selector is that of the ABI', () => {
    const selectors = reportConsumerAbi.flatMap((entry) =>
      entry.type === 'function' && entry.name === 'isSettled' ? [toFunctionSelector(entry)] : [],
    )
    expect(selectors).toEqual([isSettledSelector])
  })
})
