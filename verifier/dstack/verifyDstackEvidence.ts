import { fromHex, toHex, utf8, type Hex } from '#schemas/bytes.ts'
import type { QuoteAppraisal } from '../appraisal/appraisal.ts'
import { refusal } from '../appraisal/errors.ts'
import { fieldOf } from '../collateral/collateral.ts'
import { JsonFields } from '../collateral/jsonFields.ts'
import { composeHash } from './composeHash.ts'
import { expectReplay, parseEventLog, runtimeEventType, type DstackEvent } from './eventLog.ts'
import {
  mrConfigIdV1,
  mrConfigIdV2,
  mrConfigIdV3,
  type KeyProviderKind,
  type MrConfigVersion,
} from './mrConfigId.ts'

export type DstackEvidence = {
  /** JSON text or list, as `GetQuote` returns it beside the quote. */
  readonly eventLog: unknown
  /** app-compose.json, byte for byte. */
  readonly appCompose: Uint8Array | string
  /** The configuration document, for MRCONFIGID version 3. */
  readonly mrConfigDocument?: string
}

export type DstackExpectations = {
  /** App id that is to be proved; `any` where the compose hash alone identifies the application. */
  readonly appId: Hex | 'any'
  /**
   * Where the guest may have its keys from. Development settings show here: provider `none` keeps no
   * secret from the host, and a KMS of one's own has another id than the production one.
   */
  readonly keyProviders: 'any' | readonly KeyProvider[]
  /** Guests before 0.5.4 and some hosts leave MRCONFIGID zero; RTMR3 then is the only bond. */
  readonly zeroMrConfigId: 'refuse' | 'accept'
}

export type KeyProvider = {
  /** `kms`, `local-sgx`, `tpm` or `none`. */
  readonly name: string
  /** Public key of the provider, hex as the event writes it. */
  readonly id: string
}

/** What was proved about the application inside a verified TDX quote. */
export type DstackAppraisal = {
  readonly appId: Hex
  readonly composeHash: Hex
  readonly instanceId: Hex
  readonly osImageHash: Hex | undefined
  readonly keyProvider: KeyProvider
  /** 0 when MRCONFIGID is zero and that was accepted. */
  readonly mrConfigVersion: 0 | MrConfigVersion
  /** The application's own events behind `system-ready`, name and payload, in order. */
  readonly applicationEvents: readonly { readonly name: string; readonly payload: Hex }[]
}

/** Names that only the boot may use: each at most once, and before the event named here. */
const bootEvents: ReadonlyMap<string, 'boot-mr-done' | 'system-ready'> = new Map([
  ['system-preparing', 'boot-mr-done'],
  ['app-id', 'boot-mr-done'],
  ['compose-hash', 'boot-mr-done'],
  ['instance-id', 'boot-mr-done'],
  ['init-script-hash', 'boot-mr-done'],
  ['gpu-policy-hash', 'boot-mr-done'],
  ['boot-mr-done', 'system-ready'],
  ['os-image-hash', 'system-ready'],
  ['key-provider', 'system-ready'],
  ['mr-kms', 'system-ready'],
  ['storage-fs', 'system-ready'],
])

/** May stand several times: one for each script, in order. */
const repeatable = 'init-script-hash'

/**
 * Verifies what a dstack guest tells of itself against its quote: the event log replays to all four
 * registers, the names that identify the application stand once and before the boot was over, the
 * compose file is the measured one, and MRCONFIGID agrees with all of it.
 *
 * Any process in the guest could add events to RTMR3 once it was up (the agent's `EmitEvent`), so a
 * name is worth something only where the boot alone could have written it.
 *
 * @param appraisal - Of a TDX quote that was verified before; without that all of this is hearsay.
 * @throws {@link DstackEvidenceError} with the codes 400 to 429 in their order.
 */
