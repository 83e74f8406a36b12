import { createHash } from 'node:crypto'
import { type Command, InvalidArgumentError } from 'commander'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { type Hex, toHex } from '#schemas/bytes.ts'
import type { CalibrationCertificate } from '#schemas/calibration/calibrationCertificate.ts'
import {
  type DecodedCalibration,
  decodeCalibration,
  verifyCalibration,
} from '#schemas/calibration/decodeCalibration.ts'
import { encodeCalibration } from '#schemas/calibration/encodeCalibration.ts'
import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { deviceKeyFromJwk } from '#schemas/pack/deviceKey.ts'
import { formatInstant } from '#schemas/policy/civilTime.ts'
import { openWorker } from './openWorker.ts'
import { deviceOption, instantOption, workerOption } from './optionValues.ts'
import { readFile, readJwk, readSigner, writeFile } from './pack.ts'
import { printFacts } from './printFacts.ts'

/** Exit codes of `plumbline calibration`, apart from 0. */
export const calibrationExitCodes = { refused: 1, error: 3 } as const

/** As a certificate can tell it. */
function wholeSeconds(text: string): number {
  const value = instantOption(text)
  if (value % 1000 === 0) return value
  throw new InvalidArgumentError('Give an instant in whole seconds, as 2026-11-24T00:00:00Z.')
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
    printFacts({ ...describeCertificate(decoded), verified: key !== undefined }, json)
  } catch (error) {
    if (!(error instanceof FormatRefusedError)) throw error
    printFacts({ refused: error.rule, message: error.shortMessage }, json)
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
  writeFile(options.out, bytes, '--out')
  printFacts({ file: options.out, ...describeCertificate(decodeCalibration(bytes)) }, options.json)
}

async function send(
  file: string,
  { worker, json }: { worker: string; json?: boolean },
): Promise<void> {
  const answer = await openWorker(worker).postCalibration(readFile(file, 'certificate'))
  printFacts(
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
    .requiredOption('--device <id>', 'the device’s id, as 0x…', deviceOption)
    .requiredOption('--series <series>', 'name of the series that was calibrated')
    .requiredOption('--unit <unit>', 'unit that it was calibrated in')
    .requiredOption('--issued <instant>', 'date of issue', wholeSeconds)
    .requiredOption('--valid-from <instant>', 'from when it holds', wholeSeconds)
    .requiredOption(
      '--valid-until <instant>',
      'until when, exclusive; the same instant withdraws what is replaced',
      wholeSeconds,
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
    .requiredOption('--worker <url>', 'the worker', workerOption)
    .option('--json', 'print as JSON')
    .action(send)
}
