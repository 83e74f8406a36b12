import { FormatRefusedError } from '../cbor/formatRefusedError.ts'
import { BaseError } from '../errors.ts'

/** The rules by which the pack profile is stricter than COSE and SenML. */
export const packRules = [
  'pack-too-large',
  'too-many-packs',
  'unprotected-header',
  'unknown-header',
  'duplicate-header',
  'algorithm',
  'critical',
  'content-type',
  'key-id',
  'missing-header',
  'unknown-claim',
  'duplicate-claim',
  'missing-claim',
  'claim-type',
  'version',
  'sequence-range',
  'previous-of-first',
  'signature-length',
  'encoding',
] as const

export type PackRule = (typeof packRules)[number]

/** A COSE_Sign1 that is no pack of this profile. */
export class PackProfileError extends FormatRefusedError<PackRule> {
  override readonly name = 'PackProfileError'
}

/** Why a well-formed pack is not authentic. */
export const packVerificationRules = [
  'other-key',
  'other-algorithm',
  'other-stream',
  'signature',
] as const

export type PackVerificationRule = (typeof packVerificationRules)[number]

/** A well-formed pack that is not what its device would have signed for this stream. */
export class PackNotAuthenticError extends FormatRefusedError<PackVerificationRule> {
  override readonly name = 'PackNotAuthenticError'
}

/** What was handed to the encoder cannot become a pack. */
export class PackEncodingError extends BaseError {
  override readonly name = 'PackEncodingError'
}
