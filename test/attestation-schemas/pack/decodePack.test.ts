import fc from 'fast-check'
import { sha256 } from '@noble/hashes/sha2'
import { describe, expect, it } from 'vitest'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { concatBytes, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { CborTag, type CborValue } from '#schemas/cbor/cborValue.ts'
import { CborWriter } from '#schemas/cbor/cborWriter.ts'
import { encodeCbor } from '#schemas/cbor/encodeCbor.ts'
import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { decodeSign1 } from '#schemas/cose/decodeSign1.ts'
import { sigStructure } from '#schemas/cose/sigStructure.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import { encodePack, preparePack } from '#schemas/pack/encodePack.ts'
import { PackEncodingError } from '#schemas/pack/packErrors.ts'
import { type PackClaims, maxPackBytes, noPrevious, packAad } from '#schemas/pack/packProfile.ts'
import { splitPackSequence } from '#schemas/pack/packSequence.ts'
import { createDeviceSigner, portableSignatures } from '#schemas/pack/portableSignatures.ts'
import { verifyPack } from '#schemas/pack/verifyPack.ts'
import {
  InvalidRecordError,
  type SenmlRecord,
  encodeSenmlCbor,
} from '#schemas/senml/encodeSenmlCbor.ts'
import { trustTiers } from '#schemas/trustTier.ts'
import { UnknownUnitError } from '#schemas/units/unit.ts'

const stream = `0x${'5a'.repeat(32)}` as const
const otherStream = `0x${'5b'.repeat(32)}` as const
const firmware = `0x${'0f'.repeat(32)}` as const
const signer = createDeviceSigner('ES256', new Uint8Array(32).fill(7))
const verifier = createNodeSignatures()
const records: readonly SenmlRecord[] = [
  { name: 'cold:temp', unit: 'Cel', timeMs: 1_700_000_000_000, valueMicro: 4_200_000 },
  { name: 'cold:temp', unit: 'Cel', timeMs: 1_700_000_060_000, valueMicro: 4_300_000 },
]
const claims = { stream, sequence: 1n, previous: noPrevious, bootCount: 3n, firmware }
const content = { claims, kid: signer.key.id, algorithm: 'ES256', records } as const
const { bytes: pack, packHash } = encodePack({ ...content, sign: signer.sign })

function ruleOf(run: () => unknown): string {
  try {
    run()
    return 'accepted'
  } catch (error) {
    if (error instanceof FormatRefusedError) return error.rule
    throw error
  }
}

const verify = (bytes: Uint8Array, expected: Partial<Parameters<typeof verifyPack>[1]> = {}) =>
  verifyPack(decodePack(bytes), { key: signer.key, stream, verifier, ...expected })

const kid = fromHex(signer.key.id, 'kid')
const zero = new Uint8Array(32)
const validClaims: readonly (readonly [CborValue, CborValue])[] = [
  [267, 3],
  [-65_537, 1],
  [-65_538, fromHex(stream, 'stream')],
  [-65_539, 1],
  [-65_540, zero],
  [-65_541, fromHex(firmware, 'firmware')],
]
const headerWith = (
  claims: readonly (readonly [CborValue, CborValue])[],
): readonly (readonly [CborValue, CborValue])[] => [
  [1, -9],
  [3, 112],
  [4, kid],
  [15, new Map(claims)],
]
const validHeader = headerWith(validClaims)

/** A message signed as a pack is, whatever stands in its parts. */
function forge(
  options: {
    header?: Uint8Array
    unprotected?: Uint8Array
    payload?: Uint8Array
    signature?: Uint8Array
    tag?: boolean
  } = {},
): Uint8Array {
  const header = options.header ?? encodeCbor(new Map(validHeader))
  const payload = options.payload ?? encodeSenmlCbor(records)
  const signedBytes = sigStructure({
    protectedBytes: header,
    externalAad: packAad(stream),
    payload,
  })
  const writer = new CborWriter()
  if (options.tag !== false) writer.tag(18)
  return writer
    .array(4)
    .bytes(header)
    .raw(options.unprotected ?? Uint8Array.of(0xa0))
    .bytes(payload)
    .bytes(options.signature ?? signer.sign(signedBytes))
    .finish()
}

const without = (label: CborValue) => validHeader.filter(([known]) => known !== label)
const header = (pairs: readonly (readonly [CborValue, CborValue])[]) => encodeCbor(new Map(pairs))
const replaced = (label: CborValue, value: CborValue) => header([...without(label), [label, value]])
const claimed = (label: CborValue, value: CborValue) =>
  header(headerWith([...validClaims.filter(([known]) => known !== label), [label, value]]))
/** A map with one pair written twice. */
const doubled = (pairs: readonly (readonly [CborValue, CborValue])[]) => {
  const [first = [0, 0] as const] = pairs
  const writer = new CborWriter().map(pairs.length + 1)
  for (const [label, value] of [first, ...pairs]) {
    writer.raw(encodeCbor(label)).raw(encodeCbor(value))
  }
  return writer.finish()
}

describe('a pack', () => {
  it('made by hand in the profile is the same as one from the encoder', () => {
    expect(forge()).toEqual(pack)
  })

  it('verifies without its tag and in any order of headers and claims', () => {
    const reordered = header([...headerWith(validClaims.toReversed())].toReversed())
    expect(ruleOf(() => verify(forge({ tag: false })))).toBe('accepted')
    expect(ruleOf(() => verify(forge({ header: reordered })))).toBe('accepted')
  })

  it.each([-7, -9])('of a P-256 key may name algorithm %d', (algorithm) => {
    expect(ruleOf(() => verify(forge({ header: replaced(1, algorithm) })))).toBe('accepted')
  })

  it('may name its content type as a text and critical headers that are understood', () => {
    const text = header([...without(3), [3, 'application/senml+cbor'], [2, [15, 4]]])
    expect(ruleOf(() => verify(forge({ header: text })))).toBe('accepted')
  })

  it('is identified by what is signed: two signatures of one content are one pack', () => {
    const decoded = decodePack(pack)
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
    const s = BigInt(toHex(decoded.signature.subarray(32)))
    const malleated = pack.slice()
    malleated.set(fromHex((order - s).toString(16).padStart(64, '0'), 's'), pack.length - 32)
    expect(malleated).not.toEqual(pack)
    expect(verify(malleated).packHash).toBe(packHash)
  })

  it('hashes alike with any SHA-256', () => {
    expect(decodePack(pack, { sha256 }).packHash).toBe(packHash)
    expect(toHex(sha256(decodePack(pack).signedBytes))).toBe(packHash)
  })

  it('is signed over the Sig_structure with the stream as external AAD', () => {
    const { protectedBytes, payload } = decodeSign1(pack)
    expect(decodePack(pack).signedBytes).toEqual(
      sigStructure({ protectedBytes, payload, externalAad: packAad(stream) }),
    )
    expect(packAad(stream)).toEqual(
      concatBytes(utf8('plumbline-pack-v1'), fromHex(stream, 'stream')),
    )
  })

  it('decodes from the middle of a larger buffer', () => {
    const buffer = concatBytes(new Uint8Array(13), pack, new Uint8Array(7))
    const view = buffer.subarray(13, 13 + pack.length)
    expect(decodePack(view).readings(trustTiers.hardware)).toEqual(
      decodePack(pack).readings(trustTiers.hardware),
    )
    expect(decodePack(view).packHash).toBe(packHash)
  })

  it.each<readonly [rule: string, what: string, bytes: Uint8Array]>([
    ['pack-too-large', '64 KiB and a byte', new Uint8Array(maxPackBytes + 1)],
    ['truncated', 'nothing', new Uint8Array()],
    ['truncated', 'half a pack', pack.subarray(0, pack.length / 2)],
    ['trailing-bytes', 'a byte behind it', concatBytes(pack, Uint8Array.of(0))],
    ['wrong-tag', 'the tag of COSE_Sign', concatBytes(Uint8Array.of(0xd8, 98), pack.subarray(1))],
    ['not-sign1', 'its tag twice', concatBytes(Uint8Array.of(0xd2), pack)],
    [
      'unprotected-header',
      'a key id that is not signed',
      forge({ unprotected: fromHex('a10442aabb', 'map') }),
    ],
    [
      'too-deep',
      'nesting in the unprotected header',
      forge({ unprotected: fromHex(`a101${'81'.repeat(100)}00`, 'map') }),
    ],
    ['signature-length', 'a DER signature', forge({ signature: new Uint8Array(70) })],
    ['signature-length', 'no signature', forge({ signature: new Uint8Array() })],
    ['missing-header', 'no protected header', forge({ header: new Uint8Array() })],
    ['missing-header', 'an empty protected header', forge({ header: header([]) })],
    ['missing-header', 'no algorithm', forge({ header: header(without(1)) })],
    ['missing-header', 'no content type', forge({ header: header(without(3)) })],
    ['missing-header', 'no key id', forge({ header: header(without(4)) })],
    ['missing-header', 'no claims', forge({ header: header(without(15)) })],
    [
      'unexpected-type',
      'a protected header that is an array',
      forge({ header: Uint8Array.of(0x81, 0) }),
    ],
    [
      'trailing-bytes',
      'a byte behind the protected header',
      forge({ header: concatBytes(header(validHeader), Uint8Array.of(0)) }),
    ],
    ['duplicate-header', 'the algorithm twice', forge({ header: doubled(validHeader) })],
    ['unknown-header', 'a counter-signature', forge({ header: replaced(11, 0) })],
    ['unknown-header', 'a private header', forge({ header: replaced(-70_000, 0) })],
    ['unknown-header', 'a header with a text label', forge({ header: replaced('note', 0) })],
    ['critical', 'an empty critical list', forge({ header: replaced(2, []) })],
    ['critical', 'a critical header that is unknown', forge({ header: replaced(2, [99]) })],
    ['critical', 'a critical text label', forge({ header: replaced(2, ['reserved']) })],
    ['critical', 'crit naming itself', forge({ header: replaced(2, [2]) })],
    ['unexpected-type', 'crit that is no array', forge({ header: replaced(2, 1) })],
    ['algorithm', 'ES384', forge({ header: replaced(1, -35) })],
    ['algorithm', 'HMAC', forge({ header: replaced(1, 5) })],
    ['algorithm', 'a text algorithm', forge({ header: replaced(1, 'ES256') })],
    ['content-type', 'SenML-JSON', forge({ header: replaced(3, 110) })],
    ['content-type', 'another text', forge({ header: replaced(3, 'application/cbor') })],
    ['key-id', 'a short key id', forge({ header: replaced(4, Uint8Array.of(1)) })],
    ['unexpected-type', 'a text key id', forge({ header: replaced(4, 'a') })],
    ['unexpected-type', 'claims that are no map', forge({ header: replaced(15, 1) })],
    ['unknown-claim', 'an issuer', forge({ header: claimed(1, 'me') })],
    ['unknown-claim', 'a text claim', forge({ header: claimed('seq', 1) })],
    [
      'duplicate-claim',
      'the boot counter twice',
      forge({
        header: concatBytes(
          header(without(15)).with(0, 0xa4),
          Uint8Array.of(15),
          doubled(validClaims),
        ),
      }),
    ],
    [
      'missing-claim',
      'no firmware',
      forge({ header: header(headerWith(validClaims.slice(0, 5))) }),
    ],
    ['missing-claim', 'no claim at all', forge({ header: header(headerWith([])) })],
    ['version', 'version 2', forge({ header: claimed(-65_537, 2) })],
    ['claim-type', 'a text version', forge({ header: claimed(-65_537, '1') })],
    ['claim-type', 'a negative sequence', forge({ header: claimed(-65_539, -1) })],
    [
      'claim-type',
      'a sequence beyond 64 bits',
      forge({ header: claimed(-65_539, new CborTag(2, new Uint8Array(9).fill(1))) }),
    ],
    ['claim-type', 'a short stream', forge({ header: claimed(-65_538, new Uint8Array(31)) })],
    ['claim-type', 'a text firmware', forge({ header: claimed(-65_541, 'v1') })],
    ['sequence-range', 'sequence 0', forge({ header: claimed(-65_539, 0) })],
    [
      'previous-of-first',
      'a first pack with a predecessor',
      forge({ header: claimed(-65_540, new Uint8Array(32).fill(1)) }),
    ],
    ['previous-of-first', 'a second pack without one', forge({ header: claimed(-65_539, 2) })],
    [
      'non-shortest-head',
      'a label in two bytes',
      forge({
        header: concatBytes(Uint8Array.of(0xa4, 0x18, 1, 0x28), header(validHeader).subarray(3)),
      }),
    ],
    [
      'indefinite-length',
      'a header without a length',
      forge({
        header: concatBytes(
          Uint8Array.of(0xbf),
          header(validHeader).subarray(1),
          Uint8Array.of(0xff),
        ),
      }),
    ],
    ['empty-pack', 'no readings', forge({ payload: Uint8Array.of(0x80) })],
    ['not-a-pack', 'an empty payload', forge({ payload: new Uint8Array() })],
    [
      'trailing-bytes',
      'a byte behind the readings',
      forge({ payload: concatBytes(encodeSenmlCbor(records), Uint8Array.of(0)) }),
    ],
  ])('is refused by rule %s: %s', (rule, _, bytes) => {
    expect(ruleOf(() => decodePack(bytes))).toBe(rule)
  })

  it('of another version is refused by that name', () => {
    expect(() => decodePack(forge({ header: claimed(-65_537, 2) })))
      .toThrowErrorMatchingInlineSnapshot(`
      [PackProfileError: The pack is of a version that is not known here.
      Rule: version
      Offset: 179
      Expected: 1
      Actual: 2]
    `)
  })

  it('carries sequences and boot counters of 64 bits', () => {
    const last = encodePack({
      ...content,
      claims: {
        ...claims,
        sequence: 2n ** 64n - 1n,
        bootCount: 2n ** 64n - 1n,
        previous: packHash,
      },
      sign: signer.sign,
    })
    expect(verify(last.bytes).claims).toEqual({
      stream,
      sequence: 2n ** 64n - 1n,
      bootCount: 2n ** 64n - 1n,
      previous: packHash,
      firmware,
    })
  })

  it('with any one byte changed, taken out or put in is refused', () => {
    fc.assert(
      fc.property(
        fc.nat(pack.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.constantFrom('change', 'remove', 'insert'),
        (at, difference, how) => {
          const middle =
            how === 'change'
              ? Uint8Array.of((pack[at] ?? 0) ^ difference)
              : how === 'insert'
                ? Uint8Array.of(difference, pack[at] ?? 0)
                : new Uint8Array()
          const mutated = concatBytes(pack.subarray(0, at), middle, pack.subarray(at + 1))
          // Without its tag a pack is still that pack.
          fc.pre(!(how === 'remove' && at === 0))
          expect(ruleOf(() => verify(mutated))).not.toBe('accepted')
        },
      ),
      { numRuns: 3000 },
    )
  })

  it('is refused for every single bit flipped, by either adapter', () => {
    const short = encodePack({ ...content, records: records.slice(0, 1), sign: signer.sign }).bytes
    const accepted: number[] = []
    for (let bit = 0; bit < short.length * 8; bit += 1) {
      const mutated = short.slice()
      mutated[bit >> 3] = (mutated[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      if (ruleOf(() => verify(mutated)) === 'accepted') accepted.push(bit)
    }
    expect(accepted).toEqual([])
    const last = short.with(short.length - 1, (short.at(-1) ?? 0) ^ 1)
    expect(ruleOf(() => verify(last, { verifier: portableSignatures }))).toBe('signature')
  })
})

describe('verifyPack', () => {
  const other = createDeviceSigner('ES256', new Uint8Array(32).fill(8))
  const edwards = createDeviceSigner('Ed25519', new Uint8Array(32).fill(7))

  it.each([
    ['other-key', { key: other.key }],
    ['other-stream', { stream: otherStream }],
  ] as const)('refuses by rule %s', (rule, expected) => {
    expect(ruleOf(() => verify(pack, expected))).toBe(rule)
  })

  it.each([-8, -19, -47])('refuses algorithm %d under a P-256 key', (algorithm) => {
    const confused = forge({ header: replaced(1, algorithm) })
    expect(ruleOf(() => verify(confused))).toBe('other-algorithm')
  })

  it('refuses an Ed25519 pack that says it is ECDSA', () => {
    const confused = encodePack({
      ...content,
      kid: edwards.key.id,
      algorithm: 'ES256',
      sign: edwards.sign,
    })
    expect(ruleOf(() => verify(confused.bytes, { key: edwards.key }))).toBe('other-algorithm')
  })

  it('refuses a pack that another key signed in the name of the enrolled one', () => {
    const stolen = encodePack({ ...content, sign: other.sign })
    expect(ruleOf(() => verify(stolen.bytes))).toBe('signature')
  })

  it('refuses a pack whose stream was written over, though nothing else was', () => {
    const moved = pack.slice()
    const at = toHex(pack).indexOf('5a'.repeat(32)) / 2 - 1
    moved.set(fromHex(otherStream, 'stream'), at)
    expect(decodePack(moved).claims.stream).toBe(otherStream)
    expect(ruleOf(() => verify(moved, { stream: otherStream }))).toBe('signature')
  })

  it('says whom it refused and why', () => {
    expect(() => verify(pack, { stream: otherStream })).toThrowErrorMatchingInlineSnapshot(`
      [PackNotAuthenticError: The pack belongs to another stream.
      Field: stream
      Rule: other-stream
      Expected: 0x5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b
      Actual: 0x5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a]
    `)
  })
})

describe('encodePack', () => {
  const encode = ({
    records: sent = records,
    ...change
  }: Partial<PackClaims> & { records?: readonly SenmlRecord[] }) =>
    encodePack({ ...content, records: sent, claims: { ...claims, ...change }, sign: signer.sign })
  const [record = { name: 'a', unit: 'W', timeMs: 0, valueMicro: 0 }] = records

  it('needs less than 17 bytes a reading for an hour of minutes, signature and claims included', () => {
    const hour = Array.from({ length: 60 }, (_, minute) => ({
      name: 'cold:temp',
      unit: 'Cel',
      timeMs: 1_700_000_000_000 + minute * 60_000,
      valueMicro: 4_000_000 + ((minute * 7919) % 500) * 10_000,
    }))
    expect(encodePack({ ...content, records: hour, sign: signer.sign }).bytes.length).toBeLessThan(
      60 * 17,
    )
  })

  it('lets a key sign elsewhere and later', () => {
    const unsigned = preparePack(content)
    expect(unsigned.packHash).toBe(packHash)
    expect(unsigned.seal(signer.sign(unsigned.signedBytes))).toEqual(pack)
  })

  it.each<readonly [what: string, run: () => unknown, kind: new (...parts: never[]) => Error]>([
    ['sequence 0', () => encode({ sequence: 0n }), PackEncodingError],
    ['sequence 2^64', () => encode({ sequence: 2n ** 64n, previous: packHash }), PackEncodingError],
    ['a first pack with a predecessor', () => encode({ previous: packHash }), PackEncodingError],
    ['a second pack without one', () => encode({ sequence: 2n }), PackEncodingError],
    ['a negative boot counter', () => encode({ bootCount: -1n }), PackEncodingError],
    ['a DER signature', () => preparePack(content).seal(new Uint8Array(71)), PackEncodingError],
    ['no records', () => encode({ records: [] }), InvalidRecordError],
    [
      '1001 records',
      () => encode({ records: Array.from({ length: 1001 }, () => record) }),
      InvalidRecordError,
    ],
    [
      'an unknown unit',
      () => encode({ records: [{ ...record, unit: 'furlong' }] }),
      UnknownUnitError,
    ],
    [
      'a name with a space',
      () => encode({ records: [{ ...record, name: 'a b' }] }),
      InvalidRecordError,
    ],
    [
      'half a millisecond',
      () => encode({ records: [{ ...record, timeMs: 1_700_000_000_000.5 }] }),
      InvalidRecordError,
    ],
    [
      'a time before 1978',
      () => encode({ records: [{ ...record, timeMs: 1000 }] }),
      InvalidRecordError,
    ],
    [
      'half a millionth',
      () => encode({ records: [{ ...record, valueMicro: 0.5 }] }),
      InvalidRecordError,
    ],
    [
      'an exponent of 10',
      () =>
        encode({
          records: [
            { name: 'a', unit: 'W', timeMs: record.timeMs, decimal: { mantissa: 1, exponent: 10 } },
          ],
        }),
      InvalidRecordError,
    ],
    [
      'more than 64 KiB',
      () =>
        encode({
          records: Array.from({ length: 1000 }, (_, index) => ({
            ...record,
            name: `${String(index).padStart(4, '0')}${'n'.repeat(80)}`,
          })),
        }),
      PackEncodingError,
    ],
  ])('refuses %s', (_, run, kind) => {
    expect(run).toThrow(kind)
  })

  it('sends decimals as they are', () => {
    const bytes = encode({
      records: [
        { name: 'a', unit: 'W', timeMs: record.timeMs, decimal: { mantissa: 42, exponent: -1 } },
      ],
    }).bytes
    expect(decodePack(bytes).readings(trustTiers.software)[0]?.valueMicro).toBe(4_200_000)
  })
})

describe('splitPackSequence', () => {
  it('gives back what was put together', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 20 }), (count) => {
        const packs = Array.from({ length: count }, () => pack)
        expect(splitPackSequence(concatBytes(...packs))).toEqual(packs)
      }),
    )
  })

  const large = new CborWriter()
    .tag(18)
    .array(4)
    .bytes(new Uint8Array(0))
    .map(0)
    .bytes(new Uint8Array(maxPackBytes))
    .bytes(new Uint8Array(64))
    .finish()
  it.each<readonly [rule: string, what: string, bytes: Uint8Array]>([
    ['truncated', 'a pack that ends early', concatBytes(pack, pack.subarray(0, 40))],
    ['pack-too-large', 'a pack of more than 64 KiB', concatBytes(pack, large)],
    ['too-many-packs', 'four packs where three may come', concatBytes(pack, pack, pack, pack)],
    ['too-deep', 'nested arrays', Uint8Array.of(0x81, 0x81, 0x81, 0x81, 0x81, 0)],
    ['too-deep', 'a million nested arrays', new Uint8Array(1_000_000).fill(0x81)],
    ['too-many-items', 'an array longer than the sequence', fromHex('9a7fffffff', 'array')],
    ['indefinite-length', 'an array without a length', Uint8Array.of(0x9f, 0xff)],
    ['invalid-utf8', 'a text that is no UTF-8', Uint8Array.of(0x61, 0xff)],
  ])('refuses by rule %s: %s', (rule, _, bytes) => {
    expect(ruleOf(() => splitPackSequence(bytes, { maxPacks: 3 }))).toBe(rule)
  })
})
