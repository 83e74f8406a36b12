import type { PlatformDoors } from '../adapters/http/platformDoors.ts'
import { openMqttDoor } from '../adapters/mqtt/mqttDoor.ts'
import type { Hex } from '#schemas/bytes.ts'
import type { WorkerConfig } from '../config.ts'
import type { Ingest } from '../ingest/ingest.ts'
import type { Log } from '../ports.ts'
import { readSecret } from './secretFile.ts'

export type Door = { close(): Promise<void> }
export type Doors = Door

/** Opens a way in that is brought along from outside. */
export type OpenDoor = (parts: { readonly stream: Hex; readonly ingest: Ingest }) => Promise<Door>

export type DoorSecrets = Pick<PlatformDoors, 'awsIot' | 'eventGrid'>

/**
 * The doors of platforms with their secrets, read once: a worker that cannot tell friend from foe
 * does not start.
 *
 * @throws DoorSetupError
 */
export function readDoorSecrets({ awsIot, eventGrid }: WorkerConfig['doors']): DoorSecrets {
  return {
    awsIot:
      awsIot === undefined
        ? undefined
        : { ...awsIot, secret: readSecret(awsIot.secretFile, 'awsIot.secretFile') },
    eventGrid:
      eventGrid === undefined
        ? undefined
        : { ...eventGrid, secret: readSecret(eventGrid.secretFile, 'eventGrid.secretFile') },
  }
}

/** Opens the configured ways in besides HTTP, once everything behind them stands. */
export async function openDoors(parts: {
  readonly config: WorkerConfig
  readonly ingest: Ingest
  readonly log: Log
  readonly openDoor?: OpenDoor | undefined
}): Promise<Doors> {
  const { config, ingest, log } = parts
  const mqtt =
    config.doors.mqtt === undefined
      ? undefined
      : openMqttDoor({ config: config.doors.mqtt, stream: config.streamId, ingest, log })
  let brought: Door | undefined
  try {
    brought = await parts.openDoor?.({ stream: config.streamId, ingest })
  } catch (error) {
    await mqtt?.close()
    throw error
  }
  return {
    async close() {
      await brought?.close()
      await mqtt?.close()
    },
  }
}
