import { basename } from 'node:path'
import { checkTitles } from '#verifier/bundle/checklist.ts'
import { printable } from '../printable.ts'
import type { AuditedBundle, AuditedReport } from './auditBundle.ts'
import { type AuditFinding, findIn } from './findings.ts'

/** What an audit comes to, as the JSON that is filed. */
export type AuditReport = {
  readonly kind: 'plumbline-audit-report'
  readonly version: 1
  /** When the audit was made, ISO 8601. */
  readonly auditedAt: string
  readonly seconds: number
  readonly rootCertificate: string
  readonly quotePolicy: string
  readonly bundles: number
  readonly accepted: number
  readonly refused: number
  /** Distinct reports among the accepted. */
  readonly reports: number
  readonly verdicts: Readonly<Record<string, number>>
  readonly streams: readonly string[]
  readonly subjects: number
  readonly periodStart: string | undefined
  readonly periodEnd: string | undefined
  readonly coverage: {
    readonly lowestPpm: number
    readonly meanPpm: number
  }
  /** By policy: how much was observed, and what was made of the rest. */
  readonly policies: readonly PolicySummary[]
  /** Size of the bundles as they lie there. */
  readonly bytes: number
  /** Lines that were examined for every bundle, for some and for none. */
  readonly checks: Readonly<
    Record<
      string,
      { readonly passed: number; readonly failed: number; readonly notChecked: number }
    >
  >
  readonly findings: readonly AuditFinding[]
  readonly entries: readonly AuditedBundle[]
}

export type PolicySummary = {
  readonly policy: string
  readonly policyId: string
  readonly reports: number
  readonly verdicts: Readonly<Record<string, number>>
  readonly coverageLowestPpm: number
  readonly coverageMeanPpm: number
  /** Reports whose period was not observed in full. */
  readonly incomplete: number
  readonly unobservedMs: number
  readonly gapRule: string
  readonly isCalibrationDemanded: boolean
  readonly uncalibratedMs: number
}

const never = [
  'Baselines, additionality and emission factors: the policy declares them, people judge them.',
  'Whether a sensor stood where it should and measured what it should.',
  'Revocations after the recorded instant: attestation is judged as of then.',
  'The accuracy of the sensors: a report counts what they said, to the millionth of a unit.',
  'What contracts did with the reports; `plumbline verify --rpc` asks the chains.',
] as const

function summarise(reports: readonly AuditedReport[]): PolicySummary[] {
  const byPolicy = new Map<string, AuditedReport[]>()
  for (const report of reports) {
    const beside = byPolicy.get(report.policyId)
    if (beside === undefined) byPolicy.set(report.policyId, [report])
    else beside.push(report)
  }
  return [...byPolicy.values()].map((group) => {
    const [first] = group
    const verdicts: Record<string, number> = { PASS: 0, FAIL: 0, INCONCLUSIVE: 0 }
    let coverageLowestPpm = million
    let coverageSumPpm = 0
    let unobservedMs = 0
    let uncalibratedMs = 0
    for (const report of group) {
      verdicts[report.verdict] = (verdicts[report.verdict] ?? 0) + 1
      coverageLowestPpm = Math.min(coverageLowestPpm, report.coveragePpm)
      coverageSumPpm += report.coveragePpm
      const lengthMs = report.periodEndMs - report.periodStartMs
      unobservedMs += Math.round((lengthMs * (million - report.coveragePpm)) / million)
      uncalibratedMs += report.uncalibratedMs ?? 0
    }
    return {
      policy: first?.policy ?? '',
      policyId: first?.policyId ?? '',
      reports: group.length,
      verdicts,
      coverageLowestPpm,
      coverageMeanPpm: Math.floor(coverageSumPpm / group.length),
      incomplete: group.filter(({ coveragePpm }) => coveragePpm < million).length,
      unobservedMs,
      gapRule: first?.gapRule ?? '',
      isCalibrationDemanded: first?.isCalibrationDemanded ?? false,
      uncalibratedMs,
    }
  })
}

const million = 1_000_000

