import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { streamId } from '#schemas/batch.ts'
import { type Hex, fromHex, toHex } from '#schemas/bytes.ts'
import {
  type CapabilityScope,
  capabilityScopes,
  longestCapabilityMs,
  transferRoute,
  writeCapability,
} from '#schemas/capability.ts'
import { BaseError } from '#schemas/errors.ts'
import { formatInstant } from '#schemas/policy/civilTime.ts'
import { subjectId, zeroHash } from '#schemas/report.ts'
import { openWorker } from './openWorker.ts'
import { deviceOption, instantOption, workerOption } from './optionValues.ts'
import { printable } from './printable.ts'
import { printFacts } from './printFacts.ts'

/** Exit codes of `plumbline device`, apart from 0. */
export const deviceExitCodes = { error: 3 } as const

/** Where the operator's key is looked for, when no file is named. */
export const operatorKeyVariable = 'PLUMBLINE_OPERATOR_KEY'

/** Raised when an option or a file does not say what the command needs. */
export class DeviceCommandError extends BaseError {
  override readonly name = 'DeviceCommandError'
}

/** For a command that uses its capability at once. */
const capabilityMs = 300_000
/** The worker's clock may lag. */
const clockSlackMs = 60_000

/** Private key of the operator. Never an argument: other users of a machine can read those. */
function readOperatorKey(file: string | undefined): Uint8Array {
  let text: string | undefined
  try {
    text = file === undefined ? process.env[operatorKeyVariable] : readFileSync(file, 'utf8')
  } catch (cause) {
    throw new DeviceCommandError(`${file} cannot be read.`, {
      cause,
      field: '--key-file',
      remedy: 'Check the path and the permissions.',
    })
  }
  const key = text?.trim() ?? ''
  if (/^0x[\dA-Fa-f]{64}$/.test(key)) return fromHex(key, '--key-file', 32)
  throw new DeviceCommandError(
    key === '' ? 'The operator’s key is needed.' : 'That is no private key.',
    {
      field: '--key-file',
      remedy: `Put 0x and 64 hex digits into ${operatorKeyVariable}, or name a file that holds them.`,
    },
  )
}

function minutes(text: string): number {
  const value = Number(text) * 60_000
  const longestMs = longestCapabilityMs - clockSlackMs
  if (/^\d+$/.test(text) && value >= 60_000 && value <= longestMs) return value
  throw new InvalidArgumentError(`Give 1 to ${longestMs / 60_000} minutes.`)
}

function capabilityFor(
  stream: Hex,
  scope: CapabilityScope,
  subject: Hex,
  lastsMs: number,
  key: Uint8Array,
): string {
  const nowMs = Date.now()
  return writeCapability(
    { stream, scope, subject, notBeforeMs: nowMs - clockSlackMs, expiresAtMs: nowMs + lastsMs },
    key,
  )
}

type AllowOptions = {
  readonly stream: string
  readonly scope: CapabilityScope
  readonly subject?: string
  readonly to?: string
  readonly minutes: number
  readonly keyFile?: string
}

/** What a capability is bound to: a subject, the way between two, or nothing. */
function boundTo({ scope, subject, to }: AllowOptions): Hex {
  if (scope === 'transfer') {
    if (subject !== undefined && to !== undefined) {
      return transferRoute(subjectId(subject), subjectId(to))
    }
    if (subject === undefined && to === undefined) return zeroHash
    throw new DeviceCommandError('A transfer is bound to both subjects or to none.', {
      field: subject === undefined ? '--subject' : '--to',
      remedy: 'Give --subject for where devices leave and --to for where they go.',
    })
  }
  if (to !== undefined) {
    throw new DeviceCommandError('Only a transfer goes anywhere.', {
      field: '--to',
      remedy: 'Leave --to away, or ask for --scope transfer.',
    })
  }
  return subject === undefined ? zeroHash : subjectId(subject)
}

function allow(options: AllowOptions): void {
  const stream = options.stream.startsWith('0x')
    ? toHex(fromHex(options.stream, '--stream', 32))
    : streamId(options.stream)
  const subject = boundTo(options)
  const key = readOperatorKey(options.keyFile)
  process.stdout.write(`${capabilityFor(stream, options.scope, subject, options.minutes, key)}\n`)
}

type CallOptions = { readonly worker: string; readonly keyFile?: string; readonly json?: boolean }

