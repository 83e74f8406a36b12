import fc from 'fast-check'
import { decodeFunctionData } from 'viem'
import { describe, expect, it } from 'vitest'
import { reportConsumerAbi } from '#relayer/chain/abi.ts'
import { settleCall } from '#relayer/chain/calls.ts'
import { mergeSettlements, multiproofFromPaths } from '#relayer/chain/mergeSettlements.ts'
import { type Hex, toHex } from '#schemas/bytes.ts'
import { buildTree, inclusionPath, multiproof } from '#schemas/merkle/orderedTree.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import { encodeReport } from '#schemas/report.ts'
import { testReport, testStream } from '../support/testStream.ts'

const contract: Hex = `0x${'cc'.repeat(20)}`

function settlement(index: number, agreementId = BigInt(index)) {
  const inclusion = { stream: testStream, sequence: 1n, index, path: [] }
  return {
    call: settleCall(contract, agreementId, encodeReport(testReport(index, 1)), inclusion),
    reportCount: 8,
  }
}

describe('settlements that travel together', () => {
  it('the paths of several leaves give exactly the multiproof that their tree gives', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 70 }).chain((count) =>
          fc.record({
            count: fc.constant(count),
            indices: fc.uniqueArray(fc.nat({ max: count - 1 }), { minLength: 1 }),
          }),
        ),
        ({ count, indices }) => {
          const leaves = new Uint8Array(count * 32).map((_, at) => (at * 7 + count) % 256)
          const tree = buildTree(leaves, keccakPairs)
          const ascending = indices.toSorted((left, right) => left - right)
          const nodes = ascending.map((index) => ({
            index,
            path: inclusionPath(tree, index).map(toHex),
          }))
          expect(multiproofFromPaths(nodes, count)).toEqual(multiproof(tree, ascending).map(toHex))
        },
      ),
    )
  })

  it('they are put in the order of their positions, each with its own agreement', () => {
    const call = mergeSettlements([settlement(5), settlement(2), settlement(7)])
    const { functionName, args } = decodeFunctionData({
      abi: reportConsumerAbi,
      data: call?.data ?? '0x',
    })
    expect(functionName).toBe('settleMany')
    expect(args).toMatchObject([
      [2n, 5n, 7n],
      [testReport(2, 1), testReport(5, 1), testReport(7, 1)],
      { stream: testStream, sequence: 1n, indices: [2, 5, 7] },
    ])
  })

  it('two agreements on one report cannot share a call, since positions must ascend', () => {
    expect(mergeSettlements([settlement(3, 1n), settlement(3, 2n)])).toBeUndefined()
  })
})
