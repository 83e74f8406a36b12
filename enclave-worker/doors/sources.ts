import { createHmac, createPrivateKey, sign as signBytes } from 'node:crypto'
import { type Hex, concatBytes, fromHex, utf8 } from '#schemas/bytes.ts'
import { createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import { subjectId } from '#schemas/report.ts'
import { trustTiers } from '#schemas/trustTier.ts'
import type { EnrolledDevice } from '../config.ts'
import type { SourceConfig } from './doorsConfig.ts'

/** A source with the key that the enclave signs for it with. */
export type Source = {
  readonly config: SourceConfig
  readonly enrolled: EnrolledDevice
  readonly sign: (message: Uint8Array) => Uint8Array
}

export const sourceKeyPath = 'plumbline/sources/1'

/** PKCS #8 around an Ed25519 seed of 32 bytes (RFC 8410, section 7). */
const pkcs8Head = fromHex('302e020100300506032b657004220420', 'pkcs8')

/**
 * The key of a source comes from the application's own, so that its chain goes on over boots and on
 * another machine of the same application. The enclave's signature says that the platform delivered
 * this under its secret, no more: whoever holds the application's key could have written it.
 */
export function createSource(
  config: SourceConfig,
  stream: Hex,
  applicationKey: Uint8Array,
): Source {
  const seed = createHmac('sha256', applicationKey)
    .update(fromHex(stream, 'stream', 32))
    .update(utf8(`${config.platform}/${config.name}`))
    .digest()
  const privateKey = createPrivateKey({
    key: Buffer.from(concatBytes(pkcs8Head, seed)),
    format: 'der',
    type: 'pkcs8',
  })
  return {
    config,
    enrolled: {
      key: createDeviceSigner('Ed25519', seed).key,
      subject: subjectId(config.subject),
      subjectName: config.subject,
      tier: trustTiers.gateway,
      intervalMs: config.intervalMs,
      series: config.series,
      label: config.label ?? `${config.platform}/${config.name}`,
    },
    sign: (message) => signBytes(null, message, privateKey),
  }
}