export function composeAudit(
  entries: readonly AuditedBundle[],
  about: Pick<AuditReport, 'auditedAt' | 'seconds' | 'rootCertificate' | 'quotePolicy'>,
): AuditReport {
  const accepted = entries.filter(({ isAccepted }) => isAccepted)
  const reports = [
    ...new Map(
      accepted.flatMap(({ about: known }) => (known === undefined ? [] : [[known.leaf, known]])),
    ).values(),
  ]
  const verdicts: Record<string, number> = { PASS: 0, FAIL: 0, INCONCLUSIVE: 0 }
  for (const { verdict } of reports) verdicts[verdict] = (verdicts[verdict] ?? 0) + 1
  const checks: Record<string, { passed: number; failed: number; notChecked: number }> = {}
  for (const id of Object.keys(checkTitles)) checks[id] = { passed: 0, failed: 0, notChecked: 0 }
  for (const entry of entries) {
    for (const { id, status } of entry.checks) {
      const counts = checks[id]
      if (counts === undefined) continue
      if (status === 'passed') counts.passed += 1
      else if (status === 'failed') counts.failed += 1
      else counts.notChecked += 1
    }
  }
  const coverages = reports.map(({ coveragePpm }) => coveragePpm)
  const starts = reports.map(({ periodStartMs }) => periodStartMs)
  const ends = reports.map(({ periodEndMs }) => periodEndMs)
  const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0)
  const first = starts.reduce((least, each) => Math.min(least, each), Infinity)
  const last = ends.reduce((most, each) => Math.max(most, each), -Infinity)
  return {
    kind: 'plumbline-audit-report',
    version: 1,
    ...about,
    bundles: entries.length,
    accepted: accepted.length,
    refused: entries.length - accepted.length,
    reports: reports.length,
    verdicts,
    streams: [...new Set(reports.map(({ stream }) => stream))].sort(),
    subjects: new Set(reports.map(({ stream, subject }) => `${stream}/${subject}`)).size,
    periodStart: reports.length === 0 ? undefined : new Date(first).toISOString(),
    periodEnd: reports.length === 0 ? undefined : new Date(last).toISOString(),
    coverage: {
      lowestPpm: coverages.reduce((least, each) => Math.min(least, each), 1_000_000),
      meanPpm: coverages.length === 0 ? 0 : Math.floor(sum(coverages) / coverages.length),
    },
    policies: summarise(reports),
    bytes: sum(entries.map(({ bytes }) => bytes)),
    checks,
    findings: findIn(entries, Date.parse(about.auditedAt) / 1000),
    entries,
  }
}

/** Rows beyond this are in the JSON only; a person reads the findings first. */
const rowsAtMost = 1000

function percent(ppm: number): string {
  return `${(Math.floor(ppm / 100) / 100).toString()} %`
}

function hours(ms: number): string {
  return `${(Math.round(ms / 36_000) / 100).toString()} h`
}

const gapWords: Readonly<Record<string, string>> = {
  violating: 'a violation',
  excluded: 'time left out',
  unknown: 'unknown; coverage has a floor',
}

function cell(text: string): string {
  return printable(text).replaceAll('|', '\\|')
}

function shown(files: readonly string[]): string {
  const names = files.slice(0, 5).map((file) => `\`${cell(basename(file))}\``)
  return files.length > 5 ? `${names.join(', ')} and ${files.length - 5} more` : names.join(', ')
}

