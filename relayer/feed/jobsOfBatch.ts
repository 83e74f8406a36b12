import type { Hex } from '#schemas/bytes.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'
import { commitCall, settleCall } from '../chain/calls.ts'
import { type Job, createJob } from '../lane/job.ts'
import { type SettlementPlan, wantsReport } from '../plan/plan.ts'

/**
 * What one verified batch asks of each chain: one commit, and one settlement for every report that an
 * agreement of the plan wants. Everything else rides in the batch's root and costs nothing.
 */
export function jobsOfBatch(
  plan: SettlementPlan,
  signed: SignedBatch,
  leaves: readonly Hex[],
  nowMs: number,
): ReadonlyMap<number, readonly Job[]> {
  const { batch } = signed
  const { stream, sequence } = batch
  const jobs = new Map<number, Job[]>()
  for (const chain of plan.chains) {
    const commit = createJob(
      { kind: 'commit', stream, sequence, digest: signed.digest, signer: signed.signer },
      nowMs,
      commitCall(chain.proofRegistry, batch, signed.signature),
    )
    jobs.set(chain.chainId, [commit])
  }
  for (const [at, proven] of signed.reports.entries()) {
    const leaf = leaves[at]
    if (leaf === undefined) continue
    const { report, index, path } = proven
    for (const settlement of plan.settlements) {
      if ((settlement.stream ?? plan.stream) !== stream) continue
      if (!wantsReport(settlement, report)) continue
      const { contract, agreementId, label, kind: settlementKind } = settlement
      const settle = createJob(
        {
          kind: 'settle',
          stream,
          sequence,
          reportCount: batch.reportCount,
          leaf,
          contract,
          agreementId,
          label,
          settlementKind,
          subject: report.subject,
          policyId: report.policyId,
          subjectName: proven.subjectName,
          policyName: proven.policyName,
          verdict: report.verdict,
          valueMicro: report.valueMicro,
          unit: report.unit,
          lastReadingMs: proven.lastReadingMs,
          lastReceivedMs: proven.lastReceivedMs,
          closedAtMs: batch.closedAtMs,
        },
        nowMs,
        settleCall(contract, agreementId, report, { stream, sequence, index, path }),
      )
      jobs.get(settlement.chainId)?.push(settle)
    }
  }
  return jobs
}
