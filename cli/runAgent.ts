import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fromHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { developmentCompose } from '#localnet/agent/developmentCompose.ts'
import { readFixture } from '#localnet/agent/fixture.ts'
import type { AppKeys } from '#localnet/agent/keys.ts'
import type { AgentDistortion } from '#localnet/agent/negatives.ts'
import { startGuestAgent } from '#localnet/agent/server.ts'
import type { GuestAgent } from '#localnet/agent/server.ts'
import { developmentSeed } from '#localnet/tdx/keys.ts'
import type { Seed } from '#localnet/tdx/keys.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import type { Platform } from '#localnet/tdx/platform.ts'
import { localImage } from '#localnet/tdx/strictPolicy.ts'
import { defaultAgentPort } from './agent.ts'
import type { AgentOptions, NegativesOptions } from './agent.ts'

/** Raised when options of `plumbline agent` contradict each other or name nothing that exists. */
export class AgentOptionError extends BaseError {
  override readonly name = 'AgentOptionError'
}

/** `plumbline agent`: serves until it is told to stop. */
export async function runAgent(options: AgentOptions): Promise<void> {
  const seed: Seed = options.randomSeed ? randomBytes(32) : (options.seed ?? developmentSeed)
  const { source, distortion } = await chooseSource(options, seed)
  const agent = await startGuestAgent({
    platform: source,
    composeFile: options.compose === undefined ? developmentCompose : await read(options.compose),
    mode: options.mode,
    seed,
    quoteVersion: options.quoteVersion === '5' ? 5 : 4,
    stripsDigests: options.keepDigests !== true,
    failingMethods: options.fail ?? [],
    ...(distortion === undefined ? {} : { distortion }),
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

type Source = {
  readonly source: (now: number) => Platform
  readonly distortion?: AgentDistortion
}

async function chooseSource(options: AgentOptions, seed: Seed): Promise<Source> {
  const { negative, tcbStatus, mode } = options
  // An honest platform ages by its collateral alone, which is dated with every request.
  const honest = createPlatform({ seed, tcbStatus, now: wallClock() })
  if (negative === undefined) return { source: () => honest }
  if (mode !== 'minted') {
    throw new AgentOptionError('A genuine quote does not lie: --negative needs mode minted.', {
      field: '--negative',
    })
  }
  const [platforms, agents] = await loadNegatives()
  if (isNameIn(agents.agentNegatives, negative)) {
    return { source: () => honest, distortion: agents.agentDistortion(negative) }
  }
  if (isNameIn(platforms.negatives, negative)) {
    const options = { seed, tcbStatus }
    return { source: (now) => platforms.createNegativePlatform(negative, { ...options, now }) }
  }
  throw new AgentOptionError(`There is no negative case ${negative}.`, {
    field: '--negative',
    remedy: 'See `plumbline agent negatives`.',
  })
}

/** Two hundred and more cases, loaded only by who asks for one. */
function loadNegatives() {
  return Promise.all([import('#localnet/tdx/negatives.ts'), import('#localnet/agent/negatives.ts')])
}

function portOption({ port, socket }: AgentOptions): { port?: number } {
  if (port === undefined) return socket === undefined ? { port: defaultAgentPort } : {}
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

/** `plumbline agent negatives`. */
export async function writeNegatives({
  out,
  at,
  seed = developmentSeed,
}: NegativesOptions): Promise<void> {
  if (out === undefined) {
    const [platforms, agents] = await loadNegatives()
    const all = Object.entries({ ...platforms.negatives, ...agents.agentNegatives })
    const width = Math.max(...all.map(([name]) => name.length))
    for (const [name, { rule, description }] of all) {
      console.log(`${name.padEnd(width)}  ${rule}: ${description}`)
    }
    return
  }
  const now = at === undefined ? wallClock() : Math.floor(Date.parse(at) / 1000)
  if (Number.isNaN(now)) {
    throw new AgentOptionError(`${at} is no instant.`, {
      field: '--at',
      remedy: 'Write ISO 8601 with a zone: 2026-09-01T12:00:00Z.',
    })
  }
  const { mintNegativesFile } = await import('#localnet/tdx/negativesFile.ts')
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
  let parsed: Record<string, unknown>
  try {
    parsed = JSON.parse(new TextDecoder().decode(await read(path))) as Record<string, unknown>
  } catch (cause) {
    throw new AgentOptionError(`${path} is not JSON.`, { field: '--app-keys', cause })
  }
  const field = (name: string, length: number) => {
    const value = parsed[name]
    if (typeof value !== 'string') {
      throw new AgentOptionError(`${path} has no ${name}.`, { field: name })
    }
    return fromHex(value, name, length)
  }
  return { k256Key: field('k256_key', 32), k256Signature: field('k256_signature', 65) }
}

function isNameIn<Cases extends object>(cases: Cases, name: PropertyKey): name is keyof Cases {
  return Object.hasOwn(cases, name)
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
