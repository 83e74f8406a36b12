import { readFileSync } from 'node:fs'
import { decode as decodeWithCbor2, encode as encodeWithCbor2 } from 'cbor2'
import { decode as decodeWithCborg } from 'cborg'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '#schemas/bytes.ts'
import { CborFloat, CborSimple, CborTag, type CborValue } from '#schemas/cbor/cborValue.ts'
import { decodeCbor } from '#schemas/cbor/decodeCbor.ts'
import { encodeCbor } from '#schemas/cbor/encodeCbor.ts'
import { InvalidCborError } from '#schemas/cbor/invalidCborError.ts'
import { describeShared } from '#test/shared.ts'
import { plainValue } from './plainValue.ts'

const decodeHex = (hex: string) => decodeCbor(fromHex(hex, 'vector'))

/** The rule by which bytes are refused, or `undefined` when they are accepted. */
function refusalOf(hex: string): string | undefined {
  try {
    decodeHex(hex)
    return undefined
  } catch (error) {
    if (error instanceof InvalidCborError) return error.rule
    throw error
  }
}

describe('decodeCbor', () => {
  it.each([
    ['00', 0],
    ['17', 23],
    ['1818', 24],
    ['1a000f4240', 1_000_000],
    ['1b000000e8d4a51000', 1_000_000_000_000],
    ['1bffffffffffffffff', 18_446_744_073_709_551_615n],
    ['3bffffffffffffffff', -18_446_744_073_709_551_616n],
    ['29', -10],
    ['3903e7', -1000],
    ['f90000', new CborFloat(0)],
    ['f98000', new CborFloat(-0)],
    ['f93c00', new CborFloat(1)],
    ['fb3ff199999999999a', new CborFloat(1.1)],
    ['f97bff', new CborFloat(65_504)],
    ['fa47c35000', new CborFloat(100_000)],
    ['fa7f7fffff', new CborFloat(3.4028234663852886e38)],
    ['fb7e37e43c8800759c', new CborFloat(1e300)],
    ['f90001', new CborFloat(5.960464477539063e-8)],
    ['f90400', new CborFloat(0.00006103515625)],
    ['f9c400', new CborFloat(-4)],
    ['f97c00', new CborFloat(Infinity)],
    ['f97e00', new CborFloat(NaN)],
    ['f9fc00', new CborFloat(-Infinity)],
    ['f4', false],
    ['f5', true],
    ['f6', null],
    ['f7', undefined],
    ['f0', new CborSimple(16)],
    ['f8ff', new CborSimple(255)],
    ['c11a514b67b0', new CborTag(1, 1_363_896_240)],
    ['4401020304', Uint8Array.of(1, 2, 3, 4)],
    ['6449455446', 'IETF'],
    ['62c3bc', 'ü'],
    ['64f0908591', '𐅑'],
    ['83010203', [1, 2, 3]],
    [
      'a201020304',
      new Map([
        [1, 2],
        [3, 4],
      ]),
    ],
    [
      'a26161016162820203',
      new Map<CborValue, CborValue>([
        ['a', 1],
        ['b', [2, 3]],
      ]),
    ],
  ] as const satisfies readonly (readonly [string, CborValue])[])(
    'reads %s of RFC 8949 appendix A as published and writes the same bytes',
    (hex, value) => {
      expect(decodeHex(hex)).toStrictEqual(value)
      expect(toHex(encodeCbor(value))).toBe(`0x${hex}`)
    },
  )

  it.each([
    ['', 'truncated', 'nothing'],
    ['18', 'truncated', 'a head without its argument'],
    ['4401', 'truncated', 'a byte string that ends early'],
    ['0000', 'trailing-bytes', 'a second item'],
    ['5f42010243030405ff', 'indefinite-length', 'a byte string in chunks'],
    ['7f657374726561646d696e67ff', 'indefinite-length', 'a text in chunks'],
    ['9fff', 'indefinite-length', 'an array without a length'],
    ['bfff', 'indefinite-length', 'a map without a length'],
    ['ff', 'indefinite-length', 'a break'],
    ['1c', 'reserved-head', 'additional information 28'],
    ['fe', 'reserved-head', 'additional information 30'],
    ['1800', 'non-shortest-head', 'zero in two bytes'],
    ['1900ff', 'non-shortest-head', '255 in three bytes'],
    ['1a0000ffff', 'non-shortest-head', '65535 in five bytes'],
    ['1b00000000ffffffff', 'non-shortest-head', '2^32 - 1 in nine bytes'],
    ['5800', 'non-shortest-head', 'a long length of nothing'],
    ['d81243010203', 'non-shortest-head', 'a tag below 24 in two bytes'],
    ['fa3fc00000', 'non-shortest-float', '1.5 in four bytes'],
    ['fb3ff8000000000000', 'non-shortest-float', '1.5 in eight bytes'],
    ['fa7fc00000', 'non-shortest-float', 'a NaN in four bytes'],
    ['f97e01', 'non-shortest-float', 'a NaN with a payload'],
    ['a201020103', 'duplicate-key', 'a key twice'],
    ['a2616101616102', 'duplicate-key', 'a text key twice'],
    ['a2410101410102', 'duplicate-key', 'a byte string key twice'],
    ['a2f93c0001f93c0002', 'duplicate-key', 'a float key twice'],
    ['61ff', 'invalid-utf8', 'a byte that is no UTF-8'],
    ['63eda080', 'invalid-utf8', 'a surrogate in UTF-8'],
    ['62c080', 'invalid-utf8', 'an overlong NUL'],
    ['f818', 'invalid-simple', 'a simple value below 32 in two bytes'],
    ['9b000000ffffffffff', 'too-many-items', 'an array longer than any memory'],
    ['ba7fffffff', 'too-many-items', 'a map longer than any memory'],
    [`${'81'.repeat(17)}00`, 'too-deep', 'seventeen nested arrays'],
    [`${'c1'.repeat(17)}00`, 'too-deep', 'seventeen nested tags'],
    ['81'.repeat(200_000), 'too-deep', 'two hundred thousand nested arrays'],
  ])('refuses %.40s by rule %s: %s', (hex, rule) => {
    expect(refusalOf(hex)).toBe(rule)
  })

  it('says where and why it stopped', () => {
    expect(() => decodeHex('a201020103')).toThrowErrorMatchingInlineSnapshot(`
      [InvalidCborError: The bytes are refused as CBOR: a map holds the same key twice.
      Rule: duplicate-key
      Offset: 3]
    `)
  })

  const integers = fc.oneof(
    fc.maxSafeInteger(),
    fc
      .bigInt(-(2n ** 64n), 2n ** 64n - 1n)
      .map((value) =>
        value >= -BigInt(Number.MAX_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
          ? Number(value)
          : value,
      ),
  )
  const scalars = fc.oneof(
    integers,
    fc.string({ unit: 'binary' }),
    fc.boolean(),
    fc.constant(null),
    fc.constant(undefined),
    fc.uint8Array(),
    fc.double().map((value) => new CborFloat(value)),
    fc.float().map((value) => new CborFloat(value)),
  )
  const values = fc.letrec<{ value: CborValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      scalars,
      fc.array(tie('value'), { maxLength: 4 }),
      fc
        .uniqueArray(fc.tuple(fc.oneof(fc.integer(), fc.string()), tie('value')), {
          maxLength: 4,
          selector: ([key]) => key,
        })
        .map((pairs) => new Map<CborValue, CborValue>(pairs)),
      tie('value').map((content) => new CborTag(4711, content)),
    ),
  })).value

  it('reads back what was written, whatever the value', () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(decodeCbor(encodeCbor(value))).toStrictEqual(value)
      }),
      { numRuns: 500 },
    )
  })

  it('agrees with cbor2 and cborg on every value that all of them know', () => {
    const plain = fc.oneof(
      fc.maxSafeInteger(),
      fc.string(),
      fc.boolean(),
      fc.uint8Array(),
      fc.array(fc.maxSafeInteger()),
      fc
        .dictionary(
          fc.string().filter((key) => key !== '__proto__'),
          fc.integer(),
        )
        .map((object) => new Map<CborValue, CborValue>(Object.entries(object))),
    )
    fc.assert(
      fc.property(plain, (value) => {
        const bytes = encodeCbor(value)
        expect(decodeWithCbor2(bytes, { preferMap: true })).toEqual(plainValue(value))
        expect(decodeWithCborg(bytes, { useMaps: true, strict: true })).toEqual(plainValue(value))
        expect(plainValue(decodeCbor(encodeWithCbor2(value)))).toEqual(plainValue(value))
      }),
    )
  })
})

