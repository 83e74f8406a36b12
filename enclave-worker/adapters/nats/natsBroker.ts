import { readFileSync } from 'node:fs'
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  jetstream,
  jetstreamManager,
} from '@nats-io/jetstream'
import { type NatsConnection, connect, credsAuthenticator } from '@nats-io/transport-node'
import { streamId } from '#schemas/batch.ts'
import { BaseError } from '#schemas/errors.ts'
import type { FleetConfig } from '../../partitions/fleetConfig.ts'
import type { FleetBroker } from '../../partitions/runFleet.ts'
import type { Log } from '../../ports.ts'
import { openNatsDoor } from './natsDoor.ts'

/** Raised when the broker is not as this fleet needs it. */
export class NatsSetupError extends BaseError {
  override readonly name = 'NatsSetupError'
}

export const packStream = 'PLUMBLINE_PACKS'
const leaseStream = 'PLUMBLINE_LEASES'
const packSubjects = 'plumbline.v1.packs.>'
const leaseSubjects = 'plumbline.v1.leases.*'
const nanosPerMs = 1_000_000
const requestMs = 2000
/** JetStream: the last message of the subject is another one than was expected. */
const wrongLastSequence = 10_071

async function connectServers({ broker, host }: FleetConfig): Promise<NatsConnection> {
  const read = (path: string, field: string): Buffer => {
    try {
      return readFileSync(path)
    } catch (cause) {
      throw new NatsSetupError('A file of the broker cannot be read.', {
        field: `config.broker.${field}`,
        cause,
      })
    }
  }
  const { servers, credentialsFile, caFile } = broker
  try {
    return await connect({
      servers,
      name: `plumbline ${host}`,
      maxReconnectAttempts: -1,
      waitOnFirstConnect: true,
      timeout: requestMs,
      ...(credentialsFile === undefined
        ? {}
        : { authenticator: credsAuthenticator(read(credentialsFile, 'credentialsFile')) }),
      ...(caFile === undefined ? {} : { tls: { ca: read(caFile, 'caFile').toString() } }),
    })
  } catch (cause) {
    if (cause instanceof NatsSetupError) throw cause
    throw new NatsSetupError('The broker cannot be connected to.', {
      field: 'config.broker.servers',
      remedy: 'Check the addresses and the credentials.',
      cause,
    })
  }
}

/** Makes the two streams, or finds them as they have to be. */
async function ensureStreams(jsm: JetStreamManager, { broker }: FleetConfig): Promise<void> {
  const leases = {
    name: leaseStream,
    subjects: [leaseSubjects],
    storage: StorageType.File,
    max_msgs_per_subject: 1,
    max_age: broker.leaseMs * nanosPerMs,
    discard: DiscardPolicy.Old,
  }
  const packs = {
    name: packStream,
    subjects: [packSubjects],
    storage: StorageType.File,
    // A message stays until it is acknowledged, and acknowledged means durable in a ledger.
    retention: RetentionPolicy.Workqueue,
    max_bytes: broker.maxWaitingBytes,
    // Whoever publishes is refused when it is full: dropping the oldest would lose packs.
    discard: DiscardPolicy.New,
  }
  for (const stream of [leases, packs]) {
    try {
      await jsm.streams.add(stream)
    } catch (cause) {
      throw new NatsSetupError(`The stream ${stream.name} is there, and another than is needed.`, {
        field: 'config.broker',
        remedy: 'Give every host the same leaseMs and maxWaitingBytes, or remove the stream.',
        cause,
      })
    }
  }
}

/**
 * NATS JetStream as a fleet's broker. Leases are the last messages of a stream that forgets them
 * after `leaseMs`; taking and renewing name the sequence that has to be the last one, so that of two
 * hosts one is refused by the server.
 *
 * @throws {@link NatsSetupError}
 */
export async function connectNats(fleet: FleetConfig, log: Log): Promise<FleetBroker> {
  const connection = await connectServers(fleet)
  const jsm = await jetstreamManager(connection, { timeout: requestMs })
  await ensureStreams(jsm, fleet)
  const js = jetstream(connection, { timeout: requestMs })
  const subjectOf = (partition: string): string => `plumbline.v1.leases.${streamId(partition)}`

  /** Writes an entry behind `last`; `undefined` when another stands there. */
  async function write(
    partition: string,
    holder: string,
    last: bigint,
  ): Promise<bigint | undefined> {
    try {
      const ack = await js.publish(subjectOf(partition), JSON.stringify({ partition, holder }), {
        expect: { lastSubjectSequence: Number(last) },
        timeout: requestMs,
      })
      return BigInt(ack.seq)
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === wrongLastSequence) return undefined
      throw error
    }
  }

  async function read(partition: string): Promise<{ holder: unknown; seq: bigint } | undefined> {
    const message = await jsm.streams.getMessage(leaseStream, {
      last_by_subj: subjectOf(partition),
    })
    if (message === null) return undefined
    const entry = message.json<{ holder?: unknown }>()
    return { holder: entry.holder, seq: BigInt(message.seq) }
  }

  return {
    take: (partition, holder) => write(partition, holder, 0n),
    async renew(partition, holder, revision) {
      const renewed = await write(partition, holder, revision)
      if (renewed !== undefined) return renewed
      // A renewal whose answer was lost on the way: the entry is this holder's all the same.
      const last = await read(partition)
      return last?.holder === holder ? last.seq : undefined
    },
    isHeld: async (partition) => (await read(partition)) !== undefined,
    async release(_, revision) {
      await jsm.streams.deleteMessage(leaseStream, Number(revision))
    },
    openDoor: (parts) =>
      openNatsDoor({ ...parts, js, jsm, connection, maxInFlight: fleet.broker.maxInFlight, log }),
    close: () => connection.close(),
  }
}
