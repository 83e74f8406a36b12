import { keccak_256 } from '@noble/hashes/sha3'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '#schemas/bytes.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import {
  constants,
  createKeccakBatch,
  createKeccakPairs,
  words,
  zeros,
} from '#worker/batches/keccakBatch.ts'

const digests = (bytes: Uint8Array): string[] =>
  Array.from({ length: bytes.length / 32 }, (_, at) => toHex(bytes.subarray(at * 32, at * 32 + 32)))

describe('Keccak-256 over many messages', () => {
  it('of every length around a block’s end agrees with another implementation', async () => {
    for (const length of [1, 8, 15, 16, 17, 18, 33, 34, 51]) {
      const hash = await createKeccakBatch(words(0, length), length * 8)
      fc.assert(
        fc.property(
          fc.nat({ max: 9 }),
          fc.uint8Array({ minLength: 1, maxLength: 64 }),
          (count, seed) => {
            const rows = new Uint8Array(count * length * 8)
            for (let at = 0; at < rows.length; at += 1)
              rows[at] = (seed[at % seed.length] ?? 0) + at
            expect(digests(hash(rows))).toStrictEqual(
              Array.from({ length: count }, (_, at) =>
                toHex(keccak_256(rows.subarray(at * length * 8, (at + 1) * length * 8))),
              ),
            )
          },
        ),
        { numRuns: 20 },
      )
    }
  })

  it('puts constants, words and right-aligned integers where they belong', async () => {
    const type = keccak_256('type')
    const hash = await createKeccakBatch(
      [...constants(type), ...zeros(3), { kind: 'half', offset: 8 }, ...words(0, 1)],
      12,
    )
    const row = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
    const message = Uint8Array.of(
      ...type,
      ...new Uint8Array(28),
      9,
      10,
      11,
      12,
      1,
      2,
      3,
      4,
      5,
      6,
      7,
      8,
    )
    expect(digests(hash(row))).toStrictEqual([toHex(keccak_256(message))])
  })

  it('of more pairs than its memory holds at once are those of the portable hasher', async () => {
    const hash = await createKeccakPairs()
    const pairs = new Uint8Array(64 * 8193)
    for (let at = 0; at < pairs.length; at += 1) pairs[at] = (at * 31) >>> 3
    expect(toHex(hash(pairs))).toBe(toHex(keccakPairs(pairs)))
  })
})
