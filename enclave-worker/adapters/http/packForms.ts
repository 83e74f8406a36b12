import { fromBase64Url, toBase64Url } from '#schemas/adapters/base64Url.ts'
import { utf8 } from '#schemas/bytes.ts'
import { signatureLength } from '#schemas/cose/signatureAlgorithm.ts'
import { packMediaType, packSequenceMediaType } from '#schemas/pack/packProfile.ts'
import { jsonPackItem, jwsPackItem } from '#schemas/pack/textPack.ts'
import { InvalidRequestError, UnsupportedMediaError } from './problem.ts'

/** Media types of `POST /v1/packs`, with what a body of each is. */
export const packBodyTypes = {
  [packSequenceMediaType]:
    'A CBOR sequence (RFC 8742) of packs in any form; one pack is a sequence.',
  'application/cose': 'One pack in COSE_Sign1.',
  'application/cbor': 'One pack in COSE_Sign1.',
  'application/jose': 'One pack as a compact JWS.',
  'application/senml+json':
    'The SenML-JSON payload of a JWS whose header and signature stand detached (RFC 7515, appendix F) in x-signature.',
  'application/json':
    'A signed JSON pack exactly as it was signed, its signature in x-signature (64 bytes, base64url).',
} as const

type PackBodyType = keyof typeof packBodyTypes

/**
 * The form of a request's packs.
 *
 * @throws {@link UnsupportedMediaError}
 */
export function packBodyTypeOf(contentType: string | undefined): PackBodyType {
  const type = (contentType ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  if (Object.hasOwn(packBodyTypes, type)) return type as PackBodyType
  throw new UnsupportedMediaError('Packs are not sent as this media type.', {
    field: 'Content-Type',
    metaMessages: [`Actual: ${type}`],
    remedy: `Use one of ${Object.keys(packBodyTypes).join(', ')}; for one COSE pack ${packMediaType}.`,
  })
}

const detachedPattern = /^([A-Za-z0-9_-]+)\.\.([A-Za-z0-9_-]+)$/
const compactPattern = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/**
 * A body as the sequence of packs that it stands for. Only the envelope is made here: what it holds
 * is for the threads to check.
 *
 * @throws {@link InvalidRequestError} for an `x-signature` that the form does not have.
 */
export function packSequenceOf(
  type: PackBodyType,
  body: Uint8Array,
  signature: string | undefined,
): Uint8Array {
  switch (type) {
    case 'application/jose': {
      const text = new TextDecoder().decode(body).trim()
      if (!compactPattern.test(text)) {
        throw new InvalidRequestError('The body is no compact JWS.', {
          field: 'body',
          remedy: 'Send three parts of base64url with a full stop between them.',
        })
      }
      return jwsPackItem(utf8(text))
    }
    case 'application/senml+json': {
      const [, header, proof] = detachedPattern.exec(signature ?? '') ?? []
      if (header === undefined || proof === undefined) {
        throw new InvalidRequestError('SenML-JSON comes with a detached JWS in x-signature.', {
          field: 'x-signature',
          remedy: 'Send HEADER..SIGNATURE, or the whole JWS as application/jose.',
        })
      }
      return jwsPackItem(utf8(`${header}.${toBase64Url(body)}.${proof}`))
    }
    case 'application/json': {
      const proof = signature === undefined ? undefined : fromBase64Url(signature)
      if (proof?.length !== signatureLength) {
        throw new InvalidRequestError('Signed JSON comes with its signature in x-signature.', {
          field: 'x-signature',
          remedy: 'Send the 64 bytes of r ‖ s over the exact body, in base64url.',
        })
      }
      return jsonPackItem(body, proof)
    }
    case 'application/cbor-seq':
    case 'application/cose':
    case 'application/cbor':
      return body
  }
}
