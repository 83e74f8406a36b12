import { concatBytes, utf8 } from '#schemas/bytes.ts'
import type { MeasuredEvent } from '../tdx/image.ts'
import { uint16, uint32 } from '../tdx/quote.ts'
import { runtimeEventType } from './eventLog.ts'

/**
 * dstack's versioned attestation, version 0, mode TDX: what `Attest` answers.
 *
 * @see Dstack-TEE/dstack v0.5.11, `VersionedAttestation::V0`; parity-scale-codec
 */
export function encodeAttestationV0(attestation: {
  quote: Uint8Array
  events: readonly MeasuredEvent[]
  reportData: Uint8Array
  config: string
}): Uint8Array {
  const { quote, events, reportData, config } = attestation
  const runtime = events.filter((event) => event.event_type === runtimeEventType)
  return concatBytes(
    Uint8Array.of(0, 0),
    scaleBytes(quote),
    scaleCompact(events.length),
    ...events.flatMap((event) => [
      uint32(event.imr),
      uint32(event.event_type),
      scaleBytes(Buffer.from(event.digest, 'hex')),
      scaleBytes(utf8(event.event)),
      scaleBytes(Buffer.from(event.event_payload, 'hex')),
    ]),
    scaleCompact(runtime.length),
    ...runtime.flatMap((event) => [
      scaleBytes(utf8(event.event)),
      scaleBytes(Buffer.from(event.event_payload, 'hex')),
    ]),
    reportData,
    scaleBytes(utf8(config)),
  )
}

function scaleBytes(bytes: Uint8Array): Uint8Array {
  return concatBytes(scaleCompact(bytes.length), bytes)
}

/** A compact integer below 2^30: the two low bits tell whether it fills one, two or four bytes. */
function scaleCompact(value: number): Uint8Array {
  if (value < 0x40) return Uint8Array.of(value << 2)
  if (value < 0x4000) return uint16((value << 2) | 1)
  return uint32(value * 4 + 2)
}
