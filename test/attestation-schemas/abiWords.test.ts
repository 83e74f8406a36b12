import fc from 'fast-check'
import { encodeAbiParameters } from 'viem'
import { describe, expect, it } from 'vitest'
import { type WordType, abiWord, abiWords } from '#schemas/abiWords.ts'
import { toHex } from '#schemas/bytes.ts'

const hexOf = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => toHex(value))
const between = (min: bigint, max: bigint) =>
  fc.oneof(fc.constantFrom(min, max), fc.bigInt({ min, max }))
const bits = [8, 16, 32, 64, 128, 256] as const

const values = fc.record({
  uint8: between(0n, 2n ** 8n - 1n),
  uint16: between(0n, 2n ** 16n - 1n),
  uint32: between(0n, 2n ** 32n - 1n),
  uint64: between(0n, 2n ** 64n - 1n),
  uint128: between(0n, 2n ** 128n - 1n),
  uint256: between(0n, 2n ** 256n - 1n),
  int128: between(-(2n ** 127n), 2n ** 127n - 1n),
  bytes32: hexOf(32),
  bytes16: hexOf(16),
  address: hexOf(20),
})
const types: readonly WordType[] = [
  ...bits.map((width) => `uint${width}` as const),
  'int128',
  'bytes32',
  'bytes16',
  'address',
]

describe('words of the contract ABI', () => {
  it('are those that viem writes, for the ends of every type and what lies between', () => {
    fc.assert(
      fc.property(values, (sample) => {
        const written = types.map((type) =>
          ['uint8', 'uint16', 'uint32'].includes(type)
            ? Number(sample[type as 'uint8'])
            : sample[type],
        )
        const expected = encodeAbiParameters(
          types.map((type) => ({ type })),
          written,
        )
        expect(
          toHex(
            abiWords(
              types.map((type) => ({ name: type, type })),
              sample,
            ),
          ),
        ).toBe(expected)
      }),
    )
  })

  it.each([
    ...bits.map((width) => [`uint${width}`, -1n, 2n ** BigInt(width)] as const),
    ['int128', -(2n ** 127n) - 1n, 2n ** 127n] as const,
  ])('of %s end where the type does', (type, below, above) => {
    for (const value of [below, above]) {
      expect(() => abiWord(value, { name: 'amount', type })).toThrowError('amount is out of range.')
    }
  })

  it('hold no fraction, no text for a number, and nothing that is missing', () => {
    const amount = { name: 'amount', type: 'uint32' } as const
    for (const value of [1.5, 2 ** 53, NaN, '0x01'] as const) {
      expect(() => abiWord(value, amount)).toThrowError('amount is not an integer.')
    }
    expect(() => abiWords([amount], {})).toThrowError('amount is missing.')
  })
})
