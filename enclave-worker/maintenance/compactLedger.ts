import { join } from 'node:path'
import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { lockFolder } from '../adapters/folderLock.ts'
import { measuresAgain } from '../batches/bundles.ts'
import { isGranted } from '../batches/dueWork.ts'
import { gatherEvidence } from '../batches/judge.ts'
import { createKeccakPairs } from '../batches/keccakBatch.ts'
import { type OpenedBatch, type StoredReport, createBatchOpener } from '../batches/openBatch.ts'
import { reportsPerPart } from '../batches/reportParts.ts'
import { createReportHasher } from '../batches/reportRows.ts'
import { readStoredHead, readWholeBatch } from '../batches/storedBatch.ts'
import type { WorkerConfig } from '../config.ts'
import { type Ledger, type LedgerReader, openLedger, readLedger } from '../ledger/ledger.ts'
import {
  type DeviceBase,
  type PackTrace,
  baseRecords,
  decodeRecord,
  encodeJsonRecord,
  marksRecords,
} from '../ledger/records.ts'
import type { Seal } from '../ledger/seal.ts'
import { subjectsOf } from '../state/tenure.ts'
import type { WorkerState } from '../state/workerState.ts'
import type { Assignment } from '../windows/assignment.ts'
import { evidenceSpan } from '#evaluation/evidenceSpan.ts'
import { type Period, endedPeriods } from '../windows/periods.ts'
import { examineLedger } from './examineLedger.ts'
import { ledgerFolders, promoteLedger, settleLedger } from './settleLedger.ts'

/** Raised when what was written anew is not what was there, less what was to be dropped. */
export class CompactionError extends BaseError {
  override readonly name = 'CompactionError'
}

export type CompactionSummary = {
  /** Readings received before this instant were dropped, where nothing needs them any more. */
  readonly olderThanMs: number
  readonly droppedPacks: number
  readonly droppedReadings: number
  /** Packs as old that are kept: unbatched, or of a period that is open or can be amended. */
  readonly neededPacks: number
  /** Reports whose measures were written down, so that their bundles go on without the packs. */
  readonly reportsKept: number
  /** Reports that cannot be evaluated again as configured: no bundle of them is left. */
  readonly bundlesLost: number
  readonly bytesBefore: number
  readonly bytesAfter: number
}

type CompactionConfig = Pick<
  WorkerConfig,
  'streamId' | 'devices' | 'calibrations' | 'dataFolder' | 'assignments' | 'amendForMs'
>

/** The earliest instant that an assignment can still ask about; infinite when it asks nothing more. */
function neededFromMs(
  assignment: Assignment,
  state: WorkerState,
  amendForMs: number,
  nowMs: number,
): number {
  const known = state.assignments.get(assignment.key)
  const spanStart = (period: Period): number => evidenceSpan(assignment.policy, period).startMs
  let needed = Number.POSITIVE_INFINITY
  const isSettled = (period: Period): boolean =>
    known?.closed.has(`${period.startMs}-${period.endMs}`) === true ||
    isGranted(assignment, period, state)
  if (assignment.periods !== undefined) {
    for (const period of assignment.periods) {
      if (!isSettled(period)) needed = Math.min(needed, spanStart(period))
    }
  } else {
    const fromMs = Math.max(assignment.fromMs ?? known?.knownSinceMs ?? nowMs, 0)
    const { window } = assignment.policy
    const resumeMs = Math.max(fromMs, known?.lastClosedStartMs ?? fromMs)
    const open = endedPeriods(window, undefined, resumeMs, nowMs, 10_000).find(
      (period) => !isSettled(period),
    )
    // What is running now began at or behind the last that was closed.
    const period = open ?? { startMs: resumeMs, endMs: resumeMs + 1 }
    needed = Math.min(needed, spanStart(period))
  }
  for (const period of known?.closed.values() ?? []) {
    const canBeAmended = assignment.impactClass === undefined && nowMs <= period.endMs + amendForMs
    if (canBeAmended) needed = Math.min(needed, spanStart(period))
  }
  return needed
}

