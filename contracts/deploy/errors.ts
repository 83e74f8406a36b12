import { BaseError } from '#schemas/errors.ts'

/** Raised when a chain lacks what a deployment stands on, or is not the chain it was said to be. */
export class UnsuitableChainError extends BaseError {
  override readonly name = 'UnsuitableChainError'
}

/** Raised when a transaction of a deployment or a set-up was mined and failed. */
export class TransactionFailedError extends BaseError {
  override readonly name = 'TransactionFailedError'
}

/** Raised when a chain did not mine a transaction of a deployment or a set-up in time. */
export class TransactionStalledError extends BaseError {
  override readonly name = 'TransactionStalledError'
}

/** Raised when code is missing where a deployment should have put it. */
export class DeploymentMissingError extends BaseError {
  override readonly name = 'DeploymentMissingError'
}

/** Raised when a chain would refuse a registration; `field` is the contract's error. */
export class RegistrationRefusedError extends BaseError {
  override readonly name = 'RegistrationRefusedError'
}

/** Raised when what stands on a chain is not what the plan says, and the deployer cannot mend it. */
export class DeploymentMismatchError extends BaseError {
  override readonly name = 'DeploymentMismatchError'
}
