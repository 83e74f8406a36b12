import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { BaseError } from '#schemas/errors.ts'
import {
  AmbiguousPolicyError,
  InvalidPolicyError,
  PolicySyntaxError,
  type TemplateName,
  decodePolicy,
  explainPolicy,
  policyAdvice,
  policyId,
  templates,
} from '#schemas/policy/policy.ts'
import { printable } from './printable.ts'

/** Exit codes of `plumbline policy check`, apart from 0 for a valid policy. */
export const policyExitCodes = { refused: 1, error: 3 } as const

/** Raised when a file that the command needs is not there or not readable. */
export class UnreadablePolicyFileError extends BaseError {
  override readonly name = 'UnreadablePolicyFileError'
}

/** A text file's content; `-` is standard input. */
export function readTextFile(file: string, field: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (cause) {
    throw new UnreadablePolicyFileError(`${file} cannot be read.`, {
      cause,
      field,
      remedy: 'Check the path and the permissions.',
    })
  }
}

type Refusal = AmbiguousPolicyError | InvalidPolicyError | PolicySyntaxError

function problemsOf(refusal: Refusal) {
  return refusal instanceof AmbiguousPolicyError ? refusal.ambiguities : refusal.problems
}

function check(file: string, { json = false }: { json?: boolean }): void {
  const text = readTextFile(file, 'policy')
  try {
    const policy = decodePolicy(text)
    const advice = policyAdvice(policy)
    const explanation = explainPolicy(policy)
    if (json) {
      const answer = { valid: true, policyId: policyId(policy), explanation, advice }
      process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`)
      return
    }
    const lines = [
      policy.name,
      ...explanation.map((sentence) => `  ${sentence}`),
      ...advice.map(({ path, message }) => `advice: ${path}: ${message}`),
      `VALID ${policyId(policy)}`,
    ]
    process.stdout.write(`${lines.map(printable).join('\n')}\n`)
  } catch (error) {
    const isRefusal =
      error instanceof AmbiguousPolicyError ||
      error instanceof InvalidPolicyError ||
      error instanceof PolicySyntaxError
    if (!isRefusal) throw error
    process.exitCode = policyExitCodes.refused
    if (json) {
      const answer = { valid: false, error: error.name, problems: problemsOf(error) }
      process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`)
      return
    }
    // Places as compilers write them, so that editors can jump to them.
    const lines = problemsOf(error).flatMap(({ line, column, path, message, ...rest }) => {
      const place = line === undefined ? file : `${file}:${line}:${column}`
      const readings: readonly string[] = 'readings' in rest ? (rest.readings as string[]) : []
      return [
        `${place}: ${path === '' ? 'policy' : path}: ${message}`,
        ...readings.map((reading, index) => `    reading ${index + 1}: ${reading}`),
      ]
    })
    process.stdout.write(
      `${[...lines, `REFUSED ${error.shortMessage}`].map(printable).join('\n')}\n`,
    )
  }
}

/** Adds `plumbline policy check` and `plumbline policy new`. */
export function registerPolicy(program: Command): void {
  const policy = program.command('policy').description('check a policy or start a new one')
  policy
    .command('check')
    .description('say whether a policy is valid, what it demands and what it pays on')
    .argument('<policy>', 'policy document, a JSON file; - for standard input')
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExit codes: 0 valid, 1 refused, 3 error.')
    .action(check)
  policy
    .command('new')
    .description('print a template to start from')
    .addOption(
      new Option('--template <name>', 'which one')
        .choices(Object.keys(templates))
        .makeOptionMandatory(),
    )
    .action(({ template }: { template: TemplateName }) => {
      process.stdout.write(`${JSON.stringify(templates[template], undefined, 2)}\n`)
    })
}
