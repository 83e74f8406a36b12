import { BaseError } from '#schemas/errors.ts'

/** A request that the agent answers with HTTP 400 and `{"error": …}`, as dstack's does. */
export class AgentRequestError extends BaseError {
  override readonly name = 'AgentRequestError'
}

/** Raised when an agent cannot be set up from what it was given. */
export class AgentConfigurationError extends BaseError {
  override readonly name = 'AgentConfigurationError'
}
