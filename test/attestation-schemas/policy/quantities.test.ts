import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatDecimal,
  formatDuration,
  formatPercent,
  parseDecimal,
  parseDuration,
  parsePercent,
} from '#schemas/policy/quantities.ts'

describe('quantities', () => {
  it('every decimal has one spelling, which leads back to it', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (micro) => {
        expect(parseDecimal(formatDecimal(BigInt(micro)))).toBe(micro)
      }),
    )
    expect(formatDecimal(-500_000n)).toBe('-0.5')
  })

  it('every duration has one spelling, which leads back to it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 863_999_999_999 }), (totalMs) => {
        expect(parseDuration(formatDuration(totalMs))).toBe(totalMs)
      }),
    )
    expect(formatDuration(90 * 60_000)).toBe('1h30m')
    expect(formatDuration(0)).toBe('0s')
  })

  it('every percentage has one spelling, which leads back to it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000 }), (ppm) => {
        expect(parsePercent(formatPercent(ppm))).toBe(ppm)
      }),
    )
    expect(formatPercent(999_500)).toBe('99.95%')
  })

  it('whatever is read is in its one spelling', () => {
    const texts = fc.oneof(
      fc.string({ unit: fc.constantFrom(...'0123456789.-+eEdhms%'.split('')), maxLength: 12 }),
      fc.stringMatching(/^[0-9]{1,4}(d|h|m|s|ms)([0-9]{1,3}(h|m|s|ms))?$/),
    )
    fc.assert(
      fc.property(texts, (text) => {
        const [decimal, duration, percent] = [
          parseDecimal(text),
          parseDuration(text),
          parsePercent(text),
        ]
        expect(decimal === undefined ? text : formatDecimal(BigInt(decimal))).toBe(text)
        expect(duration === undefined ? text : formatDuration(duration)).toBe(text)
        expect(percent === undefined ? text : formatPercent(percent)).toBe(text)
      }),
      { numRuns: 5_000 },
    )
  })
})