export function verifyDstackEvidence(
  appraisal: QuoteAppraisal,
  evidence: DstackEvidence,
  expectations: DstackExpectations,
): DstackAppraisal {
  const { td } = appraisal
  if (td === undefined) {
    throw refusal('EventLogMalformed', 'An SGX quote has no event log.', { field: 'quote' })
  }
  const events = parseEventLog(evidence.eventLog)
  expectReplay(events, td.rtmr)
  const boot = readBoot(events)

  const { appCompose } = evidence
  const measured = toHex(boot.required('compose-hash', 32))
  const actual = composeHash(typeof appCompose === 'string' ? utf8(appCompose) : appCompose)
  if (actual !== measured) {
    throw refusal('ComposeHashMismatch', 'The compose file is not the one that was measured.', {
      field: 'appCompose',
      metaMessages: [`Expected: ${measured}`, `Actual: ${actual}`],
      remedy: 'Pass app-compose.json byte for byte; JSON that was written again differs.',
    })
  }
  const appId = toHex(boot.required('app-id', 20))
  if (expectations.appId !== 'any' && appId !== expectations.appId.toLowerCase()) {
    throw refusal('AppIdMismatch', 'The guest runs under another app id.', {
      metaMessages: [`Expected: ${expectations.appId}`, `Actual: ${appId}`],
    })
  }
  const keyProvider = readKeyProvider(boot.payload('key-provider'))
  const { keyProviders } = expectations
  const isAllowed =
    keyProviders === 'any' ||
    keyProviders.some(({ name, id }) => name === keyProvider.name && id === keyProvider.id)
  if (!isAllowed) {
    throw refusal('KeyProviderNotAllowed', 'The guest has its keys from another provider.', {
      metaMessages: [`Actual: ${keyProvider.name} ${keyProvider.id}`],
      remedy: 'Deploy with the production KMS; development providers keep no secret.',
    })
  }
  const instance = boot.payload('instance-id')
  const instanceId = toHex(instance ?? new Uint8Array())
  const mrConfigVersion = verifyMrConfigId(
    td.mrConfigId,
    { appId, composeHash: measured, instanceId, keyProvider },
    evidence.mrConfigDocument,
    expectations,
  )
  const osImageHash = boot.payload('os-image-hash')
  return {
    appId,
    composeHash: measured,
    instanceId,
    osImageHash: osImageHash === undefined ? undefined : toHex(osImageHash),
    keyProvider,
    mrConfigVersion,
    applicationEvents: boot.later.map((event) => ({
      name: event.name,
      payload: toHex(event.payload),
    })),
  }
}

type Boot = {
  payload(name: string): Uint8Array | undefined
  required(name: string, length: number): Uint8Array
  readonly later: readonly DstackEvent[]
}

