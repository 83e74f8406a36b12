import { signatureLength } from '../cose/signatureAlgorithm.ts'
import { trustTiers } from '../trustTier.ts'
import { AdapterRefusedError } from './adapterError.ts'
import { fromBase64Url } from './base64Url.ts'
import { type AdaptedReadings, type SignedAdapterContext, weakerTier } from './formatAdapter.ts'
import { readJsonReadings } from './jsonReadings.ts'
import { parseStrictJson } from './strictJson.ts'

/**
 * Reads plain JSON readings whose exact body bytes are signed, the signature standing beside the
 * body (header `x-signature`, base64url of 64 bytes).
 *
 * The tier is at best `software`: without a sequence nobody sees what was withheld.
 *
 * @throws {@link AdapterRefusedError}, {@link InvalidJsonError}
 */
export function readSignedJson(
  body: Uint8Array,
  signatureText: string,
  { key, keyTier, verifier }: SignedAdapterContext,
): AdaptedReadings {
  const signature = fromBase64Url(signatureText)
  if (signature?.length !== signatureLength) {
    throw new AdapterRefusedError('The signature is not 64 bytes of base64url.', {
      rule: 'encoding',
      field: 'x-signature',
    })
  }
  if (!verifier.verify(key, body, signature)) {
    throw new AdapterRefusedError('The signature does not fit the body and the key.', {
      rule: 'signature',
      field: 'x-signature',
    })
  }
  const tier = weakerTier(keyTier, trustTiers.software)
  return { tier, readings: readJsonReadings(parseStrictJson(body), key.id, tier) }
}
