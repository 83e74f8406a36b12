import type { Command } from 'commander'
import { formatDecimal } from '#schemas/policy/quantities.ts'
import { unitText, verdicts } from '#schemas/report.ts'
import { type BundleVerdict, verifyBundle } from '#verifier/bundle/verifyBundle.ts'
import { readBundleFile, readTrust } from './trust.ts'

/** Exit codes of `plumbline verify`, apart from 0 for an accepted bundle. */
export const verifyExitCodes = { refused: 1, error: 3 } as const

export function registerVerify(program: Command): void {
  program
    .command('verify')
    .description('examine a proof bundle offline, from the root certificate to the readings')
    .argument('<bundle>', 'proof bundle, .json or .json.gz')
    .option('--root <pem>', 'root certificate to trust instead of Intel’s (a local platform’s)')
    .option('--quote-policy <file>', 'which platforms, images and TCB statuses to accept')
    .option('--json', 'print the checks as JSON')
    .addHelpText('after', '\nExit codes: 0 accepted, 1 refused, 3 error.')
    .action((file: string, options: { root?: string; quotePolicy?: string; json?: boolean }) => {
      const { value } = readBundleFile(file)
      const verdict = verifyBundle(value, readTrust(options))
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify(toJson(verdict), undefined, 2)}\n`
          : toText(verdict),
      )
      process.exitCode = verdict.isAccepted ? 0 : verifyExitCodes.refused
    })
}

const marks = { passed: '✓', failed: '✗', 'not-checked': '–' }

function toText({ isAccepted, checks, report, appraisal }: BundleVerdict): string {
  const lines = checks.flatMap(({ status, title, detail }) => {
    const [first = '', ...rest] = detail.split('\n')
    return [`${marks[status]} ${title}`, `    ${first}`, ...rest.map((line) => `    ${line}`)]
  })
  if (report !== undefined) {
    const verdict = Object.entries(verdicts).find(([, code]) => code === report.verdict)?.[0]
    lines.push(
      '',
      `Verdict   ${verdict}, ${formatDecimal(report.valueMicro)} ${unitText(report.unit)}`,
      `Period    ${instant(report.periodStartMs)} to ${instant(report.periodEndMs)}`,
      `Coverage  ${formatDecimal(BigInt(report.coveragePpm) * 100n)} %`,
    )
  }
  if (appraisal !== undefined) lines.push(`Policy    ${appraisal.policyId}`)
  lines.push('', isAccepted ? 'ACCEPTED' : 'REFUSED', '')
  return lines.join('\n')
}

function instant(milliseconds: bigint): string {
  return new Date(Number(milliseconds)).toISOString()
}

function toJson({ isAccepted, checks, report }: BundleVerdict) {
  return { isAccepted, checks, report: report === undefined ? null : stringified(report) }
}

function stringified(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([key, item]: [string, unknown]) => [
      key,
      typeof item === 'bigint' ? item.toString() : item,
    ]),
  )
}
