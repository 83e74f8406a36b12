import { type Command, InvalidArgumentError } from 'commander'
import { readCsv } from '#schemas/adapters/csv.ts'
import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { formatInstant, parseInstant } from '#schemas/policy/civilTime.ts'
import {
  type Policy,
  type Window,
  decodePolicy,
  measureCatalogue,
  policyId,
} from '#schemas/policy/policy.ts'
import {
  formatDecimal,
  formatDuration,
  formatPercent,
  parseDuration,
} from '#schemas/policy/quantities.ts'
import { type VerdictName, zeroHash } from '#schemas/report.ts'
import type { Reading } from '#schemas/reading.ts'
import { trustTiers } from '#schemas/trustTier.ts'
import { type Evaluation, type Span, evaluateWindows } from '#evaluation/evaluate.ts'
import { readTextFile } from './policy.ts'
import { printable } from './printable.ts'

/** Exit codes of `plumbline evaluate`. Of several windows the worst verdict counts: FAIL first. */
export const evaluateExitCodes = { PASS: 0, FAIL: 1, INCONCLUSIVE: 2, error: 3 } as const

/** Raised when there is nothing that could be judged. */
export class NothingToJudgeError extends BaseError {
  override readonly name = 'NothingToJudgeError'
}

type Options = {
  readonly policy: string
  readonly readings: string
  readonly window?: Window
  readonly json?: boolean
}

function instantOf(text: string): number {
  const instant = /^[0-9]{1,15}$/.test(text) ? Number(text) : parseInstant(text)
  if (instant !== undefined) return instant
  throw new InvalidArgumentError(
    'Write START/END, each as 2026-01-31T00:00Z or in Unix milliseconds.',
  )
}

function readWindow(text: string): Window {
  const [start = '', end = '', ...rest] = text.split('/')
  if (rest.length > 0) throw new InvalidArgumentError('Write START/END.')
  return { startMs: instantOf(start), endMs: instantOf(end) }
}

/** From the first reading of the policy's series to the last, and as far as that one reaches. */
function spanOf(readings: readonly Reading[], { signal, interpolation }: Policy): Window {
  let startMs = Number.POSITIVE_INFINITY
  let lastMs = Number.NEGATIVE_INFINITY
  for (const { series, timeMs } of readings) {
    if (series !== signal.series) continue
    if (timeMs < startMs) startMs = timeMs
    if (timeMs > lastMs) lastMs = timeMs
  }
  if (startMs > lastMs) {
    throw new NothingToJudgeError(`The file has no reading of "${signal.series}".`, {
      field: '--readings',
      remedy: 'Check the series in the file and in the policy, or give --window.',
    })
  }
  if (interpolation.kind === 'interval-mean') {
    const stepMs = parseDuration(interpolation.step) ?? 0
    return interpolation.stamp === 'end'
      ? { startMs: startMs - stepMs, endMs: lastMs }
      : { startMs, endMs: lastMs + stepMs }
  }
  if (interpolation.kind === 'linear') return { startMs, endMs: Math.max(lastMs, startMs + 1) }
  return { startMs, endMs: lastMs + (parseDuration(signal.interval ?? interpolation.max) ?? 1) }
}

function worst(verdicts: readonly VerdictName[]): VerdictName {
  if (verdicts.includes('FAIL')) return 'FAIL'
  return verdicts.includes('INCONCLUSIVE') ? 'INCONCLUSIVE' : 'PASS'
}

/** One window's evaluation with what people want to see beside it. */
export type Judged = { readonly evaluation: Evaluation; readonly excursions: readonly Span[] }

