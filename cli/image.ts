import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { fromHex, type Hex, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { NotForProductionError } from '#verifier/appraisal/notForProductionError.ts'
import { QuoteRefusedError } from '#verifier/appraisal/errors.ts'
import { assertProductionCompose } from '#verifier/dstack/productionCompose.ts'
import { decodeQuoteFile } from '#verifier/quote/decodeQuoteFile.ts'
import { parseQuote, type TdReport } from '#verifier/quote/parseQuote.ts'
import { writeAppCompose } from './image/appCompose.ts'
import {
  type Comparison,
  compareWithQuote,
  dstackTdAttributes,
  dstackXfam,
  type Identity,
  type MeasuredImage,
  measureImage,
  type ReferenceValues,
  valuesOfQuote,
} from './image/measureImage.ts'
import type { Deployment } from './image/phalaCloud.ts'
import { printable } from './printable.ts'

/** Exit codes of `plumbline image`, apart from 0: something differs or is refused; not done at all. */
export const imageExitCodes = { refused: 1, error: 3 } as const

/** Raised when a file or an option is not what the command needs. */
export class ImageInputError extends BaseError {
  override readonly name = 'ImageInputError'
}

/** Adds `plumbline image compose`, `measure`, `provision` and `fetch`. */
export function registerImage(program: Command): void {
  const image = program
    .command('image')
    .description('say what an image will measure before it runs, and put it on Phala Cloud')
  image
    .command('compose')
    .description('write the app-compose.json of a worker from its docker-compose.yaml')
    .requiredOption('--docker-compose <file>', 'docker-compose.yaml with images by digest')
    .requiredOption('--name <name>', 'name of the CVM')
    .requiredOption('--out <file>', 'where to write app-compose.json')
    .addHelpText('after', '\nExit codes: 0 written, 1 refused, 3 error.')
    .action(compose)
  image
    .command('measure')
    .description('predict compose hash, MRCONFIGID and image id, or hold them against a quote')
    .requiredOption('--compose <file>', 'app-compose.json, byte for byte as it is deployed')
    .option('--reference <file>', 'JSON with mrtd, rtmr0, rtmr1, rtmr2 (dstack-mr measure --json)')
    .option('--td-attributes <hex>', 'TDATTRIBUTES, 8 bytes', hexOf(8), dstackTdAttributes)
    .option('--xfam <hex>', 'XFAM, 8 bytes', hexOf(8), dstackXfam)
    .option('--app-id <hex>', 'with --key-provider: MRCONFIGID of version 2', hexOf(20))
    .option('--key-provider <hex>', 'id of the KMS, SubjectPublicKeyInfo', hexOf())
    .option('--quote <file>', 'quote of the running image: raw, hex or JSON of GetQuote')
    .option('--name <name>', 'name of the entry in the policy', 'worker')
    .option('--development', 'measure a compose file that production refuses')
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExit codes: 0 measured, 1 refused or different, 3 error.')
    .action(measure)
  image
    .command('provision')
    .description('ask Phala Cloud what it would measure; with --commit, start it')
    .requiredOption('--compose <file>', 'app-compose.json')
    .requiredOption('--name <name>', 'name of the CVM')
    .option('--cvm <id>', 'CVM to update; else a new one')
    .option('--instance-type <type>', 'for example tdx.medium')
    .option('--region <region>', 'where')
    .option('--node <id>', 'one machine', Number)
    .option('--os-image <name>', 'dstack release')
    .option('--commit', 'start it, if the compose hash is the predicted one')
    .option('--accept-hash <hex>', 'a compose hash under which it may start as well', hexOf(32))
    .addHelpText(
      'after',
      '\nThe key of the account is read from PHALA_CLOUD_API_KEY.\nExit codes: 0 done, 1 refused or different, 3 error.',
    )
    .action(provision)
  image
    .command('fetch')
    .description('ask a running worker for fresh evidence and write it to files')
    .requiredOption('--url <url>', 'address of the worker')
    .requiredOption('--chain <id>', 'chain whose registry the statement is for', chainOf)
    .requiredOption('--out <folder>', 'existing folder for the files')
    .addHelpText('after', '\nExit codes: 0 written, 1 not for this question, 3 error.')
    .action(fetchFiles)
}

async function fetchFiles(options: {
  readonly url: string
  readonly chain: bigint
  readonly out: string
}): Promise<void> {
  const { fetchEvidence, EvidenceNotBoundError } = await import('./image/fetchEvidence.ts')
  const nonce = toHex(randomBytes(32))
  try {
    const { url, chain: chainId } = options
    const { signer, files, missing } = await fetchEvidence({ url, chainId, nonce })
    for (const [name, bytes] of files) writeFileSync(join(options.out, name), bytes)
    print([
      ['Signer', signer],
      ['Nonce', `${nonce}, answered`],
      ['Written', [...files.keys()].join(', ')],
      ...missing.map((what): [string, string] => ['Missing', what]),
    ])
  } catch (error) {
    if (!(error instanceof EvidenceNotBoundError)) throw error
    refuse(error.message)
  }
}

function chainOf(text: string): bigint {
  if (/^[1-9][0-9]{0,18}$/.test(text)) return BigInt(text)
  throw new InvalidArgumentError('Write a chain id.')
}

function compose(options: {
  readonly dockerCompose: string
  readonly name: string
  readonly out: string
}): void {
  const dockerCompose = readBytes(options.dockerCompose, '--docker-compose')
  const text = writeAppCompose({
    name: options.name,
    dockerCompose: Buffer.from(dockerCompose).toString('utf8'),
  })
  const bytes = Buffer.from(text, 'utf8')
  if (isRefused(bytes)) return
  writeFileSync(options.out, bytes)
  print([
    ['Written', options.out],
    ['Compose hash', measureImage(bytes, { name: '' }).composeHash],
  ])
}

type MeasureOptions = {
  readonly compose: string
  readonly reference?: string
  readonly tdAttributes: Hex
  readonly xfam: Hex
  readonly appId?: Hex
  readonly keyProvider?: Hex
  readonly quote?: string
  readonly name: string
  readonly development?: boolean
  readonly json?: boolean
}

function measure(options: MeasureOptions): void {
  const appCompose = readBytes(options.compose, '--compose')
  if (options.development !== true && isRefused(appCompose)) return
  const body = options.quote === undefined ? undefined : readQuote(options.quote)
  if (body === null) return
  const given = options.reference === undefined ? undefined : readReference(options)
  const reference = given ?? (body === undefined ? undefined : valuesOfQuote(body))
  const image = measureImage(appCompose, {
    name: options.name,
    reference,
    identity: readIdentity(options),
  })
  const comparisons = body === undefined ? [] : compareWithQuote(image, given, body)
  if (comparisons.some(({ isEqual }) => !isEqual)) process.exitCode = imageExitCodes.refused
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ ...image, comparisons }, undefined, 2)}\n`)
    return
  }
  print([
    ['Compose hash', image.composeHash],
    [`MRCONFIGID v${image.mrConfigVersion}`, image.mrConfigId],
    ['App id', `${image.appIdWithoutContract} where no KMS gives another`],
    ...adviceRows(image, given === undefined ? 'the quote, unverified' : 'the reference file'),
    ...comparisonRows(comparisons),
  ])
}

function adviceRows(image: MeasuredImage, source: string): [string, string][] {
  if (image.imageId === undefined || image.policyImage === undefined) {
    return [['Image id', 'needs --reference or --quote']]
  }
  return [
    ['Image id', image.imageId],
    ['Values from', source],
    ['', ''],
    ['On chain', `EnclaveRegistry.allowImage(${image.imageId})`],
    ['Off chain', `images of the quote policy: ${JSON.stringify(image.policyImage)}`],
  ]
}

function comparisonRows(comparisons: readonly Comparison[]): [string, string][] {
  if (comparisons.length === 0) return []
  const isSame = comparisons.every(({ isEqual }) => isEqual)
  return [
    ['', ''],
    ...comparisons.flatMap(({ what, expected, actual, isEqual }): [string, string][] =>
      isEqual
        ? [[what, 'as predicted']]
        : [
            [what, `expected ${expected}`],
            ['', `actual   ${actual}`],
          ],
    ),
    ['', ''],
    [isSame ? 'SAME' : 'DIFFERENT', ''],
    ['', 'The quote was read, not verified: `plumbline quote verify` does that.'],
  ]
}

/** `null` when the file holds no quote of a trust domain; that has been said then. */
function readQuote(file: string): TdReport | null {
  try {
    const { body } = parseQuote(decodeQuoteFile(readBytes(file, '--quote')).quote)
    if (body.kind !== 'SGX') return body
    refuse('An SGX quote names an enclave, not an image.')
  } catch (error) {
    if (!(error instanceof QuoteRefusedError)) throw error
    refuse(error.message)
  }
  return null
}

function readIdentity({ appId, keyProvider }: MeasureOptions): Identity | undefined {
  if (appId === undefined && keyProvider === undefined) return undefined
  if (appId !== undefined && keyProvider !== undefined) {
    return { appId, keyProviderId: keyProvider }
  }
  throw new ImageInputError('MRCONFIGID of version 2 binds app id and key provider.', {
    field: appId === undefined ? '--app-id' : '--key-provider',
    remedy: 'Pass both, or neither for version 1.',
  })
}

function readReference(options: MeasureOptions): ReferenceValues {
  const file = options.reference ?? ''
  let values: Readonly<Record<string, unknown>>
  try {
    const parsed: unknown = JSON.parse(Buffer.from(readBytes(file, '--reference')).toString('utf8'))
    values = parsed as Readonly<Record<string, unknown>>
  } catch (cause) {
    if (cause instanceof ImageInputError) throw cause
    throw new ImageInputError(`${file} is not JSON.`, { field: '--reference', cause })
  }
  const read = (...names: readonly string[]): Hex => {
    const value = names.map((name) => values?.[name]).find((found) => found !== undefined)
    if (typeof value === 'string') return toHex(fromHex(value, names[0] ?? '', 48))
    throw new ImageInputError(`${file} does not say ${names[0]}.`, {
      field: '--reference',
      remedy: 'It needs mrtd, rtmr0, rtmr1 and rtmr2, 48 bytes of hex each.',
    })
  }
  return {
    mrTd: read('mrtd', 'mrTd'),
    rtmr0: read('rtmr0'),
    rtmr1: read('rtmr1'),
    rtmr2: read('rtmr2'),
    tdAttributes: options.tdAttributes,
    xfam: options.xfam,
  }
}

type ProvisionOptions = {
  readonly compose: string
  readonly name: string
  readonly cvm?: string
  readonly instanceType?: string
  readonly region?: string
  readonly node?: number
  readonly osImage?: string
  readonly commit?: boolean
  readonly acceptHash?: Hex
}

async function provision(options: ProvisionOptions): Promise<void> {
  const apiKey = process.env['PHALA_CLOUD_API_KEY']
  if (apiKey === undefined || apiKey === '') {
    throw new ImageInputError('No key of a Phala Cloud account is set.', {
      field: 'PHALA_CLOUD_API_KEY',
      remedy: 'Make one in the account and export it; it is never taken from the command line.',
    })
  }
  // Loaded when it is asked for: a measurement needs neither network nor an SDK.
  const { createPhalaCloud, ComposeHashDiffersError } = await import('./image/phalaCloud.ts')
  const deployment: Deployment = {
    appCompose: readBytes(options.compose, '--compose'),
    name: options.name,
    cvmId: options.cvm,
    instanceType: options.instanceType,
    region: options.region,
    nodeId: options.node,
    osImage: options.osImage,
    acceptedHash: options.acceptHash,
  }
  if (isRefused(deployment.appCompose)) return
  const cloud = createPhalaCloud({ apiKey, baseUrl: process.env['PHALA_CLOUD_API_PREFIX'] })
  const answer = await cloud.provision(deployment)
  print([
    ['Predicted', answer.expectedHash],
    ['Phala Cloud', answer.composeHash],
    ['App id', answer.appId ?? 'not told'],
    ['OS image', answer.osImageHash ?? 'not told'],
    ['FMSPC', answer.fmspc ?? 'not told'],
  ])
  try {
    if (options.commit === true) {
      print([['Started', `CVM ${await cloud.commit(deployment, answer)}`]])
    } else if (answer.composeHash !== answer.expectedHash) {
      throw new ComposeHashDiffersError(answer.expectedHash, answer.composeHash)
    }
  } catch (error) {
    if (!(error instanceof ComposeHashDiffersError)) throw error
    refuse(error.message)
  }
}

function isRefused(appCompose: Uint8Array): boolean {
  try {
    assertProductionCompose(appCompose)
    return false
  } catch (error) {
    if (!(error instanceof NotForProductionError)) throw error
    refuse(error.message)
    return true
  }
}

function refuse(message: string): void {
  process.stdout.write(`${message.split('\n').map(printable).join('\n')}\n\nREFUSED\n`)
  process.exitCode = imageExitCodes.refused
}

function hexOf(length?: number): (text: string) => Hex {
  return (text) => {
    try {
      return toHex(fromHex(text, 'value', length))
    } catch {
      throw new InvalidArgumentError(
        length === undefined ? 'Write hex.' : `Write ${length} bytes of hex.`,
      )
    }
  }
}

function print(rows: readonly (readonly [string, string])[]): void {
  const width = Math.max(...rows.map(([name]) => name.length))
  const lines = rows.map(([name, value]) =>
    printable(value === '' ? name : `${name.padEnd(width)}  ${value}`),
  )
  process.stdout.write(`${lines.join('\n')}\n`)
}

function readBytes(file: string, field: string): Uint8Array {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new ImageInputError(`${file} cannot be read.`, {
      cause,
      field,
      remedy: 'Check the path and the permissions.',
    })
  }
}
