import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '#schemas/bytes.ts'
import {
  type Report,
  assertReport,
  decodeReport,
  encodeReport,
  reportLeaf,
  subjectId,
  unitCode,
  unitText,
  zeroHash,
} from '#schemas/report.ts'
import { rightClass, rightId } from '#schemas/right.ts'

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex)
const nonZero32 = bytes32.filter((hex) => hex !== zeroHash)

const reportArbitrary: fc.Arbitrary<Report> = fc
  .record({
    version: fc.constant(1 as const),
    subject: nonZero32,
    policyId: nonZero32,
    periodStartMs: fc.bigInt(0n, 2n ** 63n),
    length: fc.bigInt(1n, 2n ** 40n),
    verdict: fc.constantFrom(1 as const, 2 as const, 3 as const),
    valueMicro: fc.bigInt(-(2n ** 127n), 2n ** 127n - 1n),
    unit: fc.constantFrom('Wh', 'Cel', '%RH', 'kg').map(unitCode),
    coveragePpm: fc.integer({ min: 0, max: 1_000_000 }),
    tier: fc.constantFrom(1 as const, 2 as const, 3 as const, 4 as const),
    evidenceRoot: bytes32,
    measuresHash: bytes32,
    exclusiveTo: bytes32,
    amends: bytes32,
  })
  .map(({ length, ...rest }) => ({ ...rest, periodEndMs: rest.periodStartMs + length }))

const [sample] = fc.sample(reportArbitrary, { numRuns: 1, seed: 7 }) as [Report]

describe('report', () => {
  it('comes back from its ABI bytes unchanged', () => {
    fc.assert(
      fc.property(reportArbitrary, (report) => {
        const encoded = encodeReport(report)
        expect(encoded.length).toBe(14 * 32)
        expect(decodeReport(encoded)).toStrictEqual(report)
      }),
    )
  })

  it('has another leaf as soon as any single byte of its encoding differs', () => {
    fc.assert(
      fc.property(
        reportArbitrary,
        fc.nat(14 * 32 - 1),
        fc.integer({ min: 1, max: 255 }),
        (report, at, flip) => {
          const bytes = encodeReport(report)
          bytes[at] = (bytes[at] ?? 0) ^ flip
          let changed: Report
          try {
            changed = decodeReport(bytes)
          } catch {
            return
          }
          expect(reportLeaf(changed)).not.toBe(reportLeaf(report))
        },
      ),
    )
  })

  it('refuses bytes that abi.encode would not have written', () => {
    const bytes = encodeReport(sample)
    expect(() => decodeReport(bytes.subarray(1))).toThrowErrorMatchingInlineSnapshot(`
      [AbiRangeError: report has the wrong length.
      Field: report
      Expected: 448 bytes
      Actual: 447 bytes]
    `)
    bytes[5 * 32] = 1
    expect(() => decodeReport(bytes)).toThrowErrorMatchingInlineSnapshot(`
      [AbiRangeError: verdict is out of range.
      Field: verdict
      Actual: 452312848583266388373324160190187140051835877600158453279131187530910662659
      Allowed: 0 to 255]
    `)
  })

  it('refuses an unknown version by name', () => {
    const bytes = encodeReport(sample)
    bytes[31] = 2
    expect(() => decodeReport(bytes)).toThrowErrorMatchingInlineSnapshot(`
      [UnknownVersionError: report has version 2, which is unknown here.
      Field: report.version
      Known: 1
      Remedy: Use a release that knows this version; nothing is guessed about it.]
    `)
  })

  it.each([
    [{ periodEndMs: sample.periodStartMs }, 'report.periodEndMs'],
    [{ verdict: 4 as never }, 'report.verdict'],
    [{ tier: 0 as never }, 'report.tier'],
    [{ coveragePpm: 1_000_001 }, 'report.coveragePpm'],
    [{ subject: zeroHash }, 'report.subject'],
    [{ policyId: zeroHash }, 'report.policyId'],
  ])('refuses %o and names the field', (change: Partial<Report>, field) => {
    expect(() => assertReport({ ...sample, ...change })).toThrowError(
      expect.objectContaining({ field }),
    )
  })

  it('writes units as left-aligned ASCII and reads them back', () => {
    expect(unitCode('Wh')).toBe(`0x5768${'00'.repeat(30)}`)
    expect(unitText(unitCode('%RH'))).toBe('%RH')
    for (const bad of ['', 'a b', 'µW', 'x'.repeat(33)]) {
      expect(() => unitCode(bad)).toThrowError(/cannot be written/)
    }
    expect(() => unitText(`0x5700680000${'00'.repeat(27)}`)).toThrowError(/zero-padded/)
  })

  it('gives different subjects and different places different names', () => {
    expect(subjectId('a')).not.toBe(subjectId('b'))
    expect(() => subjectId('')).toThrowError(/needs a name/)
    const place = {
      chainId: 1n,
      contract: '0x00000000000000000000000000000000000000aa' as const,
      right: rightClass('carbon'),
    }
    const ids = new Set([
      rightId(place),
      rightId({ ...place, chainId: 2n }),
      rightId({ ...place, contract: '0x00000000000000000000000000000000000000ab' }),
      rightId({ ...place, right: rightClass('renewable-energy-certificate') }),
    ])
    expect(ids.size).toBe(4)
  })
})
