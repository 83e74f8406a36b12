import type { Hex } from '#schemas/bytes.ts'
import type { Deployment } from '#schemas/deployment.ts'
import { reportLeaf, unitText } from '#schemas/report.ts'
import type { ProvenReport, SignedBatch } from '#schemas/workerApi.ts'
import { createLive, h } from '../dom.ts'
import {
  amountText,
  count,
  instantText,
  microText,
  ppmText,
  shortHex,
  tierWords,
  unitWords,
} from '../format.ts'
import { type ChainSettlement, type World, agreementKey } from '../world.ts'
import { empty, hexText, verdictBadge } from './parts.ts'
import type { View } from './view.ts'

/** Links to a report's page. */
export function reportHref(sequence: bigint, index: number): string {
  return `#/report/${sequence}/${index}`
}

export function reportCard(sequence: bigint, proven: ProvenReport): HTMLElement {
  const { report } = proven
  return h(
    'a',
    { class: 'card report', href: reportHref(sequence, proven.index) },
    h('p', { class: 'over' }, proven.subjectName),
    h('h3', {}, proven.policyName),
    h(
      'p',
      { class: 'figure' },
      microText(report.valueMicro),
      ' ',
      h('small', {}, unitWords(unitText(report.unit))),
    ),
    h(
      'p',
      { class: 'under' },
      verdictBadge(report.verdict),
      h('span', {}, `${ppmText(report.coveragePpm)} observed`),
    ),
  )
}

type AgreementRow = {
  readonly agreement: Deployment['agreements'][number]
  readonly stage: string
  readonly settlement: ChainSettlement | undefined
  readonly place: { readonly sequence: bigint; readonly index: number } | undefined
}

function rowsOf(world: World): AgreementRow[] {
  const settled = new Map(world.settlements.map((each) => [agreementKey(each), each]))
  const places = new Map<Hex, { sequence: bigint; index: number }>()
  for (const { batch, reports } of world.batches) {
    for (const { report, index } of reports) {
      places.set(reportLeaf(report), { sequence: batch.sequence, index })
    }
  }
  return (world.deployment?.agreements ?? []).map((agreement) => {
    const settlement = settled.get(agreementKey(agreement))
    const stage = world.stages.get(agreementKey(agreement))
    return {
      agreement,
      settlement,
      place: settlement === undefined ? undefined : places.get(settlement.leaf),
      stage: settlement === undefined ? (stage ?? 'waiting for its report') : 'settled',
    }
  })
}

/** Settlements, chain by chain: amount, transaction, and how long it took. */
export function settlementsTable(
  world: World,
  isWanted: (agreement: Deployment['agreements'][number]) => boolean = () => true,
): HTMLElement[] {
  const rows = rowsOf(world).filter(({ agreement }) => isWanted(agreement))
  const chains = world.deployment?.chains ?? []
  return chains.flatMap(({ chainId, name }) => {
    const own = rows.filter(({ agreement }) => agreement.chainId === chainId)
    if (own.length === 0) return []
    return [
      h(
        'section',
        { class: 'chain', 'aria-label': `Chain ${name}` },
        h('h3', {}, name, h('small', {}, ` chain ${chainId}`)),
        h(
          'ul',
          { class: 'settlements' },
          own.map(({ agreement, settlement, stage, place }) =>
            h(
              'li',
              { 'data-stage': stage },
              h(
                'p',
                { class: 'label' },
                place === undefined
                  ? agreement.label
                  : h('a', { href: reportHref(place.sequence, place.index) }, agreement.label),
                h('small', {}, ` ${agreement.kind.replaceAll('-', ' ')} ${agreement.agreementId}`),
              ),
              settlement === undefined
                ? h('p', { class: 'stage' }, stage)
                : h(
                    'p',
                    { class: 'amount' },
                    amountText(settlement.amount, agreement.decimals),
                    h('small', {}, ` ${unitWords(agreement.unit)}`),
                  ),
              settlement === undefined
                ? undefined
                : h(
                    'p',
                    { class: 'detail' },
                    'to ',
                    hexText(settlement.beneficiary),
                    ' by transaction ',
                    h(
                      'code',
                      { class: 'hex', title: settlement.transactionHash },
                      shortHex(settlement.transactionHash),
                    ),
                    ` in block ${settlement.blockNumber}`,
                  ),
            ),
          ),
        ),
      ),
    ]
  })
}

function summary(world: World): string {
  const { batches, devices, settlements, deployment } = world
  if (deployment === undefined) return 'The local world is being built.'
  const reports = batches.reduce((sum, each) => sum + each.reports.length, 0)
  if (devices.length === 0) return 'The enclave is being attested; no device has been enrolled yet.'
  if (reports === 0) {
    return `${count(devices.length, 'device')} enrolled. The first window has not closed yet.`
  }
  const chains = new Set(settlements.map(({ chainId }) => chainId)).size
  return (
    `${count(devices.length, 'device')}, ${count(reports, 'report')} in ${count(batches.length, 'batch', 'batches')}: ` +
    `${settlements.length} of ${count(deployment.agreements.length, 'agreement')} settled on ${count(chains, 'chain')}.`
  )
}

