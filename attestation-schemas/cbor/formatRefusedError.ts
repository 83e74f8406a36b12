import { BaseError, type ErrorDetails } from '../errors.ts'

/** What a refusal of untrusted input carries: the rule that refused, and where. */
export type FormatRefusal<Rule extends string> = Omit<ErrorDetails, 'metaMessages'> & {
  /** Stable code of the broken rule, for machines: `duplicate-key`, `relative-time`. */
  rule: Rule
  /** Byte (or character) at which reading stopped. */
  offset?: number | undefined
  metaMessages?: readonly string[]
}

/**
 * Root of every refusal of untrusted input by a reader of this room. A caller that ingests takes one
 * decision for all of them: refuse the message, answer with `rule`, never retry.
 */
export class FormatRefusedError<Rule extends string = string> extends BaseError {
  override readonly name: string = 'FormatRefusedError'
  readonly rule: Rule
  readonly offset: number | undefined

  constructor(shortMessage: string, refusal: FormatRefusal<Rule>) {
    super(shortMessage, {
      ...refusal,
      metaMessages: [
        `Rule: ${refusal.rule}`,
        ...(refusal.offset === undefined ? [] : [`Offset: ${refusal.offset}`]),
        ...(refusal.metaMessages ?? []),
      ],
    })
    this.rule = refusal.rule
    this.offset = refusal.offset
  }
}
