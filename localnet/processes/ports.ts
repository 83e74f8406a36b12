import { createServer } from 'node:net'
import { BaseError } from '#schemas/errors.ts'

/** Raised when a port that a local service needs is in use. */
export class PortTakenError extends BaseError {
  override readonly name = 'PortTakenError'
  override readonly retryable = true

  constructor(port: number, service: string, cause: unknown) {
    super(`Port ${port} on 127.0.0.1 is taken; ${service} needs it.`, {
      cause,
      field: `port ${port}`,
      remedy:
        'Stop what listens there (another `npm start`?), or choose other ports: `npm start -- --port-base 9540`.',
    })
  }
}

/** @throws {@link PortTakenError} when something listens on the port already. */
export async function assertPortFree(port: number, service: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const server = createServer()
    server.once('error', (cause) => {
      reject(new PortTakenError(port, service, cause))
    })
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      server.close(() => {
        resolve()
      })
    })
  })
}
