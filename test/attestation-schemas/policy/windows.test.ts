import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  civilFromDays,
  dayMs,
  daysFromCivil,
  formatInstant,
  parseInstant,
} from '#schemas/policy/civilTime.ts'
import {
  NotAWindowError,
  type Policy,
  assertWindow,
  timeZoneTable,
  timeZones,
  windowsWithin,
} from '#schemas/policy/policy.ts'
import { offsetAt, startOfDay, zoneOffsets } from '#schemas/policy/timeZones.ts'

const hour = 3_600_000
const at = (text: string): number => parseInstant(text) ?? Number.NaN

function calendar(every: 'day' | 'week' | 'month' | 'quarter' | 'year', zone: string) {
  return {
    window: { kind: 'calendar', every, zone, timeZoneTable },
  } as const satisfies Pick<Policy, 'window'>
}

describe('civil time', () => {
  it('agrees with the calendar of the runtime on every day from 1600 to 2400', () => {
    fc.assert(
      fc.property(fc.integer({ min: -135_140, max: 157_054 }), (days) => {
        const date = new Date(days * dayMs)
        const civil = civilFromDays(days)
        expect(civil).toStrictEqual({
          year: date.getUTCFullYear(),
          month: date.getUTCMonth() + 1,
          day: date.getUTCDate(),
        })
        expect(daysFromCivil(civil)).toBe(days)
      }),
    )
  })

  it('writes and reads instants as the runtime does', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), (instantMs) => {
        expect(formatInstant(instantMs)).toBe(new Date(instantMs).toISOString())
        expect(parseInstant(formatInstant(instantMs))).toBe(instantMs)
      }),
    )
  })

  it.each(['2026-02-29T00:00Z', '2026-13-01T00:00Z', '2026-01-01T24:00Z', '2026-01-01', '', 'x'])(
    '%s is no instant',
    (text) => {
      expect(parseInstant(text)).toBeUndefined()
    },
  )
})

