import { lstatSync, unlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createConnection } from 'node:net'
import { p256 } from '@noble/curves/p256'
import { developmentSeed } from '../tdx/keys.ts'
import type { Seed } from '../tdx/keys.ts'
import { answerCertificationRequest } from '../tdx/certificationService.ts'
import type { Platform } from '../tdx/platform.ts'
import { applicationOfLog, createApplication } from './application.ts'
import { fixtureAttester, mintingAttester, platformClock } from './attester.ts'
import type { Attester, PlatformSource } from './attester.ts'
import { AgentConfigurationError, AgentRequestError } from './errors.ts'
import type { Fixture } from './fixture.ts'
import { createAppKeys } from './keys.ts'
import type { AppKeys } from './keys.ts'
import { agentMethods, guestMethods } from './methods.ts'
import { honestAgent } from './negatives.ts'
import type { AgentDistortion } from './negatives.ts'
import type { AgentMethod, AgentState } from './methods.ts'
import { createCertificateAuthority } from './raTls.ts'
import { queryFields, RequestFields } from './requestFields.ts'

export type AgentMode = 'minted' | 'fixture' | 'patched'

export type GuestAgentOptions = {
  /** Mints the quotes of mode `minted`; the other modes do without. */
  readonly platform?: PlatformSource
  /** Content of `app-compose.json`, not its path. */
  readonly composeFile: string | Uint8Array
  /** Default `minted`. */
  readonly mode?: AgentMode
  /** The genuine quote of modes `fixture` and `patched`. */
  readonly fixture?: Fixture
  /** Listen on this unix socket; a stale file there is replaced, a live one is refused. */
  readonly socketPath?: string
  /** Listen on this port of 127.0.0.1; 0 picks a free one. Default 0 when there is no socket. */
  readonly port?: number
  /** Instance, application and KMS keys follow from it. Default: the development seed. */
  readonly seed?: Seed
  /** 20 bytes of hex; default the head of the compose hash. */
  readonly appId?: string
  /** Keys of a real key management service, in place of derived ones. */
  readonly appKeys?: AppKeys
  /** Quote version of mode `minted`. Default 4. */
  readonly quoteVersion?: 4 | 5
  /** Default true, as agents since 0.5.6 behave. */
  readonly stripsDigests?: boolean
  /** Reported by `Version`. Default 0.5.11. */
  readonly version?: string
  /** How the agent lies about the application; see `agentDistortion`. An honest one without it. */
  readonly distortion?: AgentDistortion
  /** Methods that answer HTTP 400, as an agent whose host has lost its quoting enclave does. */
  readonly failingMethods?: readonly string[]
  /** Unix seconds. Default: this machine's clock. */
  readonly clock?: () => number
}

export type GuestAgent = {
  /** What a dstack client takes as its endpoint: the socket's path, else the URL. */
  readonly endpoint: string
  readonly url: string | undefined
  readonly socketPath: string | undefined
  /** Compressed secp256k1 key that ends every signature chain; `undefined` with foreign keys. */
  readonly kmsRootPublicKey: Uint8Array | undefined
  readonly composeHash: Uint8Array
  readonly appId: Uint8Array
  /** What minted quotes carry as MRCONFIGID. */
  readonly mrConfigId: Uint8Array
  close(): Promise<void>
}

/** Larger than any honest request by far. */
const bodyLimitBytes = 1 << 20

/**
 * A dstack guest agent for a laptop: the wire protocol of `@phala/dstack-sdk` over HTTP on 127.0.0.1
 * and over a unix socket.
 *
 * @throws {@link AgentConfigurationError} when mode and material do not fit, or the socket is in use.
 */
export async function startGuestAgent(options: GuestAgentOptions): Promise<GuestAgent> {
  const { seed = developmentSeed, socketPath } = options
  const authority = createCertificateAuthority(seed)
  const distortion = options.distortion ?? honestAgent
  const honestApplication = createApplication({
    seed,
    composeFile: options.composeFile,
    keyProviderId: authority.kmsCaKey,
    ...(options.appId === undefined ? {} : { appId: options.appId }),
  })
  const application = distortion.application(
    options.fixture === undefined
      ? honestApplication
      : applicationOfLog(honestApplication, options.fixture.events),
  )
  const clock = options.clock ?? (() => Math.floor(Date.now() / 1000))
  const platform =
    options.platform === undefined ? undefined : platformClock(options.platform, clock)
  const derived = createAppKeys(seed, application.appId)
  const state: AgentState = {
    application,
    attester: createAttester(options, platform, application),
    keys: distortion.keys(options.appKeys ?? derived.keys, application.appId),
    distortion,
    authority,
    stripsDigests: options.stripsDigests ?? true,
    version: options.version ?? '0.5.11',
    vmConfig: options.fixture?.vmConfig || application.vmConfig,
    clock,
    createTlsSecret: () => p256.utils.randomPrivateKey(),
  }
  const isMinting = (options.mode ?? 'minted') === 'minted'
  const service: Service = {
    state,
    // Only minted quotes have collateral of ours.
    platform: isMinting ? platform : undefined,
    failing: new Set((options.failingMethods ?? []).map((name) => `/${name.replace(/^\//, '')}`)),
  }
  const unknown = [...service.failing].find((path) => findMethod(path) === undefined)
  if (unknown !== undefined) {
    throw new AgentConfigurationError(`There is no method ${unknown} that could fail.`, {
      field: 'failingMethods',
      remedy: `Name one of ${Object.keys(guestMethods).join(', ')}.`,
    })
  }
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    void answer(service, request, response)
  }

  const port = options.port ?? (socketPath === undefined ? 0 : undefined)
  const servers: Server[] = []
  let url: string | undefined
  const closeAll = async () => {
    await Promise.all(servers.map(close))
  }
  try {
    if (port !== undefined) {
      const server = createServer(listener)
      await listen(server, { host: '127.0.0.1', port })
      servers.push(server)
      const address = server.address()
      if (address !== null && typeof address === 'object') url = `http://127.0.0.1:${address.port}`
    }
    if (socketPath !== undefined) {
      await removeStaleSocket(socketPath)
      const server = createServer(listener)
      await listen(server, { path: socketPath })
      servers.push(server)
    }
  } catch (error) {
    await closeAll()
    throw error
  }
  return {
    endpoint: socketPath ?? url ?? '',
    url,
    socketPath,
    kmsRootPublicKey: options.appKeys === undefined ? derived.rootPublicKey : undefined,
    composeHash: application.composeHash,
    appId: application.appId,
    mrConfigId: application.mrConfigId,
    close: closeAll,
  }
}