/** How many of each device's oldest packs go. */
function chooseDropped(
  state: WorkerState,
  config: CompactionConfig,
  olderThanMs: number,
  nowMs: number,
): { readonly counts: Map<Hex, number>; readonly needed: number } {
  const neededFrom = new Map<Hex, number>()
  for (const assignment of config.assignments) {
    const fromMs = neededFromMs(assignment, state, config.amendForMs, nowMs)
    const before = neededFrom.get(assignment.subject) ?? Number.POSITIVE_INFINITY
    neededFrom.set(assignment.subject, Math.min(before, fromMs))
  }
  const counts = new Map<Hex, number>()
  const head = state.batches.length
  let needed = 0
  for (const device of state.devices.values()) {
    const { id, packs } = device
    const fromMs = Math.min(
      Number.POSITIVE_INFINITY,
      ...subjectsOf(device).map((subject) => neededFrom.get(subject) ?? Number.POSITIVE_INFINITY),
    )
    let count = 0
    let isDropping = true
    for (let index = 0; index < packs.length; index += 1) {
      if (packs.receivedMs(index) >= olderThanMs) break
      const isNeeded = packs.batch(index) > head || packs.lastTimeMs(index) >= fromMs
      if (isNeeded) isDropping = false
      if (isDropping) count += 1
      else needed += 1
    }
    if (count > 0) counts.set(id, count)
  }
  return { counts, needed }
}

/** Where each chain will stand: what was dropped before, and what goes now. */
function basesAfter(state: WorkerState, counts: ReadonlyMap<Hex, number>): DeviceBase[] {
  const bases: DeviceBase[] = []
  for (const { id, packs, dropped } of state.devices.values()) {
    const count = counts.get(id) ?? 0
    const last = packs.at(count - 1)
    if (count === 0 || last === undefined) {
      if (dropped !== undefined) bases.push(dropped)
      continue
    }
    let readings = dropped?.readings ?? 0
    let lastTimeMs = dropped?.lastTimeMs ?? 0
    for (let index = 0; index < count; index += 1) {
      readings += packs.readings(index)
      lastTimeMs = Math.max(lastTimeMs, packs.lastTimeMs(index))
    }
    bases.push({
      device: id,
      sequence: last.sequence,
      hash: last.hash,
      packs: (dropped?.packs ?? 0) + count,
      readings,
      lastTimeMs,
    })
  }
  return bases
}

type KeptMeasures = {
  readonly batchSequence: bigint
  readonly index: number
  readonly text: string
}

/** A batch's reports, a part of them at a time in memory. */
async function* reportsOf({ head, reports }: OpenedBatch): AsyncGenerator<StoredReport> {
  for (let from = 0; from < head.batch.reportCount; from += reportsPerPart) {
    yield* await reports(from, from + reportsPerPart)
  }
}

/** Measures of the reports that lean on what goes: evaluated once more, while it is there. */
async function measuresToKeep(
  state: WorkerState,
  reader: LedgerReader,
  config: CompactionConfig,
  bases: readonly DeviceBase[],
): Promise<{ readonly kept: KeptMeasures[]; readonly lost: number }> {
  const byKey = new Map(config.assignments.map((assignment) => [assignment.key, assignment]))
  const goneUntil = new Map(bases.map(({ device, lastTimeMs }) => [device, lastTimeMs]))
  const kept: KeptMeasures[] = []
  let lost = 0
  const openBatch = createBatchOpener({
    ledger: reader,
    hashPairs: await createKeccakPairs(),
    hashReports: await createReportHasher(),
  })
  for (const entry of state.batches) {
    const { sequence } = entry
    for await (const { proven, closed } of reportsOf(await openBatch(entry))) {
      const { key, index, ...period } = closed
      const assignment = byKey.get(key)
      if (assignment === undefined) continue
      if (state.measures.has(`${sequence}/${index}`)) continue
      const { startMs } = evidenceSpan(assignment.policy, period)
      const leansOnDropped = (state.bySubject.get(assignment.subject) ?? []).some(
        ({ id }) => (goneUntil.get(id) ?? Number.NEGATIVE_INFINITY) >= startMs,
      )
      if (!leansOnDropped) continue
      try {
        const due = { assignment, period }
        const evidence = await gatherEvidence(due, sequence, { state, ledger: reader })
        const text = measuresAgain(due, proven.report, evidence)
        kept.push({ batchSequence: sequence, index, text })
      } catch (error) {
        if (!(error instanceof BaseError)) throw error
        lost += 1
      }
    }
  }
  return { kept, lost }
}

