import { readFileSync, writeFileSync } from 'node:fs'
import { inFlight } from './contestants.ts'
import { type JamResult, jamRecipe } from './jam.ts'

/** Figures by section, each with the machine's load average when it began. */
export type Figures = Record<string, { readonly load: number; readonly result: unknown }>

type Quantiles = { readonly p50: number; readonly p95: number; readonly worst: number }
type Rate = { readonly perSecond: number }
type Restart = { readonly engine: string; readonly milliseconds: Quantiles }
type Places = {
  readonly engine: string
  readonly kills: number
  readonly proofs: number
  readonly settled: number
  readonly settledTwice: number
}

/** What the sections answer, as far as the page shows it. */
type Results = {
  readonly shared: Rate
  readonly sharedMany: Rate
  readonly single: Rate
  readonly sharedNode: Rate
  readonly singleNode: Rate
  readonly ingress: Rate
  readonly ingressNode: Rate
  readonly latency: { readonly milliseconds: Quantiles }
  readonly restart: Restart
  readonly restartNode: Restart
  readonly places: Places
  readonly placesNode: Places
  readonly faults: {
    readonly proofs: number
    readonly settled: number
    readonly settledTwice: number
    readonly drainedAfterOutageSeconds: number
  }
  readonly reorganisation: {
    readonly shownAsRolledBackMs: number
    readonly landedAgainMs: number
    readonly settledTwice: number
  }
  readonly feeSpike: {
    readonly secondsToLand: number
    readonly refusedReplacements: number
    readonly highestFeeGwei: number
    readonly capGwei: number
  }
  readonly liars: {
    readonly proofsEach: number
    readonly results: readonly {
      readonly lie: string
      readonly settled: number
      readonly settledTwice: number
      readonly isNamed: boolean
    }[]
  }
  readonly severalChains: {
    readonly allAliveMs: Quantiles
    readonly oneDeadOthersMs: Quantiles
  }
  readonly weight: {
    readonly bundleKb: number
    readonly layerZeroKb?: number
    readonly wholeKb?: number
    readonly coldStartMs: Quantiles
    readonly idleMib: number
  }
}

type SoakSum = Readonly<
  Record<'kills' | 'proofs' | 'lost' | 'settledTwice' | 'noncesUsed' | 'seconds', number>
>

const docs = new URL('../../../docs/', import.meta.url)

