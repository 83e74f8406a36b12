import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Option } from 'commander'
import type { Command } from 'commander'
import { fromHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { developmentCompose } from '#localnet/agent/developmentCompose.ts'
import { agentDistortion, agentNegatives } from '#localnet/agent/negatives.ts'
import type { AgentNegativeName } from '#localnet/agent/negatives.ts'
import { readFixture } from '#localnet/agent/fixture.ts'
import type { AppKeys } from '#localnet/agent/keys.ts'
import { startGuestAgent } from '#localnet/agent/server.ts'
import type { AgentMode, GuestAgent } from '#localnet/agent/server.ts'
import { tcbStatuses } from '#localnet/tdx/documents.ts'
import type { TcbStatus } from '#localnet/tdx/documents.ts'
import { developmentSeed } from '#localnet/tdx/keys.ts'
import type { Seed } from '#localnet/tdx/keys.ts'
import { createNegativePlatform, negatives } from '#localnet/tdx/negatives.ts'
import type { NegativeName } from '#localnet/tdx/negatives.ts'
import { mintNegativesFile } from '#localnet/tdx/negativesFile.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import type { Platform } from '#localnet/tdx/platform.ts'
import { localImage } from '#localnet/tdx/strictPolicy.ts'

/** Raised when options of `plumbline agent` contradict each other or name nothing that exists. */
export class AgentOptionError extends BaseError {
  override readonly name = 'AgentOptionError'
}

type AgentOptions = {
  compose?: string
  mode: AgentMode
  fixture?: string
  socket?: string
  port?: string
  seed?: string
  randomSeed?: true
  appId?: string
  appKeys?: string
  negative?: string
  tcbStatus: TcbStatus
  quoteVersion: '4' | '5'
  keepDigests?: true
  fail?: string[]
  writePlatform?: string
}

const defaultPort = 8070

/** Adds `plumbline agent`: a dstack guest agent for a laptop. */
export function registerAgent(program: Command): void {
  const agent = program
    .command('agent')
    .description('Run a dstack guest agent on this machine, with a TDX platform of its own')
    .option('--compose <file>', 'app-compose.json to measure; a small built-in one by default')
    .addOption(
      new Option('--mode <mode>', 'where quotes come from')
        .choices(['minted', 'fixture', 'patched'])
        .default('minted'),
    )
    .option('--fixture <file>', 'genuine quote for the modes fixture and patched')
    .option('--socket <path>', 'listen on a unix socket')
    .option('--port <number>', `listen on 127.0.0.1 (default ${defaultPort} without a socket)`)
    .option('--seed <text>', 'same seed, same platform and keys (default: the development seed)')
    .option('--random-seed', 'a platform that nobody else has')
    .option('--app-id <hex>', '20 bytes; the head of the compose hash by default')
    .option('--app-keys <file>', 'appkeys.json of a real key management service')
    .option('--negative <name>', 'lie in one way; see `agent negatives`')
    .addOption(
      new Option('--tcb-status <status>', "how the platform's collateral judges it")
        .choices(tcbStatuses)
        .default('UpToDate'),
    )
    .addOption(
      new Option('--quote-version <number>', 'version of minted quotes')
        .choices(['4', '5'])
        .default('4'),
    )
    .option('--keep-digests', 'keep RTMR3 digests in event logs, as agents before 0.5.6 did')
    .option('--fail <method...>', 'methods that answer HTTP 400')
    .option('--write-platform <folder>', 'write root certificate, collateral and image there')
    .action(async (options: AgentOptions) => {
      await runAgent(options)
    })
  agent
    .command('negatives')
    .description('List the ways in which the platform can lie, or mint them all into one file')
    .option('--out <file>', 'write evidence of every case as JSON')
    .option('--at <instant>', 'instant of the evidence, ISO 8601 (default: now)')
    .option('--seed <text>', 'seed of the platform')
    .action(async (options: { out?: string; at?: string; seed?: string }) => {
      await writeNegatives(options)
    })
}

async function runAgent(options: AgentOptions): Promise<void> {
  const seed: Seed = options.randomSeed ? randomBytes(32) : (options.seed ?? developmentSeed)
  const source = platformSource(options, seed)
  const agent = await startGuestAgent({
    platform: source,
    composeFile: options.compose === undefined ? developmentCompose : await read(options.compose),
    mode: options.mode,
    seed,
    quoteVersion: options.quoteVersion === '5' ? 5 : 4,
    stripsDigests: options.keepDigests !== true,
    failingMethods: options.fail ?? [],
    ...distortionOption(options),
    ...(options.fixture === undefined ? {} : { fixture: readFixture(await read(options.fixture)) }),
    ...(options.socket === undefined ? {} : { socketPath: options.socket }),
    ...portOption(options),
    ...(options.appId === undefined ? {} : { appId: options.appId }),
    ...(options.appKeys === undefined ? {} : { appKeys: await readAppKeys(options.appKeys) }),
  })
  const platform = source(wallClock())
  if (options.writePlatform !== undefined)
    await writePlatform(options.writePlatform, platform, agent)
  announce(options, agent)
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve)
  })
  await agent.close()
}

