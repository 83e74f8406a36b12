import { type MeasureDefinition, measureCatalogue, parseLimit } from './measures.ts'
import { parseDecimal, parseDuration, parsePercent } from './quantities.ts'
import type { Policy } from './schema.ts'
import { timeZoneTable, timeZones } from './timeZones.ts'
import { findUnit } from '../units/unit.ts'
import { conversionFactor, integralUnit } from './unitFamilies.ts'

type At = (string | number)[]
type Problem = { at: At; message: string }
type TwoReadings = Problem & { readings: readonly [string, string] }

const limitForm = {
  ms: 'a duration such as "45m", or "0s"',
  ppm: 'a percentage such as "99.9%"',
  count: 'a whole number such as "3"',
  quantity: 'a decimal such as "4.5"',
  instant: 'nothing: it only informs',
} as const

const micro = (text: string): number => parseDecimal(text) ?? 0
const ms = (text: string): number => parseDuration(text) ?? 0

/** Checks what a schema cannot say: relations between fields, and readings that compete. */
export function semanticProblems(policy: Policy): {
  problems: readonly Problem[]
  ambiguities: readonly TwoReadings[]
} {
  const problems: Problem[] = []
  const ambiguities: TwoReadings[] = []
  const refuse = (at: At, message: string): void => {
    problems.push({ at, message })
  }
  const catalogue = measureCatalogue(policy)
  const { signal, interpolation, predicate, gaps, quality, settlement } = policy

  const kept = findUnit(signal.unit)?.reading
  if (kept !== undefined && kept !== signal.unit) {
    refuse(
      ['signal', 'unit'],
      `Readings in ${signal.unit} are kept in ${kept}: write the policy in it.`,
    )
  }
  const decimals: [At, string][] = []
  if (predicate?.operator === 'between') {
    decimals.push([['predicate', 'low'], predicate.low], [['predicate', 'high'], predicate.high])
    if (micro(predicate.low) > micro(predicate.high)) {
      refuse(['predicate', 'low'], 'The low limit is above the high limit.')
    }
  } else if (predicate !== undefined) decimals.push([['predicate', 'limit'], predicate.limit])
  if (policy.hysteresis !== undefined) decimals.push([['hysteresis'], policy.hysteresis])
  if (quality.range !== undefined) {
    decimals.push([['quality', 'range', 'low'], quality.range.low])
    decimals.push([['quality', 'range', 'high'], quality.range.high])
    if (micro(quality.range.low) >= micro(quality.range.high)) {
      refuse(['quality', 'range'], 'The range is empty.')
    }
  }
  if (quality.step !== undefined) {
    decimals.push([['quality', 'step', 'limit'], quality.step.limit])
    if (micro(quality.step.limit) <= 0) refuse(['quality', 'step', 'limit'], 'Must be above zero.')
  }
  for (const [index, code] of (quality.faultCodes ?? []).entries()) {
    decimals.push([['quality', 'faultCodes', index], code])
  }
  for (const [index, value] of (quality.flatline?.except ?? []).entries()) {
    decimals.push([['quality', 'flatline', 'except', index], value])
  }
  for (const [at, text] of decimals) {
    if (parseDecimal(text) === undefined) {
      refuse(at, 'No reading can have this value: at most 2^53 - 1 millionths fit.')
    }
  }

  if (predicate === undefined) {
    if (policy.for !== undefined) refuse(['for'], 'Without a predicate nothing can last.')
    if (policy.hysteresis !== undefined) {
      refuse(['hysteresis'], 'Without a predicate nothing can be cleared.')
    }
  } else if (policy.hysteresis !== undefined) {
    const band = micro(policy.hysteresis)
    if (band <= 0) refuse(['hysteresis'], 'Must be above zero.')
    if (predicate.operator === 'equals') {
      refuse(['hysteresis'], 'An exact value leaves no room for hysteresis.')
    }
    if (
      predicate.operator === 'between' &&
      micro(predicate.low) + band > micro(predicate.high) - band
    ) {
      refuse(['hysteresis'], 'The band is so wide that a violation could never clear.')
    }
  }

  const seen = new Set<string>()
  for (const [index, aggregate] of policy.aggregates.entries()) {
    const key = aggregate.kind === 'percentile' ? `percentile ${aggregate.rank}` : aggregate.kind
    if (seen.has(key)) refuse(['aggregates', index], 'This aggregate is asked for twice.')
    seen.add(key)
    if (aggregate.kind === 'percentile' && parsePercent(aggregate.rank) === 0) {
      refuse(['aggregates', index, 'rank'], 'Must be above 0%.')
    }
    if (aggregate.kind === 'mean-kinetic-temperature') {
      if (signal.unit !== 'Cel' && signal.unit !== 'K') {
        refuse(['aggregates', index], 'Mean kinetic temperature needs a signal in Cel or K.')
      }
    }
    if (aggregate.kind === 'slices' && predicate === undefined) {
      refuse(['aggregates', index], 'Slices are judged by a predicate, and there is none.')
    }
    if (aggregate.kind === 'integral') {
      const expected = integralUnit(signal.unit, aggregate.per)
      if (expected !== undefined && expected !== aggregate.unit) {
        ambiguities.push({
          at: ['aggregates', index, 'unit'],
          message: `${signal.unit} integrated per ${aggregate.per} gives ${expected}.`,
          readings: [
            `The number is right and the unit should be ${expected}.`,
            `The unit ${aggregate.unit} is right and the number should be converted.`,
          ],
        })
      }
    }
  }

  const check = (at: At, name: string): MeasureDefinition | undefined => {
    const definition = catalogue.get(name)
    if (definition === undefined) {
      refuse(at, `No measure is called "${name}". There are: ${[...catalogue.keys()].join(', ')}.`)
      return undefined
    }
    if (definition.needsPredicate && predicate === undefined) {
      refuse(at, `"${name}" needs a predicate.`)
    }
    if (name === 'integral' && !policy.aggregates.some(({ kind }) => kind === 'integral')) {
      ambiguities.push({
        at,
        message: 'The integral is leaned on but not declared in aggregates.',
        readings: [
          'Per second, values below zero subtracted.',
          'Per hour (or another time), values below zero taken as zero.',
        ],
      })
    }
    if (gaps === 'violating' && definition.isOfValues) {
      ambiguities.push({
        at,
        message: `Gaps are violating, but "${name}" is made of values and a gap has none.`,
        readings: [
          `"${name}" leaves gaps out, so silence costs nothing.`,
          `Any gap fails the objective, whatever "${name}" is.`,
        ],
      })
    }
    if (gaps === 'excluded' && /^(?:longest_)?excursion/.test(name)) {
      ambiguities.push({
        at,
        message: `Gaps are left out, but "${name}" depends on what lies across them.`,
        readings: [
          'An excursion ends where a gap begins, so that withheld readings cut a long one into short ones.',
          'An excursion goes on across a gap, as if the gap did not exist.',
        ],
      })
    }
    if (policy.for !== undefined && (name === 'violating_ms' || name === 'compliant_ms')) {
      ambiguities.push({
        at,
        message: `"${name}" beside "for".`,
        readings: [
          `All time against the predicate counts, also runs no longer than ${policy.for}.`,
          `Only runs longer than ${policy.for} count (that is excursion_ms).`,
        ],
      })
    }
    return definition
  }
  const checkLimit = (at: At, definition: MeasureDefinition, limit: string): void => {
    if (parseLimit(limit, definition.kind) === undefined) {
      refuse(at, `This measure's limit is written as ${limitForm[definition.kind]}.`)
    }
  }

  for (const [index, { measure, limit }] of policy.objectives.entries()) {
    const definition = check(['objectives', index, 'measure'], measure)
    if (definition !== undefined) checkLimit(['objectives', index, 'limit'], definition, limit)
  }
  const settled = check(['settlement', 'measure'], settlement.measure)
  if (settled !== undefined) {
    if (settled.kind === 'instant') {
      refuse(['settlement', 'measure'], 'An instant is not an amount.')
    }
    if (settlement.above !== undefined && settlement.below !== undefined) {
      refuse(['settlement'], 'Settle above one limit or below one, not both.')
    }
    for (const side of ['above', 'below'] as const) {
      const limit = settlement[side]
      if (limit !== undefined) checkLimit(['settlement', side], settled, limit)
    }
    const exact = conversionFactor(settled.unit, settlement.unit)
    if (exact === 'shifted') {
      refuse(
        ['settlement', 'unit'],
        `${settled.unit} and ${settlement.unit} have different zeros: settle in ${settled.unit}.`,
      )
    } else if (exact !== undefined) {
      const { multiply, divide } = settlement.factor ?? { multiply: '1', divide: '1' }
      if (BigInt(multiply) * exact.divide !== BigInt(divide) * exact.multiply) {
        ambiguities.push({
          at: ['settlement', 'factor'],
          message: `${settled.unit} to ${settlement.unit} is a factor of ${exact.multiply}/${exact.divide}, not ${multiply}/${divide}.`,
          readings: [
            `The amount is ${settlement.measure} converted to ${settlement.unit}.`,
            `The amount is ${settlement.measure} times ${multiply}/${divide}, and its unit is another one.`,
          ],
        })
      }
    }
  }

  if (gaps === 'violating') {
    if (policy.minCoverage !== undefined) {
      ambiguities.push({
        at: ['minCoverage'],
        message: 'Gaps are violating, and a minimum coverage is demanded.',
        readings: ['Too much silence fails.', 'Too much silence is inconclusive.'],
      })
    }
    if (predicate === undefined) {
      refuse(['gaps'], 'Without a predicate a gap has nothing to violate.')
    }
  } else if (policy.minCoverage === undefined) {
    refuse(['minCoverage'], `With gaps "${gaps}", say how much of the window has to be observed.`)
  } else if (gaps === 'excluded' && parsePercent(policy.minCoverage) === 0) {
    refuse(['minCoverage'], 'Gaps that are left out need a coverage above 0%: else silence passes.')
  }

  if (signal.interval !== undefined && interpolation.kind !== 'interval-mean') {
    const max = ms(interpolation.max)
    const interval = ms(signal.interval)
    if (max < interval) {
      refuse(['interpolation', 'max'], 'Shorter than the sampling interval: all would be gaps.')
    }
    if (max >= 2 * interval) {
      ambiguities.push({
        at: ['interpolation', 'max'],
        message: `Reaches over a missing reading (${interpolation.max} at one reading every ${signal.interval}).`,
        readings: [
          'A missing reading is silence and falls under the gap rule.',
          'A missing reading is replaced by its neighbour, so that a withheld one leaves no trace.',
        ],
      })
    }
  }

  if (predicate !== undefined && quality.range !== undefined) {
    const low = micro(quality.range.low)
    const high = micro(quality.range.high)
    const { operator } = predicate
    const canViolate =
      operator === 'between'
        ? low < micro(predicate.low) || high > micro(predicate.high)
        : operator === 'lt'
          ? high >= micro(predicate.limit)
          : operator === 'le'
            ? high > micro(predicate.limit)
            : operator === 'gt'
              ? low <= micro(predicate.limit)
              : operator === 'ge'
                ? low < micro(predicate.limit)
                : true
    if (!canViolate) {
      ambiguities.push({
        at: ['quality', 'range'],
        message: 'No value inside the range violates the predicate.',
        readings: [
          'A value outside the limits is a violation.',
          'A value outside the limits is a sensor fault and no evidence.',
        ],
      })
    }
  }

  const zoned: [At, { zone: string; timeZoneTable: string }][] = []
  if (policy.window.kind === 'calendar') zoned.push([['window'], policy.window])
  if (quality.daylightSaving !== undefined) {
    zoned.push([['quality', 'daylightSaving'], quality.daylightSaving])
    if (signal.interval === undefined) {
      refuse(['signal', 'interval'], 'Needed to tell a changed wall clock from an ordinary gap.')
    }
  }
  for (const [at, { zone, timeZoneTable: version }] of zoned) {
    if (version !== timeZoneTable) {
      refuse([...at, 'timeZoneTable'], `Only table "${timeZoneTable}" is shipped here.`)
    } else if (!timeZones.includes(zone)) {
      refuse([...at, 'zone'], `Table ${version} has: ${timeZones.join(', ')}.`)
    }
  }
  if (policy.window.kind === 'sliding') {
    const length = ms(policy.window.length)
    const step = ms(policy.window.step)
    if (step >= length) refuse(['window', 'step'], 'Not shorter than the window: use tumbling.')
    if (length % step !== 0) refuse(['window', 'step'], 'Must divide the length of the window.')
  }
  return { problems, ambiguities }
}
