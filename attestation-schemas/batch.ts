import type { WordField } from './abiWords.ts'
import { type Hex, fromHex } from './bytes.ts'
import { keccakText } from './keccak.ts'
import { defineStructure, hashStructure, signingDigest } from './typedData.ts'

/**
 * What the enclave signs when a window closes: everything that a stream has to say about it, linked
 * to everything it said before.
 */
export type Batch = {
  /** {@link streamId}: one worker's line of batches. */
  readonly stream: Hex
  /** 1 for the first batch, then one more each time, without gaps. */
  readonly sequence: bigint
  /** {@link batchDigest} of the batch before; zero for the first. */
  readonly previous: Hex
  /** Ordered Keccak tree over the report leaves. */
  readonly reportRoot: Hex
  readonly reportCount: number
  /** Ordered Keccak tree over who was expected and who was heard. */
  readonly rosterRoot: Hex
  readonly rosterCount: number
  /** The enclave's clock when the batch was closed, Unix milliseconds. The host owns that clock. */
  readonly closedAtMs: bigint
  /** Number of the anchor block on the anchor chain of the signer's statement. */
  readonly anchorNumber: bigint
  /** Hash of that block: the batch cannot be older than it, whatever the clock says. */
  readonly anchorHash: Hex
}

const batchFields: readonly WordField[] = [
  { name: 'stream', type: 'bytes32' },
  { name: 'sequence', type: 'uint64' },
  { name: 'previous', type: 'bytes32' },
  { name: 'reportRoot', type: 'bytes32' },
  { name: 'reportCount', type: 'uint32' },
  { name: 'rosterRoot', type: 'bytes32' },
  { name: 'rosterCount', type: 'uint32' },
  { name: 'closedAtMs', type: 'uint64' },
  { name: 'anchorNumber', type: 'uint64' },
  { name: 'anchorHash', type: 'bytes32' },
]

export const batchStructure = defineStructure('Batch', batchFields)

/** What is signed, what the next batch links to, and the batch's name everywhere. */
export function batchDigest(batch: Batch): Hex {
  return signingDigest(fromHex(hashStructure(batchStructure, batch), 'batch', 32))
}

/** A stream's name on chain. */
export function streamId(name: string): Hex {
  return keccakText(`plumbline/stream/1/${name}`)
}
