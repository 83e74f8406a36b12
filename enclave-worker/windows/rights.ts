import { BaseError } from '#schemas/errors.ts'
import type { Assignment } from './assignment.ts'
import type { Period } from './periods.ts'

/** Raised when two rights would be granted for one impact of one subject at one time. */
export class OverlappingRightsError extends BaseError {
  override readonly name = 'OverlappingRightsError'
}

export function periodsOverlap(left: Period, right: Period): boolean {
  return left.startMs < right.endMs && right.startMs < left.endMs
}

/**
 * Refuses two rights over one subject and impact class whose periods can overlap, before anything
 * runs. Periods that a window generates are taken to overlap with everything: they have no end.
 *
 * @throws {@link OverlappingRightsError}
 */
export function assertDistinctRights(assignments: readonly Assignment[]): void {
  const rights = assignments.filter(({ impactClass }) => impactClass !== undefined)
  for (const [index, left] of rights.entries()) {
    if (left.policy.window.kind === 'sliding' && left.periods === undefined) {
      throw new OverlappingRightsError('A sliding window grants one impact many times over.', {
        field: 'assignments',
        metaMessages: [`Subject: ${left.subjectName}`, `Policy: ${left.policy.name}`],
        remedy: 'Use a tumbling window for a right.',
      })
    }
    const own = left.periods ?? []
    const selfOverlap = own.some((period, at) =>
      own.slice(at + 1).some((other) => periodsOverlap(period, other)),
    )
    const other = rights
      .slice(index + 1)
      .find(
        (right) =>
          right.subject === left.subject &&
          right.impactClass === left.impactClass &&
          (left.periods === undefined ||
            right.periods === undefined ||
            left.periods.some((a) => right.periods?.some((b) => periodsOverlap(a, b)))),
      )
    if (!selfOverlap && other === undefined) continue
    throw new OverlappingRightsError('Two rights would be granted for one impact at one time.', {
      field: 'assignments',
      metaMessages: [
        `Subject: ${left.subjectName}`,
        `Policies: ${left.policy.name}, ${other?.policy.name ?? left.policy.name}`,
      ],
      remedy: 'Leave one right for each subject, impact class and period.',
    })
  }
}
