import { type Hex, toHex } from '#schemas/bytes.ts'
import { type PairHasher, buildTree } from '#schemas/merkle/orderedTree.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import type {
  DeviceCalibration,
  DeviceList,
  DeviceStatus,
  EquivocationList,
  Proofs,
  ReportList,
  Roster,
  RosterPlace,
} from '#schemas/workerAnswers.ts'
import { equivocationSchema } from '#schemas/workerAnswers.ts'
import { maxReportsPerPage, readMessage, wholeBatchReports } from '#schemas/workerApi.ts'
import type { PolicyEntry } from '../config.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { type PackTrace, decodeRecord } from '../ledger/records.ts'
import type { StandingCalibration } from '../state/calibrationBook.ts'
import { beginningMs } from '../state/tenure.ts'
import { type DeviceState, type WorkerState, packsOfBatch } from '../state/workerState.ts'
import type { BatchReader } from './batchReader.ts'
import { reportPath } from './composeBatch.ts'
import { type RosterHasher, findRosterRow, readRosterRow, readRosterRows } from './rosterRows.ts'

/** What anyone may ask a worker about its past. Everything is read; nothing is decided here. */
export type PublicAnswers = {
  roster(sequence: bigint): Promise<Roster>
  rosterPlace(sequence: bigint, device: Hex): Promise<RosterPlace | undefined>
  proofs(subject: Hex, limit: number): Promise<Proofs>
  reports(
    after: bigint,
    limit: number,
    filter: {
      readonly subject?: Hex | undefined
      readonly policyId?: Hex | undefined
      /** Place in the batch behind `after` to go on from. */
      readonly from?: number | undefined
    },
  ): Promise<ReportList>
  policies(): readonly PolicyEntry[]
  devices(after: Hex | undefined, limit: number): DeviceList
  device(id: Hex): DeviceList['devices'][number] | undefined
  /** A device’s packs behind a sequence number, as they were received. */
  packs(device: Hex, after: bigint, limit: number): Promise<Uint8Array[]>
  equivocations(after: number, limit: number): Promise<EquivocationList>
}

/** A list of reports looks through this many batches at most before it answers. */
const batchesPerList = 200
/** An answer with packs ends when it has grown beyond this. */
const packPageBytes = 4 * 1024 * 1024

function calibrationStatus(entry: StandingCalibration): DeviceCalibration {
  const { series, validFromMs, validUntilMs, unit, document, signed, fromBatch, untilBatch } = entry
  return {
    series,
    validFromMs,
    validUntilMs,
    ...(unit === undefined ? {} : { unit }),
    ...(document === undefined ? {} : { document }),
    ...(signed === undefined
      ? {}
      : { laboratory: signed.laboratory, number: signed.number, issuedMs: signed.issuedMs }),
    ...(signed?.replaces === undefined ? {} : { replaces: signed.replaces }),
    fromBatch,
    ...(untilBatch === undefined ? {} : { untilBatch }),
  }
}

function tenuresOf({ tenures }: Pick<DeviceState, 'tenures'>): Pick<DeviceStatus, 'tenures'> {
  if (tenures === undefined) return {}
  return {
    tenures: tenures.map(({ subject, subjectName, fromMs, fromBatch }) => ({
      subject,
      subjectName,
      ...(fromMs === beginningMs ? {} : { fromMs }),
      fromBatch,
    })),
  }
}

/** Calibrations that a list shows of a device; all of them are with the device itself. */
const calibrationsPerListing = 16

