import { type IPublishPacket, type MqttClient, connect } from 'mqtt'
import type { Hex } from '#schemas/bytes.ts'
import type { MqttDoorConfig } from '../../doors/doorsConfig.ts'
import { type HandedIn, handIn } from '../../doors/handIn.ts'
import { readDoorFile } from '../../doors/secretFile.ts'
import type { Ingest } from '../../ingest/ingest.ts'
import type { Log } from '../../ports.ts'

export type MqttDoor = {
  /** Connections that are up. */
  connected(): number
  /** Leaves without thanking for what is not kept yet: the broker hands it out again. */
  close(): Promise<void>
}

/** Reason codes of a PUBACK (MQTT 5, section 3.4.2.1). */
const reason = {
  success: 0x00,
  unspecifiedError: 0x80,
  topicNameInvalid: 0x90,
  quotaExceeded: 0x97,
  payloadFormatInvalid: 0x99,
} as const

const levelPattern = /^[A-Za-z0-9_.:-]{1,128}$/
const reconnectMs = 1000
const keepaliveSeconds = 30
/** Head and properties of a publication around the largest body. */
const packetOverheadBytes = 64 * 1024
const aheadPatienceMs = 2000

export function packsTopic(stream: Hex, sender: string): string {
  return `plumbline/v1/${stream}/${sender}/packs`
}

export function receiptsTopic(stream: Hex, sender: string): string {
  return `plumbline/v1/${stream}/${sender}/receipts`
}

/** The sender's level of a topic that packs come on. */
function senderOf(topic: string, stream: Hex): string | undefined {
  const levels = topic.split('/')
  const sender = levels[3]
  const isOurs = levels.length === 5 && sender !== undefined && topic === packsTopic(stream, sender)
  return isOurs && levelPattern.test(sender) ? sender : undefined
}

/**
 * Where an answer goes. Only below the sender's own receipts: else whoever may publish packs could
 * have the worker, which may publish more, write wherever it likes.
 */
function answerTopic(stream: Hex, sender: string, asked: string | undefined): string {
  const own = receiptsTopic(stream, sender)
  if (asked === undefined || asked === own) return own
  const rest = asked.startsWith(`${own}/`) ? asked.slice(own.length + 1).split('/') : []
  return rest.length > 0 && rest.length <= 4 && rest.every((level) => levelPattern.test(level))
    ? asked
    : own
}

function reasonOf({ status }: HandedIn): number {
  if (status === 200) return reason.success
  if (status === 500) return reason.unspecifiedError
  return status === 413 ? reason.quotaExceeded : reason.payloadFormatInvalid
}

function readOptional(path: string | undefined, field: string): Buffer | undefined {
  return path === undefined ? undefined : readDoorFile(path, `mqtt.${field}`)
}

/**
 * Takes packs from an MQTT 5 broker: a shared subscription at QoS 1 whose messages are acknowledged
 * once their packs are on the disk, never before. What a connection has not acknowledged when it
 * ends, the broker hands out again; a pack that comes twice gets the same receipt twice.
 *
 * A broker that is away is waited for; it does not keep a worker from starting.
 *
 * @throws {@link DoorSetupError}
 * @see MQTT 5.0, sections 3.3.2.3 (request and response), 4.8.2 (shared subscriptions), 4.9 (flow)
 */
