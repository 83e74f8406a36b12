import type { Hex } from '#schemas/bytes.ts'
import {
  type MeasureDefinition,
  type Policy,
  explainPolicy,
  measureCatalogue,
} from '#schemas/policy/policy.ts'
import { reportLeaf, unitText, zeroHash } from '#schemas/report.ts'
import { createLive, h } from '../dom.ts'
import {
  count,
  groupDigits,
  instantText,
  microText,
  periodText,
  ppmText,
  shortHex,
  spanText,
  tierWords,
  unitWords,
  verdictName,
} from '../format.ts'
import { type World, worker } from '../world.ts'
import { settlementsTable } from './overview.ts'
import { empty, facts, hexText, verdictBadge } from './parts.ts'
import type { View } from './view.ts'

const verdictSentences = {
  PASS: 'The policy’s objectives were met.',
  FAIL: 'The policy’s objectives were not met.',
  INCONCLUSIVE: 'The evidence does not allow a conclusion either way.',
} as const

/** Where the worker serves a report's bundle. */
export function bundlePath(subject: Hex, policyId: Hex, sequence: bigint, packs: 0 | 1): string {
  return `worker/v1/bundles/${subject}?policy=${policyId}&batch=${sequence}&packs=${packs}`
}

type Measures = {
  readonly measures: Readonly<Record<string, string | null>>
  readonly findings: readonly { readonly name: string; readonly count: number }[]
}

/** What a measure is called and comes to, for people. */
function measureRow(
  name: string,
  value: string,
  { kind, unit }: MeasureDefinition,
): readonly [string, string] {
  const words = name.replace(/_(ms|ppm)$/, '').replaceAll('_', ' ')
  switch (kind) {
    case 'ms':
      return [
        words.replace(/^known$/, 'observed').replace(/^unknown$/, 'unobserved'),
        spanText(Number(value)),
      ]
    case 'ppm':
      return [words, ppmText(Number(value))]
    case 'instant':
      return [words, `${instantText(Number(value))} UTC`]
    case 'quantity':
      return [words, `${microText(BigInt(value))} ${unitWords(unit)}`]
    case 'count':
      return [words, groupDigits(value)]
    default:
      return kind satisfies never
  }
}

export function report(sequence: bigint, index: number): View {
  const head = h('div')
  const policy = h('div')
  const measures = h('div', {}, empty('Asking the worker…'))
  const settlements = h('div', { class: 'chains' })
  const node = h(
    'article',
    {},
    h('p', { class: 'crumbs' }, h('a', { href: '#/' }, 'Overview'), ' / report'),
    head,
    h('section', {}, h('h2', {}, 'The policy in plain words'), policy),
    h('section', {}, h('h2', {}, 'What was measured'), measures),
    h('section', {}, h('h2', {}, 'What it settled'), settlements),
  )

  function findIn(world: World) {
    const signed = world.batches.find(({ batch }) => batch.sequence === sequence)
    const proven = signed?.reports[index]
    return signed === undefined || proven === undefined ? undefined : { signed, proven }
  }

  const showHead = createLive(head, (found: ReturnType<typeof findIn>) => {
    if (found === undefined) return [h('h1', {}, 'Report'), empty('There is no such report yet.')]
    const { report, subjectName, policyName } = found.proven
    const name = verdictName(report.verdict)
    return [
      h('h1', {}, subjectName, h('small', {}, policyName)),
      h(
        'p',
        { class: 'verdict' },
        verdictBadge(report.verdict),
        h('span', { class: 'figure' }, microText(report.valueMicro)),
        h('span', {}, unitWords(unitText(report.unit))),
      ),
      h('p', { class: 'lede' }, verdictSentences[name]),
      h(
        'p',
        { class: 'actions' },
        h(
          'a',
          { class: 'button', href: `#/verify/${sequence}/${index}` },
          'Verify it in this browser',
        ),
        h(
          'a',
          {
            class: 'button quiet',
            href: bundlePath(report.subject, report.policyId, sequence, 1),
            download: `${subjectName}-${sequence}-${index}.json`,
          },
          'Download the proof bundle',
        ),
      ),
      facts([
        ['Period', periodText(Number(report.periodStartMs), Number(report.periodEndMs))],
        ['Observed', ppmText(report.coveragePpm)],
        ['Weakest key it leans on', tierWords(report.tier)],
        [
          'Batch',
          h(
            'a',
            { href: '#/batches' },
            `${sequence}, leaf ${index} of ${found.signed.batch.reportCount}`,
          ),
        ],
        ['Leaf', hexText(reportLeaf(report))],
        ['Evidence root', hexText(report.evidenceRoot)],
        [
          'May be used',
          report.exclusiveTo === zeroHash
            ? 'by anyone: it is a fact'
            : h(
                'span',
                { title: report.exclusiveTo },
                `once, as the right ${shortHex(report.exclusiveTo)}`,
              ),
        ],
        ['Amends', report.amends === zeroHash ? 'nothing' : hexText(report.amends)],
      ]),
    ]
  })
  const showPolicy = createLive(policy, (sentences: readonly string[] | undefined) =>
    sentences === undefined
      ? [empty('The worker does not tell this policy.')]
      : [
          h(
            'ul',
            { class: 'plain' },
            sentences.map((text) => h('li', {}, text)),
          ),
        ],
  )
  const showSettlements = createLive(settlements, (world: World) => {
    const found = findIn(world)?.proven.report
    const tables =
      found === undefined
        ? []
        : settlementsTable(
            world,
            ({ subject, policyId }) => subject === found.subject && policyId === found.policyId,
          )
    return tables.length === 0 ? [empty('No agreement is known that rests on it.')] : tables
  })

  let isAsked = false
  async function askMeasures(subject: Hex, policyId: Hex, policy: Policy): Promise<void> {
    if (isAsked) return
    isAsked = true
    try {
      const text = await worker.bundleText(subject, { policyId, sequence })
      const { measures: own } = JSON.parse(text) as { measures: string }
      const parsed = JSON.parse(own) as Measures
      const catalogue = measureCatalogue(policy)
      measures.replaceChildren(
        h(
          'table',
          { class: 'measures' },
          h(
            'tbody',
            {},
            Object.entries(parsed.measures).map(([name, value]) => {
              const definition = catalogue.get(name)
              if (value === null || definition === undefined) return undefined
              const [words, text] = measureRow(name, value, definition)
              return h('tr', {}, h('th', { scope: 'row' }, words), h('td', {}, text))
            }),
          ),
        ),
        Array.isArray(parsed.findings) && parsed.findings.length > 0
          ? h(
              'p',
              { class: 'detail' },
              `Findings: ${parsed.findings.map((finding) => `${finding.name.replaceAll('_', ' ')} (${count(Number(finding.count), 'time')})`).join(', ')}.`,
            )
          : '',
      )
    } catch {
      isAsked = false
      measures.replaceChildren(empty('The worker does not tell them just now.'))
    }
  }

  return {
    title: 'Report',
    node,
    update(world) {
      const found = findIn(world)
      showHead(found)
      if (found === undefined) return
      const { subject, policyId } = found.proven.report
      const known = world.policies.get(policyId)
      showPolicy(known === undefined ? undefined : explainPolicy(known))
      showSettlements({ ...world, health: undefined, devices: [], policies: new Map() })
      if (known !== undefined) void askMeasures(subject, policyId, known)
    },
  }
}
