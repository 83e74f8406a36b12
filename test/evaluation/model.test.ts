import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { evaluate } from '#evaluation/evaluate.ts'
import type { Policy } from '#schemas/policy/policy.ts'
import { parseDecimal, parseDuration } from '#schemas/policy/quantities.ts'
import type { Reading } from '#schemas/reading.ts'
import { periodEndMs, periodStartMs, policyArbitrary, readingsArbitrary } from './arbitraries.ts'

/** An exact value: numerator over denominator. */
type Rational = readonly [bigint, bigint]

/** What one instant says: a value, or nothing. */
type Slot = {
  readonly timeMs: number
  readonly value: bigint | undefined
  readonly isConflict: boolean
}

function slotsOf(readings: readonly Reading[]): Slot[] {
  const times = [...new Set(readings.map(({ timeMs }) => timeMs))].sort((a, b) => a - b)
  return times.map((timeMs) => {
    const said = new Set(
      readings.filter((reading) => reading.timeMs === timeMs).map(({ valueMicro }) => valueMicro),
    )
    const [only] = said
    const hasValue = said.size === 1 && only !== null && only !== undefined
    return { timeMs, value: hasValue ? BigInt(only) : undefined, isConflict: said.size > 1 }
  })
}

/** The value of one millisecond, found by looking at all slots afresh. */
function valueAt(slots: readonly Slot[], atMs: number, policy: Policy): Rational | undefined {
  const { interpolation } = policy
  const before = slots.findLast(({ timeMs }) => timeMs <= atMs)
  const after = slots.find(({ timeMs }) => timeMs > atMs)
  if (interpolation.kind === 'interval-mean' && interpolation.stamp === 'end') {
    const step = parseDuration(interpolation.step) ?? 0
    if (after?.value === undefined || after.timeMs - step > atMs) return undefined
    return [after.value, 1n]
  }
  if (before?.value === undefined) return undefined
  if (interpolation.kind === 'linear') {
    const max = parseDuration(interpolation.max) ?? 0
    if (after?.value === undefined || after.timeMs - before.timeMs > max) return undefined
    const span = BigInt(after.timeMs - before.timeMs)
    return [before.value * span + (after.value - before.value) * BigInt(atMs - before.timeMs), span]
  }
  const max = parseDuration(interpolation.kind === 'hold' ? interpolation.max : interpolation.step)
  return atMs < before.timeMs + (max ?? 0) ? [before.value, 1n] : undefined
}

function fulfils([numerator, denominator]: Rational, policy: Policy, inset: bigint): boolean {
  const { predicate } = policy
  if (predicate === undefined) return true
  const micro = (text: string): bigint => BigInt(parseDecimal(text) ?? 0)
  const compare = (limit: bigint): bigint => numerator - limit * denominator
  switch (predicate.operator) {
    case 'between':
      return (
        compare(micro(predicate.low) + inset) >= 0n && compare(micro(predicate.high) - inset) <= 0n
      )
    case 'equals':
      return compare(micro(predicate.limit)) === 0n
    case 'lt':
      return compare(micro(predicate.limit) - inset) < 0n
    case 'le':
      return compare(micro(predicate.limit) - inset) <= 0n
    case 'gt':
      return compare(micro(predicate.limit) + inset) > 0n
    case 'ge':
      return compare(micro(predicate.limit) + inset) >= 0n
    default:
      throw new Error('unreachable')
  }
}

type Mark = 'fine' | 'bad' | 'silent'

function runsOf(marks: readonly Mark[], isIn: (mark: Mark) => boolean): [number, number][] {
  const runs: [number, number][] = []
  for (const [index, mark] of marks.entries()) {
    const last = runs.at(-1)
    if (!isIn(mark)) continue
    if (last !== undefined && last[0] + last[1] === index) last[1] += 1
    else runs.push([index, 1])
  }
  return runs
}

