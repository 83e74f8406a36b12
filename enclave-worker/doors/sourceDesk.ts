import { createHash } from 'node:crypto'
import { readJsonReadings } from '#schemas/adapters/jsonReadings.ts'
import { senmlJsonToCbor } from '#schemas/adapters/senmlJson.ts'
import type { JsonValue } from '#schemas/adapters/strictJson.ts'
import { type Hex, concatBytes, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import type { Reading } from '#schemas/reading.ts'
import { decodeSenmlCbor } from '#schemas/senml/decodeSenmlCbor.ts'
import { columnsToReadings } from '#schemas/senml/senmlColumns.ts'
import { trustTiers } from '#schemas/trustTier.ts'
import type { Ingest, PackAnswer } from '../ingest/ingest.ts'
import { UnknownDeviceError, refusalOf } from '../ingest/refusals.ts'
import type { WorkerState } from '../state/workerState.ts'
import type { Platform } from './doorsConfig.ts'
import type { Source } from './sources.ts'

/** What a platform says that somebody measured. */
export type Telemetry = {
  readonly platform: Platform
  readonly source: string
  /** The platform's own name of the delivery: the same when it delivers again. */
  readonly id: string
  /** Plain readings, or a SenML-JSON pack. */
  readonly readings: JsonValue
}

export type SourceDesk = {
  /** Keeps telemetry as the next pack of its source's chain; what came before is answered the same. */
  deliver(telemetry: Telemetry): Promise<PackAnswer>
}

/** How far back a delivery is known again: platforms try for a day, most within minutes. */
const rememberedDeliveries = 256
/** A source is one device: a counter of its boots would say nothing. */
const bootCount = 0n

function isPlain(value: JsonValue): boolean {
  const first: unknown = Array.isArray(value) ? (value as readonly JsonValue[])[0] : value
  return first instanceof Map && first.has('series')
}

function readingsOf(value: JsonValue, device: Hex): readonly Reading[] {
  if (isPlain(value)) return readJsonReadings(value, device, trustTiers.gateway)
  const columns = decodeSenmlCbor(senmlJsonToCbor(value))
  return columnsToReadings(columns, device, trustTiers.gateway)
}

/**
 * Writes down what platforms say, as packs that the enclave numbers and signs: one chain for each
 * source, so that everything behind (ledger, roster, evidence, bundles) is what it is for devices.
 * Where a device names its firmware, such a pack names the delivery it was made from.
 */
export function createSourceDesk(parts: {
  readonly sources: readonly Source[]
  readonly stream: Hex
  readonly state: WorkerState
  readonly ingest: Ingest
  /** Packs of a device behind a sequence number, as they are kept. */
  readonly packs: (device: Hex, after: bigint, limit: number) => Promise<readonly Uint8Array[]>
}): SourceDesk {
  const { stream, state, ingest } = parts
  const sources = new Map(
    parts.sources.map((source) => [`${source.config.platform}/${source.config.name}`, source]),
  )
  /** By source: the packs of its last deliveries, by what they were made from. */
  const remembered = new Map<Hex, Map<Hex, Uint8Array>>()
  /** By source: the last delivery in hand. One after the other: each pack names the one before. */
  const tails = new Map<Hex, Promise<unknown>>()

  async function memoryOf(device: Hex): Promise<Map<Hex, Uint8Array>> {
    const known = remembered.get(device)
    if (known !== undefined) return known
    const memory = new Map<Hex, Uint8Array>()
    const head = state.devices.get(device)?.headSequence ?? 0n
    const after = head > BigInt(rememberedDeliveries) ? head - BigInt(rememberedDeliveries) : 0n
    for (const bytes of await parts.packs(device, after, rememberedDeliveries)) {
      memory.set(decodePack(bytes).claims.firmware, bytes)
    }
    remembered.set(device, memory)
    return memory
  }

  async function submit(bytes: Uint8Array): Promise<PackAnswer> {
    const release = ingest.reserve(bytes.length)
    try {
      const { answers } = await ingest.submit(bytes.slice())
      return answers[0] ?? { refusal: refusalOf(undefined) }
    } finally {
      release()
    }
  }

  async function write(source: Source, { id, readings }: Telemetry): Promise<PackAnswer> {
    const { key } = source.enrolled
    const delivery = toHex(
      createHash('sha256')
        .update(concatBytes(utf8('plumbline/delivery/1'), fromHex(key.id, 'source', 32), utf8(id)))
        .digest(),
    )
    const memory = await memoryOf(key.id)
    const before = memory.get(delivery)
    if (before !== undefined) return submit(before)
    const device = state.devices.get(key.id)
    if (device === undefined) throw new UnknownDeviceError('The source is not enrolled.')
    const { bytes } = encodePack({
      claims: {
        stream,
        sequence: device.headSequence + 1n,
        previous: device.headHash,
        bootCount,
        firmware: delivery,
      },
      kid: key.id,
      algorithm: key.algorithm,
      records: readingsOf(readings, key.id).map(({ series, unit, timeMs, valueMicro }) => ({
        name: series,
        unit,
        timeMs,
        valueMicro,
      })),
      sign: source.sign,
    })
    const answer = await submit(bytes)
    if ('receipt' in answer) {
      memory.set(delivery, bytes)
      for (const oldest of memory.keys()) {
        if (memory.size <= rememberedDeliveries) break
        memory.delete(oldest)
      }
    }
    return answer
  }

  return {
    async deliver(telemetry) {
      const source = sources.get(`${telemetry.platform}/${telemetry.source}`)
      if (source === undefined) {
        return {
          refusal: refusalOf(
            new UnknownDeviceError('No source of this name is enrolled.', {
              field: 'source',
              remedy: 'Enrol it under config.sources; a platform names it, the operator vouches.',
            }),
          ),
        }
      }
      const { id } = source.enrolled.key
      const written = (tails.get(id) ?? Promise.resolve()).then(() => write(source, telemetry))
      tails.set(
        id,
        written.catch(() => undefined),
      )
      try {
        return await written
      } catch (error) {
        // What cannot be read stays unreadable; what the worker has no room for comes again.
        if (error instanceof BaseError && !error.retryable) return { refusal: refusalOf(error) }
        throw error
      }
    },
  }
}
