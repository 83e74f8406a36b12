import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { writeMessage } from '#schemas/workerApi.ts'
import type { Deployment } from '#schemas/deployment.ts'
import { type SiteFile, buildExplorer } from '#tools/buildExplorer.ts'

export type ExplorerUpstreams = {
  readonly worker: string
  readonly relayer: string
  /** Node of each chain, by chain id. */
  readonly chains: ReadonlyMap<number, string>
}

export type ExplorerServer = {
  readonly url: string
  /** Tells the page more as more is known. */
  readonly describe: (deployment: Deployment, upstreams: ExplorerUpstreams) => void
  readonly close: () => Promise<void>
}

/**
 * Everything a page may do: run its own scripts and styles, and ask this origin. Inline anything,
 * frames, forms and other origins are refused by the browser itself.
 */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const pageHeaders = {
  'content-security-policy': contentSecurityPolicy,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
}

/** What a page reads from a chain; whatever writes, or steers a local node, is not passed on. */
const readMethods = new Set([
  'eth_blockNumber',
  'eth_chainId',
  'eth_getBlockByNumber',
  'eth_getLogs',
  'eth_getTransactionReceipt',
])
const maxRpcBytes = 64 * 1024
const upstreamTimeoutMs = 15_000

/**
 * Serves the explorer and passes its questions on, read-only, so that the page needs no origin but
 * its own.
 */
export async function startExplorerServer(port: number): Promise<ExplorerServer> {
  const site = await buildExplorer()
  let deployment: Deployment | undefined
  let upstreams: ExplorerUpstreams | undefined

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A page of elsewhere that had its name point here must not read what this machine serves.
    if (!/^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(request.headers.host ?? '')) {
      refuse(response, 421)
      return
    }
    const { pathname, search } = new URL(request.url ?? '/', 'http://localhost')
    const rpc = /^\/rpc\/(\d{1,9})$/.exec(pathname)
    if (rpc !== null) {
      const node = upstreams?.chains.get(Number(rpc[1]))
      if (node === undefined) refuse(response, 404)
      else await passRpc(node, request, response)
      return
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      refuse(response, 405)
      return
    }
    if (pathname === '/deployment.json') {
      if (deployment === undefined) refuse(response, 503)
      else send(response, { type: 'application/json', body: writeMessage(deployment) })
      return
    }
    const service = /^\/(worker|relayer)(\/.*)$/.exec(pathname)
    if (service !== null) {
      const base = service[1] === 'worker' ? upstreams?.worker : upstreams?.relayer
      if (base === undefined) refuse(response, 503)
      else await passOn(`${base}${service[2]}${search}`, { method: 'GET' }, response)
      return
    }
    const file = site.get(pathname === '/' ? '/index.html' : pathname)
    if (file === undefined) refuse(response, 404)
    else send(response, file)
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => {
      if (response.headersSent) response.destroy()
      else refuse(response, 502)
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const address = server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://127.0.0.1:${bound}`,
    describe(described, reached) {
      deployment = described
      upstreams = reached
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        server.closeAllConnections()
      }),
  }
}

function send(response: ServerResponse, { type, body }: SiteFile): void {
  response.writeHead(200, { ...pageHeaders, 'content-type': type })
  response.end(body)
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { ...pageHeaders, 'content-type': 'text/plain' })
  response.end()
}

async function passOn(url: string, init: RequestInit, response: ServerResponse): Promise<void> {
  const answered = await fetch(url, {
    ...init,
    redirect: 'error',
    signal: AbortSignal.timeout(upstreamTimeoutMs),
  })
  response.writeHead(answered.status, {
    ...pageHeaders,
    'content-type': answered.headers.get('content-type') ?? 'application/octet-stream',
  })
  if (answered.body === null) response.end()
  else await pipeline(Readable.fromWeb(answered.body), response)
}

async function passRpc(
  node: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'POST') {
    refuse(response, 405)
    return
  }
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > maxRpcBytes) {
      refuse(response, 413)
      return
    }
    chunks.push(chunk)
  }
  let method: unknown
  const body = Buffer.concat(chunks).toString()
  try {
    method = (JSON.parse(body) as { method?: unknown } | null)?.method
  } catch {
    refuse(response, 400)
    return
  }
  if (typeof method !== 'string' || !readMethods.has(method)) {
    refuse(response, 403)
    return
  }
  await passOn(
    node,
    { method: 'POST', headers: { 'content-type': 'application/json' }, body },
    response,
  )
}
