import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Hex, toHex } from '#schemas/bytes.ts'
import { receiptDigest } from '#schemas/receipt.ts'
import { placedReceiptDigest, receiptTreeDigest, receiptTreeOf } from '#schemas/receiptTree.ts'
import { addressOf, recoverSigner, signDigest } from '#schemas/signatures.ts'
import { receiptRowBytes, writeReceiptRow } from '#worker/ingest/receiptHasher.ts'
import { createReceiptSigner } from '#worker/ingest/signReceipts.ts'
import { secp256k1 } from '@noble/curves/secp256k1'

const stream: Hex = `0x${'5c'.repeat(32)}`
const secret = new Uint8Array(32).fill(9)
const signer = addressOf(secp256k1.getPublicKey(secret, false))

const word = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex)
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const receipt = fc.record({
  device: word,
  packSequence: uint64,
  packHash: word,
  stream: fc.constant(stream),
  nextBatchSequence: uint64,
})

describe('receipts signed in bulk', () => {
  it('each signature has the very bytes of the plain way', async () => {
    const sign = await createReceiptSigner(stream, secret)
    fc.assert(
      fc.property(fc.array(receipt, { minLength: 1, maxLength: 4 }), (receipts) => {
        const rows = new Uint8Array(receipts.length * receiptRowBytes)
        for (const [index, entry] of receipts.entries()) writeReceiptRow(rows, index, entry)
        expect(sign(rows, 'each')).toStrictEqual({
          mode: 'each',
          signatures: receipts.map((entry) => signDigest(receiptDigest(entry), secret)),
        })
      }),
      { numRuns: 20 },
    )
  })

  it('one signature over a tree proves each of its receipts and nothing else', async () => {
    const sign = await createReceiptSigner(stream, secret)
    fc.assert(
      fc.property(
        fc.array(receipt, { minLength: 1, maxLength: 20 }),
        fc.nat(),
        (receipts, pick) => {
          const rows = new Uint8Array(receipts.length * receiptRowBytes)
          for (const [index, entry] of receipts.entries()) writeReceiptRow(rows, index, entry)
          const signed = sign(rows, 'tree')
          if (signed.mode !== 'tree') throw new Error('unreachable')
          expect({ stream, root: signed.root, count: signed.count }).toStrictEqual(
            receiptTreeOf(stream, receipts),
          )
          expect(
            recoverSigner(
              receiptTreeDigest({ stream, root: signed.root, count: signed.count }),
              signed.signature,
            ),
          ).toBe(signer)
          const index = pick % receipts.length
          const chosen = receipts[index]
          if (chosen === undefined) throw new Error('unreachable')
          const place = { count: signed.count, index, path: signed.paths[index] ?? [] }
          expect(recoverSigner(placedReceiptDigest(chosen, place), signed.signature)).toBe(signer)
          const altered = { ...chosen, nextBatchSequence: chosen.nextBatchSequence ^ 1n }
          expect(recoverSigner(placedReceiptDigest(altered, place), signed.signature)).not.toBe(
            signer,
          )
        },
      ),
      { numRuns: 20 },
    )
  })
})
