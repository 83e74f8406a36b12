import { z } from 'zod'
import { subjectId } from '#schemas/report.ts'
import { InvalidConfigError, type WorkerConfig, readConfig } from '../config.ts'
import { partitionOf } from './partitionOf.ts'

const fleetSchema = z.strictObject({
  version: z.literal(1),
  /** Name of this host, for people. */
  host: z.string().regex(/^[A-Za-z0-9_.-]{1,60}$/),
  broker: z.strictObject({
    servers: z
      .array(z.url({ protocol: /^(nats|tls)$/ }))
      .min(1)
      .max(16),
    /** NATS credentials file (JWT and seed). */
    credentialsFile: z.string().min(1).optional(),
    /** PEM of who signed the servers' certificates; also turns TLS on. */
    caFile: z.string().min(1).optional(),
    /** A holder that is not heard of for so long has lost its partition. The same on every host. */
    leaseMs: z.int().min(1000).max(600_000).default(10_000),
    /** Messages of one partition that are in hand at once. */
    maxInFlight: z.int().min(1).max(10_000).default(64),
    /** Packs that may wait in the broker; publishers are refused beyond it. */
    maxWaitingBytes: z
      .int()
      .min(1024 * 1024)
      .default(1024 * 1024 * 1024),
  }),
  count: z.int().min(1).max(4096),
  /** Partitions that this host works at most. */
  maxPartitions: z.int().min(1).max(4096).optional(),
  /** A folder that every host reads and writes; each partition has one of its own in it. */
  folder: z.string().min(1),
  /** A worker's configuration without `dataFolder`; `stream` is the name of the fleet. */
  worker: z.looseObject({
    stream: z.string().min(1).max(180),
    listen: z.strictObject({ host: z.string().min(1), port: z.int().min(0).max(65_535) }),
  }),
})

export type FleetConfig = z.output<typeof fleetSchema>

/** Reads a fleet's configuration. @throws {@link InvalidConfigError} */
export function readFleet(value: unknown): FleetConfig {
  const result = fleetSchema.safeParse(value)
  if (result.success) {
    // Every partition is read once, so that a mistake shows on every host before it holds anything.
    for (let index = 0; index < result.data.count; index += 1) {
      readPartition(result.data, index, '.')
    }
    return result.data
  }
  const issue = result.error.issues[0]
  throw new InvalidConfigError('The configuration of the fleet is not well formed.', {
    field: ['config', ...(issue?.path ?? [])].join('.'),
    ...(issue === undefined ? {} : { metaMessages: [`Problem: ${issue.message}`] }),
    remedy: 'See docs/worker.md, "More than one machine".',
  })
}

/** Name of a partition's stream. */
export function partitionStream(fleet: string, index: number): string {
  return `${fleet}/${index}`
}

const listed = ['devices', 'sources', 'assignments'] as const

/** The configuration of one partition's worker. */
export function readPartition(fleet: FleetConfig, index: number, dataFolder: string): WorkerConfig {
  const { worker, count } = fleet
  const { host, port } = worker.listen
  const parts = listed.map((name): [string, unknown] => {
    const entries = worker[name]
    if (!Array.isArray(entries)) return [name, entries ?? []]
    return [
      name,
      (entries as unknown[]).filter((entry) => {
        const subject =
          typeof entry === 'object' && entry !== null && 'subject' in entry
            ? entry.subject
            : undefined
        // What has no subject is for the reader to name, in whichever partition.
        return typeof subject !== 'string' || partitionOf(subjectId(subject), count) === index
      }),
    ]
  })
  return readConfig({
    ...worker,
    ...Object.fromEntries(parts),
    stream: partitionStream(worker.stream, index),
    listen: { host, port: port === 0 ? 0 : port + index },
    dataFolder,
  })
}
