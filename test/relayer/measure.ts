import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { contestants } from './measures/contestants.ts'
import { killPlaces } from './measures/killPlaces.ts'
import { jamTest } from './measures/jam.ts'
import {
  faults,
  feeSpike,
  ingress,
  latency,
  liars,
  reorganisation,
  restart,
  severalChains,
  throughput,
  weight,
} from './measures/lanes.ts'
import { standIn } from './support/standIn.ts'
import { type Figures, renderMeasures } from './measures/render.ts'

/**
 * The relayer measured against its goals and against others:
 * `node test/relayer/measure.ts [--only NAME,NAME…] [--render]`.
 * Figures add up in docs/relayer-measures.json; --render writes the page and the plots from them.
 */

const { values } = parseArgs({
  options: { only: { type: 'string' }, render: { type: 'boolean', default: false } },
})

const file = new URL('../../docs/relayer-measures.json', import.meta.url)

const sections: Readonly<Record<string, () => Promise<unknown>>> = {
  shared: () => throughput({ engine: 'workerd', batchSize: 100, proofs: 2_000 }),
  sharedMany: () => throughput({ engine: 'workerd', batchSize: 100, proofs: 20_000 }),
  single: () => throughput({ engine: 'workerd', batchSize: 1, proofs: 4_000 }),
  sharedNode: () => throughput({ engine: 'node', batchSize: 100, proofs: 20_000 }),
  singleNode: () => throughput({ engine: 'node', batchSize: 1, proofs: 4_000 }),
  latency,
  restart: () => restart('workerd'),
  restartNode: () => restart('node'),
  places: () => killPlaces('workerd'),
  placesNode: () => killPlaces('node'),
  faults,
  reorganisation,
  feeSpike,
  liars,
  ingress: () => ingress('workerd'),
  ingressNode: () => ingress('node'),
  severalChains,
  weight,
  ...Object.fromEntries(
    ['plumbline', ...Object.keys(contestants)].map((name) => [`jam-${name}`, () => jamTest(name)]),
  ),
}

// A contestant's library may reject where nobody listens; the count at the end tells what it meant.
// The compiler, once loaded, would end the process over it.
standIn()
process.removeAllListeners('unhandledRejection')
process.on('unhandledRejection', () => undefined)

const figures: Figures = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Figures) : {}
const wanted = values.only?.split(',') ?? (values.render ? [] : Object.keys(sections))
for (const name of wanted) {
  const measure = sections[name]
  if (measure === undefined) throw new Error(`Nothing is called ${name}.`)
  const load = Math.round(loadavg()[0] ?? 0)
  process.stderr.write(`${name}…\n`)
  try {
    figures[name] = { load, result: await measure() }
    writeFileSync(file, `${JSON.stringify(figures, undefined, 2)}\n`)
    process.stderr.write(`${JSON.stringify(figures[name])}\n`)
  } catch (cause) {
    process.stderr.write(`${name} failed: ${cause instanceof Error ? cause.message : 'unknown'}\n`)
    process.exitCode = 1
  }
}
if (values.render) renderMeasures(figures)
process.stdout.write(`${JSON.stringify(figures, undefined, 2)}\n`)
// A contestant may leave a timer behind.
process.exit()
