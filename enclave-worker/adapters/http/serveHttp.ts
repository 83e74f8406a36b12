import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import { BaseError } from '#schemas/errors.ts'
import type { WorkerConfig } from '../../config.ts'

/** Raised when the address cannot be listened on. */
export class PortTakenError extends BaseError {
  override readonly name = 'PortTakenError'
}

export type HttpServer = {
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

const maxHeaderBytes = 16 * 1024
const maxHeaders = 100
const keepAliveTimeoutMs = 30_000

/** Serves the app with bounds on connections, headers and how slowly a request may arrive. */
export async function serveHttp(
  app: Hono,
  { host, port }: WorkerConfig['listen'],
  limits: Pick<WorkerConfig['limits'], 'maxConnections' | 'requestTimeoutMs' | 'headersTimeoutMs'>,
): Promise<HttpServer> {
  const listener = getRequestListener(app.fetch)
  const server = createServer(
    {
      maxHeaderSize: maxHeaderBytes,
      requestTimeout: limits.requestTimeoutMs,
      headersTimeout: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs),
      keepAliveTimeout: keepAliveTimeoutMs,
      connectionsCheckingInterval: 1000,
    },
    (request, response) => {
      void listener(request, response)
    },
  )
  server.maxConnections = limits.maxConnections
  server.maxHeadersCount = maxHeaders
  const listening = Promise.withResolvers<void>()
  server.once('error', listening.reject)
  server.listen(port, host, listening.resolve)
  try {
    await listening.promise
  } catch (cause) {
    throw new PortTakenError(`Port ${port} of ${host} cannot be listened on.`, {
      field: 'listen.port',
      remedy: 'Stop what listens there, or configure another port.',
      cause,
    })
  }
  const address = server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    port: bound,
    async close() {
      const closed = Promise.withResolvers<void>()
      server.close(() => {
        closed.resolve()
      })
      // Again and again: a connection is idle only once its last answer has left.
      const sweep = setInterval(() => {
        server.closeIdleConnections()
      }, 20)
      server.closeIdleConnections()
      // Requests under way get a moment to end; whoever holds on longer is cut off.
      const cut = setTimeout(() => {
        server.closeAllConnections()
      }, 2000)
      await closed.promise
      clearInterval(sweep)
      clearTimeout(cut)
    },
  }
}