const flushBytes = 8 * 1024 * 1024

/** Writes the ledger anew without what goes, in the old order. */
async function rewrite(
  config: CompactionConfig,
  seal: Seal,
  counts: ReadonlyMap<Hex, number>,
  bases: readonly DeviceBase[],
  more: readonly Uint8Array[],
  failpoint: (name: string) => void | Promise<void>,
): Promise<void> {
  const into: Ledger = await openLedger({
    folder: join(config.dataFolder, ledgerFolders.partial),
    stream: config.streamId,
    seal,
    onRecord: () => undefined,
  })
  const seen = new Map<Hex, number>()
  const traces = new Map<bigint, PackTrace[]>()
  const trace = (batch: bigint, mark: PackTrace): void => {
    const ofBatch = traces.get(batch)
    if (ofBatch === undefined) traces.set(batch, [mark])
    else ofBatch.push(mark)
  }
  try {
    for (const record of baseRecords(bases)) into.append(record)
    const from = await readLedger({
      folder: join(config.dataFolder, ledgerFolders.current),
      stream: config.streamId,
      seal,
      onRecord: (bytes) => {
        const record = decodeRecord(bytes)
        if (record.kind === 'base') return
        if (record.kind === 'marks') {
          for (const mark of record.marks) trace(record.batchSequence, mark)
          return
        }
        if (record.kind === 'pack') {
          const { device, sequence, hash, batchSequence } = record
          const index = seen.get(device) ?? 0
          seen.set(device, index + 1)
          if (index < (counts.get(device) ?? 0)) {
            trace(batchSequence, { device, sequence, hash })
            return
          }
        }
        if (record.kind === 'batch' || record.kind === 'head') {
          // Before the batch that holds them, as the packs themselves were.
          const { batch } =
            record.kind === 'head'
              ? readStoredHead(record.json).head
              : readWholeBatch(record.json).signed
          const marks = traces.get(batch.sequence) ?? []
          traces.delete(batch.sequence)
          for (const part of marksRecords(batch.sequence, marks)) into.append(part)
        }
        into.append(bytes)
      },
      onFrame: async () => {
        if (into.pendingBytes() < flushBytes) return
        await into.commit()
        await failpoint('compact.flushed')
      },
    })
    await from.close()
    for (const record of more) into.append(record)
    await into.commit()
  } finally {
    await into.close()
  }
}

/** What must be the same before and after. */
function essence(state: WorkerState): Record<string, unknown> {
  return {
    batches: state.batches.map(({ digest }) => digest),
    devices: [...state.devices.values()]
      .map(({ id, headSequence, headHash, packs, dropped, equivocations }) =>
        [id, headSequence, headHash, packs.length + (dropped?.packs ?? 0), equivocations?.size ?? 0]
          .map(String)
          .join('/'),
      )
      .sort(),
    packs: state.acceptedPacks,
    readings: state.acceptedReadings,
    unbatched: state.unbatchedPacks,
    openSequence: state.openSequence,
    attestations: [...state.attestations.keys()].sort(),
    equivocations: state.equivocations.length,
    assignments: [...state.assignments].map(([key, { closed, late }]) => [
      key,
      [...closed.keys()].sort(),
      [...late].sort(),
    ]),
    rights: [...state.rights],
    frozen: [...state.enrolments.frozen],
    retired: [...state.enrolments.retired],
    enrolled: state.enrolments.byDevice.size,
    tenures: [...state.devices.values()].flatMap(({ id, tenures }) =>
      (tenures ?? []).map(({ subject, fromMs, fromBatch }) =>
        [id, subject, fromMs, fromBatch].map(String).join('/'),
      ),
    ),
    certificates: [...state.calibrations.byNumber].map(([key, { signed, fromBatch, untilBatch }]) =>
      [key, signed.digest, fromBatch, untilBatch].map(String).join('/'),
    ),
    restoredMs: state.restoredMs,
  }
}

