import { writeMessage } from '#schemas/workerApi.ts'
import { packBodyTypeOf, packSequenceOf } from '../adapters/http/packForms.ts'
import { problemOf } from '../adapters/http/problem.ts'
import type { Ingest } from '../ingest/ingest.ts'

/** A message of a broker: what a body of `POST /v1/packs` would be. */
export type BrokerMessage = {
  readonly contentType: string | undefined
  readonly body: Uint8Array
  readonly signature: string | undefined
}

/** What HTTP would have answered: the same JSON under the same status. */
export type HandedIn = { readonly status: number; readonly text: string }

export type HandInOptions = {
  /** Whether the broker still waits for this message on this connection. */
  readonly isWanted: () => boolean
  /**
   * How long a pack may wait for the one before it: where a broker spreads a device's messages over
   * several connections, a later one can be quicker.
   */
  readonly patienceMs: number
}

const overloaded = new Set([429, 503, 507])
const aheadWaitMs = 100
/** A fault of the worker's own may pass; a message that always brings it about must not hold up the rest. */
const faultTries = 5

const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms)
  })

/**
 * Hands a broker's message in and answers when there is something to say that lasts: receipts for
 * packs that are on the disk, or a refusal that trying again would not change. While the worker has
 * no room, it waits: the broker keeps what it has not been thanked for, and sends no more of it than
 * it was promised could be in flight.
 *
 * @returns `undefined` when the message is no longer wanted; it must not be acknowledged then.
 */
export async function handIn(
  ingest: Ingest,
  message: BrokerMessage,
  { isWanted, patienceMs }: HandInOptions,
): Promise<HandedIn | undefined> {
  let waitedMs = 0
  let faults = 0
  while (isWanted()) {
    let release: (() => void) | undefined
    let waitMs: number
    try {
      const type = packBodyTypeOf(message.contentType ?? 'application/cbor-seq')
      release = ingest.reserve(message.body.length)
      // A copy: what is submitted is handed to a thread, and this may be tried again.
      const sequence = packSequenceOf(type, message.body.slice(), message.signature)
      const { answers } = await ingest.submit(sequence)
      const isAhead = answers.some(
        (answer) => 'refusal' in answer && answer.refusal.name === 'PackAheadError',
      )
      if (!isAhead || waitedMs >= patienceMs) {
        return isWanted() ? { status: 200, text: writeMessage(answers) } : undefined
      }
      waitMs = aheadWaitMs
      waitedMs += waitMs
    } catch (error) {
      const problem = problemOf(error)
      const isFault = problem.status === 500
      if (isFault) faults += 1
      if (!overloaded.has(problem.status) && (!isFault || faults >= faultTries)) {
        return isWanted() ? { status: problem.status, text: writeMessage(problem.body) } : undefined
      }
      waitMs = Math.min(problem.retryAfterSeconds ?? 1, 5) * 1000
    } finally {
      release?.()
    }
    await sleep(waitMs)
  }
  return undefined
}
