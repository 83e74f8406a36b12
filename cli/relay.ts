import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { createHttpWorkerSource } from '#relayer/feed/httpWorkerSource.ts'
import { dryRunPlan } from '#relayer/plan/dryRun.ts'
import { type SettlementPlanFile, decodePlanText } from '#relayer/plan/plan.ts'
import type { RelayerStatus } from '#relayer/runtime/status.ts'
import { isSignerSetting, signerOfSettings } from '#relayer/signers/signerOfSettings.ts'
import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { printable } from './printable.ts'

/** Exit codes of `plumbline relay`, apart from 0: something needs a person; it could not be asked. */
export const relayExitCodes = { trouble: 1, error: 3 } as const

/** Raised when the relayer does not answer, or refuses the call. */
export class RelayerCallError extends BaseError {
  override readonly name = 'RelayerCallError'
}

const tokenVariable = 'PLUMBLINE_OPERATOR_TOKEN'
const defaultUrl = 'http://127.0.0.1:8787'
const timeoutMs = 15_000

const platformFetch = (url: string, init: RequestInit): Promise<Response> => fetch(url, init)

function readText(file: string, field: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (cause) {
    throw new RelayerCallError(`${file} cannot be read.`, {
      cause,
      field,
      remedy: 'Check the path and the permissions.',
    })
  }
}

async function call(url: string, path: string, init: RequestInit): Promise<unknown> {
  let response: Response
  try {
    response = await fetch(new URL(path, url), { ...init, signal: AbortSignal.timeout(timeoutMs) })
  } catch (cause) {
    throw new RelayerCallError(`The relayer at ${url} cannot be reached.`, {
      cause,
      field: '--url',
      remedy: 'Check the address and whether the relayer runs.',
    })
  }
  const body = (await response.json().catch(() => undefined)) as
    | { readonly error?: { readonly message?: string; readonly remedy?: string } }
    | undefined
  if (response.ok) return body
  throw new RelayerCallError(
    body?.error?.message ?? `The relayer answered HTTP ${response.status}.`,
    {
      remedy: body?.error?.remedy,
    },
  )
}

function operatorToken(file: string | undefined): string {
  const token = file === undefined ? process.env[tokenVariable] : readText(file, '--token-file')
  if (token !== undefined && token.trim() !== '') return token.trim()
  throw new RelayerCallError('Operator calls need a token.', {
    field: '--token-file',
    remedy: `Put it into the environment as ${tokenVariable}, or name a file that holds it.`,
  })
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.map(printable).join('\n')}\n`)
}

function wholeNumber(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError('It must be a whole number above zero.')
  }
  return value
}

/** What an operator reads at three in the morning: trouble first, each with what to do. */
export function describeStatus(status: RelayerStatus): {
  readonly lines: readonly string[]
  readonly hasTrouble: boolean
} {
  const troubles: string[] = []
  const trouble = (what: string, reason: string, remedy: string | undefined): void => {
    troubles.push(`! ${what}: ${reason.split('\n')[0] ?? ''}`)
    if (remedy !== undefined) troubles.push(`  ${remedy}`)
  }
  const { feeds, lanes } = status
  for (const { problem, remedy, workerHost } of feeds) {
    if (problem !== undefined) trouble(`feed from ${workerHost}`, problem, remedy)
  }
  for (const lane of lanes) {
    if (lane.hold !== undefined) trouble(lane.chainName, lane.hold.reason, lane.hold.remedy)
    for (const job of lane.jobs) {
      if (job.stage === 'quarantined') trouble(job.id, job.reason ?? '', job.remedy)
    }
  }
  const rows = lanes.map((lane) => {
    const { counts } = lane
    const waiting = counts.queued + counts.simulated
    return `${lane.chainName} (${lane.chainId}) ${lane.mode}${lane.isDrained ? ', drained' : ''}: ${waiting} waiting, ${lane.inFlight} in flight, ${counts.included} included, ${counts.final} final, ${counts.quarantined} quarantined`
  })
  return {
    lines: [
      ...troubles,
      ...feeds.map(
        (feed) => `feed: batch ${feed.sequence} of ${feed.workerHead} from ${feed.workerHost}`,
      ),
      ...rows,
    ],
    hasTrouble: troubles.length > 0,
  }
}

async function status({ url, json = false }: { url: string; json?: boolean }): Promise<void> {
  const answer = (await call(url, '/v1/status', { method: 'GET' })) as RelayerStatus
  const { lines, hasTrouble } = describeStatus(answer)
  if (json) process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`)
  else print(lines)
  if (hasTrouble) process.exitCode = relayExitCodes.trouble
}

