import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  der,
  derBitString,
  derBoolean,
  derEnumerated,
  derInteger,
  derLength,
  derNamedBits,
  derOid,
  derPrintableString,
  derSetOf,
  derTime,
} from '#localnet/tdx/der.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('localnet/tdx/der', () => {
  it('writes lengths in the fewest octets', () => {
    expect([0, 127, 128, 255, 256, 65_536].map((length) => hex(derLength(length)))).toEqual([
      '00',
      '7f',
      '8180',
      '81ff',
      '820100',
      '83010000',
    ])
  })

  it('writes integers in the fewest octets and never as negative ones', () => {
    expect([0, 127, 128, 255, 256].map((value) => hex(derInteger(value)))).toEqual([
      '020100',
      '02017f',
      '02020080',
      '020200ff',
      '02020100',
    ])
    expect(hex(derInteger(Uint8Array.of(0, 0, 0x80)))).toBe('02020080')
    expect(hex(derInteger(new Uint8Array(0)))).toBe('020100')
    expect(hex(derInteger(2n ** 64n))).toBe('0209010000000000000000')
  })

  it('writes object identifiers of X.690 and of the SGX extension', () => {
    expect(hex(derOid('2.999.3'))).toBe('0603883703')
    expect(hex(derOid('1.2.840.113741.1.13.1'))).toBe('06092a864886f84d010d01')
  })

  it('leaves trailing zero bits out of named bits', () => {
    expect(hex(derNamedBits(5, 6))).toBe('03020106')
    expect(hex(derNamedBits(0, 1))).toBe('030206c0')
    expect(hex(derNamedBits())).toBe('030100')
    expect(hex(derBitString(Uint8Array.of(0xff)))).toBe('030200ff')
  })

  it('writes times until 2049 as UTCTime and later ones as GeneralizedTime', () => {
    expect(Buffer.from(derTime(Date.UTC(2049, 11, 31, 23, 59, 59) / 1000)).toString('latin1')).toBe(
      '\u0017\r491231235959Z',
    )
    expect(Buffer.from(derTime(Date.UTC(2050, 0, 1) / 1000)).toString('latin1')).toBe(
      '\u0018\u000f20500101000000Z',
    )
  })

  it('sorts the members of a set', () => {
    expect(hex(derSetOf(derInteger(300), derInteger(2), derBoolean(true)))).toBe(
      '310a0101ff0201020202012c',
    )
  })

  it('refuses what has no encoding', () => {
    expect(() => derLength(-1)).toThrow('A DER length cannot be -1.')
    expect(() => derInteger(-1)).toThrow('A DER integer here cannot be -1.')
    expect(() => derInteger(0.5)).toThrow('A DER integer here cannot be 0.5.')
    expect(() => derEnumerated(128)).toThrow('A one-octet enumerated value cannot be 128.')
    expect(() => derOid('3.1.1')).toThrow('3.1.1 is not an object identifier.')
    expect(() => derPrintableString('ü')).toThrow('A PrintableString cannot hold "ü".')
    expect(() => derTime(0.5)).toThrow('A certificate time cannot be 0.5.')
    expect(() => derTime(-1e9)).toThrow('Year 1938 has no certificate time.')
  })

  it('every value can be cut out again by its own length', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 70_000 }),
        fc.constantFrom(0x04, 0x30),
        (body, tag) => {
          const encoded = der(tag, body)
          const header = encoded.length - body.length
          expect(encoded[0]).toBe(tag)
          expect(hex(encoded.subarray(1, header))).toBe(hex(derLength(body.length)))
          expect(Buffer.compare(encoded.subarray(header), body)).toBe(0)
        },
      ),
      { numRuns: 50 },
    )
  })
})
