import { type Abi, decodeErrorResult, isHex } from 'viem'
import type { RpcAnswer } from './rpc.ts'

const standardErrors = [
  { type: 'error', name: 'Error', inputs: [{ name: 'message', type: 'string' }] },
  { type: 'error', name: 'Panic', inputs: [{ name: 'code', type: 'uint256' }] },
] as const satisfies Abi

/** Errors of the contracts that a call of ours can reach, so that a refusal has a name. */
export function describeRevert(data: unknown, errors: Abi): string | undefined {
  if (!isHex(data) || data.length < 10) return undefined
  try {
    const { errorName, args } = decodeErrorResult({ abi: [...standardErrors, ...errors], data })
    const values = (args as readonly unknown[] | undefined) ?? []
    return `${errorName}(${values.map(String).join(', ').slice(0, 200)})`
  } catch {
    return `an error with selector ${data.slice(0, 10)}`
  }
}

export function revertData(answer: RpcAnswer): unknown {
  if (answer.ok) return undefined
  const { data } = answer
  // Some nodes wrap the bytes in an object.
  if (typeof data === 'object' && data !== null && 'data' in data) return data.data
  return data
}

export function isRevert(answer: RpcAnswer): boolean {
  if (answer.ok) return false
  // 3 is geth's code for a revert; others write it out.
  return answer.code === 3 || /revert/i.test(answer.message)
}
