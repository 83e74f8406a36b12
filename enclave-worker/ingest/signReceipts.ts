import { type Hex, concatBytes, toHex } from '#schemas/bytes.ts'
import { createFastKeccakPairs } from '#schemas/merkle/fastPairHashers.ts'
import { buildTree, inclusionPath } from '#schemas/merkle/orderedTree.ts'
import { receiptTreeDigest } from '#schemas/receiptTree.ts'
import { signDigest } from '#schemas/signatures.ts'
import { createReceiptHasher, receiptRowBytes } from './receiptHasher.ts'

/** `each`: a signature per receipt. `tree`: one over all, and a path for each. */
export type ReceiptMode = 'each' | 'tree'

export type SignedReceipts =
  | { readonly mode: 'each'; readonly signatures: readonly Hex[] }
  | {
      readonly mode: 'tree'
      readonly root: Hex
      readonly count: number
      readonly signature: Hex
      readonly paths: readonly (readonly Hex[])[]
    }

export type ReceiptSigner = (rows: Uint8Array, mode: ReceiptMode) => SignedReceipts

/** Signs rows of receipts with the boot key; the same bytes as `signDigest(receiptDigest(…))`. */
export async function createReceiptSigner(
  stream: Hex,
  privateKey: Uint8Array,
): Promise<ReceiptSigner> {
  const hasher = await createReceiptHasher(stream)
  const hashPairs = await createFastKeccakPairs()
  return (rows, mode) => {
    const count = rows.length / receiptRowBytes
    const leaves = Array.from({ length: count }, (_, index) => hasher.leaf(rows, index).slice())
    if (mode === 'each') {
      return {
        mode,
        signatures: leaves.map((leaf) => signDigest(hasher.digest(leaf), privateKey)),
      }
    }
    const tree = buildTree(concatBytes(...leaves), hashPairs)
    const root = toHex(tree.root)
    return {
      mode,
      root,
      count,
      signature: signDigest(receiptTreeDigest({ stream, root, count }), privateKey),
      paths: leaves.map((_, index) => inclusionPath(tree, index).map(toHex)),
    }
  }
}
