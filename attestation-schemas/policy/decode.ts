import { findNodeAtLocation, parseTree, printParseErrorCode } from 'jsonc-parser'
import type { JSONPath, Node, ParseError } from 'jsonc-parser'
import { UnknownVersionError } from '../report.ts'
import {
  type Ambiguity,
  AmbiguousPolicyError,
  InvalidPolicyError,
  type PolicyProblem,
  PolicySyntaxError,
} from './errors.ts'
import { type Policy, openQuestions, policySchema, policyVersion } from './schema.ts'
import { semanticProblems } from './semantics.ts'

/** A policy is a page, not a book. */
const longestPolicyText = 65_536
const deepestPolicy = 8

function pathText(path: JSONPath): string {
  let text = ''
  for (const part of path) {
    text += typeof part === 'number' ? `[${part}]` : `${text === '' ? '' : '.'}${part}`
  }
  return text
}

function lineAndColumn(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split('\n')
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }
}

/** JSON.parse keeps the last of two equal keys in silence; a policy that has two is refused. */
function repeatedKeys(node: Node, text: string, path: JSONPath = []): PolicyProblem[] {
  const problems: PolicyProblem[] = []
  const seen = new Set<string>()
  for (const [index, child] of (node.children ?? []).entries()) {
    if (node.type === 'array') {
      problems.push(...repeatedKeys(child, text, [...path, index]))
      continue
    }
    const key = child.children?.[0]
    const value = child.children?.[1]
    if (key === undefined) continue
    const childPath = [...path, String(key.value)]
    if (seen.has(String(key.value))) {
      problems.push({
        path: pathText(childPath),
        message: 'This key occurs twice.',
        ...lineAndColumn(text, key.offset),
      })
    }
    seen.add(String(key.value))
    if (value !== undefined) problems.push(...repeatedKeys(value, text, childPath))
  }
  return problems
}

function depth(text: string): number {
  let level = 0
  let deepest = 0
  for (const character of text) {
    if (character === '{' || character === '[') level += 1
    if (character === '}' || character === ']') level -= 1
    deepest = Math.max(deepest, level)
  }
  return deepest
}

function parseText(text: string): { value: unknown; root: Node } {
  if (text.length > longestPolicyText) {
    throw new PolicySyntaxError([
      { path: '', message: `The text is longer than ${longestPolicyText} characters.` },
    ])
  }
  // Counted over the raw text, strings included: nesting beyond this is refused before any recursion.
  if (depth(text) > 4 * deepestPolicy) {
    throw new PolicySyntaxError([{ path: '', message: 'The text is nested too deeply.' }])
  }
  const errors: ParseError[] = []
  const root = parseTree(text, errors, { disallowComments: true, allowTrailingComma: false })
  if (errors.length > 0 || root === undefined) {
    throw new PolicySyntaxError(
      errors.length === 0
        ? [{ path: '', message: 'The text is empty.', line: 1, column: 1 }]
        : errors.map(({ error, offset }) => ({
            path: '',
            message: printParseErrorCode(error),
            ...lineAndColumn(text, offset),
          })),
    )
  }
  const repeated = repeatedKeys(root, text)
  if (repeated.length > 0) throw new PolicySyntaxError(repeated)
  return { value: JSON.parse(text), root }
}

/** The problem with the place in the text at which it stands, or else its nearest parent. */
function locate<T extends PolicyProblem>(
  problem: T,
  path: JSONPath,
  source: { text: string; root: Node } | undefined,
): T {
  if (source === undefined) return problem
  for (let length = path.length; length >= 0; length -= 1) {
    const node = findNodeAtLocation(source.root, path.slice(0, length))
    if (node !== undefined) return { ...problem, ...lineAndColumn(source.text, node.offset) }
  }
  return problem
}

/**
 * Reads a policy, strictly: unknown keys, unknown versions, numbers in a second spelling, measures
 * that do not exist and limits of the wrong kind are refused, and so is whatever can be read in two
 * ways.
 *
 * @param input - JSON text, or the value that it parses to. Only text gives lines and columns.
 * @throws {@link PolicySyntaxError} | {@link UnknownVersionError} | {@link InvalidPolicyError} |
 * {@link AmbiguousPolicyError}
 */
export function decodePolicy(input: unknown): Policy {
  let value = input
  let source: { text: string; root: Node } | undefined
  if (typeof input === 'string') {
    const parsed = parseText(input)
    value = parsed.value
    source = { text: input, root: parsed.root }
  }
  const version: unknown =
    typeof value === 'object' && value !== null && 'version' in value ? value.version : undefined
  if (typeof version === 'number' && version !== policyVersion) {
    throw new UnknownVersionError('policy', version, policyVersion)
  }
  const result = policySchema.safeParse(value)
  if (!result.success) {
    const ambiguities: Ambiguity[] = []
    const problems: PolicyProblem[] = []
    for (const issue of result.error.issues) {
      const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))
      const problem = locate({ path: pathText(path), message: issue.message }, path, source)
      const readings = (
        openQuestions as Readonly<Record<string, readonly [string, string] | undefined>>
      )[issue.message]
      if (readings === undefined) problems.push(problem)
      else ambiguities.push({ ...problem, readings })
    }
    if (problems.length === 0) throw new AmbiguousPolicyError(ambiguities)
    throw new InvalidPolicyError([...problems, ...ambiguities])
  }
  const policy = result.data
  const { problems, ambiguities } = semanticProblems(policy)
  if (problems.length > 0) {
    throw new InvalidPolicyError(
      problems.map(({ at, message }) => locate({ path: pathText(at), message }, at, source)),
    )
  }
  if (ambiguities.length > 0) {
    throw new AmbiguousPolicyError(
      ambiguities.map(({ at, message, readings }) =>
        locate({ path: pathText(at), message, readings }, at, source),
      ),
    )
  }
  return policy
}
