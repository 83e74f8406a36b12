import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { concatBytes, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import {
  type CalibrationCertificate,
  calibrationClaim,
  calibrationHeader,
  calibrationType,
  maxCalibrationBytes,
} from '#schemas/calibration/calibrationCertificate.ts'
import {
  encodeCalibrationClaims,
  encodeCalibrationHeader,
} from '#schemas/calibration/calibrationEncoding.ts'
import type { CalibrationRule } from '#schemas/calibration/calibrationErrors.ts'
import { decodeCalibration, verifyCalibration } from '#schemas/calibration/decodeCalibration.ts'
import { encodeCalibration } from '#schemas/calibration/encodeCalibration.ts'
import { CborFloat, type CborValue } from '#schemas/cbor/cborValue.ts'
import { CborWriter } from '#schemas/cbor/cborWriter.ts'
import { decodeCbor } from '#schemas/cbor/decodeCbor.ts'
import { encodeCbor } from '#schemas/cbor/encodeCbor.ts'
import { createDeviceSigner, portableSignatures } from '#schemas/pack/portableSignatures.ts'

const signer = createDeviceSigner('ES256', new Uint8Array(32).fill(9))
const certificate: CalibrationCertificate = {
  laboratory: 'Labor Süd',
  number: '2026-0815',
  device: `0x${'d0'.repeat(32)}`,
  series: 'temperature',
  unit: 'Cel',
  issuedMs: 1_800_000_000_000,
  validFromMs: 1_799_900_000_000,
  validUntilMs: 1_831_536_000_000,
  document: undefined,
  replaces: undefined,
}

/** A message from parts that an honest encoder would not put together. */
function forge({
  header = encodeCalibrationHeader('ES256', signer.key.id),
  unprotected = new Map<CborValue, CborValue>(),
  payload = encodeCalibrationClaims(certificate),
  signature = new Uint8Array(64),
  head = Uint8Array.of(0xd2, 0x84),
}: {
  header?: Uint8Array
  unprotected?: ReadonlyMap<CborValue, CborValue>
  payload?: Uint8Array
  signature?: Uint8Array
  head?: Uint8Array
} = {}): Uint8Array {
  const writer = new CborWriter().bytes(header).raw(encodeCbor(unprotected))
  return concatBytes(head, writer.bytes(payload).bytes(signature).finish())
}

const headerWith = (changes: readonly (readonly [CborValue, CborValue])[]): Uint8Array =>
  encodeCbor(
    new Map<CborValue, CborValue>([
      [calibrationHeader.algorithm, -9],
      [calibrationHeader.keyId, fromHex(signer.key.id, 'kid')],
      [calibrationHeader.type, calibrationType],
      ...changes,
    ]),
    { sortKeys: true },
  )

/** The claims with some of them replaced; `undefined` takes one away. */
function claimsWith(changes: Partial<Record<keyof typeof calibrationClaim, CborValue>>) {
  const claims = new Map(decodeCbor(encodeCalibrationClaims(certificate)) as Map<number, CborValue>)
  for (const [name, value] of Object.entries(changes)) {
    const key = calibrationClaim[name as keyof typeof calibrationClaim]
    if (value === undefined) claims.delete(key)
    else claims.set(key, value)
  }
  return encodeCbor(claims, { sortKeys: true })
}

const text = fc
  .string({ minLength: 1, maxLength: 50, unit: 'grapheme' })
  .filter((value) => !/[\p{Cc}\p{Cs}]/u.test(value))
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex)
const instant = fc.nat({ max: 4_000_000_000 }).map((seconds) => seconds * 1000)
const certificates = fc
  .record({
    laboratory: text,
    number: text,
    device: bytes32,
    series: text,
    unit: text,
    issuedMs: instant,
    validFromMs: instant,
    document: fc.option(bytes32, { nil: undefined }),
    days: fc.integer({ min: 1, max: 7000 }),
  })
  .map(({ days, ...rest }): CalibrationCertificate => ({
    ...rest,
    validUntilMs: rest.validFromMs + days * 86_400_000,
    replaces: undefined,
  }))