async function transfer(
  device: Hex,
  options: CallOptions & { readonly to: string; readonly from?: number },
): Promise<void> {
  const key = readOperatorKey(options.keyFile)
  const client = openWorker(options.worker)
  const { stream } = await client.health()
  const { subject, tenures } = await client.device(device)
  // Where it leaves from: of a move that was made already, the place before.
  const stays = tenures ?? [{ subject, subjectName: '', fromMs: undefined }]
  const last = stays.at(-1)
  const isMade =
    stays.length > 1 &&
    last?.subjectName === options.to &&
    (options.from === undefined || last.fromMs === options.from)
  const leaves = stays.at(isMade ? -2 : -1)?.subject ?? subject
  const route = transferRoute(leaves, subjectId(options.to))
  const answer = await client.transferDevice(device, {
    subject: options.to,
    ...(options.from === undefined ? {} : { fromMs: options.from }),
    capability: capabilityFor(stream, 'transfer', route, capabilityMs, key),
  })
  const { fromMs, ...rest } = answer
  printFacts({ ...rest, since: formatInstant(fromMs) }, options.json)
}

async function retire(device: Hex, options: CallOptions): Promise<void> {
  const key = readOperatorKey(options.keyFile)
  const client = openWorker(options.worker)
  const { stream } = await client.health()
  const { subject, subjectName } = await client.device(device)
  await client.retireDevice(device, capabilityFor(stream, 'retire', subject, capabilityMs, key))
  printFacts({ device, subject: subjectName, retired: true }, options.json)
}

async function show(
  device: Hex,
  { worker, json }: { worker: string; json?: boolean },
): Promise<void> {
  const status = await openWorker(worker).device(device)
  if (json === true) {
    printFacts(status, true)
    return
  }
  const { calibrations = [], tenures = [], ...facts } = status
  printFacts(facts, false)
  const lines = [
    ...tenures.map(
      ({ subjectName, fromMs }) =>
        `stands at      ${subjectName}, ${fromMs === undefined ? 'from the beginning' : `from ${formatInstant(fromMs)}`}`,
    ),
    ...calibrations.map(
      ({ series, validFromMs, validUntilMs, laboratory, number, untilBatch }) =>
        `calibrated     ${series}, ${formatInstant(validFromMs)} to ${formatInstant(validUntilMs)}, ${
          laboratory === undefined ? 'as configured' : `${laboratory} ${number}`
        }${untilBatch === undefined ? '' : ` (no longer, from batch ${untilBatch})`}`,
    ),
  ]
  if (lines.length > 0) process.stdout.write(`${lines.map(printable).join('\n')}\n`)
}

/** Adds `plumbline device show`, `allow`, `transfer` and `retire`. */
export function registerDevice(program: Command): void {
  const device = program
    .command('device')
    .description('allow what an operator may: transfer or retire a device, close what is due')
    .addHelpText(
      'after',
      `\nThe operator's key comes from ${operatorKeyVariable} or --key-file. Exit codes: 0 done, 3 refused or failed.`,
    )
  const id = ['<device>', 'the device’s id, as 0x…', deviceOption] as const
  device
    .command('show')
    .description('say where a device stands and has stood, and what it is calibrated by')
    .argument(...id)
    .requiredOption('--worker <url>', 'the worker', workerOption)
    .option('--json', 'print as JSON')
    .action(show)
  device
    .command('allow')
    .description('sign a capability for somebody else, and print its token')
    .requiredOption('--stream <stream>', 'name of the stream, or its id as 0x…')
    .addOption(
      new Option('--scope <scope>', 'what is allowed')
        .choices(capabilityScopes)
        .makeOptionMandatory(),
    )
    .option('--subject <name>', 'for this subject only; of a transfer the one that is left')
    .option('--to <name>', 'of a transfer: the subject that is gone to')
    .option('--minutes <count>', 'how long it lasts', minutes, capabilityMs)
    .option('--key-file <file>', 'the operator’s private key, 0x and 64 hex digits')
    .action(allow)
  device
    .command('transfer')
    .description('move a device to another subject; what is closed stays as it is')
    .argument(...id)
    .requiredOption('--to <subject>', 'name of the subject that it goes to')
    .option(
      '--from <instant>',
      'readings from then on are the new subject’s; default: now',
      instantOption,
    )
    .requiredOption('--worker <url>', 'the worker', workerOption)
    .option('--key-file <file>', 'the operator’s private key, 0x and 64 hex digits')
    .option('--json', 'print as JSON')
    .action(transfer)
  device
    .command('retire')
    .description('take a device out of service for good; what it sent stays')
    .argument(...id)
    .requiredOption('--worker <url>', 'the worker', workerOption)
    .option('--key-file <file>', 'the operator’s private key, 0x and 64 hex digits')
    .option('--json', 'print as JSON')
    .action(retire)
}
