import { equalBytes, utf8 } from '#schemas/bytes.ts'
import { localOrganization } from './blueprint.ts'
import { developmentSeed } from './keys.ts'
import { createPlatform } from './platform.ts'

/** Any instant of the local root's life will do: its certificate does not depend on it. */
const anyInstant = Date.UTC(2026, 0, 1) / 1000

/** Root certificate of the platform that every clone mints from {@link developmentSeed}, DER. */
export function developmentRootCertificate(): Uint8Array {
  return createPlatform({ seed: developmentSeed, now: anyInstant }).rootCertificateDer
}

/**
 * Whether a root certificate belongs to a platform minted here, whatever its seed. A guard against
 * accidents, not against malice: whoever mints a root can also rename it, which is why production
 * pins Intel's root and nothing else.
 *
 * @param der - A root certificate, or anything else: what is no certificate is not a local root.
 */
export function isLocalRoot(der: Uint8Array): boolean {
  const mark = utf8(localOrganization)
  for (let start = 0; start + mark.length <= der.length; start += 1) {
    if (equalBytes(der.subarray(start, start + mark.length), mark)) return true
  }
  return false
}