describe('a calibration certificate', () => {
  it('reads back as what was signed, under every algorithm and by either verifier', () => {
    for (const algorithm of ['ES256', 'Ed25519', 'ES256K'] as const) {
      const laboratory = createDeviceSigner(algorithm, new Uint8Array(32).fill(5))
      const decoded = decodeCalibration(encodeCalibration(certificate, laboratory))
      for (const verifier of [portableSignatures, createNodeSignatures()]) {
        expect(verifyCalibration(decoded, { key: laboratory.key, verifier })).toStrictEqual(
          certificate,
        )
      }
    }
  })

  it('has one encoding: whatever is decoded encodes to the same bytes', () => {
    fc.assert(
      fc.property(certificates, (sample) => {
        const payload = encodeCalibrationClaims(sample)
        expect(decodeCalibration(forge({ payload })).certificate).toStrictEqual(sample)
      }),
      { numRuns: 200 },
    )
  })

  it('stands byte for byte as the documentation shows it', () => {
    expect(toHex(encodeCalibrationHeader('ES256', `0x${'ab'.repeat(32)}`))).toBe(
      `0xa30128045820${'ab'.repeat(32)}107829${toHex(utf8(calibrationType)).slice(2)}`,
    )
    expect(toHex(encodeCalibrationClaims(certificate))).toMatchInlineSnapshot(
      `"0xa9016a4c61626f722053c3bc64041a6d2b0580051a6b484b60061a6b49d2000749323032362d303831353a00010000013a000100085820d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d03a000100096b74656d70657261747572653a0001000a6343656c"`,
    )
  })

  it('withdraws another one when it holds at no time', () => {
    const withdrawal = {
      ...certificate,
      number: '2026-0816',
      validUntilMs: certificate.validFromMs,
      replaces: certificate.number,
    }
    const decoded = decodeCalibration(encodeCalibration(withdrawal, signer))
    expect(decoded.certificate).toStrictEqual(withdrawal)
  })

  it('is told by what was signed and not by its signature', () => {
    const one = decodeCalibration(forge({ signature: new Uint8Array(64).fill(1) }))
    const other = decodeCalibration(forge({ signature: new Uint8Array(64).fill(2) }))
    expect(one.digest).toBe(other.digest)
  })
})