function run(options: Options): void {
  const policy = decodePolicy(readTextFile(options.policy, '--policy'))
  const device = (policy.signal.device ?? zeroHash) as Hex
  const { readings } = readCsv(readTextFile(options.readings, '--readings'), { device })
  const span = options.window ?? spanOf(readings, policy)
  const excursions = new Map<number, Span[]>()
  const judged = evaluateWindows({
    policy,
    fromMs: span.startMs,
    toMs: span.endMs,
    readings,
    onExcursion: (excursion, { startMs }) => {
      const known = excursions.get(startMs)
      if (known === undefined) excursions.set(startMs, [excursion])
      else known.push(excursion)
    },
  }).map((evaluation): Judged => ({
    evaluation,
    excursions: excursions.get(evaluation.periodStartMs) ?? [],
  }))
  if (judged.length === 0) {
    throw new NothingToJudgeError('No window of the policy lies within the readings.', {
      field: '--window',
      metaMessages: [`From: ${formatInstant(span.startMs)}`, `To: ${formatInstant(span.endMs)}`],
      remedy: 'Give a --window that holds at least one whole window of the policy.',
    })
  }
  const verdict = worst(judged.map(({ evaluation }) => evaluation.verdict))
  process.exitCode = evaluateExitCodes[verdict]
  if (options.json === true) {
    const answer = {
      policyId: policyId(policy),
      verdict,
      evaluations: judged.map(({ evaluation, excursions }) => ({ ...evaluation, excursions })),
    }
    const text = JSON.stringify(
      answer,
      (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value),
      2,
    )
    process.stdout.write(`${text}\n`)
    return
  }
  const lines = [policy.name, ...judged.flatMap((each) => describeJudged(each, policy)), verdict]
  process.stdout.write(`${lines.map(printable).join('\n')}\n`)
}

/** A measure as people write it. */
function measureText(policy: Policy, name: string, value: bigint): string {
  const definition = measureCatalogue(policy).get(name)
  if (definition?.kind === 'ms') return formatDuration(Number(value))
  if (definition?.kind === 'ppm') return formatPercent(Number(value))
  if (definition?.kind === 'instant') return formatInstant(Number(value))
  if (definition?.kind === 'quantity') return `${formatDecimal(value)} ${definition.unit}`
  return value.toString()
}

/** Most excursions that are listed one by one; all of them are counted. */
const mostListed = 20

/** One window as lines of text. */
export function describeJudged({ evaluation, excursions }: Judged, policy: Policy): string[] {
  const { measures, findings, periodStartMs, periodEndMs, verdict } = evaluation
  const names = Object.keys(measures)
  const width = Math.max(...names.map((name) => name.length))
  const tier = Object.entries(trustTiers).find(([, code]) => code === evaluation.tier)?.[0]
  return [
    '',
    `${verdict}  ${formatInstant(periodStartMs)} to ${formatInstant(periodEndMs)}`,
    `  amount    ${formatDecimal(evaluation.valueMicro)} ${evaluation.unit}`,
    `  coverage  ${formatPercent(evaluation.coveragePpm)}`,
    `  tier      ${tier}`,
    ...names.map((name) => {
      const value = measures[name] ?? null
      return `  ${name.padEnd(width)}  ${value === null ? 'none' : measureText(policy, name, value)}`
    }),
    ...excursions
      .slice(0, mostListed)
      .map(
        ({ startMs, endMs }) =>
          `  excursion ${formatInstant(startMs)} to ${formatInstant(endMs)} (${formatDuration(endMs - startMs)})`,
      ),
    ...(excursions.length > mostListed
      ? [`  and ${excursions.length - mostListed} more excursions`]
      : []),
    ...findings.map(
      ({ name, effect, count, firstMs }) =>
        `  finding ${name} (${effect}) ${count} from ${formatInstant(firstMs ?? periodStartMs)}`,
    ),
    `  measures hash ${evaluation.measuresHash}`,
    '',
  ]
}

/** Adds `plumbline evaluate`. */
export function registerEvaluate(program: Command): void {
  program
    .command('evaluate')
    .description('judge recorded readings by a policy')
    .requiredOption('--policy <file>', 'policy document, a JSON file')
    .requiredOption(
      '--readings <file>',
      'CSV with the header series,ts_ms,value,unit; - for standard input',
    )
    .option(
      '--window <span>',
      'START/END, each as 2026-01-31T00:00Z or Unix milliseconds; the span of the readings by default',
      readWindow,
    )
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExit codes: 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 error.')
    .action(run)
}
