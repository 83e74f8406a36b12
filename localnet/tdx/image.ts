import { sha384 } from '@noble/hashes/sha2'
import { concatBytes, utf8 } from '#schemas/bytes.ts'

/**
 * One measured event as dstack's event log writes it. `digest` is empty where the guest agent strips
 * it (RTMR3 since 0.5.6), and then has to be recomputed from name and payload.
 */
export type MeasuredEvent = {
  readonly imr: number
  readonly event_type: number
  readonly digest: string
  readonly event: string
  readonly event_payload: string
}

/** TCG event types of the firmware's part of the log. @see TCG PC Client Platform Firmware Profile */
const eventType = {
  separator: 0x0000_0004,
  platformConfigFlags: 0x0000_000a,
  eventTag: 0x0000_0006,
  efiVariableDriverConfig: 0x8000_0001,
  efiBootServicesApplication: 0x8000_0003,
  efiAction: 0x8000_0007,
  efiPlatformFirmwareBlob2: 0x8000_000a,
  efiHandoffTables2: 0x8000_000b,
} as const

/** What the local platform measures in place of a real OS image: stable, recognisable, not Intel's. */
const bootSteps: readonly (readonly [imr: number, type: keyof typeof eventType, what: string])[] = [
  [0, 'efiHandoffTables2', 'td hob'],
  [0, 'efiPlatformFirmwareBlob2', 'configuration volume'],
  [0, 'efiVariableDriverConfig', 'SecureBoot'],
  [0, 'separator', 'separator'],
  [0, 'platformConfigFlags', 'ACPI DATA'],
  [1, 'efiBootServicesApplication', 'kernel'],
  [1, 'efiAction', 'Calling EFI Application from Boot Option'],
  [1, 'separator', 'separator'],
  [1, 'efiAction', 'Exit Boot Services Returned with Success'],
  [2, 'eventTag', 'kernel command line'],
  [2, 'eventTag', 'initrd'],
]

/** Version of the pretended operating system image; a change of it changes every measurement. */
export const localImageName = 'plumbline-local-0.1.0'

/** Events of RTMR0 to RTMR2, in log order, for the local image. */
export const localBootEvents: readonly MeasuredEvent[] = bootSteps.map(([imr, type, what]) => ({
  imr,
  event_type: eventType[type],
  digest: Buffer.from(localDigest(`rtmr${imr}/${what}`)).toString('hex'),
  event: '',
  event_payload: Buffer.from(what).toString('hex'),
}))

/** MRTD of the local image. */
export const localMrTd = localDigest('mrtd')

/** An RTMR after the given digests, from 48 zero bytes. @see Intel TDX Module ABI, TDG.MR.RTMR.EXTEND */
function replayRtmr(digests: readonly Uint8Array[]): Uint8Array {
  let value: Uint8Array = new Uint8Array(48)
  for (const digest of digests) value = sha384(concatBytes(value, digest))
  return value
}

/** RTMR `imr` of a log whose digests are all present. */
export function replayLog(events: readonly MeasuredEvent[], imr: number): Uint8Array {
  return replayRtmr(
    events
      .filter((event) => event.imr === imr)
      .map((event) => Uint8Array.from(Buffer.from(event.digest, 'hex'))),
  )
}

function localDigest(what: string): Uint8Array {
  return sha384(utf8(`${localImageName}/${what}`))
}
