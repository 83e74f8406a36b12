import type { Log } from '../ports.ts'

const requestTimeoutMs = 2000

/**
 * Tells relayers that there is a new batch, by `POST /v1/wake`, so that they need not find out by
 * asking. Nothing depends on it: a relayer that is not reached asks by itself a little later. While one
 * call to a peer is under way, further batches are told by one more call after it.
 *
 * @returns the bell; it never throws and nobody waits for it
 */
export function createPeerBell(urls: readonly string[], log: Log): () => void {
  const peers = urls.map((url) => ({
    address: new URL('v1/wake', url.endsWith('/') ? url : `${url}/`),
    isCalling: false,
    isWanted: false,
    isReached: true,
  }))

  async function call(peer: (typeof peers)[number]): Promise<void> {
    peer.isCalling = true
    while (peer.isWanted) {
      peer.isWanted = false
      const isReached = await wake(peer.address)
      // Once each time that it changes, not at every batch.
      if (isReached !== peer.isReached) {
        const { host } = peer.address
        log(isReached ? 'info' : 'warn', isReached ? 'peer woken again' : 'peer not woken', {
          host,
        })
      }
      peer.isReached = isReached
    }
    peer.isCalling = false
  }

  return () => {
    for (const peer of peers) {
      peer.isWanted = true
      if (!peer.isCalling) void call(peer)
    }
  }
}

async function wake(address: URL): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(requestTimeoutMs)
    // No redirect is followed: a relayer says nothing of where an enclave calls.
    const response = await fetch(address, { method: 'POST', redirect: 'manual', signal })
    await response.body?.cancel()
    return response.ok
  } catch {
    return false
  }
}
