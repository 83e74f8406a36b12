import { BaseError } from '#schemas/errors.ts'

/** Raised for a certificate chain that does not lead to a pinned maker by the rules of a path. */
export class UntrustedDeviceError extends BaseError {
  override readonly name = 'UntrustedDeviceError'
}

/** Raised when the key that is to be enrolled was not shown to be held. */
export class PossessionError extends BaseError {
  override readonly name = 'PossessionError'
}

/** Raised when a maker, a model or a range of serials is not in good standing. */
export class MakerStatusError extends BaseError {
  override readonly name = 'MakerStatusError'
}

/** Raised when a key, a certificate or a piece of hardware is claimed a second time. */
export class DuplicateIdentityError extends BaseError {
  override readonly name = 'DuplicateIdentityError'
}

/** Raised when a maker endorsed more devices than it made, or a subject has enough. */
export class EnrolmentQuotaError extends BaseError {
  override readonly name = 'EnrolmentQuotaError'
}

/** Raised when a model is enrolled faster than a day allows. */
export class EnrolmentRateError extends BaseError {
  override readonly name = 'EnrolmentRateError'
  override readonly retryable = true
}

/** Raised when a device cannot move as it is said to: it is there, has moved since, or left too late. */
export class TransferConflictError extends BaseError {
  override readonly name = 'TransferConflictError'
}

/** Raised when a device is enrolled for a subject that nothing is reported on. */
export class UnknownSubjectError extends BaseError {
  override readonly name = 'UnknownSubjectError'
}

/** Raised for a calibration certificate by a key that the configuration pins for no laboratory. */
export class UnknownLaboratoryError extends BaseError {
  override readonly name = 'UnknownLaboratoryError'
}

/** Raised when a laboratory's key is revoked, or its scope does not reach as far as a certificate. */
export class LaboratoryStatusError extends BaseError {
  override readonly name = 'LaboratoryStatusError'
}

/** Raised for a certificate on a device or a series that is not enrolled. */
export class UnknownItemError extends BaseError {
  override readonly name = 'UnknownItemError'
}

/** Raised when a certificate contradicts another of the same laboratory. */
export class CalibrationConflictError extends BaseError {
  override readonly name = 'CalibrationConflictError'
}

/** Raised for a certificate that was issued ahead of the worker's clock. */
export class CalibrationFromFutureError extends BaseError {
  override readonly name = 'CalibrationFromFutureError'
  override readonly retryable = true
}

/** Raised when a device has as many certificates as one may have. */
export class CalibrationQuotaError extends BaseError {
  override readonly name = 'CalibrationQuotaError'
}
