import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { timeZoneTable } from '#schemas/policy/policy.ts'
import { formatDuration } from '#schemas/policy/quantities.ts'
import { type Period, endedPeriods, nextPeriodEnd } from '#worker/windows/periods.ts'

const day = 86_400_000
const span = fc.integer({ min: 1, max: 7 * day })
const instant = fc.integer({ min: 0, max: 200 * day })
const explicit = fc.array(
  fc
    .record({ startMs: instant, length: span })
    .map(({ startMs, length }): Period => ({ startMs, endMs: startMs + length })),
  { minLength: 1, maxLength: 12 },
)

describe('the periods of a window', () => {
  it('tile time from the anchor on, without gap or overlap, and never begin before they are asked for', () => {
    fc.assert(
      fc.property(
        span,
        instant,
        instant,
        fc.integer({ min: 0, max: 50 }),
        (length, anchorMs, fromMs, count) => {
          const window = { kind: 'tumbling', length: formatDuration(length), anchorMs } as const
          const periods = endedPeriods(
            window,
            undefined,
            fromMs,
            fromMs + (count + 1) * length,
            1000,
          )
          expect(periods.length).toBeGreaterThanOrEqual(count)
          for (const [index, { startMs, endMs }] of periods.entries()) {
            expect(endMs - startMs).toBe(length)
            expect((startMs - anchorMs) % length).toBeCloseTo(0)
            expect(startMs).toBe(index === 0 ? startMs : periods[index - 1]?.endMs)
          }
          const first = periods[0]?.startMs ?? fromMs
          expect(first).toBeGreaterThanOrEqual(fromMs)
          expect(first).toBeLessThan(fromMs + length)
        },
      ),
    )
  })

  it('end next exactly when the next one ends: before that instant none has, at it one has', () => {
    fc.assert(
      fc.property(
        span,
        span,
        instant,
        instant,
        instant,
        (length, step, anchorMs, fromMs, nowMs) => {
          const window = {
            kind: 'sliding',
            length: formatDuration(length),
            step: formatDuration(step),
            anchorMs,
          } as const
          const next = nextPeriodEnd(window, undefined, fromMs, nowMs) ?? 0
          fc.pre(next - fromMs < 5000 * step)
          const count = (untilMs: number): number =>
            endedPeriods(window, undefined, fromMs, untilMs, 10_000).length
          expect(next).toBeGreaterThan(nowMs)
          expect(count(next - 1)).toBe(count(nowMs))
          expect(count(next)).toBe(count(nowMs) + 1)
        },
      ),
    )
  })

  it('of a calendar are days of its zone: none is lost or doubled where clocks change, and each ends in its turn', () => {
    const window = {
      kind: 'calendar',
      every: 'day',
      zone: 'Europe/Berlin',
      timeZoneTable,
    } as const
    fc.assert(
      fc.property(
        fc.integer({ min: Date.UTC(2025, 0, 1), max: Date.UTC(2030, 0, 1) }),
        fc.integer({ min: 0, max: 400 * day }),
        (fromMs, later) => {
          const nowMs = fromMs + later
          const periods = endedPeriods(window, undefined, fromMs, nowMs, 10_000)
          for (const [index, { startMs, endMs }] of periods.entries()) {
            expect([23, 24, 25]).toContain((endMs - startMs) / 3_600_000)
            expect(startMs).toBe(index === 0 ? startMs : periods[index - 1]?.endMs)
          }
          expect((periods[0]?.startMs ?? fromMs) - fromMs).toBeLessThan(25 * 3_600_000)
          const next = nextPeriodEnd(window, undefined, fromMs, nowMs) ?? 0
          const count = (untilMs: number): number =>
            endedPeriods(window, undefined, fromMs, untilMs, 10_000).length
          expect(next).toBeGreaterThan(nowMs)
          expect(count(next - 1)).toBe(periods.length)
          expect(count(next)).toBe(periods.length + 1)
        },
      ),
      { numRuns: 40 },
    )
  })

  it('of a calendar end where the shipped table of time zones ends', () => {
    const window = {
      kind: 'calendar',
      every: 'year',
      zone: 'Europe/Berlin',
      timeZoneTable,
    } as const
    const fromMs = Date.UTC(2039, 0, 1)
    expect(endedPeriods(window, undefined, fromMs, Date.UTC(2060, 0, 1), 10)).toStrictEqual([])
    expect(nextPeriodEnd(window, undefined, fromMs, Date.UTC(2059, 0, 1))).toBeUndefined()
  })

  it('that are written out are the ones there are', () => {
    fc.assert(
      fc.property(explicit, instant, (periods, nowMs) => {
        const window = { kind: 'period' } as const
        const ended = endedPeriods(window, periods, 0, nowMs, 1000)
        expect(ended).toHaveLength(periods.filter(({ endMs }) => endMs <= nowMs).length)
        expect(ended.map(({ endMs }) => endMs)).toStrictEqual(
          ended.map(({ endMs }) => endMs).sort((left, right) => left - right),
        )
        const next = nextPeriodEnd(window, periods, 0, nowMs)
        const open = periods.map(({ endMs }) => endMs).filter((endMs) => endMs > nowMs)
        expect(next).toBe(open.length === 0 ? undefined : Math.min(...open))
      }),
    )
  })
})
