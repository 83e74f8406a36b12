import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { type Command, InvalidArgumentError } from 'commander'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { type Hex, fromHex, toHex } from '#schemas/bytes.ts'
import type { CalibrationCertificate } from '#schemas/calibration/calibrationCertificate.ts'
import {
  type DecodedCalibration,
  decodeCalibration,
  verifyCalibration,
} from '#schemas/calibration/decodeCalibration.ts'
import { encodeCalibration } from '#schemas/calibration/encodeCalibration.ts'
import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { deviceKeyFromJwk } from '#schemas/pack/deviceKey.ts'
import { formatInstant, parseInstant } from '#schemas/policy/civilTime.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
import { readFile, readJwk, readSigner } from './pack.ts'
import { printable } from './printable.ts'

/** Exit codes of `plumbline calibration`, apart from 0. */
export const calibrationExitCodes = { refused: 1, error: 3 } as const

const timeoutMs = 30_000

function print(answer: object, isJson: boolean | undefined): void {
  const entries = Object.entries(answer).filter(([, value]) => value !== undefined)
  const text =
    isJson === true
      ? JSON.stringify(
          Object.fromEntries(entries),
          (_, item: unknown) => (typeof item === 'bigint' ? `${item}` : item),
          2,
        )
      : entries.map(([name, value]) => printable(`${name.padEnd(13)} ${value}`)).join('\n')
  process.stdout.write(`${text}\n`)
}

/** An instant as people write one, in whole seconds. */
function instant(text: string): number {
  const value = parseInstant(text)
  if (value !== undefined && value % 1000 === 0) return value
  throw new InvalidArgumentError('Give an instant in whole seconds, as 2026-11-24T00:00:00Z.')
}

function hex32(text: string): Hex {
  try {
    return toHex(fromHex(text, 'id', 32))
  } catch {
    throw new InvalidArgumentError('Give 32 bytes as 0x and 64 hex digits.')
  }
}

function describeCertificate({ certificate, laboratoryKey, digest }: DecodedCalibration) {
  const { laboratory, number, device, series, unit, document, replaces } = certificate
  return {
    laboratory,
    laboratoryKey,
    number,
    device,
    series,
    unit,
    issued: formatInstant(certificate.issuedMs),
    validFrom: formatInstant(certificate.validFromMs),
    validUntil: formatInstant(certificate.validUntilMs),
    document,
    replaces,
    digest,
  }
}

function inspect(file: string, { key, json }: { key?: string; json?: boolean }): void {
  try {
    const decoded = decodeCalibration(readFile(file, 'certificate'))
    if (key !== undefined) {
      const verifier = createNodeSignatures({ capacity: 1 })
      verifyCalibration(decoded, { key: deviceKeyFromJwk(readJwk(key)), verifier })
    }
    print({ ...describeCertificate(decoded), verified: key !== undefined }, json)
  } catch (error) {
    if (!(error instanceof FormatRefusedError)) throw error
    print({ refused: error.rule, message: error.shortMessage }, json)
    process.exitCode = calibrationExitCodes.refused
  }
}

type SignOptions = {
  readonly key: string
  readonly out: string
  readonly laboratory: string
  readonly number: string
  readonly device: Hex
  readonly series: string
  readonly unit: string
  readonly issued: number
  readonly validFrom: number
  readonly validUntil: number
  readonly document?: string
  readonly replaces?: string
  readonly json?: boolean
}

function sign(options: SignOptions): void {
  const { laboratory, number, device, series, unit, replaces } = options
  const certificate: CalibrationCertificate = {
    laboratory,
    number,
    device,
    series,
    unit,
    issuedMs: options.issued,
    validFromMs: options.validFrom,
    validUntilMs: options.validUntil,
    document:
      options.document === undefined
        ? undefined
        : toHex(createHash('sha256').update(readFile(options.document, 'document')).digest()),
    replaces,
  }
  const bytes = encodeCalibration(certificate, readSigner(options.key))
  writeFileSync(options.out, bytes)
  print({ file: options.out, ...describeCertificate(decodeCalibration(bytes)) }, options.json)
}

async function send(
  file: string,
  { worker, json }: { worker: string; json?: boolean },
): Promise<void> {
  const client = createWorkerClient({
    url: worker,
    fetch: (url, init) => fetch(url, init),
    signal: () => AbortSignal.timeout(timeoutMs),
  })
  const answer = await client.postCalibration(readFile(file, 'certificate'))
  print(
    {
      ...answer,
      validFromMs: undefined,
      validUntilMs: undefined,
      validFrom: formatInstant(answer.validFromMs),
      validUntil: formatInstant(answer.validUntilMs),
    },
    json,
  )
}

/** Adds `plumbline calibration sign`, `inspect` and `send`. */
export function registerCalibration(program: Command): void {
  const calibration = program
    .command('calibration')
    .description('sign, read and hand in a laboratory’s calibration certificates')
    .addHelpText('after', '\nExit codes: 0 done, 1 the file is no certificate, 3 error.')
  calibration
    .command('sign')
    .description('sign what a certificate says about one quantity of one device')
    .requiredOption('--key <jwk>', 'the laboratory’s private JSON Web Key, a file')
    .requiredOption('--laboratory <name>', 'name that workers know the laboratory by')
    .requiredOption('--number <number>', 'of the certificate; unique with the laboratory')
    .requiredOption('--device <id>', 'the device’s id, as 0x…', hex32)
    .requiredOption('--series <series>', 'name of the series that was calibrated')
    .requiredOption('--unit <unit>', 'unit that it was calibrated in')
    .requiredOption('--issued <instant>', 'date of issue', instant)
    .requiredOption('--valid-from <instant>', 'from when it holds', instant)
    .requiredOption(
      '--valid-until <instant>',
      'until when, exclusive; the same instant withdraws what is replaced',
      instant,
    )
    .requiredOption('--out <file>', 'where the certificate goes')
    .option('--document <file>', 'the full certificate, to be bound by its SHA-256')
    .option('--replaces <number>', 'number of the certificate that no longer holds')
    .option('--json', 'print as JSON')
    .action(sign)
  calibration
    .command('inspect')
    .description('decode a certificate strictly, say what it says, check its signature')
    .argument('<certificate>', 'the file; - for standard input')
    .option('--key <jwk>', 'the laboratory’s public key, a JSON Web Key file')
    .option('--json', 'print as JSON')
    .action(inspect)
  calibration
    .command('send')
    .description('hand a certificate in at a worker; sending it twice does no harm')
    .argument('<certificate>', 'the file; - for standard input')
    .requiredOption('--worker <url>', 'the worker')
    .option('--json', 'print as JSON')
    .action(send)
}
