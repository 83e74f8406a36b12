import { sha384 } from '@noble/hashes/sha2'
import { concatBytes, utf8 } from '#schemas/bytes.ts'
import type { MeasuredEvent } from '../tdx/image.ts'
import { uint32 } from '../tdx/quote.ts'

/** Type of the events that dstack's guest measures itself, into RTMR3. */
export const runtimeEventType = 0x0800_0001

/** A runtime event with its digest: SHA-384(LE32(type) ‖ ":" ‖ name ‖ ":" ‖ payload). */
export function runtimeEvent(name: string, payload: Uint8Array): MeasuredEvent {
  const separator = utf8(':')
  const digest = sha384(
    concatBytes(uint32(runtimeEventType), separator, utf8(name), separator, payload),
  )
  return {
    imr: 3,
    event_type: runtimeEventType,
    digest: Buffer.from(digest).toString('hex'),
    event: name,
    event_payload: Buffer.from(payload).toString('hex'),
  }
}

/**
 * The log as guest agents since 0.5.6 hand it out with a quote: RTMR3 events lose their digest, which
 * follows from name and payload; firmware events keep theirs and lose the payload, which is long.
 */
export function stripEvents(events: readonly MeasuredEvent[]): MeasuredEvent[] {
  return events.map((event) =>
    event.event_type === runtimeEventType
      ? { ...event, digest: '' }
      : { ...event, event_payload: '' },
  )
}
