import { type ProofBundle, readBundle } from '#schemas/bundle.ts'
import { fromHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import { deviceKeyFromCose } from '#schemas/pack/deviceKey.ts'
import { splitPackSequence } from '#schemas/pack/packSequence.ts'
import { type Policy, decodePolicy } from '#schemas/policy/policy.ts'
import type { Reading } from '#schemas/reading.ts'
import { type VerdictName, verdicts } from '#schemas/report.ts'
import { trustTiers } from '#schemas/trustTier.ts'
import type { Check } from '#verifier/bundle/checklist.ts'
import { type BundleOptions, verifyBundle } from '#verifier/bundle/verifyBundle.ts'

/** Raised for a bundle that does not hold: nothing is exported of it. */
export class BundleRefusedError extends BaseError {
  override readonly name = 'BundleRefusedError'
}

/** Raised when a format needs what the bundle or the facts beside it do not say. */
export class NotExportableError extends BaseError {
  override readonly name = 'NotExportableError'
}

/** A bundle that was examined and holds; every export begins with one. */
export type ExaminedBundle = {
  readonly bundle: ProofBundle
  readonly policy: Policy
  readonly verdict: VerdictName
  readonly checks: readonly Check[]
  readonly measures: Readonly<Record<string, string | null>>
  readonly findings: readonly string[]
  /** Readings of the devices' own packs, ascending by time; `undefined` in a bundle without packs. */
  readonly readings: readonly Reading[] | undefined
}

/** @throws {@link BundleRefusedError} */
export function examineForExport(value: unknown, options: BundleOptions): ExaminedBundle {
  const { isAccepted, checks } = verifyBundle(value, options)
  if (!isAccepted) {
    const failed = checks.find(({ status }) => status === 'failed')
    throw new BundleRefusedError('The bundle does not hold; nothing is exported of it.', {
      field: failed?.id ?? 'bundle',
      metaMessages: failed === undefined ? [] : [failed.title, failed.detail],
      remedy: 'Run `plumbline verify` on it and read the lines.',
    })
  }
  const bundle = readBundle(value)
  const named = JSON.parse(bundle.measures) as {
    measures: Record<string, string | null>
    findings: { name: string }[]
  }
  const verdict = Object.entries(verdicts).find(([, code]) => code === bundle.report.verdict)
  return {
    bundle,
    policy: decodePolicy(JSON.parse(bundle.policy) as unknown),
    verdict: (verdict?.[0] ?? 'INCONCLUSIVE') as VerdictName,
    checks,
    measures: named.measures,
    findings: named.findings.map(({ name }) => name),
    readings: bundle.devices
      ?.flatMap(({ packs, tier }) =>
        splitPackSequence(fromHex(packs, 'packs')).flatMap((bytes) =>
          decodePack(bytes).readings(trustTiers[tier]),
        ),
      )
      .toSorted((left, right) => left.timeMs - right.timeMs),
  }
}

/** Identities of the devices whose packs the bundle carries. */
export function deviceIds({ bundle }: ExaminedBundle): { id: string; tier: string }[] {
  return (bundle.devices ?? []).map(({ coseKey, tier }) => ({
    id: deviceKeyFromCose(fromHex(coseKey, 'coseKey')).id,
    tier,
  }))
}

/** Readings that lie in the report's period and concern its policy; one for each instant. */
export function judgedReadings(examined: ExaminedBundle): readonly Reading[] {
  const { bundle, policy, readings } = examined
  if (readings === undefined) {
    throw new NotExportableError('The bundle carries no readings.', {
      field: 'devices',
      remedy: 'Ask the worker for the bundle with its packs: `?packs=1`.',
    })
  }
  const startMs = Number(bundle.report.periodStartMs)
  const endMs = Number(bundle.report.periodEndMs)
  const { series, unit } = policy.signal
  const own = readings.filter(
    (reading) =>
      reading.timeMs >= startMs &&
      reading.timeMs < endMs &&
      reading.series === series &&
      reading.unit === unit,
  )
  return own.filter(
    ({ timeMs, device }, index) =>
      own[index - 1]?.timeMs !== timeMs || own[index - 1]?.device !== device,
  )
}