function findMethod(path: string): AgentMethod | undefined {
  return Object.hasOwn(agentMethods, path) ? agentMethods[path] : undefined
}

type Service = {
  readonly state: AgentState
  readonly platform: (() => Platform) | undefined
  readonly failing: ReadonlySet<string>
}

function createAttester(
  { mode = 'minted', fixture, quoteVersion = 4 }: GuestAgentOptions,
  platform: (() => Platform) | undefined,
  application: ReturnType<typeof createApplication>,
): Attester {
  if (mode === 'minted') {
    if (platform === undefined) {
      throw new AgentConfigurationError('Mode minted needs a platform.', {
        field: 'platform',
        remedy: 'Pass createPlatform({ now }).',
      })
    }
    return mintingAttester({ platform, application, version: quoteVersion })
  }
  if (fixture === undefined) {
    throw new AgentConfigurationError(`Mode ${mode} needs a fixture.`, {
      field: 'fixture',
      remedy: 'Name a file with a genuine TDX quote.',
    })
  }
  return fixtureAttester(fixture, mode)
}

async function answer(service: Service, request: IncomingMessage, response: ServerResponse) {
  const { state, platform, failing } = service
  try {
    expectThisMachine(request)
    const url = new URL(request.url ?? '/', 'http://localhost')
    const certification =
      platform === undefined || request.method !== 'GET'
        ? undefined
        : answerCertificationRequest(platform(), url, state.clock())
    if (certification !== undefined) {
      response.writeHead(certification.status, certification.headers)
      response.end(certification.body)
      return
    }
    const method = findMethod(url.pathname)
    if (method === undefined) {
      reply(response, 404, { error: `Service not found: ${url.pathname.slice(1)}` })
      return
    }
    const fields =
      request.method === 'GET' ? queryFields(url.searchParams) : await bodyFields(request)
    if (failing.has(url.pathname)) {
      throw new AgentRequestError('Failed to get quote: the quoting enclave is not available')
    }
    reply(response, 200, method(state, fields))
  } catch (error) {
    const isRequestError = error instanceof AgentRequestError
    reply(response, isRequestError ? 400 : 500, {
      error: isRequestError ? error.shortMessage : `Internal error: ${String(error)}`,
    })
  }
}

/** A web page may name any host that resolves to this machine; only our own names are answered. */
function expectThisMachine({ headers }: IncomingMessage): void {
  const host = (headers.host ?? 'localhost').replace(/:\d+$/, '')
  if (['localhost', '127.0.0.1', '[::1]'].includes(host)) return
  throw new AgentRequestError(`${host} is not a name of this machine`, {
    remedy: 'Address the agent as 127.0.0.1 or localhost.',
  })
}

async function bodyFields(request: IncomingMessage): Promise<RequestFields> {
  if (request.method !== 'POST') throw new AgentRequestError('Use POST with a JSON body, or GET')
  if (/protobuf|octet-stream/.test(request.headers['content-type'] ?? '')) {
    throw new AgentRequestError('Protobuf bodies are not served here; send JSON')
  }
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length > bodyLimitBytes) throw new AgentRequestError('Request body is too large')
    chunks.push(chunk)
  }
  if (length === 0) return new RequestFields({})
  let parsed: unknown
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)))
  } catch (cause) {
    throw new AgentRequestError('Failed to parse the request body as JSON', { cause })
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new AgentRequestError('The request body must be a JSON object')
  }
  return new RequestFields(parsed as Record<string, unknown>)
}

function reply(response: ServerResponse, status: number, body: Record<string, unknown>): void {
  // ASCII only: over a unix socket the SDK counts UTF-16 units against Content-Length and would
  // wait for bytes that never come.
  const text = JSON.stringify(body).replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': text.length,
  })
  response.end(text)
}

function listen(server: Server, where: { host: string; port: number } | { path: string }) {
  return new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => {
      if (error === undefined) resolve()
      else reject(error)
    })
    server.closeAllConnections()
  })
}

/** A socket file that nobody answers on is left over from a killed process. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket()) {
    throw new AgentConfigurationError(`${path} is a file of another kind.`, {
      field: 'socketPath',
      remedy: 'Choose a path that is free: only a socket that was left behind is replaced.',
    })
  }
  const isAlive = await new Promise<boolean>((resolve) => {
    const probe = createConnection({ path })
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => {
      resolve(false)
    })
  })
  if (isAlive) {
    throw new AgentConfigurationError(`Another process serves ${path}.`, {
      field: 'socketPath',
      remedy: 'Stop it, or choose another path.',
    })
  }
  unlinkSync(path)
}