describe('the time-zone table', () => {
  it('says what the European Union’s directive says: clocks change at 01:00 UTC on a last Sunday', () => {
    const berlin = zoneOffsets('Europe/Berlin', timeZoneTable)
    for (const [instant, offset] of [
      ['2026-03-29T00:59:59Z', 1],
      ['2026-03-29T01:00Z', 2],
      ['2026-10-25T00:59:59Z', 2],
      ['2026-10-25T01:00Z', 1],
    ] as const) {
      expect(offsetAt(berlin, at(instant))).toBe(offset * hour)
    }
  })

  it('knows that Mexico gave up its summer time in 2022, that Istanbul stayed on it, and Lord Howe’s half hour', () => {
    expect(
      offsetAt(zoneOffsets('America/Mexico_City', timeZoneTable), at('2022-07-01T00:00Z')),
    ).toBe(-5 * hour)
    expect(
      offsetAt(zoneOffsets('America/Mexico_City', timeZoneTable), at('2023-07-01T00:00Z')),
    ).toBe(-6 * hour)
    expect(offsetAt(zoneOffsets('Europe/Istanbul', timeZoneTable), at('2020-01-01T00:00Z'))).toBe(
      3 * hour,
    )
    const lordHowe = zoneOffsets('Australia/Lord_Howe', timeZoneTable)
    expect(offsetAt(lordHowe, at('2026-01-01T00:00Z'))).toBe(11 * hour)
    expect(offsetAt(lordHowe, at('2026-07-01T00:00Z'))).toBe(10.5 * hour)
  })

  it('agrees with the runtime’s own data for the past, which no later version changes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...timeZones),
        fc.integer({ min: at('2010-01-03T00:00Z'), max: at('2024-01-01T00:00Z') }),
        (zone, instantMs) => {
          const parts = new Intl.DateTimeFormat('en-US', {
            timeZone: zone,
            timeZoneName: 'longOffset',
          })
            .formatToParts(instantMs)
            .find(({ type }) => type === 'timeZoneName')?.value
          const minutes = offsetAt(zoneOffsets(zone, timeZoneTable), instantMs) / 60_000
          const magnitude = Math.abs(minutes)
          const pad = (value: number): string => String(value).padStart(2, '0')
          const text = `${minutes < 0 ? '-' : '+'}${pad(Math.floor(magnitude / 60))}:${pad(magnitude % 60)}`
          // Runtimes write Greenwich itself with or without zeros.
          expect(parts?.replace(/^GMT$/, 'GMT+00:00')).toBe(`GMT${text}`)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('refuses other tables, other zones and times beyond it by name', () => {
    expect(() => zoneOffsets('Europe/Berlin', '2020a')).toThrow('Time-zone table 2020a')
    expect(() => zoneOffsets('Europe/Atlantis', timeZoneTable)).toThrow('Zone Europe/Atlantis')
    expect(() => zoneOffsets('toString', timeZoneTable)).toThrow('Zone toString')
    expect(() => offsetAt(zoneOffsets('UTC', timeZoneTable), at('2050-01-01T00:00Z'))).toThrow(
      'does not reach that far',
    )
  })

  it('a day begins with its first instant, also where midnight is skipped or comes twice', () => {
    // Brazil put clocks forward at midnight: 2017-10-15 began at 01:00 local, 03:00 UTC.
    const saoPaulo = zoneOffsets('America/Sao_Paulo', timeZoneTable)
    expect(formatInstant(startOfDay(saoPaulo, { year: 2017, month: 10, day: 15 }))).toBe(
      '2017-10-15T03:00:00.000Z',
    )
    // It put them back at midnight too: on 2018-02-17 the hour from 23:00 came twice, 25 hours in all.
    const [begin, end] = [17, 18].map((day) => startOfDay(saoPaulo, { year: 2018, month: 2, day }))
    expect((end ?? 0) - (begin ?? 0)).toBe(25 * hour)
  })
})

describe('windows', () => {
  it('days have 23 and 25 hours when clocks change, and months follow the wall clock', () => {
    const span = { startMs: at('2026-01-01T00:00Z'), endMs: at('2026-12-31T00:00Z') }
    const lengths = windowsWithin(calendar('day', 'Europe/Berlin'), span).map(
      ({ startMs, endMs }) => (endMs - startMs) / hour,
    )
    expect(lengths.filter((length) => length !== 24)).toStrictEqual([23, 25])
    const months = windowsWithin(calendar('month', 'America/New_York'), {
      startMs: at('2026-02-01T00:00Z'),
      endMs: at('2026-05-01T12:00Z'),
    })
    expect(
      months.map(({ startMs, endMs }) => [formatInstant(startMs), formatInstant(endMs)]),
    ).toStrictEqual([
      ['2026-02-01T05:00:00.000Z', '2026-03-01T05:00:00.000Z'],
      ['2026-03-01T05:00:00.000Z', '2026-04-01T04:00:00.000Z'],
      ['2026-04-01T04:00:00.000Z', '2026-05-01T04:00:00.000Z'],
    ])
  })

  it('weeks begin on Monday, quarters and years with their first month', () => {
    const span = { startMs: at('2025-12-20T00:00Z'), endMs: at('2027-01-02T00:00Z') }
    const first = (every: 'week' | 'quarter' | 'year'): string =>
      formatInstant(windowsWithin(calendar(every, 'UTC'), span)[0]?.startMs ?? 0)
    expect(first('week')).toBe('2025-12-22T00:00:00.000Z')
    expect(first('quarter')).toBe('2026-01-01T00:00:00.000Z')
    expect(first('year')).toBe('2026-01-01T00:00:00.000Z')
  })

  it('in every zone and unit, windows follow each other without gap or overlap', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...timeZones),
        fc.constantFrom('day', 'week', 'month', 'quarter', 'year'),
        fc.integer({ min: at('2011-02-01T00:00Z'), max: at('2036-01-01T00:00Z') }),
        fc.integer({ min: 1, max: 1_200 }),
        (zone, every, startMs, days) => {
          const policy = calendar(every, zone)
          const span = { startMs, endMs: startMs + days * dayMs }
          const windows = windowsWithin(policy, span)
          for (const [index, window] of windows.entries()) {
            expect(window.endMs).toBeGreaterThan(window.startMs)
            expect(window.startMs).toBe(windows[index - 1]?.endMs ?? window.startMs)
          }
          for (const window of windows.slice(0, 2)) {
            expect(() => {
              assertWindow(policy, window)
            }).not.toThrow()
          }
        },
      ),
      { numRuns: 200 },
    )
  })

  it('tumbling and sliding windows count from their anchor', () => {
    const span = { startMs: 1_000, endMs: 10_500 }
    expect(
      windowsWithin({ window: { kind: 'tumbling', length: '3s', anchorMs: 500 } }, span),
    ).toStrictEqual([
      { startMs: 3_500, endMs: 6_500 },
      { startMs: 6_500, endMs: 9_500 },
    ])
    expect(
      windowsWithin({ window: { kind: 'sliding', length: '4s', step: '2s', anchorMs: 0 } }, span),
    ).toStrictEqual([
      { startMs: 2_000, endMs: 6_000 },
      { startMs: 4_000, endMs: 8_000 },
      { startMs: 6_000, endMs: 10_000 },
    ])
  })

  it('a period that is no window of the policy is refused', () => {
    const policy = { window: { kind: 'tumbling', length: '3s', anchorMs: 0 } } as const
    for (const span of [
      { startMs: 0, endMs: 2_999 },
      { startMs: 1, endMs: 3_001 },
      { startMs: 0, endMs: 6_000 },
    ]) {
      expect(() => {
        assertWindow(policy, span)
      }).toThrow(NotAWindowError)
    }
  })
})

describe('a span of too many windows', () => {
  it('is refused before memory is spent on it', () => {
    const policy = { window: { kind: 'tumbling', length: '1ms', anchorMs: 0 } } as const
    expect(() => windowsWithin(policy, { startMs: 0, endMs: 365 * dayMs })).toThrow(
      'The span holds too many windows.',
    )
  })
})
