import type { Hex } from '#schemas/bytes.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'
import { commitCall, settleCall } from '../chain/calls.ts'
import { broadcastBatchCall } from '../transports/layerzero/calls.ts'
import { type Job, createJob } from '../lane/job.ts'
import {
  type PlanChain,
  type PlanLayerZero,
  type PlanSettlement,
  type SettlementPlan,
  wantsReport,
} from '../plan/plan.ts'
import type { VerifiedReport } from './verifyBatch.ts'

/** What the hub has to tell a spoke so that a batch can be settled there. */
function sendsOf(
  spoke: PlanChain,
  layerZero: PlanLayerZero,
  { batch, signature, signer }: SignedBatch,
  nowMs: number,
): Job[] {
  const { stream, sequence } = batch
  const task = { kind: 'send', toChainId: spoke.chainId, stream, signer, sequence } as const
  // Where nothing has changed since the last batch, the registration was sent already and costs nothing.
  const registration = createJob({ ...task, what: 'registration' }, nowMs)
  if (layerZero.batches === 'direct') return [registration]
  const call = broadcastBatchCall(layerZero.broadcaster, batch, signature, [])
  return [registration, createJob({ ...task, what: 'batch' }, nowMs, call)]
}

function settlementsBySubject(
  plan: SettlementPlan,
  stream: Hex,
): ReadonlyMap<Hex, readonly PlanSettlement[]> {
  const found = new Map<Hex, PlanSettlement[]>()
  for (const settlement of plan.settlements) {
    if ((settlement.stream ?? plan.stream) !== stream) continue
    const others = found.get(settlement.subject)
    if (others === undefined) found.set(settlement.subject, [settlement])
    else others.push(settlement)
  }
  return found
}

/**
 * What one verified batch asks of each chain: one commit, and one settlement for every report that an
 * agreement of the plan wants. Everything else rides in the batch's root and costs nothing.
 */
export function jobsOfBatch(
  plan: SettlementPlan,
  signed: SignedBatch,
  verified: readonly VerifiedReport[],
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
    jobs.set(chain.chainId, [...(jobs.get(chain.chainId) ?? []), commit])
    if (chain.layerZero === undefined) continue
    const { hub } = chain.layerZero
    jobs.set(hub, [...(jobs.get(hub) ?? []), ...sendsOf(chain, chain.layerZero, signed, nowMs)])
  }
  const settlementsOf = settlementsBySubject(plan, stream)
  for (const [at, proven] of signed.reports.entries()) {
    const known = verified[at]
    if (known === undefined) continue
    const { leaf, encoded } = known
    const { report, index, path } = proven
    for (const settlement of settlementsOf.get(report.subject) ?? []) {
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
        settleCall(contract, agreementId, encoded, { stream, sequence, index, path }),
      )
      jobs.get(settlement.chainId)?.push(settle)
    }
  }
  return jobs
}
