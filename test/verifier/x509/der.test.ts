import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { derInteger, derOid, derSequence } from '#localnet/tdx/der.ts'
import {
  DerReader,
  derTag,
  InvalidDerError,
  readBoolean,
  readObjectIdentifier,
  smallUnsigned,
  unsignedMagnitude,
} from '#verifier/x509/der.ts'

const bytes = (...values: number[]) => Uint8Array.from(values)
const reader = (...values: number[]) => new DerReader(bytes(...values), 'It')

describe('DerReader', () => {
  it('walks elements in order and knows its end', () => {
    const outer = reader(0x30, 0x06, 0x02, 0x01, 0x05, 0x04, 0x01, 0x07)
    const inner = outer.enter(derTag.sequence)
    outer.finish()
    expect(inner.nextIs(derTag.integer)).toBe(true)
    expect(inner.read(derTag.integer)).toEqual(bytes(5))
    expect(inner.readWhole(derTag.octetString)).toEqual(bytes(0x04, 0x01, 0x07))
    expect(inner.isDone).toBe(true)
    expect(inner.nextIs(derTag.integer)).toBe(false)
  })

  it.each<[string, number[]]>([
    ['another tag', [0x31, 0x00]],
    ['no length', [0x30]],
    ['contents beyond the end', [0x30, 0x05, 0x00]],
    ['an indefinite length', [0x30, 0x80, 0x00, 0x00]],
    ['a length of three bytes', [0x30, 0x83, 0x00, 0x00, 0x00]],
    ['a length cut off', [0x30, 0x82, 0x01]],
    ['a long form for a short length', [0x30, 0x81, 0x01, 0x00]],
    ['a leading zero in the length', [0x30, 0x82, 0x00, 0x80, ...Array<number>(128).fill(0)]],
  ])('refuses %s', (_, values) => {
    expect(() => reader(...values).read(derTag.sequence)).toThrow(InvalidDerError)
  })

  it('refuses leftovers', () => {
    const outer = reader(0x30, 0x00, 0x00)
    outer.read(derTag.sequence)
    expect(() => {
      outer.finish()
    }).toThrow(InvalidDerError)
  })

  it('reads any bytes or refuses them as InvalidDerError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        expect(isWalkedOrRefused(garbage)).toBe(true)
      }),
    )
  })
})

describe('integers', () => {
  it('come back as they were written', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 31 - 1 }), (value) => {
        const contents = new DerReader(derInteger(value), 'It').read(derTag.integer)
        expect(smallUnsigned(contents, 'It')).toBe(value)
      }),
    )
  })

  it.each<[string, number[]]>([
    ['empty', []],
    ['negative', [0x80]],
    ['padded', [0x00, 0x7f]],
    ['seven bytes long', [1, 2, 3, 4, 5, 6, 7]],
  ])('are refused when %s', (_, values) => {
    expect(() => smallUnsigned(bytes(...values), 'It')).toThrow(InvalidDerError)
  })

  it('keep their magnitude without the sign byte', () => {
    expect(unsignedMagnitude(bytes(0x00, 0x80), 'It')).toEqual(bytes(0x80))
    expect(unsignedMagnitude(bytes(0x00), 'It')).toEqual(bytes(0x00))
  })
})

describe('booleans', () => {
  it('are 00 and ff and nothing else', () => {
    expect(readBoolean(bytes(0xff), 'It')).toBe(true)
    expect(readBoolean(bytes(0x00), 'It')).toBe(false)
    for (const values of [[0x01], [], [0xff, 0xff]]) {
      expect(() => readBoolean(bytes(...values), 'It')).toThrow(InvalidDerError)
    }
  })
})

describe('object identifiers', () => {
  it.each(['1.2.840.113741.1.13.1', '2.5.29.15', '0.9.2342', '2.999.3', '1.3.6.1.4.1.62397.1.1'])(
    '%s comes back as it was written',
    (oid) => {
      const contents = new DerReader(derOid(oid), 'It').read(derTag.objectIdentifier)
      expect(readObjectIdentifier(contents, 'It')).toBe(oid)
    },
  )

  it.each<[string, number[]]>([
    ['empty', []],
    ['cut within an arc', [0x2a, 0x86]],
    ['padded', [0x2a, 0x80, 0x01]],
    ['beyond 31 bits', [0x2a, 0x90, 0x80, 0x80, 0x80, 0x00]],
  ])('are refused when %s', (_, values) => {
    expect(() => readObjectIdentifier(bytes(...values), 'It')).toThrow(InvalidDerError)
  })
})

it('long contents have long lengths', () => {
  const long = derSequence(new Uint8Array(300))
  expect(new DerReader(long, 'It').read(derTag.sequence)).toHaveLength(300)
})

/** Anything but InvalidDerError goes through. */
function isWalkedOrRefused(garbage: Uint8Array): boolean {
  try {
    const outer = new DerReader(garbage, 'It')
    while (!outer.isDone) outer.read(garbage[0] ?? 0)
    return true
  } catch (error) {
    if (error instanceof InvalidDerError) return true
    throw error
  }
}
