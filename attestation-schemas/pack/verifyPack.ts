import type { Hex } from '../bytes.ts'
import type { DecodedPack } from './decodedPack.ts'
import type { DeviceKey } from './deviceKey.ts'
import { PackNotAuthenticError } from './packErrors.ts'
import type { SignatureVerifier } from './signatureVerifier.ts'

declare const verified: unique symbol

/** A pack whose device is proved to have signed it for its stream. */
export type VerifiedPack = DecodedPack & { readonly [verified]: true }

/**
 * Proves that the holder of an enrolled key signed a pack for a stream. The key fixes the algorithm:
 * what the pack says about either is only compared.
 *
 * Order in the chain (sequence, previous) is not judged here: it needs the device's other packs.
 *
 * @throws {@link PackNotAuthenticError}
 */
export function verifyPack(
  pack: DecodedPack,
  expected: { readonly key: DeviceKey; readonly stream: Hex; readonly verifier: SignatureVerifier },
): VerifiedPack {
  const { key, stream, verifier } = expected
  if (pack.kid !== key.id) {
    throw new PackNotAuthenticError('The pack names another key than the enrolled one.', {
      rule: 'other-key',
      field: 'kid',
      metaMessages: [`Expected: ${key.id}`, `Actual: ${pack.kid}`],
    })
  }
  if (pack.algorithm !== key.algorithm) {
    throw new PackNotAuthenticError('The pack names another algorithm than the enrolled key has.', {
      rule: 'other-algorithm',
      field: 'alg',
      metaMessages: [`Expected: ${key.algorithm}`, `Actual: ${pack.algorithm}`],
    })
  }
  if (pack.claims.stream !== stream) {
    throw new PackNotAuthenticError('The pack belongs to another stream.', {
      rule: 'other-stream',
      field: 'stream',
      metaMessages: [`Expected: ${stream}`, `Actual: ${pack.claims.stream}`],
    })
  }
  if (!verifier.verify(key, pack.signedBytes, pack.signature)) {
    throw new PackNotAuthenticError('The signature does not fit the pack and the key.', {
      rule: 'signature',
      field: 'signature',
      metaMessages: [`Device: ${key.id}`, `Sequence: ${pack.claims.sequence}`],
    })
  }
  return pack as VerifiedPack
}
