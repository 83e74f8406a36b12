import type { Hex } from '#schemas/bytes.ts'
import type { Call } from '../lane/job.ts'
import { readSettleData, settleManyData } from './settleData.ts'

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
  /** How many nodes of its path each has used on the levels below. */
  let known = nodes.map(({ index, path }) => ({ index, path, used: 0 }))
  for (let size = count; size > 1; size = Math.ceil(size / 2)) {
    const next: typeof known = []
    for (let position = 0; position < known.length; position += 1) {
      const node = known[position]
      if (node === undefined) break
      const { index, path, used } = node
      const isPromoted = index % 2 === 0 && index === size - 1
      const sibling = path[used]
      if (isPromoted) next.push({ index: index / 2, path, used })
      else {
        if (index % 2 === 0 && known[position + 1]?.index === index + 1) position += 1
        else if (sibling !== undefined) proof.push(sibling)
        next.push({ index: Math.floor(index / 2), path, used: used + 1 })
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
 * @throws {@link SettleDataError}
 */
export function mergeSettlements(settlements: readonly SingleSettlement[]): Call | undefined {
  const [first] = settlements
  if (first === undefined) return undefined
  const parts = settlements
    .map(({ call }) => readSettleData(call.data))
    .toSorted((left, right) => left.index - right.index)
  if (parts.some(({ index }, at) => index === parts[at - 1]?.index)) return undefined
  return {
    to: first.call.to,
    data: settleManyData(parts, multiproofFromPaths(parts, first.reportCount)),
  }
}
