import { formatDecimal } from '#schemas/policy/quantities.ts'
import { reportLeaf, unitText, verdicts } from '#schemas/report.ts'
import { type Ear, type EarStatus, type EarSubmodule, earProfile, toEar } from '../appraisal/ear.ts'
import type { BundleVerdict } from './verifyBundle.ts'

export type BundleEarOptions = {
  /** Release of the verifier, for `ear_verifier_id`. */
  readonly build: string
  /** Instant of the result where the bundle gives none, whole Unix seconds. */
  readonly now: number
}

/**
 * What an examination concluded, as an attestation result: one submodule for the platform, as any
 * quote has it, and one, `plumbline-report`, for what stands on it, line by line. Claims of the report
 * are there only when the bundle was accepted: nothing of a refused one is known to be true.
 *
 * `iat` is the instant as of which attestation was judged, `exp` the end of its collateral's life; a
 * bundle holds beyond it, as of then.
 *
 * @see draft-ietf-rats-ear-04, RFC 9711
 */
export function bundleToEar(verdict: BundleVerdict, { build, now }: BundleEarOptions): Ear {
  const { isAccepted, checks, bundle, report, appraisal } = verdict
  const status: EarStatus = isAccepted ? 'affirming' : 'contraindicated'
  const result: EarSubmodule = {
    ear_status: status,
    // 2: what ran is what was appraised; 99: the evidence did not verify (AR4SI section 2.3.2).
    ear_trustworthiness_vector: { executables: isAccepted ? 2 : 99 },
    ear_appraisal_policy_ids: report === undefined || !isAccepted ? [] : [report.policyId],
    plumbline_checks: checks.map(({ id, status: found, detail }) => ({
      id,
      status: found,
      detail,
    })),
    ...(bundle === undefined || report === undefined || !isAccepted
      ? {}
      : {
          plumbline_bundle: bundle.digest,
          plumbline_report: {
            leaf: reportLeaf(report),
            subject: bundle.subjectName,
            stream: bundle.streamName,
            batch: bundle.batch.sequence.toString(),
            periodStartMs: report.periodStartMs.toString(),
            periodEndMs: report.periodEndMs.toString(),
            verdict: Object.entries(verdicts).find(([, code]) => code === report.verdict)?.[0],
            value: formatDecimal(report.valueMicro),
            unit: unitText(report.unit),
            coveragePpm: report.coveragePpm,
          },
        }),
  }
  if (appraisal === undefined) {
    return {
      eat_profile: earProfile,
      iat: bundle?.recordedAtSeconds ?? now,
      ear_status: 'contraindicated',
      ear_verifier_id: { developer: 'Plumbline', build },
      submods: { 'plumbline-report': result },
    }
  }
  const platform = toEar(appraisal, undefined, { build })
  return {
    ...platform,
    ear_status: isAccepted ? platform.ear_status : 'contraindicated',
    submods: { ...platform.submods, 'plumbline-report': result },
  }
}
