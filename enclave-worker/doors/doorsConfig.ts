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

/** Ways in besides HTTP. */
export const doorsSchema = z.strictObject({
  mqtt: mqttDoorSchema.optional(),
})
