import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Hex } from '#schemas/bytes.ts'
import { type SettlementPlanFile, decodePlan } from '../plan/plan.ts'
import { bundleRelayer, placeBundle } from './bundle.ts'
import {
  type RunningRelayer,
  collectOutput,
  delay,
  end,
  exitOf,
  notStarted,
  openFolder,
  runningRelayer,
} from './engineProcess.ts'
import { readWranglerConfig, workerdConfig } from './workerdConfig.ts'

export type RelayerOptions = {
  readonly plan: SettlementPlanFile
  /** Private keys by chain id. They reach the engine by environment variable only. */
  readonly senderKeys?: Readonly<Record<number, Hex>>
  /** Other settings that name signers (`signerOfSettings.ts`), on the same way. */
  readonly signerSettings?: Readonly<Record<string, string>>
  /** Durable state; the same folder continues where a killed relayer stopped. */
  readonly dataFolder: string
  /** 0 picks a free one. */
  readonly port: number
  readonly operatorToken?: string
  /** Receives the engine's own output, line by line; it holds no secrets. */
  readonly onLog?: (line: string) => void
}

const startTimeoutMs = 20_000
const watchdogMs = 60_000
/** In the data folder. */
const bundleFolder = 'worker'
const repositoryRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

function workerdBinary(): string {
  const require = createRequire(import.meta.url)
  // The npm package's own launcher would need a second Node process; its binary needs none.
  const fromWorkerd = createRequire(require.resolve('workerd/package.json'))
  return fromWorkerd.resolve(`@cloudflare/workerd-${process.platform}-64/bin/workerd`)
}

/** How to start the engine: what a supervisor needs that spawns it by itself. */
export type RelayerCommand = {
  readonly command: string
  readonly args: readonly string[]
  readonly folder: string
  /** The whole environment. It holds the sender keys. */
  readonly environment: Readonly<Record<string, string>>
}

/** What an engine gets by environment: secrets, and nothing of this process's own. */
export function engineEnvironment(
  options: Pick<RelayerOptions, 'senderKeys' | 'signerSettings' | 'operatorToken'>,
): Record<string, string> {
  const environment: Record<string, string> = { ...options.signerSettings }
  for (const [chainId, key] of Object.entries(options.senderKeys ?? {})) {
    environment[`SENDER_KEY_${chainId}`] = key
  }
  if (options.operatorToken !== undefined) environment['OPERATOR_TOKEN'] = options.operatorToken
  return environment
}

/**
 * Writes what the engine reads (bundle, plan, configuration) into the data folder. Nothing is started.
 *
 * @throws {@link InvalidPlanError} | {@link RelayerBundleError}
 */
export async function prepareRelayer(options: RelayerOptions): Promise<RelayerCommand> {
  decodePlan(options.plan)
  const bundle = await bundleRelayer(repositoryRoot)
  const folder = openFolder(options.dataFolder, 'objects')
  placeBundle(bundle, join(folder, bundleFolder))
  writeFileSync(join(folder, 'plan.json'), JSON.stringify(options.plan), { mode: 0o600 })
  const environment = engineEnvironment(options)
  const configFile = join(folder, 'relayer.capnp')
  writeFileSync(
    configFile,
    workerdConfig({
      wrangler: readWranglerConfig(readFileSync(join(repositoryRoot, 'wrangler.toml'), 'utf8')),
      bundleFolder,
      moduleNames: bundle.modules.map(({ name }) => name),
      planFile: 'plan.json',
      storageFolder: join(folder, 'objects'),
      address: `127.0.0.1:${options.port}`,
      secretNames: Object.keys(environment),
    }),
  )
  return { command: workerdBinary(), args: ['serve', configFile], folder, environment }
}

/**
 * Starts the relayer in raw workerd, the engine that Cloudflare deploys on, from the same bundle and
 * the same wrangler.toml, with its Durable Objects on disk.
 *
 * @throws {@link InvalidPlanError} | {@link RelayerBundleError} | {@link RelayerStartError}
 */
export async function startRelayer(options: RelayerOptions): Promise<RunningRelayer> {
  const { command, args, folder, environment } = await prepareRelayer(options)
  const child = spawn(command, [...args, '--control-fd=3'], {
    cwd: folder,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  const exited = exitOf(child)
  const output = collectOutput(child, options.onLog)
  try {
    const port = await listeningPort(child, exited, output)
    const url = `http://127.0.0.1:${port}`
    // Woken by the very request that it is asked to answer first; should it fail, the watchdog wakes.
    await Promise.all([wakeAll(url), untilHealthy(url, exited, output)])
    watch(url, exited)
    return runningRelayer(url, child, exited, output)
  } catch (cause) {
    await end(child, exited, 'SIGKILL')
    throw cause
  }
}

async function wakeAll(url: string): Promise<void> {
  const signal = AbortSignal.timeout(watchdogMs)
  await fetch(`${url}/v1/wake`, { method: 'POST', signal }).catch(() => undefined)
}

/** What the cron trigger does on Cloudflare: whatever lost its alarm is looked at once a minute. */
function watch(url: string, exited: Promise<unknown>): void {
  const timer = setInterval(() => {
    void wakeAll(url)
  }, watchdogMs)
  timer.unref()
  void exited.then(() => {
    clearInterval(timer)
  })
}

/** workerd announces its sockets on the control pipe, one JSON object a line. */
async function listeningPort(
  child: ChildProcess,
  exited: Promise<unknown>,
  output: () => readonly string[],
): Promise<number> {
  const pipe = child.stdio[3]
  const announced = new Promise<number>((settle) => {
    let text = ''
    pipe?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      const port = /"event":"listen","socket":"http","port":(\d+)/.exec(text)?.[1]
      if (port !== undefined) settle(Number(port))
    })
  })
  const port = await Promise.race([
    announced,
    exited.then(() => 'ended' as const),
    delay(startTimeoutMs).then(() => 'late' as const),
  ])
  if (port === 'ended') throw notStarted('workerd ended before it was listening.', output)
  if (port === 'late') throw notStarted('workerd is not listening in time.', output)
  return port
}

async function untilHealthy(
  url: string,
  exited: Promise<unknown>,
  output: () => readonly string[],
): Promise<void> {
  const deadline = Date.now() + startTimeoutMs
  while (Date.now() < deadline) {
    try {
      const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2_000) })
      if (response.ok) return
    } catch {
      // Not yet.
    }
    const hasEnded = await Promise.race([exited.then(() => true), delay(20).then(() => false)])
    if (hasEnded) break
  }
  throw notStarted('The relayer does not answer.', output)
}
