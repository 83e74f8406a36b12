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

/** Every finding of an audit, heaviest first, numbered. */
export function findIn(bundles: readonly AuditedBundle[]): AuditFinding[] {
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
  for (const { file, about } of holding) {
    if (about.verdict === 'INCONCLUSIVE') {
      drafts.push({
        severity: 'nonconformity',
        title: 'A period could not be judged',
        detail: `${about.subject}, “${about.policy}”: findings ${about.findings.join(', ') || 'none'}.`,
        files: [file],
      })
    } else if (about.findings.length > 0) {
      drafts.push({
        severity: 'observation',
        title: 'The evaluation noted something',
        detail: `${about.subject}, “${about.policy}”: ${about.findings.map((name) => name.replaceAll('_', ' ')).join(', ')}.`,
        files: [file],
      })
    }
  }
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
