import type { Hex } from '#schemas/bytes.ts'
import { evidenceRoot } from '#schemas/evidence.ts'
import type { PackMark } from '#schemas/reading.ts'
import { type Report, reportVersion, unitCode, verdicts } from '#schemas/report.ts'
import type { Evaluation } from './conclude.ts'

/** What a report says besides the evaluator's answer: of what, under which policy, for whom. */
export type ReportPlace = Pick<Report, 'subject' | 'policyId' | 'exclusiveTo' | 'amends'>

/** Packs as the evidence tree sees them. */
export type EvidencePack = Pick<PackMark, 'device' | 'sequence' | 'hash'>

/**
 * The report that an evaluation leads to. The worker signs what this gives, and an auditor who
 * evaluates again compares with what this gives: the same inputs, the same leaf.
 *
 * @param packs - Or their evidence root, for whoever has computed it already.
 */
export function composeReport(
  place: ReportPlace,
  evaluation: Pick<
    Evaluation,
    | 'periodStartMs'
    | 'periodEndMs'
    | 'verdict'
    | 'valueMicro'
    | 'unit'
    | 'coveragePpm'
    | 'tier'
    | 'measuresHash'
  >,
  packs: readonly EvidencePack[] | Hex,
): Report {
  return {
    version: reportVersion,
    subject: place.subject,
    policyId: place.policyId,
    periodStartMs: BigInt(evaluation.periodStartMs),
    periodEndMs: BigInt(evaluation.periodEndMs),
    verdict: verdicts[evaluation.verdict],
    valueMicro: evaluation.valueMicro,
    unit: unitCode(evaluation.unit),
    coveragePpm: evaluation.coveragePpm,
    tier: evaluation.tier,
    evidenceRoot: typeof packs === 'string' ? packs : evidenceRoot(packs),
    measuresHash: evaluation.measuresHash,
    exclusiveTo: place.exclusiveTo,
    amends: place.amends,
  }
}
