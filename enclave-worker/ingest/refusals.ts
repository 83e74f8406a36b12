import { BaseError } from '#schemas/errors.ts'

/** Raised for a pack by a key that is not enrolled here. */
export class UnknownDeviceError extends BaseError {
  override readonly name = 'UnknownDeviceError'
}

/** Raised for a pack that is ahead of its device's chain: the ones between have to come first. */
export class PackAheadError extends BaseError {
  override readonly name = 'PackAheadError'
  override readonly retryable = true
}

/** Raised for a pack that contradicts one that was accepted: both are kept as evidence. */
export class EquivocationError extends BaseError {
  override readonly name = 'EquivocationError'
}

/** Raised for a pack so old that it can no longer be told whether it is the accepted one. */
export class PackForgottenError extends BaseError {
  override readonly name = 'PackForgottenError'
}

/** Raised for a pack stamped further ahead of the enclave's clock than is allowed. */
export class PackFromFutureError extends BaseError {
  override readonly name = 'PackFromFutureError'
}

/** Raised for a device that was taken out of service, or whose hardware was claimed twice. */
export class DeviceOutOfServiceError extends BaseError {
  override readonly name = 'DeviceOutOfServiceError'
}

/** Raised for a pack with a series that the device is not enrolled for. */
export class UnknownSeriesError extends BaseError {
  override readonly name = 'UnknownSeriesError'
}

/** Raised for more readings than the declared sampling interval can produce. */
export class ImplausibleRateError extends BaseError {
  override readonly name = 'ImplausibleRateError'
}

/** Raised when a device, or everybody, sends faster than is taken. */
export class RateLimitedError extends BaseError {
  override readonly name = 'RateLimitedError'
  override readonly retryable = true
  readonly retryAfterSeconds: number

  constructor(message: string, field: string, retryAfterSeconds: number) {
    super(message, { field, remedy: `Send again after ${retryAfterSeconds} s.` })
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** Raised for a body that is larger, or holds more packs, than one request may. */
export class BodyTooLargeError extends BaseError {
  override readonly name = 'BodyTooLargeError'
}

/** Raised when the disk is too full to take packs; batches still close. */
export class StorageFullError extends BaseError {
  override readonly name = 'StorageFullError'
  override readonly retryable = true
}

/** A refusal as it stands in an answer. */
export type Refusal = {
  readonly name: string
  readonly message: string
  readonly field?: string
  readonly remedy?: string
  readonly retryable: boolean
}

export function refusalOf(error: unknown): Refusal {
  if (!(error instanceof BaseError)) {
    return {
      name: 'InternalError',
      message: 'The pack could not be looked at.',
      remedy: 'Send it again; tell the operator when it happens again.',
      retryable: true,
    }
  }
  return {
    name: error.name,
    message: error.shortMessage,
    ...(error.field === undefined ? {} : { field: error.field }),
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    retryable: error.retryable,
  }
}