/** The measures by the words of the documentation, one millisecond at a time. */
function model(policy: Policy, readings: readonly Reading[]) {
  const slots = slotsOf(readings)
  const inset = BigInt(policy.hysteresis === undefined ? 0 : (parseDecimal(policy.hysteresis) ?? 0))
  const marks: Mark[] = []
  let latch: Mark = 'fine'
  let known = 0
  for (let atMs = periodStartMs; atMs < periodEndMs; atMs += 1) {
    const value = valueAt(slots, atMs, policy)
    if (value === undefined) {
      latch = 'silent'
      marks.push('silent')
      continue
    }
    known += 1
    if (!fulfils(value, policy, 0n)) latch = 'bad'
    else if (fulfils(value, policy, inset)) latch = 'fine'
    marks.push(latch)
  }
  const isViolatingGap = policy.gaps === 'violating'
  const isIn = (mark: Mark): boolean => mark === 'bad' || (isViolatingGap && mark === 'silent')
  const allowance = policy.for === undefined ? 0 : (parseDuration(policy.for) ?? 0)
  const excursions = runsOf(marks, isIn).filter(([, length]) => length > allowance)
  const longest = Math.max(0, ...excursions.map(([, length]) => length))
  const isEnd =
    policy.interpolation.kind === 'interval-mean' && policy.interpolation.stamp === 'end'
  const inside = slots.filter(({ timeMs }) =>
    isEnd
      ? timeMs > periodStartMs && timeMs <= periodEndMs
      : timeMs >= periodStartMs && timeMs < periodEndMs,
  )
  const values = inside.flatMap(({ value }) => (value === undefined ? [] : [value]))
  const sorted = values.toSorted((left, right) => (left < right ? -1 : left > right ? 1 : 0))
  return {
    known_ms: BigInt(known),
    unknown_ms: BigInt(periodEndMs - periodStartMs - known),
    violating_ms: BigInt(marks.filter(isIn).length),
    compliant_ms: BigInt(marks.filter((mark) => mark === 'fine').length),
    excursions: BigInt(excursions.length),
    excursion_ms: BigInt(excursions.reduce((sum, [, length]) => sum + length, 0)),
    longest_excursion_ms: BigInt(longest),
    longest_excursion_start_ms:
      longest === 0
        ? null
        : BigInt(periodStartMs + (excursions.find(([, length]) => length === longest)?.[0] ?? 0)),
    samples: BigInt(values.length),
    sum: values.reduce((sum, value) => sum + value, 0n),
    min: sorted[0] ?? null,
    max: sorted.at(-1) ?? null,
    percentile_90: sorted[Math.ceil((sorted.length * 9) / 10) - 1] ?? null,
    good_samples: BigInt(values.filter((value) => fulfils([value, 1n], policy, 0n)).length),
    empty_slots: BigInt(
      inside.filter(({ value, isConflict }) => value === undefined && !isConflict).length,
    ),
  }
}

describe('evaluate against a model that looks at every millisecond', () => {
  it('agrees on all measures of time, runs and samples, for every policy and stream', () => {
    fc.assert(
      fc.property(policyArbitrary, readingsArbitrary, (policy, readings) => {
        const { measures } = evaluate({ policy, periodStartMs, periodEndMs, readings })
        expect(measures).toMatchObject(model(policy, readings))
      }),
      { numRuns: 800 },
    )
  })

  it('agrees on slices', () => {
    fc.assert(
      fc.property(policyArbitrary, readingsArbitrary, (policy, readings) => {
        const slices = policy.aggregates.find(({ kind }) => kind === 'slices')
        fc.pre(slices?.kind === 'slices')
        const { measures } = evaluate({ policy, periodStartMs, periodEndMs, readings })
        const lengthMs = parseDuration(slices?.kind === 'slices' ? slices.length : '') ?? 1
        const parts = Math.ceil((periodEndMs - periodStartMs) / lengthMs)
        const total =
          Number(measures['good_slices']) +
          Number(measures['bad_slices']) +
          Number(measures['unknown_slices'])
        expect(total).toBe(parts)
      }),
      { numRuns: 300 },
    )
  })
})
