import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { describeJudged } from '#cli/evaluate.ts'
import { type Span, evaluate } from '#evaluation/evaluate.ts'
import { findingEffects } from '#evaluation/findings.ts'
import { readMote } from '#localnet/recordings/shipmentMotes.ts'
import { decodePolicy, measureCatalogue, windowsWithin } from '#schemas/policy/policy.ts'
import { root } from '#tools/paths.ts'
import { device } from './arbitraries.ts'

const page = readFileSync(join(root, 'docs', 'policies.md'), 'utf8')
const startMs = Date.UTC(2026, 0, 1)
const stepMs = 5_000
const readings = readMote(1).map(({ index, temperatureMicroCel }) => ({
  device,
  series: 'temperature',
  unit: 'Cel',
  timeMs: startMs + index * stepMs,
  valueMicro: temperatureMicroCel,
  tier: 4 as const,
}))
const span = { startMs, endMs: startMs + readings.length * stepMs }

const examples = [...page.matchAll(/```json(?: base)?\n([^`]+)```\s+```text\n([^`]+)```/g)].map(
  ([, json = '', text = '']) => ({
    changes: JSON.parse(json) as Record<string, unknown>,
    lines: text.trim().split('\n'),
  }),
)
const base = examples[0]?.changes ?? {}

/** What the command prints for the example, one space between words. */
function printed(changes: Record<string, unknown>): string[] {
  const policy = decodePolicy(
    Object.fromEntries(
      Object.entries({ ...base, ...changes }).filter(([, value]) => value !== null),
    ),
  )
  return windowsWithin(policy, span).flatMap(({ startMs: periodStartMs, endMs: periodEndMs }) => {
    const excursions: Span[] = []
    const evaluation = evaluate({
      policy,
      periodStartMs,
      periodEndMs,
      readings,
      onExcursion: (excursion) => excursions.push(excursion),
    })
    const lines = describeJudged({ evaluation, excursions }, policy)
    return [evaluation.verdict, ...lines.map((line) => line.trim().replaceAll(/\s+/g, ' '))]
  })
}

describe('docs/policies.md', () => {
  it('has an example for every operator of the language', () => {
    const used = examples.map(({ changes }) => JSON.stringify(changes)).join('\n')
    const words =
      'tumbling sliding hold linear interval-mean unknown violating excluded lt le gt ge equals between ' +
      'for hysteresis integral percentile mean-kinetic-temperature slices above below range step ' +
      'flatline faultCodes minimumSpacing packs calibration clock daylightSaving repeats minimumTier'
    for (const word of words.split(' ')) {
      expect(used).toContain(`"${word}"`)
    }
  })

  it.each(examples)('prints what the page says: $changes', ({ changes, lines }) => {
    const actual = printed(changes)
    expect(lines.filter((line) => !actual.includes(line))).toStrictEqual([])
  })

  it('lists every measure and every finding with its effect', () => {
    for (const name of measureCatalogue({
      signal: { series: 'x', unit: 'Cel' },
      aggregates: [],
    }).keys()) {
      expect(page).toContain(`\`${name}\``)
    }
    for (const [name, effect] of Object.entries(findingEffects)) {
      expect(page.replaceAll(/ +/g, ' ')).toContain(`| \`${name}\` | ${effect} |`)
    }
  })
})
