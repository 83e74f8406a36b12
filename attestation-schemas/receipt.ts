import type { WordField } from './abiWords.ts'
import { type Hex, fromHex } from './bytes.ts'
import { defineStructure, hashStructure, signingDigest } from './typedData.ts'

/**
 * The worker's signed promise that a pack will be in a batch. A batch with `sequence` at or above
 * `nextBatchSequence`, whose roster leaves the pack out, is provably false.
 */
export type Receipt = {
  /** COSE Key Thumbprint of the device key (RFC 9679). */
  readonly device: Hex
  readonly packSequence: bigint
  /** SHA-256 of the pack's signed bytes. */
  readonly packHash: Hex
  readonly stream: Hex
  readonly nextBatchSequence: bigint
}

const receiptFields: readonly WordField[] = [
  { name: 'device', type: 'bytes32' },
  { name: 'packSequence', type: 'uint64' },
  { name: 'packHash', type: 'bytes32' },
  { name: 'stream', type: 'bytes32' },
  { name: 'nextBatchSequence', type: 'uint64' },
]

export const receiptStructure = defineStructure('Receipt', receiptFields)

export function receiptDigest(receipt: Receipt): Hex {
  return signingDigest(fromHex(hashStructure(receiptStructure, receipt), 'receipt', 32))
}