type AppendixEntry = {
  readonly hex: string
  readonly roundtrip: boolean
  readonly decoded?: unknown
  readonly diagnostic?: string
}

describeShared('RFC 8949 appendix A as published', 'vectors/cbor/appendix_a.json', (path) => {
  // Integers beyond 2^53 are read from their text, since JSON.parse would round them.
  const entries = JSON.parse(
    readFileSync(path, 'utf8').replace(/"decoded": (-?\d{16,})/g, '"decoded": "big:$1"'),
  ) as AppendixEntry[]

  // The older RFC 7049 listed it; RFC 8949 §3.3 made it ill-formed and dropped it.
  const dropped = 'f818'

  it.each(entries.filter(({ roundtrip, hex }) => roundtrip && hex !== dropped))(
    'reads $hex and writes the same bytes',
    (entry) => {
      const value = decodeHex(entry.hex)
      expect(toHex(encodeCbor(value))).toBe(`0x${entry.hex}`)
      expect(comparable(value, entry)).toEqual(published(entry))
    },
  )

  it('refuses simple(24) in two bytes, which RFC 8949 made ill-formed', () => {
    expect(refusalOf(dropped)).toBe('invalid-simple')
  })

  it.each(entries.filter(({ roundtrip }) => !roundtrip))(
    'refuses $hex by name: it has another, preferred form',
    ({ hex }) => {
      const isFloat = /^f[ab]/.test(hex)
      expect(refusalOf(hex)).toBe(isFloat ? 'non-shortest-float' : 'indefinite-length')
    },
  )

  it('is looked at as a whole', () => {
    expect(entries).toHaveLength(82)
  })
})