/** Text as it may stand in SVG. */
function text(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

type Bar = { readonly label: string; readonly landed: number; readonly twice: number }

/** Bars of one measure for every contestant, with what was sent twice at the end of each. */
function jamPlot(bars: readonly Bar[], submitted: number): string {
  const [left, width, step] = [350, 380, 34]
  const height = 66 + bars.length * step
  const scale = (count: number): number => Math.round((count / (submitted * 1.15)) * width)
  const rows = bars.map(({ label, landed, twice }, index) => {
    const y = 48 + index * step
    const end = left + scale(landed)
    const note = twice === 0 ? `${landed}` : `${landed}, and ${twice} sent again for nothing`
    return [
      `<text x="${left - 10}" y="${y + 15}" text-anchor="end">${text(label)}</text>`,
      `<rect x="${left}" y="${y}" width="${scale(landed)}" height="20" fill="#2c7a4b"/>`,
      `<rect x="${end}" y="${y}" width="${scale(twice)}" height="20" fill="#c4472b"/>`,
      `<text x="${end + scale(twice) + 8}" y="${y + 15}">${text(note)}</text>`,
    ].join('\n')
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 ${height}" font-family="system-ui, sans-serif" font-size="14">
<rect width="960" height="${height}" fill="#fff"/>
<text x="12" y="26" font-weight="600">Settlements landed, of ${submitted} submitted around seven seconds of failing requests</text>
${rows.join('\n')}
</svg>
`
}

/** Writes docs/relayer-measures.md and the plot beside it. */
export function renderMeasures(figures: Figures): void {
  const of = <Name extends keyof Results>(name: Name): Results[Name] | undefined =>
    figures[name]?.result as Results[Name] | undefined
  const load = (name: string): string => String(figures[name]?.load ?? '–')
  const rows: string[] = []
  const row = (goal: string, wanted: string, is: string | undefined, ...names: string[]): void => {
    if (is === undefined) return
    rows.push(`| ${goal} | ${wanted} | ${is} | ${names.map(load).join(', ')} |`)
  }
  const perSecond = (
    name:
      | 'shared'
      | 'sharedMany'
      | 'single'
      | 'sharedNode'
      | 'singleNode'
      | 'ingress'
      | 'ingressNode',
  ): number | string => of(name)?.perSecond ?? '–'
  row(
    'R1',
    '4 000 proofs/s shared, 600/s one per transaction',
    `workerd: ${perSecond('shared')}/s at 2 000 proofs, ${perSecond('sharedMany')}/s at 20 000, ${perSecond('single')}/s one per transaction; Node: ${perSecond('sharedNode')}/s at 20 000, ${perSecond('singleNode')}/s`,
    'shared',
    'sharedMany',
    'single',
    'sharedNode',
    'singleNode',
  )
  const latency = of('latency')?.milliseconds
  row(
    'R2',
    'blocks of 1 s, 50 proofs/s: p50 600 ms, p95 1 100 ms',
    latency && `p50 ${latency.p50} ms, p95 ${latency.p95} ms from the closing of a batch`,
    'latency',
  )
  const soak = JSON.parse(readFileSync(new URL('relayer-soak.json', docs), 'utf8')) as {
    readonly sums: Readonly<Record<'workerd' | 'node', SoakSum>>
  }
  const soaked = (engine: 'workerd' | 'node'): string => {
    const { kills, proofs, lost, settledTwice } = soak.sums[engine]
    return `${engine}: ${kills} kills over ${proofs} proofs, ${lost} lost, ${settledTwice} settled twice`
  }
  const places = (name: 'places' | 'placesNode'): string => {
    const found = of(name)
    if (found === undefined) return ''
    return `; at every request, ${found.engine}: ${found.kills} kills, ${found.proofs - found.settled} lost, ${found.settledTwice} twice`
  }
  row(
    'R3',
    '1 000 SIGKILLs over 100 000 proofs, and at every transition',
    `${soaked('workerd')}; ${soaked('node')}${places('places')}${places('placesNode')}`,
    'places',
    'placesNode',
  )
  const restart = (name: 'restart' | 'restartNode'): string | undefined => {
    const found = of(name)
    return (
      found && `${found.engine}: p50 ${found.milliseconds.p50} ms, p95 ${found.milliseconds.p95} ms`
    )
  }
  const restarts = [restart('restart'), restart('restartNode')].filter((part) => part !== undefined)
  row(
    'R4',
    'restart to first broadcast: p95 200 ms',
    restarts.length === 0 ? undefined : restarts.join('; '),
    'restart',
    'restartNode',
  )
  const faults = of('faults')
  row(
    'R5',
    '30 % faults: none lost; drained 5 s after an outage of 60 s',
    faults &&
      `${faults.proofs - faults.settled} of ${faults.proofs} lost, ${faults.settledTwice} twice; drained after ${faults.drainedAfterOutageSeconds} s`,
    'faults',
  )
  const reorg = of('reorganisation')
  row(
    'R6',
    'reorganisation of depth 5: lands again, shown within a block',
    reorg &&
      `shown after ${reorg.shownAsRolledBackMs} ms, landed again after ${reorg.landedAgainMs} ms (blocks of 500 ms), ${reorg.settledTwice} twice`,
    'reorganisation',
  )
  const spike = of('feeSpike')
  row(
    'R7',
    'base fee × 100: raised by 12.5 % or more, never above the cap',
    spike &&
      `landed after ${spike.secondsToLand} s, ${spike.refusedReplacements} replacements refused under the 10 % rule, highest fee ${spike.highestFeeGwei} of ${spike.capGwei} gwei`,
    'feeSpike',
  )
  const liars = of('liars')
  row(
    'R8',
    'a lying endpoint: nothing settles twice, the operator is told',
    liars &&
      liars.results
        .map(
          ({ lie, settled, settledTwice, isNamed }) =>
            `${lie} ${settled} of ${liars.proofsEach}, ${settledTwice} twice, ${isNamed ? 'named' : 'not named'}`,
        )
        .join('; '),
    'liars',
  )
  row(
    'R9',
    '10 000 proofs/s made durable',
    of('ingress') === undefined
      ? undefined
      : `workerd ${perSecond('ingress')}/s, Node ${perSecond('ingressNode')}/s, verified`,
    'ingress',
    'ingressNode',
  )
  const several = of('severalChains')
  row(
    'R11',
    'one proof on 3 chains: p95 2 s at 1-s blocks; a dead chain slows no other',
    several &&
      `p50 ${several.allAliveMs.p50} ms, p95 ${several.allAliveMs.p95} ms on three; p50 ${several.oneDeadOthersMs.p50} ms, p95 ${several.oneDeadOthersMs.p95} ms on two while the third is dead`,
    'severalChains',
  )
  const weight = of('weight')
  row(
    'R12',
    'bundle 250 kB, cold start 350 ms, 80 MB at rest',
    weight &&
      `${weight.bundleKb} kB at the start (${weight.wholeKb ?? weight.bundleKb} kB in all, LayerZero ${weight.layerZeroKb ?? 0} kB of it, loaded when a plan needs it), p50 ${weight.coldStartMs.p50} ms, ${weight.idleMib} MiB`,
    'weight',
  )

  const jams = Object.entries(figures).flatMap(([name, { result, load: at }]) =>
    name.startsWith('jam-') ? [{ ...(result as JamResult), at }] : [],
  )
  const jamRows = jams.map(
    ({ name, how, landed, submitted, sentTwice, drainedSeconds, at }) =>
      `| ${name} | ${how} | ${landed} of ${submitted} | ${sentTwice} | ${drainedSeconds === undefined ? 'never' : `${drainedSeconds} s`} | ${at} |`,
  )
  const { perSecond: rate, seconds, errorsFromSecond, errorsToSecond, errorPercent } = jamRecipe
  writeFileSync(
    new URL('relayer-measures.md', docs),
    `<!-- Generated by \`node test/relayer/measure.ts --render\`; changes are overwritten. -->

# The relayer, measured

\`node test/relayer/measure.ts\` runs everything on this page (about 15 minutes), \`--only NAME,…\` a part of it,
\`--render\` writes the page from \`relayer-measures.json\`. Two cores shared with other work; the last column is the
load average when a measure began, and figures of time and rate fall with it. anvil 1.7.1, raw workerd unless
said otherwise. The settlement contract is the tests' stand-in, which checks order and counts what comes twice.

## Goals

| goal | wanted | measured | load |
| ---- | ------ | -------- | ---- |
${rows.join('\n')}

R3's long form is \`node test/relayer/soak.ts\`, in slices that add up in \`relayer-soak.json\`. R10, gas, stands in
[contracts.md](contracts.md), and what LayerZero adds to it in [crosschain.md](crosschain.md).

What is missed: R1 and R9 by half, R4, and R2 by a few hundredths. R1 and R9 are bound by one thread, which
verifies, stores and signs; each run of R1 begins with a cold start and the registration of the signer. R2: a batch
waits for the next block, half a second on average; the worst is the first, which waits for the registration. R4 holds
a start of the engine and one look at the chain before stored bytes are offered again. R8: receipts are asked for only
where a nonce is used, so that an invented one is never seen, and a node that only lags is not named. R12's start is
\`startRelayer\` over a bundle that is up to date, to the first answer, all lanes awake.

## The jam test

${rate} settlements a second for ${seconds} s; from second ${errorsFromSecond} to ${errorsToSecond}, ${errorPercent} % of all requests to the node fail (broken before the
node hears of them, answer lost after it acted, HTTP 503); a strict count ${jamRecipe.countAfterSeconds} s after the last submission. Blocks of
1 s, one settlement a transaction, at most ${inFlight} at a time, for everybody. After a report about another relayer's
nonces (OpenZeppelin/openzeppelin-relayer #843). The two queue services are stand-ins of the shape that such
relayers have, not those relayers. A call that comes twice does no harm here, its gas is lost. Ours also registers the signer and anchors each batch.

| contestant | how | landed | sent again for nothing | drained after | load |
| ---------- | --- | ------ | -------------- | ------------- | ---- |
${jamRows.join('\n')}

![Settlements landed in the jam test](relayer-jam.svg)
`,
  )
  writeFileSync(
    new URL('relayer-jam.svg', docs),
    jamPlot(
      jams.map(({ name, landed, sentTwice }) => ({ label: name, landed, twice: sentTwice })),
      rate * seconds,
    ),
  )
}
