import { batchDigest } from '#schemas/batch.ts'
import type { ProofBundle } from '#schemas/bundle.ts'
import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { formatDecimal } from '#schemas/policy/quantities.ts'
import { type VerdictName, reportLeaf, unitText, verdicts } from '#schemas/report.ts'
import type { CheckId, CheckStatus } from '#verifier/bundle/checklist.ts'
import { type BundleOptions, verifyBundle } from '#verifier/bundle/verifyBundle.ts'
import { readBundleFile } from '../trust.ts'

/** One bundle as an audit sees it: plain data, so that threads can hand it over. */
export type AuditedBundle = {
  readonly file: string
  /** As it lies there, compressed or not. */
  readonly bytes: number
  readonly isAccepted: boolean
  readonly checks: readonly {
    readonly id: CheckId
    readonly status: CheckStatus
    readonly detail: string
  }[]
  /** Absent where the file is no bundle at all. */
  readonly about: AuditedReport | undefined
}

export type AuditedReport = {
  readonly stream: string
  readonly subject: string
  readonly policy: string
  readonly policyId: Hex
  readonly periodStartMs: number
  readonly periodEndMs: number
  readonly verdict: VerdictName
  readonly value: string
  readonly unit: string
  readonly coveragePpm: number
  readonly leaf: Hex
  readonly amends: Hex
  readonly exclusiveTo: Hex
  readonly sequence: string
  readonly batchDigest: Hex
  readonly previous: Hex
  readonly signer: Hex
  /** When attestation was recorded, Unix seconds: what it is judged as of. */
  readonly recordedAtSeconds: number
  /** Until when the collateral of that instant was in force, Unix seconds, where it was established. */
  readonly collateralUntilSeconds: number | undefined
  readonly findings: readonly string[]
  /** What the policy makes of time that nobody observed. */
  readonly gapRule: string
  readonly isCalibrationDemanded: boolean
  /**
   * Time of the period, summed over devices, for which no calibration of the judged series is shown;
   * `undefined` where the policy demands none or the bundle does not say.
   */
  readonly uncalibratedMs: number | undefined
}

function describe(bundle: ProofBundle, collateralUntilSeconds: number | undefined): AuditedReport {
  const { report, batch } = bundle
  const policy = termsOf(bundle.policy)
  const verdict = Object.entries(verdicts).find(([, code]) => code === report.verdict)
  return {
    stream: bundle.streamName,
    subject: bundle.subjectName,
    policy: policy.name,
    policyId: report.policyId,
    periodStartMs: Number(report.periodStartMs),
    periodEndMs: Number(report.periodEndMs),
    verdict: (verdict?.[0] ?? 'INCONCLUSIVE') as VerdictName,
    value: formatDecimal(report.valueMicro),
    unit: unitText(report.unit),
    coveragePpm: report.coveragePpm,
    leaf: reportLeaf(report),
    amends: report.amends,
    exclusiveTo: report.exclusiveTo,
    sequence: batch.sequence.toString(),
    batchDigest: batchDigest(batch),
    previous: batch.previous,
    signer: bundle.signer,
    recordedAtSeconds: bundle.recordedAtSeconds,
    collateralUntilSeconds,
    findings: findingsOf(bundle.measures),
    gapRule: policy.gapRule,
    isCalibrationDemanded: policy.isCalibrationDemanded,
    uncalibratedMs: policy.isCalibrationDemanded
      ? uncalibratedMs(bundle, policy.series)
      : undefined,
  }
}

/** Time of the period that no calibration window of a device covers, over all devices. */
function uncalibratedMs({ report, devices }: ProofBundle, series: string): number | undefined {
  if (devices === undefined) return undefined
  const startMs = Number(report.periodStartMs)
  const endMs = Number(report.periodEndMs)
  let uncovered = 0
  for (const { calibrations = [] } of devices) {
    let reachedMs = startMs
    const windows = calibrations
      .filter((each) => each.series === series)
      .toSorted((left, right) => left.validFromMs - right.validFromMs)
    for (const { validFromMs, validUntilMs } of windows) {
      const fromMs = Math.min(validFromMs, endMs)
      if (fromMs > reachedMs) uncovered += fromMs - reachedMs
      reachedMs = Math.min(endMs, Math.max(reachedMs, validUntilMs))
    }
    uncovered += endMs - reachedMs
  }
  return uncovered
}

/** What an audit says of a policy. It is decoded strictly where it is judged; here it is only named. */
function termsOf(policy: string) {
  try {
    const { name, gaps, quality, signal } = JSON.parse(policy) as {
      name?: unknown
      gaps?: unknown
      quality?: { calibration?: unknown }
      signal?: { series?: unknown }
    }
    return {
      name: String(name),
      gapRule: String(gaps),
      isCalibrationDemanded: quality?.calibration === 'required',
      series: String(signal?.series),
    }
  } catch {
    return { name: 'unreadable policy', gapRule: '', isCalibrationDemanded: false, series: '' }
  }
}

function findingsOf(measures: string): string[] {
  try {
    const { findings } = JSON.parse(measures) as { findings?: { name?: unknown }[] }
    return (findings ?? []).map(({ name }) => String(name))
  } catch {
    return []
  }
}

/** Examines one file. Nothing is thrown for a bad one: what is wrong is what an audit is for. */
export function auditBundle(file: string, options: BundleOptions): AuditedBundle {
  let value: unknown
  let bytes: number
  try {
    ;({ value, bytes } = readBundleFile(file))
  } catch (error) {
    const detail = error instanceof BaseError ? error.shortMessage : String(error)
    return {
      file,
      bytes: 0,
      isAccepted: false,
      checks: [{ id: 'format', status: 'failed', detail }],
      about: undefined,
    }
  }
  const { isAccepted, checks, bundle, appraisal } = verifyBundle(value, options)
  return {
    file,
    bytes,
    isAccepted,
    checks: checks.map(({ id, status, detail }) => ({ id, status, detail })),
    about: bundle === undefined ? undefined : describe(bundle, appraisal?.validUntilUnixSeconds),
  }
}
