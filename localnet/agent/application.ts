import { sha256 } from '@noble/hashes/sha2'
import { concatBytes, fromHex, utf8 } from '#schemas/bytes.ts'
import { deriveBytes } from '../tdx/keys.ts'
import type { Seed } from '../tdx/keys.ts'
import type { MeasuredEvent } from '../tdx/image.ts'
import { localImageName } from '../tdx/image.ts'
import { AgentConfigurationError } from './errors.ts'
import { runtimeEvent } from './eventLog.ts'

/** Who the pretended confidential VM runs: everything that RTMR3 and MRCONFIGID say about it. */
export type Application = {
  readonly name: string
  /** The compose file as it was given, to the byte. */
  readonly compose: string
  readonly composeHash: Uint8Array
  readonly appId: Uint8Array
  readonly instanceId: Uint8Array
  readonly osImageHash: Uint8Array
  /** JSON `{"name","id"}`. */
  readonly keyProviderInfo: string
  /** Events of a boot, in order. */
  readonly events: readonly MeasuredEvent[]
  /** Version 1: 01 ‖ compose hash ‖ zeros. */
  readonly mrConfigId: Uint8Array
  readonly vmConfig: string
  readonly isTcbInfoPublic: boolean
}

export type ApplicationOptions = {
  readonly seed: Seed
  /** Content of `app-compose.json`; its raw bytes are hashed, as dstack does. */
  readonly composeFile: string | Uint8Array
  /** 20 bytes of hex. Default: the first 20 bytes of the compose hash, as without a KMS contract. */
  readonly appId?: string
  /** SubjectPublicKeyInfo of the key management service's CA: the id in the `key-provider` event. */
  readonly keyProviderId: Uint8Array
}

export function createApplication(options: ApplicationOptions): Application {
  const { seed, composeFile, keyProviderId } = options
  const bytes = typeof composeFile === 'string' ? utf8(composeFile) : composeFile
  const compose = decodeUtf8(bytes)
  const parsed = parseCompose(compose)
  const composeHash = sha256(bytes)
  const appId =
    options.appId === undefined ? composeHash.slice(0, 20) : fromHex(options.appId, 'appId', 20)
  const instanceId = sha256(concatBytes(deriveBytes(seed, 'instance', 32), appId)).slice(0, 20)
  const osImageHash = sha256(utf8(localImageName))
  const keyProviderInfo = JSON.stringify({
    name: 'kms',
    id: Buffer.from(keyProviderId).toString('hex'),
  })
  const nothing = new Uint8Array(0)
  return {
    name: typeof parsed['name'] === 'string' ? parsed['name'] : '',
    compose,
    composeHash,
    appId,
    instanceId,
    osImageHash,
    keyProviderInfo,
    events: [
      runtimeEvent('system-preparing', nothing),
      runtimeEvent('app-id', appId),
      runtimeEvent('compose-hash', composeHash),
      runtimeEvent('instance-id', instanceId),
      runtimeEvent('boot-mr-done', nothing),
      runtimeEvent('os-image-hash', osImageHash),
      runtimeEvent('key-provider', utf8(keyProviderInfo)),
      runtimeEvent('storage-fs', utf8('zfs')),
      runtimeEvent('system-ready', nothing),
    ],
    mrConfigId: concatBytes(Uint8Array.of(1), composeHash, new Uint8Array(15)),
    vmConfig: JSON.stringify({
      spec_version: 1,
      os_image_hash: Buffer.from(osImageHash).toString('hex'),
      cpu_count: 2,
      memory_size: 2_147_483_648,
      image: localImageName,
    }),
    isTcbInfoPublic: parsed['public_tcbinfo'] === true,
  }
}

/**
 * The application that a genuine quote's log speaks of. What the log does not say is left as it is,
 * and so is the compose file: whoever has the genuine one passes it.
 */
export function applicationOfLog(
  application: Application,
  events: readonly MeasuredEvent[],
): Application {
  const payload = (name: string, otherwise: Uint8Array): Uint8Array => {
    const event = events.find((candidate) => candidate.imr === 3 && candidate.event === name)
    return event === undefined
      ? otherwise
      : Uint8Array.from(Buffer.from(event.event_payload, 'hex'))
  }
  return {
    ...application,
    appId: payload('app-id', application.appId),
    composeHash: payload('compose-hash', application.composeHash),
    instanceId: payload('instance-id', application.instanceId),
    osImageHash: payload('os-image-hash', application.osImageHash),
    keyProviderInfo: new TextDecoder().decode(
      payload('key-provider', utf8(application.keyProviderInfo)),
    ),
  }
}

function parseCompose(text: string): Record<string, unknown> {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw notCompose(cause)
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw notCompose()
  return parsed as Record<string, unknown>
}

function notCompose(cause?: unknown): AgentConfigurationError {
  return new AgentConfigurationError('The compose file is not a JSON object.', {
    cause,
    field: 'composeFile',
    remedy: 'Pass the content of app-compose.json, not of docker-compose.yaml.',
  })
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw notCompose(cause)
  }
}
