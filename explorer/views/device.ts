import type { Hex } from '#schemas/bytes.ts'
import type { Policy } from '#schemas/policy/policy.ts'
import { createLive, h } from '../dom.ts'
import { count, instantText, spanText, tierWords } from '../format.ts'
import { figuresOf, tellSeries } from '../plot.ts'
import { ReadingsPrivateError, noReadings, readMore } from '../readings.ts'
import type { World } from '../world.ts'
import { reportCard } from './overview.ts'
import { empty, facts, hexText } from './parts.ts'
import type { View } from './view.ts'

export function device(id: Hex): View {
  const title = h('h1')
  const about = h('div')
  const charts = h('div', { class: 'charts' }, empty('No reading yet.'))
  const reports = h('div', { class: 'cards' })
  const node = h(
    'article',
    {},
    h('p', { class: 'crumbs' }, h('a', { href: '#/' }, 'Overview'), ' / device'),
    title,
    about,
    h('section', { 'aria-label': 'Readings' }, h('h2', {}, 'Readings'), charts),
    h('section', {}, h('h2', {}, 'Reports on it'), reports),
  )
  const showAbout = createLive(about, (found: World['devices'][number] | undefined) =>
    found === undefined
      ? [empty('The worker has enrolled no such device.')]
      : [
          facts([
            ['Identity', hexText(found.device)],
            ['Key', `${found.algorithm}, ${tierWords(found.tier)}`],
            ['Pace', `a reading every ${spanText(found.intervalMs)}`],
            ['Packs', count(Number(found.headSequence), 'pack')],
            ['Newest pack', hexText(found.headHash)],
            [
              'Last heard',
              found.lastReceivedMs === undefined
                ? 'never'
                : `${instantText(found.lastReceivedMs)} UTC`,
            ],
            [
              'Caught contradicting itself',
              found.equivocations === 0 ? 'never' : count(found.equivocations, 'time'),
            ],
          ]),
        ],
  )
  const showReports = createLive(
    reports,
    (list: { sequence: bigint; proven: Parameters<typeof reportCard>[1] }[]) =>
      list.length === 0
        ? [empty('None yet.')]
        : list.map(({ sequence, proven }) => reportCard(sequence, proven)),
  )

  let known = noReadings
  let shownPolicies = -1
  let isReading = false
  async function read(found: World['devices'][number], policies: readonly Policy[]): Promise<void> {
    if (isReading) return
    if (known.lastSequence === found.headSequence && shownPolicies === policies.length) return
    isReading = true
    try {
      known = await readMore(id, found.tier, known)
      shownPolicies = policies.length
      const figures = tellSeries(known.readings, policies, found.intervalMs).flatMap(figuresOf)
      charts.replaceChildren(...(figures.length === 0 ? [empty('No reading yet.')] : figures))
    } catch (error) {
      if (!(error instanceof ReadingsPrivateError)) return
      known = { ...known, lastSequence: found.headSequence }
      charts.replaceChildren(empty('The operator keeps this device’s readings private.'))
    } finally {
      isReading = false
    }
  }

  return {
    title: 'Device',
    node,
    update(world) {
      const found = world.devices.find((each) => each.device === id)
      title.textContent = found?.subjectName ?? 'Device'
      showAbout(found)
      if (found === undefined) return
      const own = world.batches.flatMap(({ batch, reports }) =>
        reports
          .filter(({ report }) => report.subject === found.subject)
          .map((proven) => ({ sequence: batch.sequence, proven })),
      )
      showReports([...own].reverse().slice(0, 12))
      const judged = new Set(own.map(({ proven }) => proven.report.policyId))
      const policies = [...world.policies]
        .filter(([policyId]) => judged.size === 0 || judged.has(policyId))
        .map(([, policy]) => policy)
      void read(found, policies)
    },
  }
}