function latestReports(
  batches: readonly SignedBatch[],
): { sequence: bigint; proven: ProvenReport }[] {
  return batches
    .flatMap(({ batch, reports }) =>
      reports.map((proven) => ({ sequence: batch.sequence, proven })),
    )
    .slice(-12)
    .reverse()
}

function station(
  name: string,
  title: string,
  says: string,
  body: HTMLElement,
  link?: { href: string; text: string },
): HTMLElement {
  return h(
    'li',
    { class: 'station', id: `station-${name}` },
    h('h2', {}, title),
    h(
      'p',
      { class: 'says' },
      says,
      link === undefined ? undefined : [' ', h('a', link, link.text)],
    ),
    body,
  )
}

export function overview(): View {
  const lede = h('p', { class: 'lede' })
  const title = h('h1')
  const devices = h('div', { class: 'cards' })
  const enclave = h('div')
  const batch = h('div')
  const reports = h('div', { class: 'cards wide' })
  const chains = h('div', { class: 'chains' })

  const showTitle = createLive(title, (name: string) => [name])
  const showLede = createLive(lede, (text: string) => [text])
  const showDevices = createLive(devices, (list: World['devices']) =>
    list.length === 0
      ? [empty('None enrolled yet.')]
      : list.map((device) =>
          h(
            'a',
            { class: 'card', href: `#/device/${device.device}` },
            h('p', { class: 'over' }, `${tierWords(device.tier)} key, ${device.algorithm}`),
            h('h3', {}, device.subjectName),
            h(
              'p',
              { class: 'under' },
              h('span', {}, count(Number(device.headSequence), 'pack')),
              h(
                'span',
                {},
                device.lastReceivedMs === undefined
                  ? 'not heard yet'
                  : `heard ${instantText(device.lastReceivedMs)} UTC`,
              ),
            ),
          ),
        ),
  )
  const showEnclave = createLive(enclave, (health: { signer: Hex; status: string } | undefined) =>
    health === undefined
      ? [empty('Not reachable yet.')]
      : [
          h(
            'p',
            { class: 'row' },
            h('span', { class: `state ${health.status}` }, health.status),
            h('span', {}, 'signs as '),
            hexText(health.signer),
          ),
        ],
  )
  const showBatch = createLive(batch, (newest: SignedBatch | undefined) =>
    newest === undefined
      ? [empty('No window has closed yet.')]
      : [
          h(
            'p',
            { class: 'row' },
            h('a', { href: '#/batches' }, `Batch ${newest.batch.sequence}`),
            hexText(newest.digest),
            h('span', {}, `closed ${instantText(Number(newest.batch.closedAtMs))} UTC`),
          ),
        ],
  )
  const showReports = createLive(reports, (list: ReturnType<typeof latestReports>) =>
    list.length === 0
      ? [empty('None yet.')]
      : list.map(({ sequence, proven }) => reportCard(sequence, proven)),
  )
  const showChains = createLive(chains, (world: World) => settlementsTable(world))

  const node = h(
    'div',
    { class: 'overview' },
    title,
    lede,
    h(
      'ol',
      { class: 'line' },
      station('devices', 'Devices', 'Each reading is signed where it is made.', devices),
      station(
        'enclave',
        'Enclave',
        'A confidential VM whose key the processor vouches for.',
        enclave,
        { href: '#/enclave', text: 'See how.' },
      ),
      station(
        'batch',
        'Batch',
        'One signature over every report, chained to the one before.',
        batch,
      ),
      station('reports', 'Reports', 'What the policies conclude. Silence counts too.', reports),
      station(
        'chains',
        'Settlements',
        'What contracts paid, read from the chains themselves.',
        chains,
      ),
    ),
    h(
      'a',
      { class: 'bob', href: '#/verify' },
      h('img', { src: 'icon.svg', alt: '', width: 26, height: 36 }),
      h('span', {}, 'Check a bundle yourself: in this browser, asking nobody.'),
    ),
  )
  return {
    title: 'Overview',
    node,
    update(world) {
      showTitle(world.deployment?.name ?? 'Plumbline')
      showLede(summary(world))
      showDevices(world.devices)
      showEnclave(
        world.health === undefined
          ? undefined
          : { signer: world.health.signer, status: world.health.status },
      )
      showBatch(world.batches.at(-1))
      showReports(latestReports(world.batches))
      showChains({ ...world, health: undefined, devices: [], policies: new Map() })
    },
  }
}
