import type { Hex } from '#schemas/bytes.ts'
import type { Call } from '../lane/job.ts'
import type { RpcAnswer, RpcCall } from './rpc.ts'
import { readObject, readQuantity, toQuantity } from './words.ts'

/**
 * Calls that a node runs one behind the other on top of its newest block, each on what the ones before
 * have left.
 *
 * @see https://github.com/ethereum/execution-apis, eth_simulateV1
 */

/** A call as nodes simulate it. */
export function simulation(
  { to, data, valueWei = 0n }: Call,
  from: Hex,
): Readonly<Record<string, unknown>> {
  return { from, to, data, value: toQuantity(valueWei) }
}

export function simulateCall(calls: readonly Call[], from: Hex): RpcCall {
  const simulated = calls.map((call) => simulation(call, from))
  return {
    method: 'eth_simulateV1',
    params: [{ blockStateCalls: [{ calls: simulated }], validation: false }, 'latest'],
  }
}

export type SimulatedCall = {
  readonly usedGas: bigint
  /** What was used at most, before refunds. */
  readonly peakGas: bigint
  readonly returned: string
}

/** Whether a node says that it knows no such method. */
export function isUnknownMethod(answer: RpcAnswer): boolean {
  if (answer.ok) return false
  const isSaid = /(method|eth_simulateV1).*(not|un)[ -]?(found|supported|available|known|exist)/i
  return answer.code === -32_601 || isSaid.test(answer.message)
}

/** What became of each of so many calls; nothing of one that failed or of which the node cannot tell. */
export function readSimulated(
  answer: RpcAnswer | undefined,
  count: number,
): readonly (SimulatedCall | undefined)[] {
  const nothing = Array.from({ length: count }, () => undefined)
  if (answer?.ok !== true || !Array.isArray(answer.result)) return nothing
  try {
    const { calls } = readObject((answer.result as readonly unknown[])[0], 'block')
    if (!Array.isArray(calls)) return nothing
    return nothing.map((_, index) => {
      const call = readObject((calls as readonly unknown[])[index], 'call')
      if (readQuantity(call['status'], 'call.status') !== 1n) return undefined
      const usedGas = readQuantity(call['gasUsed'], 'call.gasUsed')
      return { usedGas, peakGas: peakOf(call, usedGas), returned: String(call['returnData']) }
    })
  } catch {
    return nothing
  }
}

/** Refunds are at most a fifth of what was used (EIP-3529); newer nodes say the peak themselves. */
function peakOf(call: Readonly<Record<string, unknown>>, usedGas: bigint): bigint {
  if (call['maxUsedGas'] !== undefined) return readQuantity(call['maxUsedGas'], 'call.maxUsedGas')
  return (usedGas * 5n + 3n) / 4n
}
