import { describe, expect, it } from 'vitest'
import { addressOf, recoverSigner, signDigest } from '#schemas/signatures.ts'
import { secp256k1 } from '@noble/curves/secp256k1'
import { keccakText } from '#schemas/keccak.ts'
import { fromHex, toHex } from '#schemas/bytes.ts'
import {
  batchPageSchema,
  batchSchema,
  readMessage,
  statementSchema,
  writeMessage,
} from '#schemas/workerApi.ts'
import batches from '#schemas/vectors/batches.json' with { type: 'json' }
import statements from '#schemas/vectors/statements.json' with { type: 'json' }

describe('messages between worker and reader', () => {
  it('come back from their JSON text unchanged', () => {
    for (const { batch } of batches.cases) {
      const read = readMessage(batchSchema, batch, 'batch')
      expect(JSON.parse(writeMessage(read))).toStrictEqual(batch)
    }
  })

  it('name the first field at fault and what is wrong with it', () => {
    const [item] = batches.cases
    const broken = { ...item?.batch, previous: '0x12' }
    expect(() =>
      readMessage(batchPageSchema, { stream: broken.stream, batches: [{ batch: broken }] }, 'page'),
    ).toThrowErrorMatchingInlineSnapshot(`
      [InvalidMessageError: The page is not well formed.
      Field: page.batches.0.batch.previous
      Problem: must be 32 bytes of hex
      Remedy: Compare the message with the published JSON Schema of its format.]
    `)
    expect(() => readMessage(batchSchema, { ...item?.batch, surprise: 1 }, 'batch'))
      .toThrowErrorMatchingInlineSnapshot(`
      [InvalidMessageError: The batch is not well formed.
      Field: batch
      Problem: Unrecognized key: "surprise"
      Remedy: Compare the message with the published JSON Schema of its format.]
    `)
    expect(() => readMessage(batchSchema, { ...item?.batch, sequence: '01' }, 'batch'))
      .toThrowErrorMatchingInlineSnapshot(`
      [InvalidMessageError: The batch is not well formed.
      Field: batch.sequence
      Problem: must be an unsigned decimal integer as text
      Remedy: Compare the message with the published JSON Schema of its format.]
    `)
  })

  it('refuse a statement of another version', () => {
    const [item] = statements.cases
    expect(() => readMessage(statementSchema, { ...item?.statement, version: 2 }, 'statement'))
      .toThrowErrorMatchingInlineSnapshot(`
      [InvalidMessageError: The statement is not well formed.
      Field: statement.version
      Problem: Invalid input: expected 1
      Remedy: Compare the message with the published JSON Schema of its format.]
    `)
  })
})

describe('signatures', () => {
  const key = fromHex(keccakText('a key for this test'), 'key', 32)
  const digest = keccakText('a digest')
  const signature = signDigest(digest, key)
  const signer = addressOf(secp256k1.getPublicKey(key))

  it('lead back to their signer and are the same each time', () => {
    expect(recoverSigner(digest, signature)).toBe(signer)
    expect(signDigest(digest, key)).toBe(signature)
  })

  it('of another digest lead to somebody else', () => {
    expect(recoverSigner(keccakText('another digest'), signature)).not.toBe(signer)
  })

  it('have one form: the twin with n - s is refused, as are other recovery bytes and lengths', () => {
    const bytes = fromHex(signature, 'signature', 65)
    const s = BigInt(toHex(bytes.subarray(32, 64)))
    const twin = (secp256k1.CURVE.n - s).toString(16).padStart(64, '0')
    const flipped = bytes[64] === 27 ? '1c' : '1b'
    expect(() => recoverSigner(digest, `0x${signature.slice(2, 66)}${twin}${flipped}`))
      .toThrowErrorMatchingInlineSnapshot(`
      [InvalidSignatureError: The signature leads to no signer.
      Field: signature]
    `)
    expect(() => recoverSigner(digest, `${signature.slice(0, -2)}00` as never)).toThrowError(
      /27 or 28/,
    )
    expect(() => recoverSigner(digest, `${signature}00`)).toThrowError(/65 bytes/)
    expect(() => recoverSigner(digest, `0x${'00'.repeat(64)}1b`)).toThrowError(/no signer/)
  })
})
