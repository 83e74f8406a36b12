import { isHex } from 'viem'
import type { Hex } from '#schemas/bytes.ts'
import type { RpcAnswer, RpcCall } from './rpc.ts'

/** One question to a settlement contract: whether an agreement has been settled on a report. */
export type SettledQuestion = {
  readonly contract: Hex
  readonly agreementId: bigint
  readonly leaf: Hex
}

/** Bytes of one question behind the program: contract, agreement, leaf. */
const questionBytes = 84
/** Init code may have 49 152 bytes (EIP-3860). */
export const settledPerCall = 400

/** First four bytes of the hash of `isSettled(uint256,bytes32)`. */
export const isSettledSelector: Hex = '0xd33ea00b'

const byte = (value: number): string => value.toString(16).padStart(2, '0')
const push1 = (value: number): string => `60${byte(value)}`
const programBytes = 105
const push2Program = `61${programBytes.toString(16).padStart(4, '0')}`

/** Where memory holds what: the call at zero, then these. */
const contractAt = push1(0x60)
const answerAt = push1(0x80)
const resultsAt = push1(0xa0)
const loopAt = 13
const bodyAt = 32

/** `(at - program) / 84`, from `at` on the stack. */
const questionNumber = `${push2Program}9003${push1(questionBytes)}9004`

/**
 * A program that is run and never deployed: for each question behind it, it asks the contract and
 * writes one byte: 0 no, 1 yes, 2 no usable answer. One `eth_call` instead of hundreds.
 */
const program = [
  // the selector, at the left of the first word
  `63${isSettledSelector.slice(2)}${push1(0xe0)}1b5f52`,
  // at = program
  push2Program,
  // loop: at < codesize ? go on
  `5b388110${push1(bodyAt)}57`,
  // return the results
  `${questionNumber}${resultsAt}f3`,
  // go on: the question's two words behind the selector, its contract apart
  `5b${push1(0x40)}81${push1(20)}01${push1(4)}39`,
  `${push1(0x20)}81${contractAt}39`,
  // staticcall(gas, contract, 0, 68, answer, 32)
  `${push1(0x20)}${answerAt}${push1(0x44)}5f${contractAt}51${push1(96)}1c5afa`,
  // good = it succeeded, gave one word, and that is 0 or 1
  `3d${push1(0x20)}1416${answerAt}51${push1(2)}1116`,
  // 2 - good * (2 - answer)
  `${answerAt}51${push1(2)}0302${push1(2)}03`,
  // its byte among the results
  `81${questionNumber}${resultsAt}0153`,
  // at += 84, loop
  `${push1(questionBytes)}01${push1(loopAt)}56`,
].join('')

/** The call that asks up to {@link settledPerCall} questions at once. */
export function settledCall(questions: readonly SettledQuestion[]): RpcCall {
  const asked = questions.map(
    ({ contract, agreementId, leaf }) =>
      contract.slice(2) + agreementId.toString(16).padStart(64, '0') + leaf.slice(2),
  )
  return { method: 'eth_call', params: [{ data: `0x${program}${asked.join('')}` }, 'latest'] }
}

/**
 * @returns for each question whether it is settled, or nothing where its contract gave no answer;
 *   `undefined` when the node does not run such a call.
 */
export function readSettled(
  answer: RpcAnswer | undefined,
  count: number,
): readonly (boolean | undefined)[] | undefined {
  if (answer?.ok !== true || !isHex(answer.result)) return undefined
  const { result } = answer
  if (result.length !== 2 + count * 2) return undefined
  return Array.from({ length: count }, (_, index) => {
    const state = result.slice(2 + index * 2, 4 + index * 2)
    if (state === '00') return false
    return state === '01' ? true : undefined
  })
}
