import { BaseError } from '#schemas/errors.ts'

/** Raised when a signer outside this process cannot be asked, or does not answer as agreed. */
export class SignerUnavailableError extends BaseError {
  override readonly name = 'SignerUnavailableError'
  override readonly retryable = true
}

/** Raised when a signer's answer is not a signature of what was asked for; it is never used. */
export class WrongSignatureError extends BaseError {
  override readonly name = 'WrongSignatureError'
}

/** Raised when the settings that name a signer are absent or contradict each other. */
export class SignerSettingsError extends BaseError {
  override readonly name = 'SignerSettingsError'
}
