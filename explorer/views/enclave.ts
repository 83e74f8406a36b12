import type { CheckId } from '#verifier/bundle/checklist.ts'
import type { QuoteAppraisal } from '#verifier/appraisal/appraisal.ts'
import { h } from '../dom.ts'
import { examine } from '../examine.ts'
import { instantText } from '../format.ts'
import { type World, worker } from '../world.ts'
import { createChecklistView, empty, facts, hexText } from './parts.ts'
import type { View } from './view.ts'

const attestationChecks: readonly CheckId[] = [
  'collateral',
  'quote',
  'image',
  'statement',
  'possession',
  'batch',
]

function appraisalFacts(appraisal: QuoteAppraisal): HTMLElement {
  const { platform, tcb, td } = appraisal
  return facts([
    ['Processor family', platform.fmspc],
    ['Processor package', hexText(platform.ppid)],
    ['TCB status', tcb.status],
    ['Advisories', tcb.advisoryIds.length === 0 ? 'none' : tcb.advisoryIds.join(', ')],
    ['TCB evaluation', `number ${tcb.evaluationDataNumber}`],
    ['Image', appraisal.image ?? 'any (the policy names none)'],
    ...(td === undefined
      ? []
      : ([
          ['Firmware (MRTD)', hexText(td.mrTd)],
          [
            'Hardware, kernel, initrd (RTMR 0 to 2)',
            h('span', { class: 'hexes' }, td.rtmr.slice(0, 3).map(hexText)),
          ],
          ['Compose hash (MRCONFIGID)', hexText(td.mrConfigId)],
        ] as const)),
    ['Appraisal policy', appraisal.policyId],
    ['Appraised as of', `${instantText(appraisal.appraisedAtUnixSeconds * 1000)} UTC`],
  ])
}

export function enclave(): View {
  const checks = createChecklistView(attestationChecks)
  const trust = h('p', { class: 'lede' })
  const details = h('div')
  const compose = h('div')
  const node = h(
    'article',
    {},
    h('h1', {}, 'Enclave'),
    trust,
    h('section', { 'aria-label': 'Chain of attestation', class: 'chain-of-checks' }, checks.node),
    h('section', {}, h('h2', {}, 'What the processor says'), details),
    h('section', {}, h('h2', {}, 'What runs inside'), compose),
  )
  details.append(empty('There is nothing attested to look at before the first report.'))

  let isStarted = false
  let stop = (): void => undefined
  async function look(world: World): Promise<void> {
    const { deployment } = world
    const signed = [...world.batches].reverse().find(({ reports }) => reports.length > 0)
    const proven = signed?.reports[0]
    if (isStarted || deployment === undefined || signed === undefined || proven === undefined)
      return
    isStarted = true
    let text: string
    try {
      text = await worker.bundleText(proven.report.subject, {
        policyId: proven.report.policyId,
        sequence: signed.batch.sequence,
      })
    } catch {
      isStarted = false
      return
    }
    const { attestation } = JSON.parse(text) as { attestation: { appCompose?: string } }
    if (attestation.appCompose !== undefined) {
      compose.replaceChildren(
        h(
          'p',
          {},
          'The compose file below hashes to what the processor measured. It carries the worker’s configuration: devices, policies and registries are part of the image.',
        ),
        h(
          'details',
          {},
          h('summary', {}, 'Show the compose file'),
          h('pre', { tabindex: 0 }, readable(attestation.appCompose)),
        ),
      )
    }
    stop = examine(
      {
        text,
        rootCertificate: deployment.rootCertificate,
        quotePolicy: deployment.quotePolicy,
      },
      (event) => {
        if (event.kind === 'check') checks.show(event.check)
        else if (event.kind === 'verdict' && event.appraisal !== undefined) {
          details.replaceChildren(appraisalFacts(event.appraisal))
        } else details.replaceChildren(empty('The quote was not accepted; see above.'))
      },
    )
  }

  return {
    title: 'Enclave',
    node,
    update(world) {
      trust.textContent =
        world.deployment === undefined
          ? ''
          : `From the root certificate down to the key that signs, checked in this browser. The root is that of ${world.deployment.rootName}.`
      void look(world)
    },
    end() {
      stop()
    },
  }
}

/** JSON with its lines broken, or the text as it is. */
function readable(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2)
  } catch {
    return text
  }
}
