import { z } from 'zod'

const path = z.string().min(1).max(4096)

/** A broker that speaks MQTT 5. Secrets are named by the file that holds them. */
export const mqttDoorSchema = z.strictObject({
  url: z.url({ protocol: /^mqtts?$/ }),
  /** Stays the same over restarts: the broker keeps the session under it. */
  clientId: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,60}$/)
    .optional(),
  /** Name of the shared subscription. */
  group: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,60}$/)
    .default('plumbline'),
  connections: z.int().min(1).max(16).default(1),
  /** Messages that the broker may have on the way to one connection. */
  receiveMaximum: z.int().min(1).max(1000).default(32),
  sessionExpirySeconds: z
    .int()
    .min(0)
    .max(31 * 86_400)
    .default(86_400),
  username: z.string().min(1).max(200).optional(),
  passwordFile: path.optional(),
  /** PEM of who signed the broker's certificate; absent: the system's list. */
  caFile: path.optional(),
  certificateFile: path.optional(),
  keyFile: path.optional(),
})

export type MqttDoorConfig = z.output<typeof mqttDoorSchema>

/** AWS IoT Core: the HTTPS action of a rule. */
export const awsDoorSchema = z.strictObject({
  /** Holds what the rule sends as `Authorization: Bearer …`. */
  secretFile: path,
  /** Accounts and regions whose destinations may be confirmed. */
  destinations: z
    .array(
      z.strictObject({
        account: z.string().regex(/^\d{12}$/),
        region: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/),
      }),
    )
    .min(1)
    .max(100),
  /** `visit`: the worker confirms by itself; `tell`: it logs the address for the operator to visit. */
  confirmation: z.enum(['visit', 'tell']).default('tell'),
})

/** Azure Event Grid: a webhook, in Event Grid's own schema or as CloudEvents 1.0. */
export const eventGridDoorSchema = z.strictObject({
  /** Holds the secret of the endpoint's address (`?code=…`) or of its delivery header. */
  secretFile: path,
  /** Who may be allowed to deliver CloudEvents. */
  origins: z.array(z.string().min(1).max(253)).min(1).max(20).default(['eventgrid.azure.net']),
})

/** Ways in besides HTTP. */
export const doorsSchema = z.strictObject({
  mqtt: mqttDoorSchema.optional(),
  awsIot: awsDoorSchema.optional(),
  eventGrid: eventGridDoorSchema.optional(),
})

/**
 * Something that a platform speaks for: it signs nothing itself. What it is heard to say is of the
 * tier `gateway`, in a chain that the enclave numbers and signs.
 */
export const sourceSchema = z.strictObject({
  platform: z.enum(['awsIot', 'eventGrid']),
  /** What the platform calls it: the rule's `source`, the device id at the IoT hub. */
  name: z.string().min(1).max(200),
  subject: z.string().min(1).max(200),
  intervalMs: z
    .int()
    .min(1)
    .max(366 * 86_400_000),
  series: z.array(z.string().min(1).max(200)).min(1).max(64).optional(),
  label: z.string().min(1).max(200).optional(),
})

export type AwsDoorConfig = z.output<typeof awsDoorSchema>
export type EventGridDoorConfig = z.output<typeof eventGridDoorSchema>
export type SourceConfig = z.output<typeof sourceSchema>
export type Platform = SourceConfig['platform']
