import { FormatRefusedError } from '../cbor/formatRefusedError.ts'

/** The rules by which a calibration certificate is stricter than COSE and CWT. */
export const calibrationRules = [
  'too-large',
  'header',
  'type',
  'algorithm',
  'key-id',
  'not-claims',
  'unknown-claim',
  'missing-claim',
  'claim-type',
  'version',
  'text',
  'time-range',
  'validity',
  'encoding',
  'signature-length',
] as const

export type CalibrationRule = (typeof calibrationRules)[number]

/** A COSE_Sign1 that is no calibration certificate of this profile. */
export class CalibrationFormatError extends FormatRefusedError<CalibrationRule> {
  override readonly name = 'CalibrationFormatError'
}

/** Why a well-formed certificate is not the laboratory's. */
export const calibrationVerificationRules = ['other-key', 'other-algorithm', 'signature'] as const

export type CalibrationVerificationRule = (typeof calibrationVerificationRules)[number]

/** A well-formed certificate that is not what the laboratory with this key would have signed. */
export class CalibrationNotAuthenticError extends FormatRefusedError<CalibrationVerificationRule> {
  override readonly name = 'CalibrationNotAuthenticError'
}
