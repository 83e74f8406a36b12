import type { JobStatus, LaneStatus, RelayerStatus, SettlementStatus } from '../runtime/status.ts'

/** Nothing is loaded and nothing runs: the page is text and one style sheet, named by its hash. */
export function statusPageHeaders(styleHash: string): Readonly<Record<string, string>> {
  return {
    'content-security-policy': [
      "default-src 'none'",
      `style-src 'sha256-${styleHash}'`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  }
}

export const statusPageStyle = `
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { max-width: 74rem; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; vertical-align: top; border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font-size: .87em; overflow-wrap: anywhere; }
.trouble { border-left: 4px solid #c4472b; padding: .4rem .8rem; margin: .6rem 0; }
.good { color: #2c7a4b; } .bad { color: #c4472b; font-weight: 600; }
.scroll { overflow-x: auto; }
@media (prefers-color-scheme: dark) { .good { color: #6cc08b; } .bad { color: #ff8a6b; } }
`

/** Text inside an element or a quoted attribute. */
function text(value: unknown): string {
  return String(value)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}

function trouble(title: string, reason: string, remedy: string | undefined): string {
  const advice = remedy === undefined ? '' : `<br>${text(remedy)}`
  return `<p class="trouble"><strong>${text(title)}</strong><br>${text(reason)}${advice}</p>`
}

function time(milliseconds: number | undefined): string {
  if (milliseconds === undefined) return ''
  return new Date(milliseconds).toISOString().replace('T', ' ').slice(0, 19)
}

/** Millionths as a decimal, exactly. */
export function decimalOfMicro(micro: string): string {
  const isNegative = micro.startsWith('-')
  const digits = (isNegative ? micro.slice(1) : micro).padStart(7, '0')
  const fraction = digits.slice(-6).replace(/0+$/, '')
  const whole = digits.slice(0, -6)
  return `${isNegative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`
}

function stageClass(stage: JobStatus['stage']): string {
  if (stage === 'final') return 'good'
  return stage === 'quarantined' ? 'bad' : ''
}

function laneRow(lane: LaneStatus): string {
  const { counts } = lane
  const open = counts.queued + counts.simulated + counts.signed + counts.sent
  return `<tr><td>${text(lane.chainName)}</td><td class="number">${lane.chainId}</td><td>${text(lane.mode)}${lane.isDrained ? ' (drained)' : ''}</td><td class="number">${lane.head?.number ?? ''}</td><td class="number">${open}</td><td class="number">${counts.included}</td><td class="number">${counts.final}</td><td class="number ${counts.quarantined > 0 ? 'bad' : ''}">${counts.quarantined}</td><td class="number">${lane.inFlight}</td><td class="number">${BigInt(lane.balanceWei ?? '0') / 1_000_000_000n}</td></tr>`
}

function settlementRow(item: SettlementStatus): string {
  const { transaction } = item
  const seconds =
    transaction?.minedAtMs === undefined
      ? ''
      : ((transaction.minedAtMs - Number(item.closedAtMs)) / 1_000).toFixed(0)
  return `<tr><td class="number">${text(item.sequence)}</td><td>${text(item.chainName)}</td><td>${text(item.label)}<br><code>${text(item.contract)}</code></td><td>${text(item.subjectName)}</td><td>${text(item.verdict)} ${text(decimalOfMicro(item.valueMicro))} ${text(item.unit)}</td><td class="${stageClass(item.stage)}">${text(item.stage)}</td><td><code>${text(transaction?.hash ?? (item.doneBy === 'other' ? 'settled by another' : ''))}</code></td><td class="number">${text(transaction?.gasUsed ?? '')}</td><td class="number">${seconds}</td></tr>`
}

function troublesOf(status: RelayerStatus): string[] {
  const troubles: string[] = []
  for (const { problem, remedy, workerHost } of status.feeds) {
    if (problem === undefined) continue
    troubles.push(trouble(`The feed from ${workerHost} stands`, problem, remedy))
  }
  for (const lane of status.lanes) {
    if (lane.hold !== undefined) {
      const title = `${lane.chainName} is held since ${time(lane.hold.sinceMs)}`
      troubles.push(trouble(title, lane.hold.reason, lane.hold.remedy))
    }
    for (const { host, problem, isUsable } of lane.endpoints) {
      if (problem !== undefined && !isUsable) {
        troubles.push(trouble(`${lane.chainName}: endpoint ${host}`, problem, undefined))
      }
    }
    for (const job of lane.jobs) {
      if (job.stage !== 'quarantined') continue
      troubles.push(trouble(`${lane.chainName}: ${job.id}`, job.reason ?? '', job.remedy))
    }
  }
  return troubles
}

function feedLine(feed: RelayerStatus['feed']): string {
  return `<p>Stream <code>${text(feed.stream)}</code>, batch ${text(feed.sequence)} of ${text(feed.workerHead)}, read from ${text(feed.workerHost)} at ${time(feed.lastAnswerMs)} UTC.</p>`
}

/** The relayer's state for people: what is wrong first, then lanes, then settlements. */
export function statusPage(status: RelayerStatus, nowMs: number): string {
  const troubles = troublesOf(status)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5">
<title>Plumbline relayer</title>
<style>${statusPageStyle}</style>
</head>
<body>
<h1>Plumbline relayer</h1>
${status.feeds.map(feedLine).join('\n')}
${troubles.length === 0 ? '<p class="good">Nothing needs a person.</p>' : troubles.join('\n')}
<h2>Lanes</h2>
<div class="scroll"><table>
<tr><th>Chain</th><th class="number">Id</th><th>Mode</th><th class="number">Head</th><th class="number">Open</th><th class="number">Included</th><th class="number">Final</th><th class="number">Quarantined</th><th class="number">In flight</th><th class="number">Gas money, gwei</th></tr>
${status.lanes.map(laneRow).join('\n')}
</table></div>
<h2>Settlements</h2>
<div class="scroll"><table>
<tr><th class="number">Batch</th><th>Chain</th><th>Agreement</th><th>Subject</th><th>Verdict</th><th>Stage</th><th>Transaction</th><th class="number">Gas</th><th class="number">Seconds</th></tr>
${status.settlements.map(settlementRow).join('\n')}
</table></div>
<p>As of ${time(nowMs)} UTC. Machines read <code>/v1/status</code> and <code>/metrics</code>.</p>
</body>
</html>
`
}
