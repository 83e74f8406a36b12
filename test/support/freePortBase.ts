import { createServer } from 'node:net'

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      resolve(false)
    })
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true)
      })
    })
  })
}

/**
 * The first of six neighbouring ports that were free a moment ago, below those that the system gives to
 * outgoing connections: one of those may be taken again before it is used.
 */
export async function freePortBase(): Promise<number> {
  for (;;) {
    const base = 10_000 + Math.floor(Math.random() * 20_000)
    const ports = Array.from({ length: 6 }, (_, position) => base + position)
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base
  }
}
