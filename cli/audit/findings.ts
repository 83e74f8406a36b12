import { zeroHash } from '#schemas/report.ts'
import { type CheckId, checkTitles } from '#verifier/bundle/checklist.ts'
import type { AuditedBundle } from './auditBundle.ts'

/**
 * How much a finding weighs, in the words of verification: a misstatement makes the claim unusable, a
 * nonconformity breaks a rule that the claim was made under, an observation is for the reader.
 *
 * @see ISO 14064-3:2019, clauses 6.1.3 and 6.3
 */
export type Severity = 'misstatement' | 'nonconformity' | 'observation'

export type AuditFinding = {
  /** `F-001` and so on, heaviest first. */
  readonly number: string
  readonly severity: Severity
  readonly title: string
  readonly detail: string
  readonly files: readonly string[]
}

type Draft = Omit<AuditFinding, 'number'>

const weights: Readonly<Record<Severity, number>> = {
  misstatement: 0,
  nonconformity: 1,
  observation: 2,
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Item[][] {
  const groups = new Map<string, Item[]>()
  for (const item of items) {
    const key = keyOf(item)
    const beside = groups.get(key)
    if (beside === undefined) groups.set(key, [item])
    else beside.push(item)
  }
  return [...groups.values()]
}

type Known = AuditedBundle & { readonly about: NonNullable<AuditedBundle['about']> }

/** What a single bundle cannot show and a set of them can. */
function acrossBundles(bundles: readonly Known[]): Draft[] {
  const drafts: Draft[] = []
  for (const group of groupBy(bundles, ({ about }) => `${about.stream}/${about.sequence}`)) {
    const digests = new Set(group.map(({ about }) => about.batchDigest))
    if (digests.size < 2) continue
    drafts.push({
      severity: 'misstatement',
      title: 'A stream has two different batches of one number',
      detail: `${group[0]?.about.stream}, batch ${group[0]?.about.sequence}: ${[...digests].join(' and ')}. The enclave, or whoever had its key, told two stories.`,
      files: group.map(({ file }) => file),
    })
  }
  for (const group of groupBy(bundles, ({ about }) => about.stream)) {
    const bySequence = new Map(group.map((bundle) => [BigInt(bundle.about.sequence), bundle]))
    for (const [sequence, bundle] of bySequence) {
      const before = bySequence.get(sequence - 1n)
      if (before === undefined || before.about.batchDigest === bundle.about.previous) continue
      drafts.push({
        severity: 'misstatement',
        title: 'A batch does not follow the one before it',
        detail: `${bundle.about.stream}, batch ${sequence} names ${bundle.about.previous}; batch ${sequence - 1n} here is ${before.about.batchDigest}.`,
        files: [before.file, bundle.file],
      })
    }
  }
  for (const group of groupBy(bundles, ({ about }) => about.leaf)) {
    if (group.length < 2) continue
    drafts.push({
      severity: 'observation',
      title: 'One report lies here more than once',
      detail: 'Copies of one report are one claim; they are counted once below.',
      files: group.map(({ file }) => file),
    })
  }
  const rights = bundles.filter(({ about }) => about.exclusiveTo !== zeroHash)
  for (const group of groupBy(rights, ({ about }) => `${about.stream}/${about.subject}`)) {
    const ordered = group.toSorted(
      (left, right) => left.about.periodStartMs - right.about.periodStartMs,
    )
    for (const [index, bundle] of ordered.entries()) {
      const next = ordered[index + 1]
      if (next === undefined || next.about.leaf === bundle.about.leaf) continue
      const isSame = next.about.exclusiveTo === bundle.about.exclusiveTo
      const isAmendment = next.about.amends !== zeroHash || bundle.about.amends !== zeroHash
      const isApart = next.about.periodStartMs >= bundle.about.periodEndMs
      if (isApart || isAmendment || !isSame) continue
      drafts.push({
        severity: 'misstatement',
        title: 'A right is granted twice for the same time',
        detail: `${bundle.about.subject}: two reports give the same right for overlapping periods.`,
        files: [bundle.file, next.file],
      })
    }
  }
  return drafts
}

/** How many batches of a stream lie between others and are not here. */
function absentBatches(bundles: readonly Known[]): Draft[] {
  return groupBy(bundles, ({ about }) => about.stream).flatMap((group) => {
    const present = [...new Set(group.map(({ about }) => BigInt(about.sequence)))].sort((a, b) =>
      a < b ? -1 : 1,
    )
    const absent = present.flatMap((sequence, index) => {
      const next = present[index + 1]
      if (next === undefined || next === sequence + 1n) return []
      const [first, last] = [sequence + 1n, next - 1n]
      return [first === last ? `${first}` : `${first} to ${last}`]
    })
    if (absent.length === 0) return []
    return [
      {
        severity: 'observation' as const,
        title: 'Batches between others are not here',
        detail: `${group[0]?.about.stream}: ${absent.join(', ')}. They were signed; what they hold was not examined.`,
        files: [],
      },
    ]
  })
}

const dayMs = 86_400_000

function hours(ms: number): string {
  return `${(Math.round(ms / 36_000) / 100).toString()} h`
}

/** What calibration certificates do not cover: where the policy demands them, and where it does not. */
function calibration(bundles: readonly Known[]): Draft[] {
  return groupBy(bundles, ({ about }) => about.policy).flatMap((group): Draft[] => {
    const policy = group[0]?.about.policy ?? ''
    if (group[0]?.about.isCalibrationDemanded !== true) {
      return [
        {
          severity: 'observation',
          title: 'Calibration is not demanded by the policy',
          detail: `“${policy}”: certificates have to be shown separately.`,
          files: group.map(({ file }) => file),
        },
      ]
    }
    const lacking = group.filter(({ about }) => (about.uncalibratedMs ?? 0) > 0)
    const unsaid = group.filter(({ about }) => about.uncalibratedMs === undefined)
    const total = lacking.reduce((sum, { about }) => sum + (about.uncalibratedMs ?? 0), 0)
    const drafts: Draft[] = []
    if (lacking.length > 0) {
      drafts.push({
        severity: 'nonconformity',
        title: 'Calibration does not cover the whole period',
        detail: `“${policy}”: ${lacking.length} reports, ${hours(total)} of device time. Readings of that time counted as gaps.`,
        files: lacking.map(({ file }) => file),
      })
    }
    if (unsaid.length > 0) {
      drafts.push({
        severity: 'observation',
        title: 'Calibration could not be examined',
        detail: `“${policy}”: ${unsaid.length} bundles are without the devices’ part.`,
        files: unsaid.map(({ file }) => file),
      })
    }
    return drafts
  })
}

/** Attestation is judged as of a recorded instant; a reader of today has to know what that leaves out. */
function lapsed(bundles: readonly Known[], nowSeconds: number): Draft[] {
  const old = bundles.filter(
    ({ about }) => (about.collateralUntilSeconds ?? Infinity) <= nowSeconds,
  )
  if (old.length === 0) return []
  const recorded = Math.min(...old.map(({ about }) => about.recordedAtSeconds))
  return [
    {
      severity: 'observation',
      title: 'The collateral has lapsed since',
      detail: `${old.length} bundles are judged as of the instant that they record, the earliest ${new Date(recorded * 1000).toISOString()}, ${Math.floor((nowSeconds * 1000 - recorded * 1000) / dayMs)} days ago. A platform revoked after that is not seen.`,
      files: old.map(({ file }) => file),
    },
  ]
}

/**
 * Every finding of an audit, heaviest first, numbered.
 *
 * @param nowSeconds - The auditor's own clock: tells what has lapsed since, and changes no verdict.
 */
export function findIn(bundles: readonly AuditedBundle[], nowSeconds = 0): AuditFinding[] {
  const drafts: Draft[] = []
  for (const { file, checks, isAccepted } of bundles) {
    if (isAccepted) continue
    const failed = checks.filter(({ status }) => status === 'failed')
    const [first] = failed
    drafts.push({
      severity: 'misstatement',
      title: 'A bundle does not hold',
      detail:
        first === undefined
          ? 'A line without which nothing is proved could not be examined.'
          : `“${checkTitles[first.id]}”: ${first.detail.split('\n')[0]}`,
      files: [file],
    })
  }
  const known = bundles.filter((bundle): bundle is Known => bundle.about !== undefined)
  const holding = known.filter(({ isAccepted }) => isAccepted)
  drafts.push(...acrossBundles(holding))
  for (const group of groupBy(
    holding.filter(({ about }) => about.verdict === 'INCONCLUSIVE'),
    ({ about }) => `${about.policy}/${about.findings.join()}`,
  )) {
    const about = group[0]?.about
    drafts.push({
      severity: 'nonconformity',
      title: 'A period could not be judged',
      detail: `“${about?.policy}”, ${subjectsOf(group)}: ${about?.findings.map(spaced).join(', ') || 'no finding'}.`,
      files: group.map(({ file }) => file),
    })
  }
  const noted = holding
    .filter(({ about }) => about.verdict !== 'INCONCLUSIVE')
    .flatMap((bundle) => bundle.about.findings.map((name) => ({ name, bundle })))
  for (const group of groupBy(noted, ({ name, bundle }) => `${bundle.about.policy}/${name}`)) {
    const those = group.map(({ bundle }) => bundle)
    drafts.push({
      severity: 'observation',
      title: 'The evaluation noted something',
      detail: `${spaced(group[0]?.name ?? '')}: “${those[0]?.about.policy}”, ${subjectsOf(those)}; coverage at least ${percent(Math.min(...those.map(({ about }) => about.coveragePpm)))}.`,
      files: those.map(({ file }) => file),
    })
  }
  drafts.push(...calibration(holding), ...absentBatches(holding), ...lapsed(holding, nowSeconds))
  for (const group of groupBy(
    holding.flatMap((bundle) =>
      bundle.checks
        .filter(({ status }) => status === 'not-checked')
        .map(({ id }) => ({ id, file: bundle.file })),
    ),
    ({ id }) => id,
  )) {
    const id = group[0]?.id as CheckId
    drafts.push({
      severity: 'observation',
      title: 'A line was not examined',
      detail: `“${checkTitles[id]}”: the bundles do not carry what it needs.`,
      files: group.map(({ file }) => file),
    })
  }
  return drafts
    .sort((left, right) => weights[left.severity] - weights[right.severity])
    .map((draft, index) => ({ number: `F-${String(index + 1).padStart(3, '0')}`, ...draft }))
}

function spaced(name: string): string {
  return name.replaceAll('_', ' ')
}

function percent(ppm: number): string {
  return `${(Math.floor(ppm / 100) / 100).toString()} %`
}

function subjectsOf(bundles: readonly Known[]): string {
  const names = [...new Set(bundles.map(({ about }) => about.subject))]
  return names.length > 3 ? `${names.length} subjects` : names.join(', ')
}
