import { z } from 'zod'
import { BaseError } from '#schemas/errors.ts'
import { hexSchema, unsignedSchema } from '#schemas/workerApi.ts'
import type { HeadSource } from '../ports.ts'

/** Raised when a peer does not tell which batch of the stream it holds. */
export class PeerUnreachableError extends BaseError {
  override readonly name = 'PeerUnreachableError'
  override readonly retryable = true
}

const requestTimeoutMs = 5000
const maxAnswerBytes = 8 * 1024 * 1024

const statusSchema = z.looseObject({
  feeds: z.array(
    z.looseObject({ stream: hexSchema(32), sequence: unsignedSchema, digest: hexSchema(32) }),
  ),
})

/**
 * The newest batch of a stream that a relayer has verified, from its `GET /v1/status`. A peer can
 * keep a worker from signing by a lie, and do no other harm: choose peers that you run.
 */
export function createPeerHeads(url: string): HeadSource {
  return {
    async head(stream) {
      let text: string
      try {
        const response = await fetch(new URL('v1/status', url.endsWith('/') ? url : `${url}/`), {
          signal: AbortSignal.timeout(requestTimeoutMs),
        })
        if (!response.ok) throw new Error(`status ${response.status}`)
        text = await response.text()
        if (text.length > maxAnswerBytes) throw new Error('the answer is too long')
        const parsed = statusSchema.parse(JSON.parse(text))
        const feed = parsed.feeds.find((entry) => entry.stream === stream)
        if (feed === undefined) throw new Error('it does not follow the stream')
        return { sequence: feed.sequence, digest: feed.digest }
      } catch (cause) {
        throw new PeerUnreachableError(`Peer ${url} does not tell its head of the stream.`, {
          field: 'peers',
          metaMessages: [`Problem: ${cause instanceof Error ? cause.message : String(cause)}`],
          remedy: 'Check that the relayer runs and follows this worker.',
          cause,
        })
      }
    },
  }
}
