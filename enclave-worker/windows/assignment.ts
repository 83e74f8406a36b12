import type { Hex } from '#schemas/bytes.ts'
import type { Policy } from '#schemas/policy/policy.ts'
import type { Period } from './periods.ts'

/** One subject judged by one policy: what the worker was told to report on. */
export type Assignment = {
  /** `subject/policyId/exclusiveTo`: the same key never reports twice on one period. */
  readonly key: string
  readonly subject: Hex
  readonly subjectName: string
  readonly policy: Policy
  readonly policyId: Hex
  /** Zero for a fact. */
  readonly exclusiveTo: Hex
  /** Class of impact of a right; two rights of one class over one subject may not overlap. */
  readonly impactClass: Hex | undefined
  /** Written out, or `undefined` when the policy's window tells them. */
  readonly periods: readonly Period[] | undefined
  /** First instant that the policy's window is followed from; `undefined`: since it was known. */
  readonly fromMs: number | undefined
}

export function assignmentKey(subject: Hex, policyId: Hex, exclusiveTo: Hex): string {
  return `${subject}/${policyId}/${exclusiveTo}`
}
