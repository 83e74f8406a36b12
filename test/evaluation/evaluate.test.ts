import { describe, expect, it } from 'vitest'
import { evaluate } from '#evaluation/evaluate.ts'
import { decodePolicy, templates } from '#schemas/policy/policy.ts'
import type { Reading } from '#schemas/reading.ts'

const hour = 3_600_000
const quarter = 900_000
const startMs = Date.UTC(2026, 0, 1)

function stream(
  values: readonly (number | null)[],
  unit = 'Cel',
  series = 'temperature',
): Reading[] {
  return values.map((value, index) => ({
    device: `0x${'11'.repeat(32)}`,
    series,
    unit,
    timeMs: startMs + index * quarter,
    valueMicro: value === null ? null : Math.round(value * 1e6),
    tier: 1,
  }))
}

describe('evaluate', () => {
  const policy = decodePolicy(templates['cold-chain'])
  const values = Array.from({ length: 96 }, (_, index) => 4 + (index % 5) / 10)

  it('passes a day within limits', () => {
    const result = evaluate({
      policy,
      periodStartMs: startMs,
      periodEndMs: startMs + 24 * hour,
      readings: stream(values),
    })
    expect(result.findings).toStrictEqual([])
    expect(result.verdict).toBe('PASS')
    expect(result.coveragePpm).toBe(1_000_000)
    expect(result.measures).toMatchInlineSnapshot(`
      {
        "compliance_ppm": 1000000n,
        "compliant_ms": 86400000n,
        "conflicts": 0n,
        "empty_slots": 0n,
        "exact_duplicates": 0n,
        "excursion_ms": 0n,
        "excursions": 0n,
        "good_samples": 96n,
        "good_samples_ppm": 1000000n,
        "integral": 362700000000n,
        "known_ms": 86400000n,
        "longest_constant_run_ms": 0n,
        "longest_excursion_ms": 0n,
        "longest_excursion_start_ms": null,
        "max": 4400000n,
        "mean_kinetic_temperature": 4199157n,
        "min": 4000000n,
        "out_of_order": 0n,
        "samples": 96n,
        "sum": 403000000n,
        "time_weighted_mean": 4197917n,
        "unknown_ms": 0n,
        "violating_ms": 0n,
      }
    `)
  })

  it('fails a day with three warm quarters and settles on the minutes', () => {
    const result = evaluate({
      policy,
      periodStartMs: startMs,
      periodEndMs: startMs + 24 * hour,
      readings: stream(values.with(10, 8.1).with(11, 9).with(12, 8.2)),
    })
    expect(result.verdict).toBe('FAIL')
    expect(result.valueMicro).toBe(45_000_000n)
    expect(result.measures['longest_excursion_start_ms']).toBe(BigInt(startMs + 10 * quarter))
  })
})
