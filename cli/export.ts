import { writeFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { readMessage } from '#schemas/workerApi.ts'
import {
  BundleRefusedError,
  type ExaminedBundle,
  NotExportableError,
  examineForExport,
} from './export/examined.ts'
import { cadTrustProject, projectFactsSchema } from './export/cadTrustProject.ts'
import { cadTrustUnit, unitFactsSchema } from './export/cadTrustUnits.ts'
import { deviceFactsSchema, granularCertificates } from './export/granularCertificates.ts'
import { claimFactsSchema, impactClaim } from './export/impactClaim.ts'
import { monitoringReport, readingsCsv } from './export/monitoringReport.ts'
import { provenCredential, signedCredential } from './export/verifiableCredential.ts'
import { readBundleFile, readJson, readTrust } from './trust.ts'

/** Exit codes of `plumbline export`, apart from 0. */
export const exportExitCodes = { refused: 1, error: 3 } as const

type ExportOptions = {
  readonly format: keyof typeof formats
  readonly root?: string
  readonly quotePolicy?: string
  readonly facts?: string
  readonly issuerKey?: string
  readonly out?: string
}

function demanded(file: string | undefined, option: string, what: string): string {
  if (file !== undefined) return file
  throw new NotExportableError(`This format needs ${what}.`, {
    field: option,
    remedy: `Add ${option} FILE; docs/exports.md shows one.`,
  })
}

const formats = {
  'monitoring-report': (examined: ExaminedBundle) => monitoringReport(examined),
  'readings-csv': (examined: ExaminedBundle) => readingsCsv(examined),
  energytag: (examined: ExaminedBundle, { facts }: ExportOptions) => {
    const file = demanded(facts, '--facts', 'facts about the device that no measurement tells')
    const read = readMessage(deviceFactsSchema, readJson(file, '--facts'), 'facts')
    return `${JSON.stringify(granularCertificates(examined, read), undefined, 2)}\n`
  },
  'cad-trust': (examined: ExaminedBundle, { facts }: ExportOptions) => {
    const file = demanded(facts, '--facts', 'facts about the units that the registry decides')
    const read = readMessage(unitFactsSchema, readJson(file, '--facts'), 'facts')
    return `${JSON.stringify(cadTrustUnit(examined, read), undefined, 2)}\n`
  },
  'cad-trust-project': (examined: ExaminedBundle, { facts }: ExportOptions) => {
    const file = demanded(facts, '--facts', 'facts about the project that the registry knows')
    const read = readMessage(projectFactsSchema, readJson(file, '--facts'), 'facts')
    return `${JSON.stringify(cadTrustProject(examined, read), undefined, 2)}\n`
  },
  'impact-claim': (examined: ExaminedBundle, { facts }: ExportOptions) => {
    const file = demanded(facts, '--facts', 'facts about the project that the claim is about')
    const read = readMessage(claimFactsSchema, readJson(file, '--facts'), 'facts')
    return `${JSON.stringify(impactClaim(examined, read), undefined, 2)}\n`
  },
  vc: (examined: ExaminedBundle, { issuerKey }: ExportOptions) => {
    const file = demanded(issuerKey, '--issuer-key', 'the key of whoever issues the credential')
    return `${signedCredential(examined, readJson(file, '--issuer-key'))}\n`
  },
  'vc-data-integrity': (examined: ExaminedBundle, { issuerKey }: ExportOptions) => {
    const file = demanded(issuerKey, '--issuer-key', 'the key of whoever issues the credential')
    return `${provenCredential(examined, readJson(file, '--issuer-key'))}\n`
  },
} as const

export function registerExport(program: Command): void {
  program
    .command('export')
    .description('examine a proof bundle and write what it proves in a format of others')
    .argument('<bundle>', 'proof bundle, .json or .json.gz')
    .addOption(
      new Option('--format <name>', 'what to write')
        .choices(Object.keys(formats))
        .makeOptionMandatory(),
    )
    .option('--root <pem>', 'root certificate to trust instead of Intel’s (a local platform’s)')
    .option('--quote-policy <file>', 'which platforms, images and TCB statuses to accept')
    .option(
      '--facts <file>',
      'energytag, cad-trust…, impact-claim: what no measurement tells, JSON',
    )
    .option('--issuer-key <file>', 'vc…: private Ed25519 key of the issuer, JWK')
    .option('--out <file>', 'where it goes; default standard output')
    .addHelpText('after', '\nExit codes: 0 written, 1 the bundle does not hold, 3 error.')
    .action((file: string, options: ExportOptions) => {
      try {
        const examined = examineForExport(readBundleFile(file).value, readTrust(options))
        const text = formats[options.format](examined, options)
        if (options.out === undefined) process.stdout.write(text)
        else writeFileSync(options.out, text)
      } catch (error) {
        if (!(error instanceof BundleRefusedError)) throw error
        process.stderr.write(`${error.message}\n`)
        process.exitCode = exportExitCodes.refused
      }
    })
}
