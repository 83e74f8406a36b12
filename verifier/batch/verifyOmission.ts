import { type Batch, batchDigest } from '#schemas/batch.ts'
import { type Hex, concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { evidenceRoot } from '#schemas/evidence.ts'
import { rootFromPath, treeRoot } from '#schemas/merkle/orderedTree.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import { receiptDigest } from '#schemas/receipt.ts'
import { placedReceiptDigest } from '#schemas/receiptTree.ts'
import { type RosterEntry, rosterLeaf } from '#schemas/roster.ts'
import { recoverSigner } from '#schemas/signatures.ts'
import type { SignedReceipt } from '#schemas/workerAnswers.ts'

/** Raised when receipt, batch and roster do not belong together or prove nothing about each other. */
export class OmissionEvidenceError extends BaseError {
  override readonly name = 'OmissionEvidenceError'
}

/** Raised when the batch keeps what the receipt promised: the accusation is wrong. */
export class PromiseKeptError extends BaseError {
  override readonly name = 'PromiseKeptError'
}

/**
 * What the batch says about the device: its line with its place in the roster tree, and the packs
 * under it where the quarrel is about one of them; or the whole roster, to show that the device is
 * not on it at all.
 */
export type RosterEvidence =
  | {
      readonly kind: 'entry'
      readonly entry: RosterEntry
      readonly index: number
      readonly path: readonly Hex[]
      readonly packs?: readonly { readonly sequence: bigint; readonly hash: Hex }[]
    }
  | { readonly kind: 'roster'; readonly roster: readonly RosterEntry[] }

/** How a promise was broken. */
export type OmissionKind =
  /** The device is not on the roster of the promised batch. */
  | 'device-missing'
  /** The device's packs of the promised batch do not reach to the receipted one. */
  | 'pack-missing'
  /** Another pack stands in the receipted one's place. */
  | 'pack-replaced'

/** A proof of omission: both signers have to be attested for the stream for it to weigh anything. */
export type ProvenOmission = {
  readonly kind: OmissionKind
  readonly receiptSigner: Hex
  readonly batchSigner: Hex
  readonly batchDigest: Hex
}

function refuse(field: string, message: string): never {
  throw new OmissionEvidenceError(message, { field })
}

/** The device's line, proved to be under the roster root; `undefined`: proved not to be there. */
function entryUnder(batch: Batch, device: Hex, evidence: RosterEvidence): RosterEntry | undefined {
  if (evidence.kind === 'roster') {
    const { roster } = evidence
    const leaves = concatBytes(...roster.map((line) => fromHex(rosterLeaf(line), 'leaf', 32)))
    const isWhole = roster.length === batch.rosterCount
    if (!isWhole || toHex(treeRoot(leaves, keccakPairs)) !== batch.rosterRoot) {
      refuse('roster', 'The roster is not the one that the batch commits to.')
    }
    return roster.find((line) => line.device === device)
  }
  const { entry, index, path } = evidence
  const root = rootFromPath(
    fromHex(rosterLeaf(entry), 'leaf', 32),
    index,
    batch.rosterCount,
    path.map((node) => fromHex(node, 'path', 32)),
    keccakPairs,
  )
  if (toHex(root) !== batch.rosterRoot) {
    refuse('roster', 'The line is not under the roster root of the batch.')
  }
  if (entry.device !== device) refuse('roster', 'The line is about another device.')
  return entry
}

/**
 * Proves that a worker left out a pack that it had receipted. A receipt promises one batch by its
 * sequence, so that one batch and one line of its roster settle the matter; no other batch is looked
 * at. Pure: anyone can check it, at any time, without a network.
 *
 * @returns What was proved. The caller compares both signers with attested ones of the stream.
 * @throws {@link PromiseKeptError} when the batch holds the pack
 * @throws {@link OmissionEvidenceError} when the evidence decides nothing
 * @throws {@link InvalidSignatureError} | {@link MerkleProofError} | {@link MerkleRangeError}
 */
export function verifyOmission(
  signed: SignedReceipt,
  signedBatch: { readonly batch: Batch; readonly signature: Hex },
  evidence: RosterEvidence,
): ProvenOmission {
  const { receipt } = signed
  const { batch } = signedBatch
  if (batch.stream !== receipt.stream) {
    refuse('batch.stream', 'Receipt and batch are of different streams.')
  }
  if (batch.sequence !== receipt.nextBatchSequence) {
    throw new OmissionEvidenceError('The receipt promises another batch.', {
      field: 'batch.sequence',
      metaMessages: [`Expected: ${receipt.nextBatchSequence}`, `Actual: ${batch.sequence}`],
      remedy: 'Bring the batch that the receipt names.',
    })
  }
  const receiptSigner = recoverSigner(
    'place' in signed ? placedReceiptDigest(receipt, signed.place) : receiptDigest(receipt),
    signed.signature,
  )
  const digest = batchDigest(batch)
  const batchSigner = recoverSigner(digest, signedBatch.signature)
  const proved = (kind: OmissionKind): ProvenOmission => ({
    kind,
    receiptSigner,
    batchSigner,
    batchDigest: digest,
  })

  const entry = entryUnder(batch, receipt.device, evidence)
  if (entry === undefined) return proved('device-missing')
  const isWithin =
    receipt.packSequence >= entry.firstSequence && receipt.packSequence <= entry.lastSequence
  if (!isWithin || entry.lastSequence === 0n) return proved('pack-missing')
  if (receipt.packSequence === entry.lastSequence) {
    // The head hash names the last pack: its own list is not needed.
    if (entry.headHash !== receipt.packHash) return proved('pack-replaced')
    throw new PromiseKeptError('The batch ends with the receipted pack.', { field: 'receipt' })
  }
  const packs = evidence.kind === 'entry' ? evidence.packs : undefined
  if (packs === undefined) {
    return refuse('packs', 'The pack is within the batch; only the list of packs can tell more.')
  }
  const root = evidenceRoot(packs.map((pack) => ({ device: entry.device, ...pack })))
  if (root !== entry.packsRoot) refuse('packs', 'The packs are not those under the line’s root.')
  const standing = packs.filter((pack) => pack.sequence === receipt.packSequence)
  if (standing.some((pack) => pack.hash === receipt.packHash)) {
    throw new PromiseKeptError('The batch holds the receipted pack.', { field: 'receipt' })
  }
  return proved(standing.length === 0 ? 'pack-missing' : 'pack-replaced')
}
