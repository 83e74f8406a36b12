import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { InvalidArgumentError, type Command } from 'commander'
import { toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { root } from '#tools/paths.ts'
import type { QuoteAppraisal } from '#verifier/appraisal/appraisal.ts'
import { refusalToEar, toEar } from '#verifier/appraisal/ear.ts'
import { QuoteRefusedError } from '#verifier/appraisal/errors.ts'
import { NotForProductionError } from '#verifier/appraisal/notForProductionError.ts'
import { createQuotePolicy, type QuotePolicyDocument } from '#verifier/appraisal/policy.ts'
import { assertProduction } from '#verifier/appraisal/productionPolicy.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { JsonFields } from '#verifier/collateral/jsonFields.ts'
import { fmspcText } from '#verifier/collateral/verifyCollateral.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { assertProductionCompose } from '#verifier/dstack/productionCompose.ts'
import {
  verifyDstackEvidence,
  type DstackAppraisal,
  type DstackExpectations,
} from '#verifier/dstack/verifyDstackEvidence.ts'
import { decodeQuoteFile } from '#verifier/quote/decodeQuoteFile.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'
import { verifyQuoteWithCollateral } from '#verifier/quote/verifyQuote.ts'
import { extensionOid, findExtension, parseCertificate } from '#verifier/x509/certificate.ts'
import { readPemCertificates } from '#verifier/x509/pem.ts'
import { parseSgxExtension } from '#verifier/x509/sgxExtension.ts'
import { formatIsoTime, parseIsoTime } from '#verifier/x509/time.ts'

/** Exit codes of `plumbline quote`, apart from 0 for an accepted quote. */
export const quoteExitCodes = { refused: 1, error: 3 } as const

/**
 * What `quote verify` accepts when no policy is given: a platform that its collateral calls up to
 * date. Image, platform and evaluation number stay unjudged, and the output says so.
 */
const genuinePolicy: QuotePolicyDocument = {
  id: 'no policy: genuine and UpToDate by this collateral, nothing else judged',
  tees: ['TDX', 'SGX'],
  tcb: {
    acceptedStatuses: { UpToDate: { graceDays: null } },
    minimumEvaluationDataNumber: 0,
    minimumQeEvaluationDataNumber: 0,
    deniedAdvisories: [],
    maximumCollateralAgeDays: null,
  },
  platforms: { allowed: 'any', denied: [] },
  allowedTdAttributes: [],
  allowedServiceTds: [],
  images: 'any',
  enclaves: 'any',
}

type VerifyOptions = {
  readonly quote: string
  readonly collateral: string
  readonly at: number
  readonly policy?: string
  readonly root?: string
  readonly compose?: string
  readonly expect?: string
  readonly production?: boolean
  readonly json?: boolean
}

/** Raised when a file that the command needs is not there or not what it should be. */
export class QuoteInputError extends BaseError {
  override readonly name = 'QuoteInputError'
}

/** Adds `plumbline quote verify` and `plumbline quote inspect`. */
export function registerQuote(program: Command): void {
  const quote = program.command('quote').description('verify or inspect a TDX or SGX quote')
  quote
    .command('verify')
    .description('verify a quote against collateral at an instant, offline')
    .requiredOption('--quote <file>', 'quote: raw, hex, or the JSON that GetQuote answers')
    .requiredOption('--collateral <file>', 'collateral, JSON in the layout of dcap-qvl')
    .requiredOption('--at <time>', 'instant of appraisal, as 2026-08-20T00:00:00Z', readInstant)
    .option('--policy <file>', 'appraisal policy, JSON (docs/quote-verifier.md)')
    .option('--root <pem>', 'root certificate to trust instead of Intel’s')
    .option('--compose <file>', 'app-compose.json: verify the dstack application as well')
    .option('--expect <file>', 'with --compose: app id, key providers and MRCONFIGID rule, JSON')
    .option('--production', 'refuse settings for development; needs policy, compose and expect')
    .option('--json', 'print an attestation result (EAR) as JSON')
    .addHelpText('after', '\nExit codes: 0 accepted, 1 refused, 3 error.')
    .action(verify)
  quote
    .command('inspect')
    .description('print what a quote says, without verifying any of it')
    .requiredOption('--quote <file>', 'quote: raw, hex, or the JSON that GetQuote answers')
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExit codes: 0 printed, 1 not a quote, 3 error.')
    .action(inspect)
}

function verify(options: VerifyOptions): void {
  const file = decodeQuoteFile(readBytes(options.quote, '--quote'))
  const document =
    options.policy === undefined ? genuinePolicy : readJson(options.policy, '--policy')
  const policy = createQuotePolicy(document)
  const verifyOptions = {
    now: options.at,
    policy,
    rootCertificate: options.root === undefined ? intelRootCertificate : readRoot(options.root),
    crypto: nodeCrypto,
  }
  const expectations =
    options.expect === undefined
      ? anyApplication
      : readExpectations(readJson(options.expect, '--expect'))
  if (options.production === true) {
    expectComplete(options)
    assertProduction({
      rootCertificate: verifyOptions.rootCertificate,
      policy,
      dstack: expectations,
    })
  }
  const collateral = readJson(options.collateral, '--collateral') as Collateral
  const build = buildName()
  try {
    const appraisal = verifyQuoteWithCollateral(file.quote, collateral, verifyOptions)
    const application =
      options.compose === undefined
        ? undefined
        : verifyDstackEvidence(
            appraisal,
            { eventLog: file.eventLog, appCompose: readBytes(options.compose, '--compose') },
            expectations,
          )
    if (options.production === true) {
      assertProductionCompose(readBytes(options.compose ?? '', '--compose'))
    }
    print(
      options.json === true
        ? JSON.stringify(toEar(appraisal, application, { build }), undefined, 2)
        : acceptedText(appraisal, application),
    )
  } catch (error) {
    if (error instanceof NotForProductionError) {
      const { setting, shortMessage: message } = error
      print(
        options.json === true
          ? JSON.stringify({ ear_status: 'contraindicated', setting, message }, undefined, 2)
          : `${error.message}\n\nREFUSED`,
      )
      process.exitCode = quoteExitCodes.refused
      return
    }
    if (!(error instanceof QuoteRefusedError)) throw error
    print(
      options.json === true
        ? JSON.stringify(refusalToEar(error, options.at, policy.id, { build }), undefined, 2)
        : `${error.message}\n\nREFUSED`,
    )
    process.exitCode = quoteExitCodes.refused
  }
}

/** What holds without `--expect`: whichever application it is, its own account must be coherent. */
const anyApplication: DstackExpectations = {
  appId: 'any',
  keyProviders: 'any',
  zeroMrConfigId: 'refuse',
}

function expectComplete({ policy, compose, expect }: VerifyOptions): void {
  for (const [field, value] of Object.entries({ policy, compose, expect })) {
    if (value !== undefined) continue
    throw new QuoteInputError(`A verdict for production needs --${field}.`, {
      field: `--${field}`,
      remedy: 'See docs/deploy-worker.md, step 7.',
    })
  }
}

function readExpectations(document: unknown): DstackExpectations {
  const fields = new JsonFields(document, 'expectations')
  fields.only('appId', 'keyProviders', 'zeroMrConfigId')
  return {
    appId: fields.value('appId') === 'any' ? 'any' : toHex(fields.hex('appId', 20)),
    keyProviders:
      fields.value('keyProviders') === 'any'
        ? 'any'
        : fields.objects('keyProviders', 64).map((provider) => {
            provider.only('name', 'id')
            return { name: provider.text('name', 32), id: provider.text('id', 1024) }
          }),
    zeroMrConfigId: fields.oneOf('zeroMrConfigId', ['refuse', 'accept']),
  }
}

function acceptedText(
  { platform, tcb, td, enclave, ...appraisal }: QuoteAppraisal,
  application: DstackAppraisal | undefined,
): string {
  return table([
    ['Quote', `version ${appraisal.quoteVersion}, ${appraisal.tee}, id ${appraisal.quoteId}`],
    ['Platform', `FMSPC ${platform.fmspc}, PPID ${platform.ppid}, PCESVN ${platform.pceSvn}`],
    ['TCB status', `${tcb.status}, level of ${formatIsoTime(tcb.dateUnixSeconds)}`],
    ['Advisories', tcb.advisoryIds.join(', ') || 'none'],
    ['Evaluation', `TCB info ${tcb.evaluationDataNumber}, QE ${tcb.qeEvaluationDataNumber}`],
    ['Image', appraisal.image ?? 'not judged'],
    ...(td === undefined
      ? []
      : ([
          ['MRTD', td.mrTd],
          ...td.rtmr.map((value, index) => [`RTMR${index}`, value] as const),
          ['MRCONFIGID', td.mrConfigId],
        ] as const)),
    ...(enclave === undefined
      ? []
      : ([
          ['MRENCLAVE', enclave.mrEnclave],
          ['MRSIGNER', enclave.mrSigner],
        ] as const)),
    ['Report data', appraisal.reportData],
    ...(application === undefined
      ? []
      : ([
          ['App id', application.appId],
          ['Compose hash', application.composeHash],
          ['Key provider', application.keyProvider.name],
        ] as const)),
    ['Valid until', formatIsoTime(appraisal.validUntilUnixSeconds)],
    ['Policy', appraisal.policyId],
    ['', ''],
    ['ACCEPTED', ''],
  ])
}

function inspect(options: { readonly quote: string; readonly json?: boolean }): void {
  try {
    const rows = quoteRows(decodeQuoteFile(readBytes(options.quote, '--quote')).quote)
    print(
      options.json === true
        ? JSON.stringify(Object.fromEntries(rows), undefined, 2)
        : table([...rows, ['', ''], ['NOT VERIFIED', '']]),
    )
  } catch (error) {
    if (!(error instanceof QuoteRefusedError)) throw error
    print(error.message)
    process.exitCode = quoteExitCodes.refused
  }
}

function quoteRows(bytes: Uint8Array): [string, string][] {
  const quote = parseQuote(bytes)
  const { auth, body } = quote
  const fields = Object.entries(body).map(([name, value]): [string, string] => [
    name,
    value instanceof Uint8Array ? toHex(value) : String(value ?? 'absent'),
  ])
  return [
    ['version', String(quote.version)],
    ['tee', quote.tee],
    ['qeVendorId', toHex(quote.qeVendorId)],
    ['userData', toHex(quote.userData)],
    ...fields,
    ['qe.mrSigner', toHex(auth.qeReport.mrSigner)],
    ['qe.isvSvn', String(auth.qeReport.isvSvn)],
    ...pckRows(auth.pckChain),
    ['paddingLength', String(quote.paddingLength)],
  ]
}

function pckRows(chain: Uint8Array): [string, string][] {
  try {
    const [leaf] = readPemCertificates(Buffer.from(chain).toString('latin1'), 'PCK chain', 3)
    if (leaf === undefined) return []
    const certificate = parseCertificate(leaf, 'PCK certificate')
    const sgx = parseSgxExtension(findExtension(certificate, extensionOid.sgx) ?? new Uint8Array())
    return [
      ['pck.serial', certificate.serial],
      ['pck.notBefore', formatIsoTime(certificate.notBeforeUnixSeconds)],
      ['pck.notAfter', formatIsoTime(certificate.notAfterUnixSeconds)],
      ['pck.fmspc', fmspcText(sgx.fmspc)],
      ['pck.ppid', toHex(sgx.ppid)],
      ['pck.pceSvn', String(sgx.pceSvn)],
      ['pck.componentSvns', toHex(sgx.componentSvns)],
    ]
  } catch (error) {
    if (!(error instanceof BaseError)) throw error
    return [['pck', error.shortMessage]]
  }
}

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows
    .map(([name, value]) => (value === '' ? name : `${name.padEnd(width)}  ${value}`))
    .join('\n')
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

function readInstant(text: string): number {
  const seconds = parseIsoTime(text)
  if (seconds !== undefined) return seconds
  throw new InvalidArgumentError('Write UTC with seconds, as 2026-08-20T00:00:00Z.')
}

function readBytes(file: string, field: string): Uint8Array {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new QuoteInputError(`${file} cannot be read.`, {
      cause,
      field,
      remedy: 'Check the path and the permissions.',
    })
  }
}

function readJson(file: string, field: string): unknown {
  const text = Buffer.from(readBytes(file, field)).toString('utf8')
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new QuoteInputError(`${file} is not JSON.`, { cause, field })
  }
}

function readRoot(file: string): Uint8Array {
  const text = Buffer.from(readBytes(file, '--root')).toString('latin1')
  const [certificate] = readPemCertificates(text, '--root', 1)
  if (certificate !== undefined) return certificate
  throw new QuoteInputError(`${file} holds no certificate.`, { field: '--root' })
}

function buildName(): string {
  const text = readFileSync(join(root, 'package.json'), 'utf8')
  const { name, version } = JSON.parse(text) as { name: string; version: string }
  return `${name} ${version}`
}