/** The same as Markdown: what a person files. */
export function auditMarkdown(report: AuditReport): string {
  const heavy = report.findings.filter(({ severity }) => severity !== 'observation')
  const opinion =
    report.refused > 0 || heavy.some(({ severity }) => severity === 'misstatement')
      ? 'Not every claim examined holds. See the findings.'
      : heavy.length > 0
        ? 'Every claim examined holds; some conclude nothing. See the findings.'
        : 'Every claim examined holds.'
  const lines = [
    '# Audit report',
    '',
    `**${opinion}**`,
    '',
    '| | |',
    '| --- | --- |',
    `| Examined | ${report.bundles} bundles, ${report.accepted} accepted, ${report.refused} refused; ${Math.round(report.bytes / Math.max(1, report.bundles) / 1000)} kB each on average |`,
    `| Distinct reports | ${report.reports} on ${report.subjects} subjects: ${report.verdicts['PASS']} PASS, ${report.verdicts['FAIL']} FAIL, ${report.verdicts['INCONCLUSIVE']} INCONCLUSIVE |`,
    `| Streams | ${cell(report.streams.join(', ')) || 'none'} |`,
    `| Periods | ${report.periodStart ?? 'none'} to ${report.periodEnd ?? 'none'} |`,
    `| Coverage of the periods | mean ${percent(report.coverage.meanPpm)}, lowest ${percent(report.coverage.lowestPpm)} |`,
    `| Trusted root | ${cell(report.rootCertificate)} |`,
    `| Appraisal policy | ${cell(report.quotePolicy)} |`,
    `| Made | ${report.auditedAt}, in ${report.seconds.toFixed(1)} s, offline |`,
    '',
    '## Findings',
    '',
  ]
  if (report.findings.length === 0) lines.push('None.', '')
  else {
    lines.push('| No. | Severity | Finding | Where |', '| --- | --- | --- | --- |')
    for (const { number, severity, title, detail, files } of report.findings) {
      lines.push(`| ${number} | ${severity} | **${title}.** ${cell(detail)} | ${shown(files)} |`)
    }
    lines.push('')
  }
  lines.push('## Coverage, gaps, calibration', '')
  if (report.policies.length === 0) lines.push('No report was accepted.', '')
  else {
    lines.push(
      '| Policy | Reports | Mean coverage | Lowest | Not in full | Unobserved | A gap counts as | Calibration |',
      '| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |',
      ...report.policies.map((each) => {
        const calibration = each.isCalibrationDemanded
          ? `demanded; ${hours(each.uncalibratedMs)} not covered`
          : 'not demanded'
        return `| ${cell(each.policy)} | ${each.reports} | ${percent(each.coverageMeanPpm)} | ${percent(each.coverageLowestPpm)} | ${each.incomplete} | ${hours(each.unobservedMs)} | ${cell(gapWords[each.gapRule] ?? each.gapRule)} | ${calibration} |`
      }),
      '',
    )
  }
  lines.push(
    '## Uncertainty',
    '',
    '- **Of the arithmetic: none.** Values are integers, in millionths; every report with packs was evaluated again and came out the same to the last bit. Rounding is what the policy says, at most one settled unit a report.',
    `- **Of what was not observed:** ${hours(report.policies.reduce((total, { unobservedMs }) => total + unobservedMs, 0))} of device time, treated as the table says. Where an amount would have depended on it, the report is INCONCLUSIVE.`,
    '- **Of the sensors: not stated in reports.** It is to be taken from the devices’ certificates and added by whoever signs this opinion.',
    '',
    '## What was examined',
    '',
    '| Line | Passed | Failed | Not examined |',
    '| --- | ---: | ---: | ---: |',
    ...Object.entries(checkTitles).map(([id, title]) => {
      const counts = report.checks[id]
      return `| ${title} | ${counts?.passed ?? 0} | ${counts?.failed ?? 0} | ${report.bundles - (counts?.passed ?? 0) - (counts?.failed ?? 0)} |`
    }),
    '',
    '## What no audit of this kind examines',
    '',
    ...never.map((text) => `- ${text}`),
    '',
    '## Reports',
    '',
    '| File | Subject | Policy | Period | Verdict | Value | Observed | |',
    '| --- | --- | --- | --- | --- | ---: | ---: | --- |',
  )
  for (const { file, isAccepted, about } of report.entries.slice(0, rowsAtMost)) {
    const mark = isAccepted ? 'accepted' : '**refused**'
    lines.push(
      about === undefined
        ? `| \`${cell(basename(file))}\` | | | | | | | ${mark} |`
        : `| \`${cell(basename(file))}\` | ${cell(about.subject)} | ${cell(about.policy)} | ${new Date(about.periodStartMs).toISOString()} to ${new Date(about.periodEndMs).toISOString()} | ${about.verdict} | ${about.value} ${cell(about.unit)} | ${percent(about.coveragePpm)} | ${mark} |`,
    )
  }
  if (report.entries.length > rowsAtMost) {
    lines.push('', `${report.entries.length - rowsAtMost} more are in the JSON report.`)
  }
  return `${lines.join('\n')}\n`
}
