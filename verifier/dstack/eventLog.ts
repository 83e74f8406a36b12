import { sha384 } from '@noble/hashes/sha2'
import { concatBytes, equalBytes, fromHex, toHex, utf8, type Hex } from '#schemas/bytes.ts'
import { refusal } from '../appraisal/errors.ts'
import { fieldOf } from '../collateral/collateral.ts'
import { JsonFields } from '../collateral/jsonFields.ts'

/** One entry of a guest's event log, as the agent's `GetQuote` returns it. */
export type DstackEvent = {
  /** Which RTMR it extended, 0 to 3. */
  readonly imr: 0 | 1 | 2 | 3
  readonly type: number
  /** As written in the log; empty for runtime events of guests since 0.5.6. */
  readonly digest: Uint8Array
  readonly name: string
  readonly payload: Uint8Array
  /** How the digest of a runtime event is formed. */
  readonly version: 1 | 2
}

/** Type of the events that dstack itself writes, all of them into RTMR3. */
export const runtimeEventType = 0x0800_0001

/** Real logs hold about 40 events and 18 kB. */
const maximumEvents = 1024
const maximumTextLength = 262_144

/**
 * Forms that version 2 of the digest has had: what is hashed is canonical JSON (RFC 8785) of name and
 * payload. Either binds both, so the one with which the log replays is the one it was written in.
 *
 * @see Dstack-TEE/dstack, `cc-eventlog/src/runtime_events.rs` (event, event_type, payload, version)
 * and its predecessor (name, payload, type)
 */
export type DigestForm = 'event' | 'name'

/**
 * Reads an event log: the JSON text of `GetQuote`, or the list in it.
 *
 * @throws {@link DstackEvidenceError} `EventLogMalformed`.
 */
export function parseEventLog(log: unknown): DstackEvent[] {
  try {
    if (typeof log === 'string' && log.length > maximumTextLength) {
      throw refusal('EventLogMalformed', 'The event log is too large.', { field: 'eventLog' })
    }
    const list = new JsonFields(
      { eventLog: typeof log === 'string' ? JSON.parse(log) : log },
      'log',
    )
    return list.objects('eventLog', maximumEvents).map(readEvent)
  } catch (cause) {
    throw refusal('EventLogMalformed', 'The event log cannot be read.', {
      cause,
      field: fieldOf(cause) ?? 'eventLog',
    })
  }
}

/**
 * Digest with which an event extended its register.
 *
 * For dstack's own events it is computed from name and payload, whatever the log says: real agents
 * since 0.5.6 leave the field empty, and the SDK's own replay then hashes 48 zero bytes. The digests
 * of firmware and kernel events are taken as written, and vouched for by the replay alone.
 *
 * @throws {@link DstackEvidenceError} `EventDigestMismatch` when the log states another digest.
 */
export function eventDigest(event: DstackEvent, form: DigestForm = 'event'): Uint8Array {
  if (event.type !== runtimeEventType) return event.digest
  const digest = sha384(event.version === 1 ? hashInputV1(event) : hashInputV2(event, form))
  if (event.digest.length === 0 || equalBytes(event.digest, digest)) return digest
  throw refusal('EventDigestMismatch', `The digest of event ${event.name} is not its own.`, {
    field: 'eventLog',
    metaMessages: [`Expected: ${toHex(digest)}`, `Actual: ${toHex(event.digest)}`],
  })
}

/** RTMR0 to RTMR3 after all events: each register starts at zero and becomes SHA-384(old ‖ digest). */
export function replayRtmrs(
  events: readonly DstackEvent[],
  form: DigestForm = 'event',
): [Hex, Hex, Hex, Hex] {
  const registers = Array.from({ length: 4 }, () => new Uint8Array(48))
  for (const event of events) {
    const register = registers[event.imr]
    if (register === undefined) continue
    registers[event.imr] = Uint8Array.from(sha384(concatBytes(register, eventDigest(event, form))))
  }
  const [rtmr0, rtmr1, rtmr2, rtmr3] = registers.map((register) => toHex(register))
  return [rtmr0 ?? '0x', rtmr1 ?? '0x', rtmr2 ?? '0x', rtmr3 ?? '0x']
}

/**
 * The log must lead to the registers of the quote, all four.
 *
 * @param rtmr - From a verified quote.
 * @throws {@link DstackEvidenceError} `EventDigestMismatch` or `RtmrMismatch`.
 */
export function expectReplay(events: readonly DstackEvent[], rtmr: readonly Hex[]): void {
  const usesJson = events.some((event) => event.type === runtimeEventType && event.version === 2)
  let first: unknown
  for (const form of usesJson ? (['event', 'name'] as const) : (['event'] as const)) {
    try {
      expectRegisters(replayRtmrs(events, form), rtmr)
      return
    } catch (error) {
      first ??= error
    }
  }
  throw first
}

function expectRegisters(replayed: readonly Hex[], quoted: readonly Hex[]): void {
  for (const [index, value] of replayed.entries()) {
    if (value === quoted[index]) continue
    throw refusal('RtmrMismatch', `The event log does not lead to RTMR${index} of the quote.`, {
      field: 'eventLog',
      metaMessages: [`Expected: ${quoted[index] ?? 'none'}`, `Actual: ${value}`],
    })
  }
}

function readEvent(fields: JsonFields): DstackEvent {
  const type = fields.integer('event_type', 0, 0xffff_ffff)
  const imr = fields.integer('imr', 0, 3) as DstackEvent['imr']
  const isRuntime = type === runtimeEventType
  // Only dstack writes to RTMR3, and only there: anything else would be outside the rules on names.
  if (isRuntime !== (imr === 3)) fields.fail('imr', 'does not go with the type of the event')
  const digest = fromHex(fields.text('digest', 96), `${fields.path}.digest`)
  if (digest.length !== 48 && !(isRuntime && digest.length === 0)) {
    fields.fail('digest', 'is not 48 bytes long')
  }
  const version = fields.has('version') ? fields.integer('version', 1, 2) : 1
  return {
    imr,
    type,
    digest,
    name: fields.text('event', 256),
    payload: fromHex(fields.text('event_payload', 65_536), `${fields.path}.event_payload`),
    version: version === 2 ? 2 : 1,
  }
}

/** LE32(type) ‖ ":" ‖ name ‖ ":" ‖ payload */
function hashInputV1(event: DstackEvent): Uint8Array {
  return concatBytes(Uint8Array.of(0x01, 0x00, 0x00, 0x08), utf8(`:${event.name}:`), event.payload)
}

function hashInputV2(event: DstackEvent, form: DigestForm): Uint8Array {
  const payload = toHex(event.payload).slice(2)
  // Keys in the order of RFC 8785; strings are escaped by JSON.stringify as it demands.
  const content =
    form === 'event'
      ? { event: event.name, event_type: runtimeEventType, payload, version: 2 }
      : { name: event.name, payload, type: runtimeEventType }
  return utf8(JSON.stringify(content))
}
