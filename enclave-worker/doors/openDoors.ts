import { openMqttDoor } from '../adapters/mqtt/mqttDoor.ts'
import type { WorkerConfig } from '../config.ts'
import type { Ingest } from '../ingest/ingest.ts'
import type { Log } from '../ports.ts'

export type Doors = { close(): Promise<void> }

/** Opens the configured ways in besides HTTP, once everything behind them stands. */
export function openDoors(parts: {
  readonly config: WorkerConfig
  readonly ingest: Ingest
  readonly log: Log
}): Doors {
  const { config, ingest, log } = parts
  const mqtt =
    config.doors.mqtt === undefined
      ? undefined
      : openMqttDoor({ config: config.doors.mqtt, stream: config.streamId, ingest, log })
  return {
    async close() {
      await mqtt?.close()
    },
  }
}