function platformSource(options: AgentOptions, seed: Seed): (now: number) => Platform {
  const { negative, tcbStatus, mode } = options
  if (negative === undefined || isAgentNegative(negative)) {
    // An honest platform ages by its collateral alone, which is dated with every request.
    const platform = createPlatform({ seed, tcbStatus, now: wallClock() })
    return () => platform
  }
  if (!isNegativeName(negative)) {
    throw new AgentOptionError(`There is no negative case ${negative}.`, {
      field: '--negative',
      remedy: 'See `plumbline agent negatives`.',
    })
  }
  if (mode !== 'minted') {
    throw new AgentOptionError(`A genuine quote does not lie: --negative needs mode minted.`, {
      field: '--negative',
    })
  }
  return (now) => createNegativePlatform(negative, { seed, tcbStatus, now })
}

function distortionOption({ negative }: AgentOptions) {
  return negative !== undefined && isAgentNegative(negative)
    ? { distortion: agentDistortion(negative) }
    : {}
}

function portOption({ port, socket }: AgentOptions): { port?: number } {
  if (port === undefined) return socket === undefined ? { port: defaultPort } : {}
  const number = Number(port)
  if (!/^\d{1,5}$/.test(port) || number > 65_535) {
    throw new AgentOptionError(`${port} is no port.`, {
      field: '--port',
      remedy: 'Name a number from 0 to 65535; 0 picks a free one.',
    })
  }
  return { port: number }
}

function announce(options: AgentOptions, agent: GuestAgent): void {
  const lines = [
    `dstack guest agent, mode ${options.mode}${options.negative === undefined ? '' : `, lying: ${options.negative}`}`,
    ...(agent.url === undefined ? [] : [`  http    ${agent.url}`]),
    ...(agent.socketPath === undefined ? [] : [`  socket  ${agent.socketPath}`]),
    `  app id  ${hex(agent.appId)}`,
    `  compose ${hex(agent.composeHash)}`,
    ...(agent.kmsRootPublicKey === undefined ? [] : [`  kms     ${hex(agent.kmsRootPublicKey)}`]),
    `DSTACK_SIMULATOR_ENDPOINT=${agent.endpoint}`,
  ]
  console.log(lines.join('\n'))
}

async function writePlatform(
  folder: string,
  platform: Platform,
  { mrConfigId }: GuestAgent,
): Promise<void> {
  await mkdir(folder, { recursive: true })
  await Promise.all([
    writeFile(join(folder, 'root.pem'), platform.rootCertificatePem),
    writeFile(join(folder, 'root.der'), platform.rootCertificateDer),
    writeFile(join(folder, 'collateral.json'), json(platform.collateral())),
    writeFile(join(folder, 'image.json'), json(localImage(platform, { mrConfigId }))),
  ])
}

async function writeNegatives({
  out,
  at,
  seed = developmentSeed,
}: {
  out?: string
  at?: string
  seed?: string
}): Promise<void> {
  if (out === undefined) {
    const all = Object.entries({ ...negatives, ...agentNegatives })
    const width = Math.max(...all.map(([name]) => name.length))
    for (const [name, { rule, description }] of all) {
      console.log(`${name.padEnd(width)}  ${rule}: ${description}`)
    }
    return
  }
  const now = at === undefined ? wallClock() : Math.floor(Date.parse(at) / 1000)
  const file = mintNegativesFile({ now, seed })
  await writeFile(out, json(file))
  console.log(`${file.negatives.length} negative cases as of ${now} in ${out}`)
}

async function read(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw new AgentOptionError(`${path} cannot be read.`, { cause })
  }
}

async function readAppKeys(path: string): Promise<AppKeys> {
  const parsed = JSON.parse(new TextDecoder().decode(await read(path))) as Record<string, unknown>
  const field = (name: string, length: number) => {
    const value = parsed[name]
    if (typeof value !== 'string') {
      throw new AgentOptionError(`${path} has no ${name}.`, { field: name })
    }
    return fromHex(value, name, length)
  }
  return { k256Key: field('k256_key', 32), k256Signature: field('k256_signature', 65) }
}

function isNegativeName(name: string): name is NegativeName {
  return Object.hasOwn(negatives, name)
}

function isAgentNegative(name: string): name is AgentNegativeName {
  return Object.hasOwn(agentNegatives, name)
}

function wallClock(): number {
  return Math.floor(Date.now() / 1000)
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
