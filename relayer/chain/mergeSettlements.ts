import { decodeFunctionData, encodeFunctionData } from 'viem'
import type { Hex } from '#schemas/bytes.ts'
import type { Call } from '../lane/job.ts'
import { reportConsumerAbi } from './abi.ts'

type Node = { readonly index: number; readonly path: readonly Hex[] }

/**
 * The further nodes that several leaves need together, from the path that each of them has alone:
 * level by level from the leaves up, left to right, each once.
 *
 * @param nodes - Strictly ascending by index, each with its own complete path.
 * @param count - Leaves of the whole tree.
 * @see multiproof in attestation-schemas/merkle/orderedTree.ts, which makes the same from the tree
 */
export function multiproofFromPaths(nodes: readonly Node[], count: number): Hex[] {
  const proof: Hex[] = []
  let known = nodes
  for (let size = count; size > 1; size = Math.ceil(size / 2)) {
    const next: Node[] = []
    for (let position = 0; position < known.length; position += 1) {
      const node = known[position]
      if (node === undefined) break
      const { index, path } = node
      const isPromoted = index % 2 === 0 && index === size - 1
      const [sibling, ...rest] = path
      if (isPromoted) next.push({ index: index / 2, path })
      else {
        if (index % 2 === 0 && known[position + 1]?.index === index + 1) position += 1
        else if (sibling !== undefined) proof.push(sibling)
        next.push({ index: Math.floor(index / 2), path: rest })
      }
    }
    known = next
  }
  return proof
}

/** One settlement as it would be sent alone. */
export type SingleSettlement = {
  readonly call: Call
  /** Reports in the whole batch: it decides the shape of the tree. */
  readonly reportCount: number
}

/**
 * Several `settle` calls on one contract, all for reports of one batch, as one `settleMany`.
 *
 * @returns `undefined` when they cannot travel together: two of them are about the same report.
 */
export function mergeSettlements(settlements: readonly SingleSettlement[]): Call | undefined {
  const decoded = settlements.flatMap(({ call }) => {
    const { functionName, args } = decodeFunctionData({ abi: reportConsumerAbi, data: call.data })
    return functionName === 'settle' ? [args] : []
  })
  const ordered = decoded.toSorted(([, , left], [, , right]) => left.index - right.index)
  const first = ordered[0]
  const to = settlements[0]?.call.to
  const reportCount = settlements[0]?.reportCount
  if (first === undefined || to === undefined || reportCount === undefined) return undefined
  const indices = ordered.map(([, , { index }]) => index)
  if (new Set(indices).size < indices.length) return undefined
  const [, , { stream, sequence }] = first
  return {
    to,
    data: encodeFunctionData({
      abi: reportConsumerAbi,
      functionName: 'settleMany',
      args: [
        ordered.map(([agreementId]) => agreementId),
        ordered.map(([, report]) => report),
        {
          stream,
          sequence,
          indices,
          proof: multiproofFromPaths(
            ordered.map(([, , { index, path }]) => ({ index, path })),
            reportCount,
          ),
        },
      ],
    }),
  }
}
