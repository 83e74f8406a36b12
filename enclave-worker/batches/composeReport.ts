import { evidenceRoot } from '#schemas/evidence.ts'
import type { Hex } from '#schemas/bytes.ts'
import type { PackMark } from '#schemas/reading.ts'
import {
  type Report,
  type VerdictName,
  reportVersion,
  unitCode,
  verdicts,
} from '#schemas/report.ts'
import type { TrustTier } from '#schemas/trustTier.ts'
import type { Assignment } from '../windows/assignment.ts'
import type { Period } from '../windows/periods.ts'

/** What the evaluator says about one period; the rest of a report is where and of what. */
export type Judgement = {
  readonly verdict: VerdictName
  readonly valueMicro: bigint
  readonly unit: string
  readonly coveragePpm: number
  readonly tier: TrustTier
  readonly measuresHash: Hex
}

/** The report of one assignment over one period. Pure: the same inputs give the same leaf. */
export function composeReport(
  assignment: Pick<Assignment, 'subject' | 'policyId' | 'exclusiveTo'>,
  period: Period,
  judgement: Judgement,
  packs: readonly Pick<PackMark, 'device' | 'sequence' | 'hash'>[],
  amends: Hex,
): Report {
  return {
    version: reportVersion,
    subject: assignment.subject,
    policyId: assignment.policyId,
    periodStartMs: BigInt(period.startMs),
    periodEndMs: BigInt(period.endMs),
    verdict: verdicts[judgement.verdict],
    valueMicro: judgement.valueMicro,
    unit: unitCode(judgement.unit),
    coveragePpm: judgement.coveragePpm,
    tier: judgement.tier,
    evidenceRoot: evidenceRoot(packs),
    measuresHash: judgement.measuresHash,
    exclusiveTo: assignment.exclusiveTo,
    amends,
  }
}