function text(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? `${item}` : item))
}

/**
 * Drops readings that were received before an instant and that nothing needs any more: their packs
 * are in signed batches, and their periods are closed and can no longer be amended. What stays of a
 * pack is its device, number, hash and batch, from which every evidence root and every proof of
 * omission can still be made; of a report that leaned on it, the measures that its hash stands for.
 * The ledger is written anew, examined, compared with the old one, and only then put in its place.
 *
 * @returns What went and what was kept; `droppedPacks` zero: nothing was changed.
 * @throws {@link CompactionError} | FolderInUseError | LedgerCorruptError | LedgerContradictionError
 */
export async function compactLedger({
  config,
  seal,
  olderThanMs,
  nowMs,
  failpoint = () => undefined,
}: {
  readonly config: CompactionConfig
  readonly seal: Seal
  readonly olderThanMs: number
  readonly nowMs: number
  readonly failpoint?: (name: string) => void | Promise<void>
}): Promise<CompactionSummary> {
  const { dataFolder } = config
  const worker = await lockFolder(dataFolder)
  const maintenance = await lockFolder(dataFolder, 'maintenance')
  try {
    await settleLedger(dataFolder)
    const before = await examineLedger(join(dataFolder, ledgerFolders.current), config, seal)
    const { state } = before
    let kept: KeptMeasures[]
    let lost: number
    const { counts, needed } = chooseDropped(state, config, olderThanMs, nowMs)
    const bases = basesAfter(state, counts)
    try {
      ;({ kept, lost } = await measuresToKeep(state, before.reader, config, bases))
    } finally {
      await before.reader.close()
    }
    let droppedPacks = 0
    let droppedReadings = 0
    for (const [id, count] of counts) {
      droppedPacks += count
      const packs = state.devices.get(id)?.packs
      for (let index = 0; index < count; index += 1) droppedReadings += packs?.readings(index) ?? 0
    }
    const summary = {
      olderThanMs,
      droppedPacks,
      droppedReadings,
      neededPacks: needed,
      reportsKept: kept.length,
      bundlesLost: lost,
      bytesBefore: before.summary.bytes,
    }
    if (droppedPacks === 0) return { ...summary, bytesAfter: before.summary.bytes }

    await rewrite(
      config,
      seal,
      counts,
      bases,
      [
        ...kept.map((measures) => encodeJsonRecord('measures', measures)),
        encodeJsonRecord('retention', { atMs: nowMs, ...summary }),
      ],
      failpoint,
    )
    await failpoint('compact.written')
    const after = await examineLedger(join(dataFolder, ledgerFolders.partial), config, seal)
    await after.reader.close()
    const [was, is] = [text(essence(state)), text(essence(after.state))]
    if (was !== is) {
      throw new CompactionError('The ledger written anew says something else than the old one.', {
        field: 'dataFolder',
        remedy: 'The old one stands untouched. Report this with both heads.',
      })
    }
    await promoteLedger(dataFolder)
    await failpoint('compact.whole')
    await settleLedger(dataFolder, failpoint)
    return { ...summary, bytesAfter: after.summary.bytes }
  } finally {
    await maintenance.release()
    await worker.release()
  }
}
