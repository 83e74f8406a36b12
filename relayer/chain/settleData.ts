import { type Hex, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'

/**
 * Call data of `settle` and `settleMany` (contracts/settlement/IReportConsumer.sol), written and read
 * word by word: a relayer makes thousands a second, and a report is at hand as its words already. A
 * test holds it against viem's encoder of the contract's ABI.
 *
 * @see Contract ABI Specification, Solidity 0.8.37, "Formal Specification of the Encoding"
 */

/** First four bytes of the hash of each function's signature. */
export const settleSelector: Hex = '0xf69d413b'
export const settleManySelector: Hex = '0x1744451b'

const wordDigits = 64
const reportDigits = 14 * wordDigits
/** Digits before the first word: `0x` and the selector. */
const prefixDigits = 10

/** Raised when call data that should settle one report has another shape. */
export class SettleDataError extends BaseError {
  override readonly name = 'SettleDataError'
}

function word(value: bigint | number): string {
  return value.toString(16).padStart(wordDigits, '0')
}

function digitsOf(hex: Hex): string {
  return hex.slice(2)
}

/** Where a report stands in a batch that a chain has anchored. */
export type SettleInclusion = {
  readonly stream: Hex
  readonly sequence: bigint
  readonly index: number
  readonly path: readonly Hex[]
}

/**
 * @param report - The report as `encodeReport` writes it: 448 bytes.
 */
export function settleData(
  agreementId: bigint,
  report: Uint8Array,
  { stream, sequence, index, path }: SettleInclusion,
): Hex {
  return `${settleSelector}${word(agreementId)}${digitsOf(toHex(report))}${word(16 * 32)}${digitsOf(
    stream,
  )}${word(sequence)}${word(index)}${word(4 * 32)}${word(path.length)}${path
    .map(digitsOf)
    .join('')}`
}

/** The parts of a `settle` call, as hex digits where they are only carried on. */
export type SettleParts = {
  readonly agreementId: string
  readonly report: string
  readonly stream: string
  readonly sequence: string
  readonly index: number
  readonly path: readonly Hex[]
}

/** @throws {@link SettleDataError} */
export function readSettleData(data: Hex): SettleParts {
  let at = prefixDigits
  const take = (digits: number): string => {
    at += digits
    return data.slice(at - digits, at)
  }
  const selector = data.slice(0, prefixDigits)
  const agreementId = take(wordDigits)
  const report = take(reportDigits)
  const offset = take(wordDigits)
  const stream = take(wordDigits)
  const sequence = take(wordDigits)
  const index = Number(`0x${take(wordDigits)}`)
  const pathOffset = take(wordDigits)
  const count = Number(`0x${take(wordDigits)}`)
  const isRegular =
    selector === settleSelector &&
    offset === word(16 * 32) &&
    pathOffset === word(4 * 32) &&
    data.length === at + count * wordDigits
  if (!isRegular) {
    throw new SettleDataError('The call data does not settle one report.', { field: 'call.data' })
  }
  const path = Array.from({ length: count }, (): Hex => `0x${take(wordDigits)}`)
  return { agreementId, report, stream, sequence, index, path }
}

/**
 * @param entries - In ascending order of their index, all of one batch.
 * @param proof - The further nodes that all of them need together.
 */
export function settleManyData(entries: readonly SettleParts[], proof: readonly Hex[]): Hex {
  const count = entries.length
  const [first] = entries
  if (first === undefined) {
    throw new SettleDataError('There is nothing to settle.', { field: 'entries' })
  }
  const reportsAt = 3 * 32 + 32 + count * 32
  const inclusionAt = reportsAt + 32 + count * 14 * 32
  const proofAt = 4 * 32 + 32 + count * 32
  const list = (parts: readonly string[]): string => word(parts.length) + parts.join('')
  return [
    settleManySelector,
    word(3 * 32),
    word(reportsAt),
    word(inclusionAt),
    list(entries.map(({ agreementId }) => agreementId)),
    list(entries.map(({ report }) => report)),
    first.stream,
    first.sequence,
    word(4 * 32),
    word(proofAt),
    list(entries.map(({ index }) => word(index))),
    list(proof.map(digitsOf)),
  ].join('') as Hex
}
