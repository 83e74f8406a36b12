/** What an error carries besides its first line. */
export type ErrorDetails = {
  /** The error this one stands on. */
  cause?: unknown
  /** Path of the offending field, as the caller wrote it: `policy.window.length`, `header.seq`. */
  field?: string | undefined
  /** One sentence that says what to do about it. */
  remedy?: string | undefined
  /** Further lines for the person reading it: expected beside actual. */
  metaMessages?: readonly string[]
}

/**
 * Root of every error this project throws on purpose: one subclass for each decision a caller can
 * take. The first line is for the log; the rest is for the person reading it. Messages never hold
 * secrets, whole quotes or raw device payloads.
 */
export class BaseError extends Error {
  override readonly name: string = 'BaseError'
  /** Whether the same call can succeed later without a change of its input. */
  readonly retryable: boolean = false
  readonly shortMessage: string
  readonly field: string | undefined
  readonly remedy: string | undefined

  constructor(shortMessage: string, details: ErrorDetails = {}) {
    const lines = [
      shortMessage,
      ...(details.field === undefined ? [] : [`Field: ${details.field}`]),
      ...(details.metaMessages ?? []),
      ...(details.remedy === undefined ? [] : [`Remedy: ${details.remedy}`]),
    ]
    super(lines.join('\n'), details.cause === undefined ? undefined : { cause: details.cause })
    this.shortMessage = shortMessage
    this.field = details.field
    this.remedy = details.remedy
  }
}