async function plan(
  file: string,
  { json = false, sender }: { json?: boolean; sender?: string },
): Promise<void> {
  const decoded = decodePlanText(readText(file, 'plan'))
  const forecast = await dryRunPlan({
    plan: decoded,
    sourceOf: ({ worker }) => createHttpWorkerSource(worker, platformFetch),
    fetch: platformFetch,
    now: Date.now,
    senderOf: () => sender?.toLowerCase() as Hex | undefined,
  })
  const isRefused = forecast.chains.some(({ jobs }) =>
    jobs.some(({ outcome }) => outcome === 'refused' || outcome === 'hopeless'),
  )
  if (isRefused) process.exitCode = relayExitCodes.trouble
  if (json) {
    const text = JSON.stringify(
      forecast,
      (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
      2,
    )
    process.stdout.write(`${text}\n`)
    return
  }
  const lines = [`${forecast.batches} batches, ${forecast.reports} reports; nothing is sent.`]
  for (const chain of forecast.chains) {
    const done = chain.jobs.filter(({ outcome }) => outcome === 'done').length
    lines.push(
      `chain ${chain.chainId}: ${done} done, ${chain.jobs.length - done} to do, ${chain.gas} gas, ${chain.costWei} wei at a base fee of ${chain.baseFeePerGasWei} wei`,
    )
    for (const job of chain.jobs) {
      if (job.outcome === 'done') continue
      const note = job.isNominal ? ' (nominal)' : job.sharedBy ? ` (of ${job.sharedBy} in one)` : ''
      const gas = job.gas === undefined ? '' : ` ${job.gas} gas${note}`
      const reason = job.reason === undefined ? '' : `: ${job.reason}`
      lines.push(`  ${job.outcome} ${job.label}${gas}${reason}`)
    }
    for (const label of chain.unmatched) lines.push(`  no report yet for ${label}`)
    if (chain.balanceWei !== undefined && chain.balanceWei < chain.costWei) {
      lines.push(`  ! the sender holds only ${chain.balanceWei} wei`)
      process.exitCode = relayExitCodes.trouble
    }
  }
  print(lines)
}

type OperationOptions = {
  url: string
  tokenFile?: string
  chain?: number
  job?: string
  note?: string
}

async function operate(action: string, options: OperationOptions): Promise<void> {
  const answer = (await call(options.url, '/v1/operate', {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${operatorToken(options.tokenFile)}`,
    },
    body: JSON.stringify({
      action,
      chainId: options.chain,
      jobId: options.job,
      note: options.note,
    }),
  })) as {
    readonly results: readonly {
      readonly chainId: number
      readonly isDone: boolean
      readonly reason?: string
    }[]
  }
  print(
    answer.results.map(({ chainId, isDone, reason }) =>
      isDone ? `chain ${chainId}: ${action} done` : `chain ${chainId}: not done: ${reason ?? ''}`,
    ),
  )
  if (answer.results.some(({ isDone }) => !isDone)) process.exitCode = relayExitCodes.trouble
}

type RunOptions = { plan: string; data: string; port: number; engine: 'workerd' | 'node' }

async function run({ plan: file, data, port, engine }: RunOptions): Promise<void> {
  const text = readText(file, '--plan')
  const decoded = decodePlanText(text)
  const token = process.env['OPERATOR_TOKEN']
  const operatorToken = token === undefined || token === '' ? {} : { operatorToken: token }
  const settings = Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      isSignerSetting(name) && value !== undefined && value !== '' ? [[name, value]] : [],
    ),
  )
  // Made here too: what is missing or wrong is said before anything starts.
  for (const { chainId } of decoded.chains) {
    signerOfSettings(chainId, (name) => settings[name], { fetch: platformFetch, now: Date.now })
  }
  const onStop = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        resolve()
      })
    }
  })
  const start =
    engine === 'node'
      ? (await import('#relayer/local/startNodeProcess.ts')).startNodeProcess
      : (await import('#relayer/local/startRelayer.ts')).startRelayer
  const relayer = await start({
    plan: JSON.parse(text) as SettlementPlanFile,
    signerSettings: settings,
    dataFolder: data,
    port,
    ...operatorToken,
    onLog: (line) => process.stderr.write(`${printable(line)}\n`),
  })
  print([`relayer on ${relayer.url} (${engine} ${relayer.pid}), state in ${data}`])
  const code = await Promise.race([onStop, relayer.exited])
  if (code !== undefined) {
    throw new RelayerCallError(`${engine} ended by itself with code ${code}.`, {
      remedy: 'Start it again on the same data folder; nothing is lost.',
    })
  }
  await relayer.stop()
}

/** Adds `plumbline relay …` to the program. */
export function registerRelay(program: Command): void {
  const relay = program.command('relay').description('see and steer a relayer')

  relay
    .command('run')
    .description(
      'run a relayer here until it is interrupted; keys or signers come from the environment',
    )
    .requiredOption('--plan <file>', 'settlement plan')
    .requiredOption('--data <folder>', 'durable state; the same folder continues')
    .option('--port <port>', 'port on 127.0.0.1', wholeNumber, 8787)
    .addOption(
      new Option('--engine <engine>', 'workerd, as on Cloudflare, or plain Node')
        .choices(['workerd', 'node'])
        .default('workerd'),
    )
    .action(run)

  relay
    .command('status')
    .description('what is under way, what is stuck and why; exits 1 when a person is needed')
    .option('--url <url>', 'address of the relayer', defaultUrl)
    .option('--json', 'print the whole status as JSON')
    .action(status)

  relay
    .command('plan')
    .description('check a settlement plan and forecast what it would send and cost; sends nothing')
    .argument('<file>', 'settlement plan, or - for standard input')
    .option('--sender <address>', 'paying address, to simulate from it and compare its balance')
    .option('--json', 'print the forecast as JSON')
    .action(plan)

  for (const [action, description] of [
    ['pause', 'sign nothing new; what is in flight is still watched'],
    ['resume', 'carry on'],
    ['drain', 'take nothing new from the queue, bring what is in flight to its end'],
  ] as const) {
    relay
      .command(action)
      .description(description)
      .option('--url <url>', 'address of the relayer', defaultUrl)
      .option('--chain <id>', 'one chain only; default all', wholeNumber)
      .option('--token-file <file>', `file with the operator token; else ${tokenVariable}`)
      .action((options: OperationOptions) => operate(action, options))
  }

  for (const [action, description] of [
    ['retry', 'release a job that was put aside, or try it again at once'],
    ['quarantine', 'put a queued job aside'],
  ] as const) {
    const command = relay
      .command(action)
      .description(description)
      .option('--url <url>', 'address of the relayer', defaultUrl)
      .requiredOption('--chain <id>', 'chain of the job', wholeNumber)
      .requiredOption('--job <id>', 'the job, as `relay status` names it')
      .option('--token-file <file>', `file with the operator token; else ${tokenVariable}`)
    if (action === 'quarantine') command.option('--note <text>', 'why')
    command.action((options: OperationOptions) => operate(action, options))
  }
}