export function openMqttDoor(parts: {
  readonly config: MqttDoorConfig
  readonly stream: Hex
  readonly ingest: Ingest
  readonly log: Log
}): MqttDoor {
  const { config, stream, ingest, log } = parts
  const filter = `$share/${config.group}/${packsTopic(stream, '+')}`
  const password = readOptional(config.passwordFile, 'passwordFile')?.toString().trimEnd()
  const ca = readOptional(config.caFile, 'caFile')
  const cert = readOptional(config.certificateFile, 'certificateFile')
  const key = readOptional(config.keyFile, 'keyFile')
  let isClosing = false
  let up = 0

  function answer(
    client: MqttClient,
    topic: string,
    packet: IPublishPacket,
    handed: HandedIn,
  ): void {
    const correlationData = packet.properties?.correlationData
    // Not waited for: acknowledgements come in through the very queue that this message holds up.
    // It goes out before the message's own acknowledgement, on the same connection.
    client.publish(
      topic,
      handed.text,
      {
        qos: 1,
        properties: {
          contentType: 'application/json',
          userProperties: { status: String(handed.status) },
          ...(correlationData === undefined ? {} : { correlationData }),
        },
      },
      (error) => {
        if (error !== undefined && error !== null && !isClosing) {
          log('warn', 'mqtt answer not sent', { topic, error: error.message })
        }
      },
    )
  }

  /** Messages under a name that no sender can have. */
  let nameless = 0

  function openConnection(index: number): MqttClient {
    /** Counts connections: an identifier of a message means nothing on the next one. */
    let generation = 0
    let isUp = false
    let lastError: string | undefined
    const client = connect(config.url, {
      protocolVersion: 5,
      clean: false,
      clientId: `${config.clientId ?? `plumbline-${stream.slice(2, 18)}`}-${index}`,
      reconnectPeriod: reconnectMs,
      reconnectOnConnackError: true,
      keepalive: keepaliveSeconds,
      resubscribe: false,
      properties: {
        receiveMaximum: config.receiveMaximum,
        sessionExpiryInterval: config.sessionExpirySeconds,
        maximumPacketSize: ingest.limits.maxBodyBytes + packetOverheadBytes,
      },
      ...(config.username === undefined ? {} : { username: config.username }),
      ...(password === undefined ? {} : { password }),
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      rejectUnauthorized: true,
      customHandleAcks: (topic, body, publication, done) => {
        const packet = publication as IPublishPacket
        const mine = generation
        // The client ends a connection that is held up for long; then this is no longer wanted.
        const isWanted = (): boolean => !isClosing && generation === mine
        const sender = senderOf(topic, stream)
        if (sender === undefined) {
          // Nowhere to answer to: the operator is told instead, of the first, second, fourth and so on:
          // whoever may publish could fill the log otherwise.
          nameless += 1
          if (Number.isInteger(Math.log2(nameless))) {
            log('warn', 'mqtt message refused', {
              topic: topic.slice(0, 200),
              count: nameless,
              remedy: 'A sender’s level has 1 to 128 of A-Z a-z 0-9 _ . : and -.',
            })
          }
          done(reason.topicNameInvalid)
          return
        }
        const userProperties = packet.properties?.userProperties
        const named = userProperties?.['x-signature']
        handIn(
          ingest,
          {
            contentType: packet.properties?.contentType,
            body,
            signature: typeof named === 'string' ? named : undefined,
          },
          { isWanted, patienceMs: config.connections > 1 ? aheadPatienceMs : 0 },
        ).then(
          (handed) => {
            if (handed === undefined) return
            answer(
              client,
              answerTopic(stream, sender, packet.properties?.responseTopic),
              packet,
              handed,
            )
            done(reasonOf(handed))
          },
          (error: unknown) => {
            log('error', 'mqtt message not handled', { error: String(error) })
          },
        )
      },
    })
    client.on('connect', () => {
      lastError = undefined
      client.subscribe(filter, { qos: 1 }, (error, granted) => {
        const isGranted = error === null && granted?.every(({ qos }) => qos === 1) === true
        if (isGranted && !isUp) {
          isUp = true
          up += 1
        }
        log(isGranted ? 'info' : 'error', isGranted ? 'mqtt subscribed' : 'mqtt not subscribed', {
          filter,
          connection: index,
          ...(error === null ? {} : { error: error.message }),
        })
      })
    })
    client.on('close', () => {
      generation += 1
      if (isUp) {
        up -= 1
        log(isClosing ? 'info' : 'warn', 'mqtt connection ended', { connection: index })
      }
      isUp = false
    })
    client.on('error', (error) => {
      // Said once for each reason: a broker that is away for an hour is not 3 600 lines.
      if (error.message !== lastError) log('warn', 'mqtt trouble', { error: error.message })
      lastError = error.message
    })
    return client
  }

  const clients = Array.from({ length: config.connections }, (_, index) => openConnection(index))
  return {
    connected: () => up,
    async close() {
      isClosing = true
      // By force: an orderly end would wait for messages that are not to be acknowledged.
      await Promise.all(clients.map((client) => client.endAsync(true)))
    },
  }
}
