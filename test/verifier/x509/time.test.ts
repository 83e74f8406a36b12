import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatIsoTime, parseIsoTime, unixSecondsOf } from '#verifier/x509/time.ts'

describe('time without a clock', () => {
  it('agrees with the platform’s calendar on every second from 1970 to 9999', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799 }), (seconds) => {
        const text = new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
        expect(formatIsoTime(seconds)).toBe(text)
        expect(parseIsoTime(text)).toBe(seconds)
      }),
      { numRuns: 1000 },
    )
  })

  it.each([
    '2026-02-29T00:00:00Z',
    '2100-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:60:00Z',
    '2026-12-31T23:59:60Z',
    '2026-01-01T00:00:00.000Z',
    '2026-01-01T00:00:00+00:00',
    '2026-01-01 00:00:00Z',
    '2026-01-01',
    ' 2026-01-01T00:00:00Z',
    '',
  ])('does not read "%s"', (text) => {
    expect(parseIsoTime(text)).toBe(undefined)
  })

  it('knows the leap days of centuries', () => {
    expect(unixSecondsOf(2000, 2, 29, 0, 0, 0)).toBe(951_782_400)
    expect(unixSecondsOf(1900, 2, 29, 0, 0, 0)).toBe(undefined)
    expect(unixSecondsOf(1975, 1, 1, 0, 0, 0)).toBe(157_766_400)
  })
})
