import { createKeccak } from 'hash-wasm'
import { type Hex, fromHex, toHex } from '#schemas/bytes.ts'
import { receiptStructure } from '#schemas/receipt.ts'
import { domainSeparatorHex } from '#schemas/typedData.ts'

/** What differs between the receipts of one stream, as bytes: 32 device + 8 + 32 hash + 8. */
export const receiptRowBytes = 32 + 8 + 32 + 8

/** Writes one receipt as a row of a buffer that goes to a thread. */
export function writeReceiptRow(
  rows: Uint8Array,
  index: number,
  receipt: {
    readonly device: Hex
    readonly packSequence: bigint
    readonly packHash: Hex
    readonly nextBatchSequence: bigint
  },
): void {
  const row = Buffer.from(rows.buffer, rows.byteOffset + index * receiptRowBytes, receiptRowBytes)
  row.write(receipt.device.slice(2), 0, 'hex')
  row.writeBigUInt64BE(receipt.packSequence, 32)
  row.write(receipt.packHash.slice(2), 40, 'hex')
  row.writeBigUInt64BE(receipt.nextBatchSequence, 72)
}

export type ReceiptHasher = {
  /** EIP-712 structure hash of the receipt in a row. */
  leaf(rows: Uint8Array, index: number): Uint8Array
  /** EIP-712 digest of a structure hash. */
  digest(leaf: Uint8Array): Hex
}

/**
 * The digests of `receiptDigest` straight from bytes: the general encoder spends more time on words
 * and hex than the hash itself takes.
 */
export async function createReceiptHasher(stream: Hex): Promise<ReceiptHasher> {
  const keccak = await createKeccak(256)
  const hash = (message: Uint8Array): Uint8Array => keccak.init().update(message).digest('binary')
  // Type hash and five words: device, packSequence, packHash, stream, nextBatchSequence.
  const preimage = new Uint8Array(6 * 32)
  preimage.set(receiptStructure.typeHash, 0)
  preimage.set(fromHex(stream, 'stream', 32), 4 * 32)
  const signed = new Uint8Array(2 + 32 + 32)
  signed.set([0x19, 0x01])
  signed.set(fromHex(domainSeparatorHex, 'domain', 32), 2)
  return {
    leaf(rows, index) {
      const at = index * receiptRowBytes
      preimage.set(rows.subarray(at, at + 32), 32)
      preimage.set(rows.subarray(at + 32, at + 40), 2 * 32 + 24)
      preimage.set(rows.subarray(at + 40, at + 72), 3 * 32)
      preimage.set(rows.subarray(at + 72, at + 80), 5 * 32 + 24)
      return hash(preimage)
    },
    digest(leaf) {
      signed.set(leaf, 34)
      return toHex(hash(signed))
    },
  }
}