describe('what is no calibration certificate', () => {
  const refusals: readonly (readonly [string, CalibrationRule, Uint8Array])[] = [
    ['too many bytes', 'too-large', new Uint8Array(maxCalibrationBytes + 1)],
    ['an unprotected header', 'header', forge({ unprotected: new Map([[99, 1]]) })],
    ['a header more', 'header', forge({ header: headerWith([[3, 61]]) })],
    ['another type', 'type', forge({ header: headerWith([[16, 'application/cwt']]) })],
    ['an algorithm in its old name', 'algorithm', forge({ header: headerWith([[1, -7]]) })],
    [
      'a key id of another length',
      'key-id',
      forge({ header: headerWith([[4, new Uint8Array(8)]]) }),
    ],
    ['a payload that is no map', 'not-claims', forge({ payload: encodeCbor([1, 2]) })],
    [
      'a claim that nobody knows',
      'unknown-claim',
      forge({ payload: encodeCbor(new Map<CborValue, CborValue>([[3, 'audience']])) }),
    ],
    ['a version of tomorrow', 'version', forge({ payload: claimsWith({ version: 2 }) })],
    ['no unit', 'missing-claim', forge({ payload: claimsWith({ unit: undefined }) })],
    ['a number in text', 'claim-type', forge({ payload: claimsWith({ number: '2026-0815' }) })],
    ['a series in bytes', 'claim-type', forge({ payload: claimsWith({ series: utf8('temp') }) })],
    [
      'a device of 31 bytes',
      'claim-type',
      forge({ payload: claimsWith({ device: new Uint8Array(31) }) }),
    ],
    [
      'a date with a fraction',
      'claim-type',
      forge({ payload: claimsWith({ issued: new CborFloat(1.5) }) }),
    ],
    [
      'a date in milliseconds',
      'time-range',
      forge({ payload: claimsWith({ issued: 1_800_000_000_000 }) }),
    ],
    ['a date before 1970', 'time-range', forge({ payload: claimsWith({ validFrom: -1 }) })],
    ['an empty text', 'text', forge({ payload: claimsWith({ laboratory: '' }) })],
    ['a control character', 'text', forge({ payload: claimsWith({ laboratory: 'a\u001b[2J' }) })],
    ['201 bytes of text', 'text', forge({ payload: claimsWith({ unit: 'x'.repeat(201) }) })],
    [
      'a number that is no UTF-8',
      'text',
      forge({ payload: claimsWith({ number: Uint8Array.of(0xff) }) }),
    ],
    ['an end before its beginning', 'validity', forge({ payload: claimsWith({ validUntil: 1 }) })],
    [
      'no time at all and nothing replaced',
      'validity',
      forge({ payload: claimsWith({ validUntil: certificate.validFromMs / 1000 }) }),
    ],
    [
      'a validity of centuries',
      'validity',
      forge({ payload: claimsWith({ validUntil: 9_000_000_000 }) }),
    ],
    [
      'a certificate that replaces itself',
      'validity',
      forge({ payload: claimsWith({ replaces: certificate.number }) }),
    ],
    ['no tag', 'encoding', forge({ head: Uint8Array.of(0x84) })],
    [
      'claims in another order',
      'encoding',
      forge({
        payload: encodeCbor(
          new Map(
            [
              ...(decodeCbor(encodeCalibrationClaims(certificate)) as Map<number, CborValue>),
            ].reverse(),
          ),
        ),
      }),
    ],
    ['a signature of 63 bytes', 'signature-length', forge({ signature: new Uint8Array(63) })],
  ]

  it.each(refusals)('%s is refused as %s', (_, rule, bytes) => {
    expect(() => decodeCalibration(bytes)).toThrowError(
      expect.objectContaining({ name: 'CalibrationFormatError', rule }),
    )
  })

  it('anything else is refused by the readers of CBOR and COSE', () => {
    const names = [new Uint8Array(), Uint8Array.of(0xff), Uint8Array.of(0x83)].map((bytes) => {
      try {
        return decodeCalibration(bytes).digest
      } catch (error) {
        return error instanceof Error ? error.name : ''
      }
    })
    expect(names).toStrictEqual(['InvalidCborError', 'InvalidCborError', 'InvalidSign1Error'])
  })

  it('what no decoder would take, no encoder signs', () => {
    expect(() => encodeCalibration({ ...certificate, series: '' }, signer)).toThrowError(
      expect.objectContaining({ rule: 'text' }),
    )
    expect(() => encodeCalibration({ ...certificate, issuedMs: 1500 }, signer)).toThrowError(
      expect.objectContaining({ rule: 'time-range' }),
    )
  })
})

describe('whose a certificate is', () => {
  const genuine = decodeCalibration(encodeCalibration(certificate, signer))
  const stranger = createDeviceSigner('ES256', new Uint8Array(32).fill(8))
  const other = createDeviceSigner('ES256K', new Uint8Array(32).fill(9))

  it.each([
    ['other-key', genuine, stranger.key],
    ['other-algorithm', { ...genuine, algorithm: 'Ed25519' as const }, signer.key],
    ['signature', decodeCalibration(forge()), signer.key],
    ['signature', { ...genuine, signature: other.sign(genuine.signedBytes) }, signer.key],
  ] as const)('is refused as %s when it is not the laboratory’s', (rule, decoded, key) => {
    expect(() => verifyCalibration(decoded, { key, verifier: portableSignatures })).toThrowError(
      expect.objectContaining({ name: 'CalibrationNotAuthenticError', rule }),
    )
  })
})
