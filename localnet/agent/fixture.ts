import { BaseError } from '#schemas/errors.ts'
import type { MeasuredEvent } from '../tdx/image.ts'
import type { MeasuredRegisters } from './attester.ts'

/** A genuine quote with what is known about it. */
export type Fixture = {
  readonly quote: Uint8Array
  readonly reportDataOffset: number
  readonly registers: MeasuredRegisters
  readonly events: readonly MeasuredEvent[]
  readonly vmConfig: string
}

/** Raised when a file holds no TDX quote in any form that is known here. */
export class FixtureFormatError extends BaseError {
  override readonly name = 'FixtureFormatError'
}

/**
 * A fixture from a file's content: raw bytes of a quote, its hex, a JSON array of its bytes, the JSON
 * of a `GetQuote` answer, or dstack's `attestation.bin` (SCALE, version 0).
 *
 * @throws {@link FixtureFormatError}
 */
export function readFixture(file: Uint8Array): Fixture {
  // A copy that is no Buffer: slices of a Buffer would share its memory.
  const content = Uint8Array.from(file)
  const firstByte = content[0]
  if (firstByte === 4 || firstByte === 5) return fixtureOf(content)
  if (firstByte === 0) return readScaleAttestation(content)
  const text = new TextDecoder().decode(content).trim()
  if (/^(?:0x)?[0-9a-fA-F]+$/.test(text)) return fixtureOf(bytesOfHex(text))
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw unreadable(cause)
  }
  if (Array.isArray(parsed)) return fixtureOf(Uint8Array.from(parsed as number[]))
  if (typeof parsed !== 'object' || parsed === null) throw unreadable()
  const answer = parsed as Record<string, unknown>
  if (typeof answer['quote'] !== 'string') throw unreadable()
  const log = answer['event_log']
  const events = typeof log === 'string' ? (JSON.parse(log) as unknown) : log
  return fixtureOf(
    bytesOfHex(answer['quote']),
    Array.isArray(events) ? (events as MeasuredEvent[]) : [],
    typeof answer['vm_config'] === 'string' ? answer['vm_config'] : '',
  )
}

function fixtureOf(
  quote: Uint8Array,
  events: readonly MeasuredEvent[] = [],
  vmConfig = '',
): Fixture {
  const view = new DataView(quote.buffer, quote.byteOffset, quote.byteLength)
  if (quote.length < 48 + 584) throw unreadable()
  const version = view.getUint16(0, true)
  const teeType = view.getUint32(4, true)
  if ((version !== 4 && version !== 5) || teeType !== 0x81) throw unreadable()
  // Header 48 bytes; version 5 puts a body type and a length before the body.
  const body = version === 4 ? 48 : 54
  const field = (offset: number, length = 48) => quote.slice(body + offset, body + offset + length)
  return {
    quote,
    reportDataOffset: body + 520,
    registers: {
      mrTd: field(136),
      mrConfigId: field(184),
      mrOwner: field(232),
      mrOwnerConfig: field(280),
      rtmr0: field(328),
      rtmr1: field(376),
      rtmr2: field(424),
      rtmr3: field(472),
    },
    events,
    vmConfig,
  }
}

/** `attestation.bin`: version and variant bytes, quote, events, runtime events, report data, config. */
function readScaleAttestation(content: Uint8Array): Fixture {
  let offset = 2
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength)
  const take = (length: number): Uint8Array => {
    if (offset + length > content.length) throw unreadable()
    const bytes = content.subarray(offset, offset + length)
    offset += length
    return bytes
  }
  const word = (): number => {
    const bytes = take(4)
    return view.getUint32(bytes.byteOffset - content.byteOffset, true)
  }
  // SCALE compact integers: two low bits tell the width; larger modes never occur in this file.
  const compact = (): number => {
    const mode = (content[offset] ?? 3) & 3
    if (mode === 3) throw unreadable()
    let value = 0
    take(1 << mode).forEach((byte, index) => {
      value += byte * 2 ** (8 * index)
    })
    return Math.floor(value / 4)
  }
  const hex = () => Buffer.from(take(compact())).toString('hex')
  const text = () => new TextDecoder().decode(take(compact()))
  if (content[1] !== 0) throw unreadable()
  const quote = take(compact())
  const events: MeasuredEvent[] = []
  for (let left = compact(); left > 0; left -= 1) {
    events.push({
      imr: word(),
      event_type: word(),
      digest: hex(),
      event: text(),
      event_payload: hex(),
    })
  }
  for (let left = compact(); left > 0; left -= 1) {
    text()
    hex()
  }
  take(64)
  const config = JSON.parse(text()) as { vm_config?: unknown }
  return fixtureOf(quote, events, typeof config.vm_config === 'string' ? config.vm_config : '')
}

function bytesOfHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/^0x/, ''), 'hex'))
}

function unreadable(cause?: unknown): FixtureFormatError {
  return new FixtureFormatError('The fixture holds no TDX quote of version 4 or 5.', {
    cause,
    field: 'fixture',
    remedy: 'Name a raw quote, its hex, the JSON of a GetQuote answer, or an attestation.bin.',
  })
}
