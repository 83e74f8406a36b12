/**
 * `node evaluation/evaluate.bench.ts [--short]`: exact evaluation against a naive float64 loop over
 * the same readings in the same run. One line of JSON.
 */
import { decodePolicy } from '#schemas/policy/policy.ts'
import type { Reading } from '#schemas/reading.ts'
import { evaluateColumns } from './columns.ts'
import { evaluate } from './evaluate.ts'

const isShort = process.argv.includes('--short')
const count = isShort ? 200_000 : 2_000_000
const rounds = isShort ? 3 : 7
const stepMs = 1_000

const policy = decodePolicy({
  version: 1,
  name: 'bench',
  signal: { series: 'temperature', unit: 'Cel', interval: '1s' },
  window: { kind: 'period' },
  interpolation: { kind: 'hold', max: '1s500ms' },
  gaps: 'unknown',
  minCoverage: '95%',
  predicate: { operator: 'le', limit: '5' },
  for: '45m',
  aggregates: [{ kind: 'integral', per: 'h', unit: 'Cel.h', negative: 'net' }],
  objectives: [{ measure: 'excursions', operator: 'le', limit: '0' }],
  quality: {
    range: { low: '-60', high: '80' },
    step: { limit: '25', within: '2s' },
    flatline: { longest: '12h' },
  },
  settlement: {
    measure: 'excursion_ms',
    unit: 's',
    rounding: 'down',
    factor: { multiply: '1', divide: '1000' },
  },
  audience: { kind: 'anyone' },
})

const timesMs = new Float64Array(count)
const valuesMicro = new Float64Array(count)
const floats = new Float64Array(count)
// A cooler that swings around 4 degrees in steps of a tenth, with a missing reading now and then.
let level = 40
let noise = 12_345
for (let index = 0; index < count; index += 1) {
  noise = (Math.imul(noise, 1_103_515_245) + 12_345) >>> 0
  level = Math.min(60, Math.max(20, level + (noise >>> 28) - 7))
  timesMs[index] = index * stepMs + (noise % 5_000 === 0 ? 500 : 0)
  valuesMicro[index] = level * 100_000
  floats[index] = level / 10
}
const periodEndMs = count * stepMs
const columns = { timesMs, valuesMicro, tier: 1 as const }

/** What most scripts do: mean and time above a limit, in float64, gaps and order taken on trust. */
function naive(): number {
  let area = 0
  let above = 0
  for (let index = 0; index + 1 < count; index += 1) {
    const spanMs = (timesMs[index + 1] ?? 0) - (timesMs[index] ?? 0)
    const value = floats[index] ?? 0
    area += value * spanMs
    if (value > 5) above += spanMs
  }
  return area / periodEndMs + above
}

function cpuSeconds(work: () => unknown): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

function best(work: () => unknown): number {
  let least = Infinity
  for (let round = 0; round < rounds; round += 1) least = Math.min(least, cpuSeconds(work))
  return Math.round(count / least)
}

const objectCount = Math.min(count, 500_000)
const readings: Reading[] = Array.from({ length: objectCount }, (_, index) => ({
  device: `0x${'11'.repeat(32)}`,
  series: 'temperature',
  unit: 'Cel',
  timeMs: timesMs[index] ?? 0,
  valueMicro: valuesMicro[index] ?? 0,
  tier: 1,
}))

const columnsPerSecond = best(() =>
  evaluateColumns({ policy, periodStartMs: 0, periodEndMs, columns }),
)
const naivePerSecond = best(naive)
let leastObjects = Infinity
for (let round = 0; round < rounds; round += 1) {
  leastObjects = Math.min(
    leastObjects,
    cpuSeconds(() =>
      evaluate({ policy, periodStartMs: 0, periodEndMs: objectCount * stepMs, readings }),
    ),
  )
}
console.log(
  JSON.stringify({
    bench: 'evaluation',
    readings: count,
    exactColumnsReadingsPerSecond: columnsPerSecond,
    exactObjectsReadingsPerSecond: Math.round(objectCount / leastObjects),
    naiveFloat64ReadingsPerSecond: naivePerSecond,
    budgetReadingsPerSecond: 20_000_000,
    node: process.version,
  }),
)
