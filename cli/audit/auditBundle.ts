import { readFileSync } from 'node:fs'
import { batchDigest } from '#schemas/batch.ts'
import type { ProofBundle } from '#schemas/bundle.ts'
import type { Hex } from '#schemas/bytes.ts'
import { formatDecimal } from '#schemas/policy/quantities.ts'
import { type VerdictName, reportLeaf, unitText, verdicts } from '#schemas/report.ts'
import type { CheckId, CheckStatus } from '#verifier/bundle/checklist.ts'
import { type BundleOptions, verifyBundle } from '#verifier/bundle/verifyBundle.ts'

/** One bundle as an audit sees it: plain data, so that threads can hand it over. */
export type AuditedBundle = {
  readonly file: string
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
  readonly findings: readonly string[]
}

function describe(bundle: ProofBundle): AuditedReport {
  const { report, batch } = bundle
  const verdict = Object.entries(verdicts).find(([, code]) => code === report.verdict)
  return {
    stream: bundle.streamName,
    subject: bundle.subjectName,
    policy: nameOf(bundle.policy),
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
    findings: findingsOf(bundle.measures),
  }
}

function nameOf(policy: string): string {
  try {
    return String((JSON.parse(policy) as { name: unknown }).name)
  } catch {
    return 'unreadable policy'
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
  let bytes = 0
  try {
    const text = readFileSync(file, 'utf8')
    bytes = text.length
    value = JSON.parse(text)
  } catch (error) {
    const detail = `The file cannot be read as JSON: ${error instanceof Error ? error.message : String(error)}`
    return {
      file,
      bytes,
      isAccepted: false,
      checks: [{ id: 'format', status: 'failed', detail }],
      about: undefined,
    }
  }
  const { isAccepted, checks, bundle } = verifyBundle(value, options)
  return {
    file,
    bytes,
    isAccepted,
    checks: checks.map(({ id, status, detail }) => ({ id, status, detail })),
    about: bundle === undefined ? undefined : describe(bundle),
  }
}
