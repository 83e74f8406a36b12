import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '#schemas/bytes.ts'

const reads = (text: string): boolean => {
  try {
    return fromHex(text, 'text').length === 1
  } catch {
    return false
  }
}

describe('hexadecimal text', () => {
  it('reads back as the bytes that it was written from, in either case and with or without 0x', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const text = toHex(bytes)
        const digits = text.slice(2)
        for (const form of [text, digits, `0x${digits.toUpperCase()}`, digits.toUpperCase()]) {
          expect(fromHex(form, 'bytes', bytes.length)).toStrictEqual(bytes)
        }
      }),
    )
  })

  it('is nothing but an even number of digits: every single character is tried', () => {
    const characters = Array.from({ length: 0x1_0000 }, (_, code) => String.fromCharCode(code))
    const digits = '0123456789ABCDEFabcdef'
    expect(characters.filter((character) => reads(`0${character}`)).join('')).toBe(digits)
    expect(characters.filter((character) => reads(`${character}0`)).join('')).toBe(digits)
    for (const odd of ['0', '0x0', '0xabc', '0X00', ' 00', '00 ', '0x0x']) {
      expect(() => fromHex(odd, 'text')).toThrowError('text is not hex.')
    }
  })

  it('of another length is refused, both lengths named', () => {
    expect(() => fromHex('0x0102', 'text', 3)).toThrowErrorMatchingInlineSnapshot(`
      [InvalidHexError: text has the wrong length.
      Field: text
      Expected: 3 bytes
      Actual: 2 bytes]
    `)
  })
})
