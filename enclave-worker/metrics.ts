import type { WorkerState } from './state/workerState.ts'
import type { IngestCounters } from './ingest/ingest.ts'
import type { Ledger } from './ledger/ledger.ts'

type Sample = { readonly labels?: Readonly<Record<string, string>>; readonly value: number }

function family(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  samples: readonly Sample[],
  unit?: string,
): string {
  const lines = [`# TYPE ${name} ${type}`]
  if (unit !== undefined) lines.push(`# UNIT ${name} ${unit}`)
  lines.push(`# HELP ${name} ${help}`)
  const suffix = type === 'counter' ? '_total' : ''
  for (const { labels = {}, value } of samples) {
    const text = Object.entries(labels)
      .map(([key, label]) => `${key}="${label.replace(/[\\"\n]/g, '_')}"`)
      .join(',')
    lines.push(`${name}${suffix}${text === '' ? '' : `{${text}}`} ${value}`)
  }
  return lines.join('\n')
}

/**
 * What an operator watches, as OpenMetrics text.
 *
 * @see OpenMetrics 1.0, section 4, "Text format"
 */
export function metricsText(parts: {
  readonly state: WorkerState
  readonly counters: IngestCounters
  readonly ledger: Ledger
  readonly nowMs: number
  readonly isHeld: boolean
  /** How long the last batch took from its cut to the disk. */
  readonly closeMs: number
  /** When each registry's newest attestation was made. */
  readonly attestedMs: ReadonlyMap<bigint, number>
  readonly residentBytes: number
}): string {
  const { state, counters, ledger, nowMs } = parts
  const stats = ledger.stats()
  const last = state.batches.at(-1)
  const waitingMs = state.oldestUnbatchedMs === undefined ? 0 : nowMs - state.oldestUnbatchedMs
  return [
    family('plumbline_packs_accepted', 'counter', 'Packs taken since this boot.', [
      { value: counters.accepted },
    ]),
    family('plumbline_packs_duplicate', 'counter', 'Packs that had been taken before.', [
      { value: counters.duplicates },
    ]),
    family(
      'plumbline_packs_refused',
      'counter',
      'Packs refused, by the name of the refusal.',
      [...counters.refused].map(([error, value]) => ({ labels: { error }, value })),
    ),
    family('plumbline_equivocations', 'counter', 'Packs that contradicted an accepted one.', [
      { value: counters.equivocations },
    ]),
    family('plumbline_readings_kept', 'counter', 'Readings in all packs of the ledger.', [
      { value: state.acceptedReadings },
    ]),
    family(
      'plumbline_body_in_flight_bytes',
      'gauge',
      'Bodies that are being worked on.',
      [{ value: counters.bytesInFlight }],
      'bytes',
    ),
    family('plumbline_packs_unbatched', 'gauge', 'Packs that no batch holds yet.', [
      { value: state.unbatchedPacks },
    ]),
    family(
      'plumbline_unbatched_age_seconds',
      'gauge',
      'Age of the oldest pack that no batch holds yet.',
      [{ value: waitingMs / 1000 }],
      'seconds',
    ),
    family('plumbline_batch_head', 'gauge', 'Sequence of the newest batch.', [
      { value: state.batches.length },
    ]),
    family(
      'plumbline_batch_age_seconds',
      'gauge',
      'Time since the newest batch was closed.',
      [{ value: last === undefined ? 0 : (nowMs - last.closedAtMs) / 1000 }],
      'seconds',
    ),
    family(
      'plumbline_close_seconds',
      'gauge',
      'From the cut of the newest batch of this boot to its signature on the disk.',
      [{ value: parts.closeMs / 1000 }],
      'seconds',
    ),
    family('plumbline_signing_held', 'gauge', 'One while no batch can be signed.', [
      { value: parts.isHeld ? 1 : 0 },
    ]),
    family(
      'plumbline_attestation_age_seconds',
      'gauge',
      'Age of the newest attestation of this boot, by chain; beyond a day renewal fails.',
      [...parts.attestedMs].map(([chainId, madeMs]) => ({
        labels: { chain: String(chainId) },
        value: (nowMs - madeMs) / 1000,
      })),
      'seconds',
    ),
    family('plumbline_ledger_syncs', 'counter', 'Disk syncs since this boot.', [
      { value: stats.syncs },
    ]),
    family(
      'plumbline_ledger_bytes',
      'gauge',
      'Size of the ledger.',
      [{ value: stats.bytes }],
      'bytes',
    ),
    family('plumbline_devices', 'gauge', 'Enrolled devices.', [{ value: state.devices.size }]),
    family('plumbline_boots', 'counter', 'Boots over this data folder.', [{ value: state.boots }]),
    family(
      'plumbline_resident_memory_bytes',
      'gauge',
      'Resident memory of the process.',
      [{ value: parts.residentBytes }],
      'bytes',
    ),
    '# EOF\n',
  ].join('\n')
}
