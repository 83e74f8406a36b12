import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createPeerBell } from '#worker/adapters/wakePeers.ts'

type Peer = {
  readonly url: string
  readonly calls: string[]
  /** Resolves when so many calls have come. */
  called(count: number): Promise<void>
  stop(): Promise<void>
}

async function startPeer(
  status = 202,
  hold: Promise<void> = Promise.resolve(),
  headers: Record<string, string> = {},
): Promise<Peer> {
  const calls: string[] = []
  const waiting: (() => void)[] = []
  const server = createServer((request, response) => {
    calls.push(`${request.method} ${request.url}`)
    for (const look of waiting) look()
    void hold.then(() => {
      response.writeHead(status, headers)
      response.end()
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/base`,
    calls,
    called: (count) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (calls.length >= count) resolve()
        }
        waiting.push(look)
        look()
      }),
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => {
          resolve()
        })
      }),
  }
}

describe('peers that are woken by a new batch', () => {
  it('each is called once, below its own address', async () => {
    const peers = [await startPeer(), await startPeer()]
    const ring = createPeerBell(
      peers.map(({ url }) => url),
      () => undefined,
    )
    ring()
    await Promise.all(peers.map((peer) => peer.called(1)))
    expect(peers.map(({ calls }) => calls)).toEqual([
      ['POST /base/v1/wake'],
      ['POST /base/v1/wake'],
    ])
    await Promise.all(peers.map((peer) => peer.stop()))
  })

  it('batches during a call are told by one more call after it', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const peer = await startPeer(202, promise)
    const ring = createPeerBell([peer.url], () => undefined)
    ring()
    await peer.called(1)
    for (let batch = 0; batch < 5; batch += 1) ring()
    resolve()
    await peer.called(2)
    // A third would have been sent by now, and a new ring is needed for it.
    ring()
    await peer.called(3)
    await peer.stop()
    expect(peer.calls).toHaveLength(3)
  })

  it('one that points elsewhere is not followed, and counts as not reached', async () => {
    const elsewhere = await startPeer()
    const peer = await startPeer(307, Promise.resolve(), { location: elsewhere.url })
    const { promise, resolve } = Promise.withResolvers<string>()
    createPeerBell([peer.url], (_, event) => {
      resolve(event)
    })()
    expect(await promise).toBe('peer not woken')
    expect(elsewhere.calls).toEqual([])
    await Promise.all([peer.stop(), elsewhere.stop()])
  })

  it('one that is not reached is logged once, by its host and nothing else of its address', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const peer = await startPeer(503)
    const logged: unknown[] = []
    const ring = createPeerBell(
      [peer.url, 'http://127.0.0.1:1/?key=secret'],
      (level, event, fields) => {
        logged.push([level, event, fields])
        if (logged.length === 2) resolve()
      },
    )
    ring()
    await promise
    ring()
    await peer.called(2)
    const host = new URL(peer.url).host
    expect(logged).toHaveLength(2)
    expect(logged).toEqual(
      expect.arrayContaining([
        ['warn', 'peer not woken', { host }],
        ['warn', 'peer not woken', { host: '127.0.0.1:1' }],
      ]),
    )
    await peer.stop()
  })
})
