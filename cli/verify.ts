import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { BaseError } from '#schemas/errors.ts'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { formatDecimal } from '#schemas/policy/quantities.ts'
import { unitText, verdicts } from '#schemas/report.ts'
import { plainQuotePolicy } from '#verifier/appraisal/plainQuotePolicy.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { type BundleVerdict, verifyBundle } from '#verifier/bundle/verifyBundle.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { readPemCertificates } from '#verifier/x509/pem.ts'

/** Exit codes of `plumbline verify`, apart from 0 for an accepted bundle. */
export const verifyExitCodes = { refused: 1, error: 3 } as const

/** Raised when a file that the command needs is not there or not readable. */
export class UnreadableFileError extends BaseError {
  override readonly name = 'UnreadableFileError'
}

function readText(file: string, field: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new UnreadableFileError(`${file} cannot be read.`, {
      cause,
      field,
      remedy: 'Check the path and the permissions.',
    })
  }
}

function readJson(file: string, field: string): unknown {
  try {
    return JSON.parse(readText(file, field))
  } catch (cause) {
    if (cause instanceof BaseError) throw cause
    throw new UnreadableFileError(`${file} is not JSON.`, { cause, field })
  }
}

export function registerVerify(program: Command): void {
  program
    .command('verify')
    .description('examine a proof bundle offline, from the root certificate to the readings')
    .argument('<bundle>', 'proof bundle, a JSON file')
    .option('--root <pem>', 'root certificate to trust instead of Intel’s (a local platform’s)')
    .option('--quote-policy <file>', 'which platforms, images and TCB statuses to accept')
    .option('--json', 'print the checks as JSON')
    .addHelpText('after', '\nExit codes: 0 accepted, 1 refused, 3 error.')
    .action((file: string, options: { root?: string; quotePolicy?: string; json?: boolean }) => {
      const value = readJson(file, 'bundle')
      const [rootCertificate] =
        options.root === undefined
          ? [intelRootCertificate]
          : readPemCertificates(readText(options.root, '--root'), '--root', 8)
      if (rootCertificate === undefined) {
        throw new UnreadableFileError('The root file holds no certificate.', { field: '--root' })
      }
      const verdict = verifyBundle(value, {
        rootCertificate,
        quotePolicy: createQuotePolicy(
          options.quotePolicy === undefined
            ? plainQuotePolicy
            : readJson(options.quotePolicy, '--quote-policy'),
        ),
        crypto: nodeCrypto,
        signatures: createNodeSignatures(),
      })
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
