import { type CheckId, checkTitles } from '#verifier/bundle/checklist.ts'
import type { QuoteAppraisal } from '#verifier/appraisal/appraisal.ts'
import { plainQuotePolicy } from '#verifier/appraisal/plainQuotePolicy.ts'
import { unitText } from '#schemas/report.ts'
import { h } from '../dom.ts'
import { examine } from '../examine.ts'
import { instantText, microText, periodText, ppmText, unitWords, verdictName } from '../format.ts'
import type { World } from '../world.ts'
import { createChecklistView } from './parts.ts'
import { bundlePath } from './report.ts'
import type { View } from './view.ts'

const allChecks = Object.keys(checkTitles) as CheckId[]
/** Far beyond an honest bundle: a file is read into memory. */
const maxBundleBytes = 64 * 1024 * 1024

export type VerifyView = View & {
  /** Examines a file that was dropped anywhere on the page. */
  readonly take: (file: File) => void
}

/** As of when attestation was judged, and whether its collateral has lapsed since. */
function asOf(appraisal: QuoteAppraisal): string {
  const at = instantText(appraisal.appraisedAtUnixSeconds * 1000)
  const untilMs = appraisal.validUntilUnixSeconds * 1000
  const until = instantText(untilMs)
  return untilMs > Date.now()
    ? `Attestation judged as of ${at} UTC; the collateral is in force until ${until} UTC`
    : `Attestation judged as of ${at} UTC; the collateral lapsed on ${until} UTC: it held then, and nothing later is known of the platform`
}

/** @param from - The report whose bundle is fetched and examined at once. */
export function verify(from?: { readonly sequence: bigint; readonly index: number }): VerifyView {
  const checks = createChecklistView(allChecks)
  const result = h('div', { class: 'result', role: 'status', tabindex: '-1' })
  const input = h('input', { type: 'file', id: 'bundle-file', accept: '.json,application/json' })
  const rootChoice = h('select', { id: 'root' })
  const zone = h(
    'label',
    { class: 'drop', for: 'bundle-file' },
    h('span', { class: 'drop-title' }, 'Drop a proof bundle here, or choose a file'),
    h('span', { class: 'detail' }, 'It is read in this browser and sent nowhere.'),
    input,
  )
  const node = h(
    'article',
    {},
    h('h1', {}, 'Verify'),
    h(
      'p',
      { class: 'lede' },
      'From the root certificate to the devices’ own signatures, and back up to the report: by the same code as the command line, without asking anybody.',
    ),
    zone,
    h('p', { class: 'choice' }, h('label', { for: 'root' }, 'Trusted root '), rootChoice),
    result,
    checks.node,
  )

  let world: World | undefined
  let last: string | undefined
  let stop = (): void => undefined

  function say(className: string, title: string, rows: readonly string[]): void {
    result.className = `result ${className}`
    result.replaceChildren(
      h('p', { class: 'verdict-line' }, title),
      ...rows.map((text) => h('p', { class: 'detail' }, text)),
    )
  }

  function run(text: string): void {
    last = text
    stop()
    checks.reset()
    say('running', 'Examining…', [])
    const deployment = rootChoice.value === 'deployment' ? world?.deployment : undefined
    stop = examine(
      {
        text,
        rootCertificate: deployment?.rootCertificate,
        quotePolicy: deployment?.quotePolicy ?? plainQuotePolicy,
      },
      (event) => {
        if (event.kind === 'check') {
          checks.show(event.check)
          return
        }
        if (event.kind === 'unreadable') {
          say('refused', 'Refused', [`The file cannot be read as a bundle. ${event.message}`])
          return
        }
        const { report, appraisal } = event
        const rows =
          report === undefined
            ? []
            : [
                `It proves the verdict ${verdictName(report.verdict)}, with ${microText(report.valueMicro)} ${unitWords(unitText(report.unit))}`,
                periodText(Number(report.periodStartMs), Number(report.periodEndMs)),
                `${ppmText(report.coveragePpm)} of the period observed`,
                ...(appraisal === undefined ? [] : [asOf(appraisal)]),
              ]
        if (event.isAccepted) say('accepted', 'Accepted: the proof holds', rows)
        else say('refused', 'Refused', ['At least one line below does not hold.'])
      },
    )
  }

  async function read(file: Blob): Promise<void> {
    if (file.size > maxBundleBytes) {
      say('refused', 'Refused', ['The file is larger than any bundle.'])
      return
    }
    run(await file.text())
  }

  input.addEventListener('change', () => {
    const [file] = input.files ?? []
    if (file !== undefined) void read(file)
    // The same file again is a new question.
    input.value = ''
  })
  rootChoice.addEventListener('change', () => {
    if (last !== undefined) run(last)
  })

  let isFetched = false
  async function fetchFrom(now: World): Promise<void> {
    if (from === undefined || isFetched) return
    const signed = now.batches.find(({ batch }) => batch.sequence === from.sequence)
    const report = signed?.reports[from.index]?.report
    if (report === undefined) return
    isFetched = true
    say('running', 'Fetching the bundle…', [])
    const path = bundlePath(report.subject, report.policyId, from.sequence, 1)
    const response = await fetch(path)
    const open =
      response.status === 403 ? await fetch(path.replace('packs=1', 'packs=0')) : response
    if (open.ok) run(await open.text())
    else say('refused', 'No bundle', ['The worker does not serve it just now.'])
  }

  let rootName: string | undefined
  return {
    title: 'Verify',
    node,
    update(now) {
      world = now
      const name = now.deployment?.rootName
      if (rootName !== name || rootChoice.options.length === 0) {
        rootName = name
        rootChoice.replaceChildren(
          ...(name === undefined ? [] : [h('option', { value: 'deployment' }, name)]),
          h('option', { value: 'intel' }, 'Intel SGX Root CA, up-to-date platforms, any image'),
        )
      }
      void fetchFrom(now)
    },
    take(file) {
      void read(file)
    },
    end() {
      stop()
    },
  }
}