const bigMark = 'big:'

/** What the entry says, as far as JSON can say it. */
function published({ decoded, diagnostic }: AppendixEntry): unknown {
  if (diagnostic !== undefined) return diagnostic
  const isBig = typeof decoded === 'string' && decoded.startsWith(bigMark)
  return isBig ? BigInt(decoded.slice(bigMark.length)) : decoded
}

/** A decoded item in the form in which the entry says it. */
function comparable(value: CborValue, entry: AppendixEntry): unknown {
  if (entry.diagnostic !== undefined) return diagnosticOf(value)
  const plain = nested(plainValue(value))
  return typeof plain === 'number' && typeof published(entry) === 'bigint' ? BigInt(plain) : plain
}

/** Maps as plain objects, at any depth. */
function nested(value: unknown): unknown {
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, item]) => [String(key), nested(item)]))
  }
  return Array.isArray(value) ? value.map(nested) : value
}

/** The diagnostic notation of the few kinds of value that the appendix writes in it. */
function diagnosticOf(value: CborValue): string {
  if (value instanceof CborSimple) return `simple(${value.value})`
  if (value === undefined) return 'undefined'
  if (value instanceof CborFloat) return String(value.value)
  if (value instanceof Uint8Array) return `h'${toHex(value).slice(2)}'`
  if (value instanceof CborTag) return `${value.tag}(${diagnosticOf(value.content)})`
  if (value instanceof Map) {
    return `{${[...value].map(([key, item]) => `${String(key)}: ${String(item)}`).join(', ')}}`
  }
  return JSON.stringify(value)
}
