import { formatDecimal } from '#schemas/policy/quantities.ts'
import { explainPolicy, measureCatalogue } from '#schemas/policy/policy.ts'
import { reportLeaf, unitText, zeroHash } from '#schemas/report.ts'
import { trustTiers } from '#schemas/trustTier.ts'
import { printable } from '../printable.ts'
import { type ExaminedBundle, deviceIds, judgedReadings } from './examined.ts'

function instant(ms: bigint | number): string {
  return new Date(Number(ms)).toISOString()
}

function row(...cells: readonly string[]): string {
  return `| ${cells.map((text) => printable(text).replaceAll('|', '\\|')).join(' | ')} |`
}

function measureText(value: string, kind: string, unit: string): string {
  switch (kind) {
    case 'ms':
      return `${formatDecimal(BigInt(value) * 1000n)} s`
    case 'ppm':
      return `${formatDecimal(BigInt(value) * 100n)} %`
    case 'instant':
      return instant(BigInt(value))
    case 'quantity':
      return `${formatDecimal(BigInt(value))} ${unit}`
    default:
      return value
  }
}

/**
 * One report as a monitoring report: what was measured, with what, how often, how what is missing was
 * treated, what came out, and what stands behind it.
 *
 * @see ISO 14064-2:2019, clauses 6.10 and 6.13
 */
export function monitoringReport(examined: ExaminedBundle): string {
  const { bundle, policy, verdict, measures, findings, checks } = examined
  const { report, batch, attestation } = bundle
  const catalogue = measureCatalogue(policy)
  const sentences = explainPolicy(policy)
  const notExamined = checks.filter(({ status }) => status === 'not-checked')
  const devices = deviceIds(examined)
  const { quality, signal } = policy
  const lines = [
    `# Monitoring report: ${printable(bundle.subjectName)}`,
    '',
    row('', ''),
    row('---', '---'),
    row('Subject', bundle.subjectName),
    row('Stream', bundle.streamName),
    row('Monitoring period', `${instant(report.periodStartMs)} to ${instant(report.periodEndMs)}`),
    row('Policy', policy.name),
    row('Verdict', verdict),
    row('Result', `${formatDecimal(report.valueMicro)} ${unitText(report.unit)}`),
    row('Coverage of the period', `${formatDecimal(BigInt(report.coveragePpm) * 100n)} %`),
    row('Amends an earlier report', report.amends === zeroHash ? 'no' : report.amends),
    '',
    '## Parameter monitored',
    '',
    row('', ''),
    row('---', '---'),
    row('Data and parameter', signal.series),
    row('Unit', signal.unit),
    row(
      'Source',
      devices.length === 0
        ? 'devices of the subject; their packs are not in the bundle'
        : devices.map(({ id, tier }) => `device ${id}, ${tier} key`).join('; '),
    ),
    row('Frequency', signal.interval === undefined ? 'not prescribed' : `every ${signal.interval}`),
    row('Method', sentences[2] ?? ''),
    row('Treatment of missing data', sentences[3] ?? ''),
    row('Least coverage', policy.minCoverage ?? 'not prescribed'),
    row('Quality rules', Object.keys(quality).join(', ') || 'built-in ones only'),
    row(
      'Calibration',
      'calibration' in quality
        ? 'demanded by the policy and applied in the evaluation'
        : 'not demanded by the policy; to be shown separately',
    ),
    '',
    '## Procedure',
    '',
    ...sentences.map((text) => `- ${printable(text)}`),
    '',
    '## Results',
    '',
    row('Measure', 'Value'),
    row('---', '---:'),
    ...Object.entries(measures).flatMap(([name, value]) => {
      const definition = catalogue.get(name)
      if (value === null || definition === undefined) return []
      return [
        row(
          name.replace(/_(ms|ppm)$/, '').replaceAll('_', ' '),
          measureText(value, definition.kind, definition.unit),
        ),
      ]
    }),
    '',
    findings.length === 0
      ? 'The evaluation noted nothing.'
      : `The evaluation noted: ${findings.map((name) => name.replaceAll('_', ' ')).join(', ')}.`,
    '',
    '## Evidence',
    '',
    row('', ''),
    row('---', '---'),
    row('Report (leaf)', reportLeaf(report)),
    row(
      'Batch',
      `${batch.sequence} of stream ${batch.stream}, closed ${instant(batch.closedAtMs)}`,
    ),
    row('Evidence root', report.evidenceRoot),
    row('Measures hash', report.measuresHash),
    row('Policy id', report.policyId),
    row('Signed by', bundle.signer),
    row(
      'Attested',
      `on chain ${attestation.statement.anchorChainId} since block ${attestation.blockNumber}, as of ${instant(bundle.recordedAtSeconds * 1000)}`,
    ),
    row('Bundle', bundle.digest),
    '',
    '## Examination of this report',
    '',
    ...checks.map(({ title, status }) => `- ${status === 'passed' ? '[x]' : '[ ]'} ${title}`),
    '',
    notExamined.length === 0
      ? 'Every line was examined and holds.'
      : `Not examined: ${notExamined.length} lines, since the bundle does not carry what they need.`,
    '',
    'Baseline, additionality, leakage and emission factors are not part of what is proved here.',
  ]
  return `${lines.join('\n')}\n`
}

const tierNames = Object.fromEntries(Object.entries(trustTiers).map(([name, tier]) => [tier, name]))

/** A field of a CSV record. @see RFC 4180 §2 */
function field(text: string): string {
  // A sheet must not take a series' name for a formula.
  const safe = /^[=+@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** The readings that were judged, one record for each. @see RFC 4180 */
export function readingsCsv(examined: ExaminedBundle): string {
  const records = judgedReadings(examined).map(
    ({ timeMs, device, series, unit, valueMicro, tier }) =>
      [
        instant(timeMs),
        device,
        field(series),
        field(unit),
        valueMicro === null ? '' : formatDecimal(BigInt(valueMicro)),
        tierNames[tier] ?? '',
      ].join(','),
  )
  return ['time_utc,device,series,unit,value,tier', ...records, ''].join('\r\n')
}
