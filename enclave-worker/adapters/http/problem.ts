import { BaseError } from '#schemas/errors.ts'
import { BodyRefusedError } from '../../ingest/verifyPool.ts'
import { type Refusal, refusalOf } from '../../ingest/refusals.ts'

/** HTTP status of each error that a caller can meet; anything else is ours and says nothing. */
const statusOf: Readonly<Record<string, number>> = {
  BodyRefusedError: 400,
  InvalidRequestError: 400,
  InvalidHexError: 400,
  InvalidMessageError: 400,
  InvalidJsonError: 400,
  PlatformMessageError: 400,
  CalibrationFormatError: 400,
  InvalidSign1Error: 400,
  InvalidCborError: 400,
  CalibrationNotAuthenticError: 403,
  UnknownLaboratoryError: 403,
  LaboratoryStatusError: 403,
  UnknownItemError: 404,
  CalibrationConflictError: 409,
  CalibrationFromFutureError: 403,
  CalibrationQuotaError: 403,
  PossessionError: 403,
  UntrustedDeviceError: 403,
  MakerStatusError: 403,
  UnknownSubjectError: 404,
  DuplicateIdentityError: 409,
  TransferConflictError: 409,
  DeviceOutOfServiceError: 409,
  UnknownDeviceError: 404,
  EnrolmentQuotaError: 403,
  EnrolmentRateError: 429,
  UnauthorizedError: 401,
  ForbiddenError: 403,
  ReadingsPrivateError: 403,
  NotFoundError: 404,
  UnknownAttestationError: 404,
  UnknownBatchError: 404,
  UnknownReportError: 404,
  BodyTooLargeError: 413,
  BundleTooLargeError: 413,
  UnsupportedMediaError: 415,
  RateLimitedError: 429,
  CheckingThreadLostError: 503,
  DeliverAgainError: 503,
  ChainUnreachableError: 503,
  BundleIncompleteError: 503,
  GuestAgentError: 503,
  LeaseLostError: 503,
  LedgerFailedError: 503,
  NotAttestedYetError: 503,
  SigningHeldError: 503,
  StorageFullError: 507,
}

/** Raised for a request whose parameters are not what the call takes. */
export class InvalidRequestError extends BaseError {
  override readonly name = 'InvalidRequestError'
}

/** Raised for a path, subject or batch that is not there. */
export class NotFoundError extends BaseError {
  override readonly name = 'NotFoundError'
}

/** Raised when packs are asked for where the operator keeps readings private. */
export class ReadingsPrivateError extends BaseError {
  override readonly name = 'ReadingsPrivateError'
}

/** Raised for a body of another media type. */
export class UnsupportedMediaError extends BaseError {
  override readonly name = 'UnsupportedMediaError'
}

export type Problem = {
  readonly status: number
  readonly retryAfterSeconds: number | undefined
  readonly body: { readonly error: Refusal }
}

/** What a caller is told about an error: name, field and remedy of ours, nothing of others. */
export function problemOf(error: unknown): Problem {
  const refusal = error instanceof BodyRefusedError ? error.refusal : refusalOf(error)
  const status = error instanceof BaseError ? (statusOf[error.name] ?? 500) : 500
  const wait =
    error instanceof BaseError && 'retryAfterSeconds' in error
      ? Number(error.retryAfterSeconds)
      : undefined
  return {
    status,
    retryAfterSeconds: wait ?? (status === 429 || status === 503 || status === 507 ? 1 : undefined),
    body: {
      error:
        status === 500
          ? {
              name: 'InternalError',
              message: 'The worker could not answer.',
              remedy: 'Try again; tell the operator when it happens again.',
              retryable: true,
            }
          : refusal,
    },
  }
}