function readBoot(events: readonly DstackEvent[]): Boot {
  const runtime = events.filter((event) => event.type === runtimeEventType)
  const seen = new Map<string, Uint8Array>()
  const later: DstackEvent[] = []
  for (const event of runtime) {
    const { name } = event
    const before = name === 'system-ready' ? 'system-ready' : bootEvents.get(name)
    if (before !== undefined) {
      if (seen.has(name) && name !== repeatable) {
        throw refusal('EventRepeated', `The log holds ${name} twice.`, { field: 'eventLog' })
      }
      if (seen.has(before) || seen.has('system-ready')) {
        throw refusal('EventTooLate', `The log holds ${name} behind ${before}.`, {
          field: 'eventLog',
          remedy: 'Only the boot may write this name; the guest may be compromised.',
        })
      }
      seen.set(name, event.payload)
    } else if (seen.has('system-ready')) {
      later.push(event)
    }
  }
  const missing = (name: string) =>
    refusal('EventMissing', `The log does not hold ${name}.`, {
      field: 'eventLog',
      remedy: 'Take the quote after the guest has finished its boot.',
    })
  for (const name of ['boot-mr-done', 'system-ready']) if (!seen.has(name)) throw missing(name)
  return {
    payload: (name) => seen.get(name),
    required(name, length) {
      const payload = seen.get(name)
      if (payload === undefined || payload.length !== length) throw missing(name)
      return payload
    },
    later,
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/** The payload is JSON text `{"name":"kms","id":"…"}`; a guest without the event has no provider. */
function readKeyProvider(payload: Uint8Array | undefined): KeyProvider {
  if (payload === undefined) return { name: 'none', id: '' }
  try {
    const fields = new JsonFields(JSON.parse(decoder.decode(payload)), 'key-provider')
    return { name: fields.text('name', 32), id: fields.text('id', 1024) }
  } catch (cause) {
    throw refusal('EventLogMalformed', 'The key provider in the log cannot be read.', {
      cause,
      field: fieldOf(cause) ?? 'eventLog',
    })
  }
}

type Identity = Pick<DstackAppraisal, 'appId' | 'composeHash' | 'instanceId' | 'keyProvider'>

/** A map: the name comes from the event log, and an object would answer for `constructor` too. */
const kindOfName: ReadonlyMap<string, KeyProviderKind> = new Map([
  ['none', 'none'],
  ['local-sgx', 'local'],
  ['kms', 'kms'],
  ['tpm', 'tpm'],
])

function verifyMrConfigId(
  mrConfigId: Hex,
  identity: Identity,
  document: string | undefined,
  expectations: DstackExpectations,
): 0 | MrConfigVersion {
  const bytes = fromHex(mrConfigId, 'mrConfigId', 48)
  const version = bytes[0]
  if (bytes.every((byte) => byte === 0)) {
    if (expectations.zeroMrConfigId === 'accept') return 0
    throw refusal('MrConfigIdZero', 'MRCONFIGID is zero: the host did not bind the application.', {
      remedy: 'Deploy on a host that sets it (dstack 0.5.4 or later).',
    })
  }
  const kind = kindOfName.get(identity.keyProvider.name)
  let expected: Hex | undefined
  if (version === 1) {
    expected = mrConfigIdV1(identity.composeHash)
  } else if (version === 2 && kind !== undefined) {
    const id = identity.keyProvider.id
    const keyProviderId: Hex = /^([0-9a-f]{2})*$/.test(id) ? `0x${id}` : toHex(utf8(id))
    expected = mrConfigIdV2(identity.composeHash, identity.appId, kind, keyProviderId)
  } else if (version === 3) {
    expectDocument(document, identity, kind)
    expected = mrConfigIdV3(document ?? '')
  }
  if (expected === mrConfigId) return version as MrConfigVersion
  throw refusal('MrConfigIdMismatch', 'MRCONFIGID binds another application or key provider.', {
    metaMessages: [`Expected: ${expected ?? 'version 1, 2 or 3'}`, `Actual: ${mrConfigId}`],
  })
}

/** What the document of version 3 says must be what the log says. */
function expectDocument(
  document: string | undefined,
  identity: Identity,
  kind: KeyProviderKind | undefined,
): void {
  const fail = (problem: string, cause?: unknown) =>
    refusal('MrConfigDocumentInvalid', `The configuration document ${problem}.`, {
      field: 'mrConfigDocument',
      cause,
    })
  if (document === undefined) throw fail('is missing')
  let fields: JsonFields
  try {
    fields = new JsonFields(JSON.parse(document), 'mrConfigDocument')
  } catch (cause) {
    throw fail('cannot be read', cause)
  }
  const agrees = (name: string, expected: string, isOptional: boolean) =>
    fields.has(name) ? fields.value(name) === expected : isOptional
  const bare = (hex: Hex) => hex.slice(2)
  if (fields.has('version') && fields.value('version') !== 3) throw fail('has another version')
  if (!agrees('compose_hash', bare(identity.composeHash), false)) {
    throw fail('names another compose hash')
  }
  if (!agrees('app_id', bare(identity.appId), true)) throw fail('names another app id')
  if (!agrees('instance_id', bare(identity.instanceId), true)) throw fail('names another instance')
  if (kind === undefined || !agrees('key_provider', kind, false)) {
    throw fail('names another kind of key provider')
  }
  if (!agrees('key_provider_id', identity.keyProvider.id, true)) {
    throw fail('names another key provider')
  }
}