export function createPublicAnswers(parts: {
  readonly state: WorkerState
  readonly ledger: Ledger
  readonly batches: BatchReader
  readonly policies: readonly PolicyEntry[]
  readonly hashPairs: PairHasher
  readonly hashRoster: RosterHasher
}): PublicAnswers {
  const { state, ledger, batches } = parts

  function calibrationsOf(id: Hex, isListing: boolean): { calibrations?: DeviceCalibration[] } {
    const all = state.calibrations.byDevice.get(id) ?? []
    const shown = isListing
      ? all.filter(({ untilBatch }) => untilBatch === undefined).slice(-calibrationsPerListing)
      : all
    return shown.length === 0 ? {} : { calibrations: shown.map(calibrationStatus) }
  }

  function statusOf(id: Hex, isListing = false): DeviceList['devices'][number] | undefined {
    const device = state.devices.get(id)
    const enrolled = device?.enrolled
    if (device === undefined || enrolled === undefined) return undefined
    const last = device.packs.at(-1)
    return {
      device: id,
      publicKey: toHex(coseKeyBytes(enrolled.key)),
      algorithm: enrolled.key.algorithm,
      subject: enrolled.subject,
      subjectName: enrolled.subjectName,
      tier: enrolled.tier,
      intervalMs: enrolled.intervalMs,
      ...(enrolled.label === undefined ? {} : { label: enrolled.label }),
      headSequence: device.headSequence,
      headHash: device.headHash,
      ...(last === undefined ? {} : { lastReceivedMs: last.receivedMs }),
      equivocations: device.equivocations?.size ?? 0,
      ...tenuresOf(device),
      ...calibrationsOf(id, isListing),
    }
  }

  /** What is left of a device's packs of a batch that a retention dropped. */
  async function tracesOf(sequence: bigint, device: Hex): Promise<PackTrace[]> {
    const traces: PackTrace[] = []
    for (const position of state.marks.get(sequence) ?? []) {
      const record = decodeRecord(await ledger.read(position))
      if (record.kind !== 'marks') continue
      traces.push(...record.marks.filter((mark) => mark.device === device))
    }
    return traces
  }

  /** Those of one subject are found by their places: a batch of a million is not looked through. */
  async function reportsOn(
    subject: Hex,
    after: bigint,
    limit: number,
    policyId: Hex | undefined,
  ): Promise<ReportList> {
    const reports: ReportList['reports'] = []
    let last = after
    // Whoever has one report of a batch goes on behind it: a batch that is still being taken in waits.
    const until = state.foundSequence
    for (const { sequence, index } of state.reportsOf.get(subject) ?? []) {
      if (sequence <= after) continue
      if (sequence > until) break
      if (sequence !== last && reports.length >= limit) return { reports, next: last }
      last = sequence
      const [stored] = await (await batches.open(sequence)).reports(index, index + 1)
      if (stored === undefined) continue
      if (policyId !== undefined && stored.proven.report.policyId !== policyId) continue
      reports.push({ batchSequence: sequence, proven: stored.proven })
    }
    return { reports }
  }

  return {
    async roster(sequence) {
      const { head } = await batches.open(sequence)
      return { ...head, roster: readRosterRows(await batches.rosterRows(sequence)) }
    },
    async rosterPlace(sequence, device) {
      const { head } = await batches.open(sequence)
      const rows = await batches.rosterRows(sequence)
      const index = findRosterRow(rows, device)
      if (index === undefined) return undefined
      const entry = readRosterRow(rows, index)
      const tree = buildTree(parts.hashRoster(rows), parts.hashPairs)
      const known = state.devices.get(device)
      const kept = known === undefined ? [] : packsOfBatch(known, sequence)
      const packs = [...(await tracesOf(sequence, device)), ...kept]
      return {
        ...head,
        entry,
        index,
        path: reportPath(tree, index),
        packs: packs.map((pack) => ({ sequence: pack.sequence, hash: pack.hash })),
      }
    },
    async proofs(subject, limit) {
      const places = state.reportsOf.get(subject) ?? []
      const proofs: Proofs['proofs'] = []
      for (const { sequence, index } of places.slice(-limit).reverse()) {
        const batch = await batches.open(sequence)
        const [stored] = await batch.reports(index, index + 1)
        if (stored !== undefined) proofs.push({ ...batch.head, proven: stored.proven })
      }
      return { subject, proofs }
    },
    async reports(after, limit, { subject, policyId, from = 0 }) {
      if (subject !== undefined) return reportsOn(subject, after, limit, policyId)
      const head = BigInt(state.batches.length)
      const reports: ReportList['reports'] = []
      let sequence = after
      let index = from
      let looked = 0
      // Whole batches, so that `next` can name where to go on; large ones by pages of their own.
      while (sequence < head && reports.length < limit && looked < batchesPerList) {
        const batchSequence = sequence + 1n
        const batch = await batches.open(batchSequence)
        const { reportCount } = batch.head.batch
        const end =
          reportCount > wholeBatchReports
            ? Math.min(reportCount, index + maxReportsPerPage)
            : reportCount
        for (const { proven } of await batch.reports(index, end)) {
          if (policyId !== undefined && proven.report.policyId !== policyId) continue
          reports.push({ batchSequence, proven })
        }
        if (end < reportCount) return { reports, next: sequence, nextIndex: end }
        index = 0
        sequence = batchSequence
        looked += 1
      }
      return { reports, ...(sequence < head ? { next: sequence } : {}) }
    },
    policies: () => parts.policies,
    devices(after, limit) {
      const ids = [...state.devices.values()]
        .filter(({ id, enrolled }) => enrolled !== undefined && (after === undefined || id > after))
        .map(({ id }) => id)
        .sort()
      const page = ids.slice(0, limit)
      const last = page.at(-1)
      return {
        devices: page.map((id) => statusOf(id, true)).filter((status) => status !== undefined),
        ...(ids.length > page.length && last !== undefined ? { next: last } : {}),
      }
    },
    device: (id) => statusOf(id),
    async packs(device, after, limit) {
      const packs: Uint8Array[] = []
      let bytes = 0
      const kept = state.devices.get(device)?.packs
      if (kept === undefined || kept.length === 0) return packs
      const from = after < kept.sequence(0) ? 0 : Number(after + 1n - kept.sequence(0))
      for (let index = from; index < kept.length; index += 1) {
        if (packs.length >= limit || bytes > packPageBytes) break
        const entry = kept.at(index)
        if (entry === undefined) break
        const record = decodeRecord(await ledger.read(entry.position))
        if (record.kind !== 'pack') continue
        packs.push(record.bytes)
        bytes += record.bytes.length
      }
      return packs
    },
    async equivocations(after, limit) {
      const equivocations: EquivocationList['equivocations'] = []
      const end = Math.min(after + limit, state.equivocations.length)
      for (const position of state.equivocations.slice(after, end)) {
        const record = decodeRecord(await ledger.read(position))
        if (record.kind !== 'equivocation') continue
        equivocations.push(readMessage(equivocationSchema, record.json, 'stored equivocation'))
      }
      return {
        equivocations,
        ...(end < state.equivocations.length ? { next: end } : {}),
      }
    },
  }
}
