import {
  AckPolicy,
  type ConsumerMessages,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
} from '@nats-io/jetstream'
import { type NatsConnection, headers } from '@nats-io/transport-node'
import type { Hex } from '#schemas/bytes.ts'
import { type HandedIn, handIn } from '../../doors/handIn.ts'
import type { Door } from '../../doors/openDoors.ts'
import type { Ingest } from '../../ingest/ingest.ts'
import type { Log } from '../../ports.ts'

/** Where a sender publishes packs of a stream. */
export function natsPackSubject(stream: Hex, sender: string): string {
  return `plumbline.v1.packs.${stream}.${sender}`
}

/** Where its answers come. */
export function natsReceiptSubject(stream: Hex, sender: string): string {
  return `plumbline.v1.receipts.${stream}.${sender}`
}

const packStream = 'PLUMBLINE_PACKS'
/** Messages are acknowledged within milliseconds; this is for those whose holder is gone. */
const ackWaitNanos = 30_000_000_000
const workingMs = 10_000
const aheadPatienceMs = 2000
const retryMs = 500

/**
 * Takes the packs of one stream from JetStream, in order, and acknowledges each message once its
 * packs are on the disk and the partition was still held behind that. The consumer is made anew:
 * what another worker was handed and never acknowledged comes first, in its order.
 */
export async function openNatsDoor(parts: {
  readonly js: JetStreamClient
  readonly jsm: JetStreamManager
  readonly connection: NatsConnection
  readonly stream: Hex
  readonly ingest: Ingest
  readonly maxInFlight: number
  readonly log: Log
}): Promise<Door> {
  const { js, jsm, connection, stream, ingest, log, maxInFlight } = parts
  const name = `worker-${stream.slice(2, 34)}`
  let isClosing = false
  let messages: ConsumerMessages | undefined

  async function renewConsumer(): Promise<void> {
    // An older one may have messages out to a worker that will never thank for them.
    await jsm.consumers.delete(packStream, name).catch(() => false)
    await jsm.consumers.add(packStream, {
      durable_name: name,
      filter_subject: natsPackSubject(stream, '*'),
      ack_policy: AckPolicy.Explicit,
      ack_wait: ackWaitNanos,
      max_ack_pending: maxInFlight,
    })
  }

  function answer(message: JsMsg, handed: HandedIn): void {
    const sender = message.subject.split('.').at(-1) ?? ''
    const about = headers()
    about.set('Content-Type', 'application/json')
    about.set('Status', String(handed.status))
    const id = message.headers?.get('Nats-Msg-Id')
    if (id !== undefined && id !== '') about.set('Correlation-Id', id)
    connection.publish(natsReceiptSubject(stream, sender), handed.text, { headers: about })
  }

  async function take(message: JsMsg): Promise<void> {
    const type = message.headers?.get('Content-Type')
    const signature = message.headers?.get('X-Signature')
    // While there is no room it is kept in hand: handed out again, it would be held twice.
    const working = setInterval(() => {
      message.working()
    }, workingMs)
    const handed = await handIn(
      ingest,
      {
        body: message.data,
        contentType: type === '' ? undefined : type,
        signature: signature === '' ? undefined : signature,
      },
      { isWanted: () => !isClosing, patienceMs: aheadPatienceMs },
    ).finally(() => {
      clearInterval(working)
    })
    if (handed === undefined) return
    answer(message, handed)
    message.ack()
  }

  async function pull(): Promise<void> {
    for (;;) {
      if (isClosing) return
      try {
        const consumer = await js.consumers.get(packStream, name)
        messages = await consumer.consume({ max_messages: maxInFlight })
        for await (const message of messages) {
          if (isClosing) break
          // Not waited for: packs are put in order as they are handed in, and many share one sync.
          take(message).catch((error: unknown) => {
            log('error', 'message not handled', { error: String(error) })
          })
        }
      } catch (error) {
        if (isClosing) return
        log('warn', 'messages not pulled', { error: String(error) })
        await new Promise((resolve) => {
          setTimeout(resolve, retryMs)
        })
      }
    }
  }

  await renewConsumer()
  const pulling = pull()
  return {
    async close() {
      isClosing = true
      await messages?.close()
      await pulling
    },
  }
}
