import { BaseError } from '../errors.ts'

/** One thing that is wrong with a policy, where it stands. */
export type PolicyProblem = {
  /** `objectives[0].limit`; empty for the document itself. */
  readonly path: string
  readonly message: string
  /** 1-based; present when the policy was given as text. */
  readonly line?: number
  readonly column?: number
}

function located({ path, message, line, column }: PolicyProblem): string {
  const place = line === undefined ? '' : `${line}:${column} `
  return `${place}${path === '' ? 'policy' : path}: ${message}`
}

/** Raised when the text is not strict JSON (comments, trailing commas and repeated keys included). */
export class PolicySyntaxError extends BaseError {
  override readonly name = 'PolicySyntaxError'
  readonly problems: readonly PolicyProblem[]

  constructor(problems: readonly PolicyProblem[]) {
    super('The policy is not strict JSON.', {
      field: problems[0]?.path === '' ? 'policy' : problems[0]?.path,
      metaMessages: problems.map(located),
      remedy: 'Write plain JSON (RFC 8259) with every key once.',
    })
    this.problems = problems
  }
}

/** Raised when a policy does not have the form that the language demands. */
export class InvalidPolicyError extends BaseError {
  override readonly name: string = 'InvalidPolicyError'
  readonly problems: readonly PolicyProblem[]

  constructor(problems: readonly PolicyProblem[]) {
    super('The policy is not valid.', {
      field: problems[0]?.path === '' ? 'policy' : problems[0]?.path,
      metaMessages: problems.map(located),
      remedy: 'Correct every place named above; docs/policies.md describes each field.',
    })
    this.problems = problems
  }
}

/** Two ways in which one policy could be understood. */
export type Ambiguity = PolicyProblem & { readonly readings: readonly [string, string] }

/** Raised when a policy could be read in two ways; both are named, and neither is chosen. */
export class AmbiguousPolicyError extends BaseError {
  override readonly name = 'AmbiguousPolicyError'
  readonly ambiguities: readonly Ambiguity[]

  constructor(ambiguities: readonly Ambiguity[]) {
    super('The policy can be read in two ways.', {
      field: ambiguities[0]?.path === '' ? 'policy' : ambiguities[0]?.path,
      metaMessages: ambiguities.flatMap((ambiguity) => [
        located(ambiguity),
        `  Reading 1: ${ambiguity.readings[0]}`,
        `  Reading 2: ${ambiguity.readings[1]}`,
      ]),
      remedy: 'Write the policy so that only the intended reading is left.',
    })
    this.ambiguities = ambiguities
  }
}
