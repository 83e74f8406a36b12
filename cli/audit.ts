import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { auditFiles } from './audit/auditFiles.ts'
import { auditMarkdown, composeAudit } from './audit/auditReport.ts'
import { fetchBundles } from './audit/fetchBundles.ts'
import { UnreadableFileError, readTrust } from './trust.ts'

/** Exit codes of `plumbline audit`, apart from 0 for a set of bundles that all hold. */
export const auditExitCodes = { refused: 1, error: 3 } as const

type AuditOptions = {
  readonly root?: string
  readonly quotePolicy?: string
  readonly markdown?: string
  readonly json?: string
  readonly keep?: string
}

export function registerAudit(program: Command): void {
  program
    .command('audit')
    .description('examine every proof bundle of a folder and write a report of it')
    .argument('<folder|url>', 'folder with proof bundles (.json, .json.gz), or a worker’s address')
    .option('--root <pem>', 'root certificate to trust instead of Intel’s (a local platform’s)')
    .option('--quote-policy <file>', 'which platforms, images and TCB statuses to accept')
    .option('--markdown <file>', 'where the report for people goes; default standard output')
    .option('--json <file>', 'also write the report as JSON, every line of every bundle')
    .option('--keep <folder>', 'with an address: where the fetched bundles stay')
    .addHelpText(
      'after',
      '\nExit codes: 0 everything holds, 1 something does not, 3 error.\nA folder is examined without a network; of an address only the bundles are asked.',
    )
    .action(audit)
}

/** Every bundle file of a folder, in the order of their names. */
function bundleFiles(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.json(\.gz)?$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
  } catch (cause) {
    throw new UnreadableFileError(`${folder} cannot be read.`, {
      cause,
      field: 'folder',
      remedy: 'Name a folder that holds proof bundles.',
    })
  }
}

/** A bar with the time left where somebody watches, a line for each tenth where nobody does. */
function createProgress(what: string): (done: number, total: number) => void {
  const begun = performance.now()
  let lastTenth = 0
  return (done, total) => {
    const share = done / total
    const left = Math.ceil(((performance.now() - begun) / 1000) * (1 / share - 1))
    if (process.stderr.isTTY) {
      const filled = Math.round(share * 30)
      const bar = `${'█'.repeat(filled)}${'░'.repeat(30 - filled)}`
      const rest = done === total ? '\n' : ''
      process.stderr.write(`\r${bar} ${done} of ${total} ${what}, ${left} s left \u001B[K${rest}`)
      return
    }
    const tenth = Math.floor(share * 10)
    if (tenth === lastTenth || total < 100) return
    lastTenth = tenth
    process.stderr.write(`${done} of ${total} ${what}, ${left} s left\n`)
  }
}

async function audit(place: string, options: AuditOptions): Promise<void> {
  if (!/^https?:\/\//.test(place)) {
    await auditFolder(place, options)
    return
  }
  const folder = options.keep ?? mkdtempSync(join(tmpdir(), 'plumbline-audit-'))
  try {
    await fetchBundles(place, folder, createProgress('fetched'))
    await auditFolder(folder, options)
  } finally {
    if (options.keep === undefined) rmSync(folder, { recursive: true, force: true })
  }
}

async function auditFolder(folder: string, options: AuditOptions): Promise<void> {
  const { quotePolicy } = readTrust(options)
  const files = bundleFiles(folder)
  if (files.length === 0) {
    throw new UnreadableFileError(`${folder} holds no JSON file.`, {
      field: 'folder',
      remedy: 'Name a folder that holds proof bundles.',
    })
  }
  const begun = performance.now()
  const trust = {
    ...(options.root === undefined ? {} : { root: options.root }),
    ...(options.quotePolicy === undefined ? {} : { quotePolicy: options.quotePolicy }),
  }
  const entries = await auditFiles(files, trust, createProgress('examined'))
  const report = composeAudit(entries, {
    auditedAt: new Date().toISOString(),
    seconds: (performance.now() - begun) / 1000,
    rootCertificate: options.root ?? 'Intel SGX Root CA',
    quotePolicy: quotePolicy.id,
  })
  const markdown = auditMarkdown(report)
  if (options.markdown === undefined) process.stdout.write(markdown)
  else writeFileSync(options.markdown, markdown)
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`)
  }
  const holds =
    report.refused === 0 && report.findings.every(({ severity }) => severity !== 'misstatement')
  if (options.markdown !== undefined) {
    process.stdout.write(
      `${report.accepted} of ${report.bundles} bundles accepted, ${report.findings.length} findings: ${options.markdown}\n`,
    )
  }
  process.exitCode = holds ? 0 : auditExitCodes.refused
}
