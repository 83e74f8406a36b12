import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import type { PackMark, Reading } from '#schemas/reading.ts'
import type { Report } from '#schemas/report.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { LedgerCorruptError } from '../ledger/ledgerErrors.ts'
import { decodeRecord } from '../ledger/records.ts'
import type { EnrolledDevice } from '../config.ts'
import type { Evaluator } from '../ports.ts'
import { type StandingCalibration, calibrationsAsOf } from '../state/calibrationBook.ts'
import { clipSpans, isWithinSpans, observedSpans } from '../state/tenure.ts'
import { type DeviceState, type WorkerState, packsOfPeriod } from '../state/workerState.ts'
import type { Assignment } from '../windows/assignment.ts'
import { evidenceSpan } from '#evaluation/evidenceSpan.ts'
import type { Period } from '../windows/periods.ts'
import { composeReport } from './composeReport.ts'
import type { DuePeriod } from './dueWork.ts'

/** Raised when packs that bear on a period were dropped by a retention: nothing is judged without them. */
export class EvidenceDroppedError extends BaseError {
  override readonly name = 'EvidenceDroppedError'
}

/** A period judged: its report, and when the last reading behind it was made and taken. */
export type JudgedPeriod = DuePeriod & {
  readonly report: Report
  readonly lastReadingMs: number
  readonly lastReceivedMs: number
}

/**
 * Judges one period on the packs that batches up to `sequence` hold. Packs are read back from the
 * ledger, so that memory does not grow with what open windows have gathered.
 */
export async function judgePeriod(
  due: DuePeriod,
  sequence: bigint,
  amends: Hex,
  {
    state,
    ledger,
    evaluate,
    remembered,
  }: {
    readonly state: WorkerState
    readonly ledger: Ledger
    readonly evaluate: Evaluator
    readonly remembered?: { readonly memory: EvidenceMemory; readonly key: string } | undefined
  },
): Promise<JudgedPeriod> {
  const { assignment, period } = due
  const evidence =
    remembered === undefined
      ? await gatherEvidence(due, sequence, { state, ledger })
      : await recallEvidence(due, sequence, { state, ledger }, remembered.memory, remembered.key)
  const judgement = evaluate({
    policy: assignment.policy,
    periodStartMs: period.startMs,
    periodEndMs: period.endMs,
    readings: evidence.readings,
    packs: evidence.marks,
    calibrations: evidence.calibrations,
  })
  const report = composeReport(assignment, period, judgement, evidence.marks, amends)
  const { lastReadingMs, lastReceivedMs } = evidence
  return { ...due, report, lastReadingMs, lastReceivedMs }
}

/** What the policy's signal is calibrated by, as of a batch; nothing where that is not demanded. */
function calibrationsFor(
  { policy }: Pick<Assignment, 'policy'>,
  device: Hex,
  sequence: bigint,
  { calibrations }: Pick<WorkerState, 'calibrations'>,
): StandingCalibration[] {
  if (policy.quality.calibration !== 'required') return []
  return calibrationsAsOf(calibrations, device, policy.signal, sequence)
}

type ObservedPart = {
  readonly spans: readonly Period[]
  readonly clipped: readonly Period[]
  readonly hull: Period
}

/**
 * For how much of a span a device observed the subject, and from the first to the last of it: packs
 * are taken for the whole, so that their chain has no hole. `undefined`: for none of it.
 */
function observedWithin(
  device: DeviceState,
  subject: Hex,
  span: Period,
  sequence: bigint,
): ObservedPart | undefined {
  const spans = observedSpans(device, subject, sequence)
  const clipped = clipSpans(spans, span)
  const first = clipped[0]
  const last = clipped.at(-1)
  if (first === undefined || last === undefined) return undefined
  return { spans, clipped, hull: { startMs: first.startMs, endMs: last.endMs } }
}

/** The time that calibrations cover together, within a span: one text for one coverage. */
function coveredSpans(calibrations: readonly StandingCalibration[], span: Period): string {
  let text = ''
  let open: { fromMs: number; untilMs: number } | undefined
  const within = calibrations
    .map(({ validFromMs, validUntilMs }) => ({
      fromMs: Math.max(validFromMs, span.startMs),
      untilMs: Math.min(validUntilMs, span.endMs),
    }))
    .filter(({ fromMs, untilMs }) => fromMs < untilMs)
    .sort((left, right) => left.fromMs - right.fromMs)
  for (const next of within) {
    if (open !== undefined && next.fromMs <= open.untilMs) {
      open.untilMs = Math.max(open.untilMs, next.untilMs)
      continue
    }
    if (open !== undefined) text += `${open.fromMs}+${open.untilMs} `
    open = { ...next }
  }
  return open === undefined ? text : `${text}${open.fromMs}+${open.untilMs} `
}

/**
 * Which packs and calibrations a judgement rests on, as text that is the same as long as they are.
 * Only of use in the process that made it: packs are told by their places in memory, where they
 * never change.
 */
export function evidenceKey(
  { assignment, period }: DuePeriod,
  sequence: bigint,
  state: Pick<WorkerState, 'bySubject' | 'calibrations'>,
): string {
  const span = evidenceSpan(assignment.policy, period)
  let key = ''
  for (const device of state.bySubject.get(assignment.subject) ?? []) {
    const observed = observedWithin(device, assignment.subject, span, sequence)
    // Every device has its place in the text, which the order of the subject's devices tells.
    if (observed === undefined) {
      key += '- '
      continue
    }
    const { startMs, endMs } = observed.hull
    const { from, to } = device.packs.speaking(startMs, endMs, Number(sequence))
    key += `${from}-${to} `
    if (device.tenures !== undefined) key += `${JSON.stringify(observed.clipped)} `
    key += coveredSpans(calibrationsFor(assignment, device.id, sequence, state), span)
  }
  return key
}

/** What a judgement rests on, and where each device's part of it lies. */
export type Evidence = {
  readonly marks: readonly PackMark[]
  readonly readings: readonly Reading[]
  readonly packs: readonly {
    readonly device: EnrolledDevice
    readonly receivedMs: number
    readonly bytes: Uint8Array
  }[]
  /** When devices that moved observed the subject, by device. */
  readonly observed: ReadonlyMap<Hex, readonly Period[]>
  /** Of the sensors that the policy listens to, where it demands calibration. */
  readonly calibrations: readonly StandingCalibration[]
  readonly lastReadingMs: number
  readonly lastReceivedMs: number
}

/** The evidence that was gathered last: policies of one subject mostly ask for the same. */
export type EvidenceMemory = { last?: { readonly key: string; readonly evidence: Evidence } }

/** @param evidence - {@link evidenceKey} of the period just now. */
async function recallEvidence(
  due: DuePeriod,
  sequence: bigint,
  parts: { readonly state: WorkerState; readonly ledger: Pick<Ledger, 'read'> },
  memory: EvidenceMemory,
  evidence: string,
): Promise<Evidence> {
  const { assignment, period } = due
  const { policy, subject } = assignment
  const { startMs, endMs } = evidenceSpan(policy, period)
  const times = [period.startMs, period.endMs, startMs, endMs, sequence].join('/')
  const signal = policy.quality.calibration === 'required' ? JSON.stringify(policy.signal) : ''
  const key = `${subject}/${times}/${signal}/${evidence}`
  if (memory.last?.key === key) return memory.last.evidence
  const gathered = await gatherEvidence(due, sequence, parts)
  // What came while it was gathered may be in it or not.
  if (evidenceKey(due, sequence, parts.state) === evidence)
    memory.last = { key, evidence: gathered }
  else delete memory.last
  return gathered
}

/**
 * The packs that bear on a period, of those that batches up to `sequence` hold.
 *
 * @throws {@link EvidenceDroppedError} | {@link LedgerCorruptError}
 */
export async function gatherEvidence(
  { assignment, period }: DuePeriod,
  sequence: bigint,
  { state, ledger }: { state: WorkerState; ledger: Pick<Ledger, 'read'> },
): Promise<Evidence> {
  const span = evidenceSpan(assignment.policy, period)
  const marks: PackMark[] = []
  const readings: Reading[] = []
  const packs: Evidence['packs'][number][] = []
  const calibrations: StandingCalibration[] = []
  const moved = new Map<Hex, readonly Period[]>()
  let lastReadingMs = 0
  let lastReceivedMs = 0
  for (const device of state.bySubject.get(assignment.subject) ?? []) {
    const observed = observedWithin(device, assignment.subject, span, sequence)
    if (observed === undefined) continue
    const { hull, spans } = observed
    // As it is now: where it stands may change while its packs are read.
    const { enrolled } = device
    if (device.tenures !== undefined) moved.set(device.id, spans)
    calibrations.push(...calibrationsFor(assignment, device.id, sequence, state))
    if (device.dropped !== undefined && device.dropped.lastTimeMs >= hull.startMs) {
      throw new EvidenceDroppedError('Packs that bear on the period have been dropped.', {
        field: 'retention',
        metaMessages: [`Device: ${device.id}`, `Dropped up to: ${device.dropped.lastTimeMs}`],
        remedy: 'Set the assignment to begin behind what was dropped; a backup still holds it.',
      })
    }
    for (const pack of packsOfPeriod(device, hull, sequence)) {
      const record = decodeRecord(await ledger.read(pack.position))
      // A seal tells what a frame is, not where it belongs: whoever owns the disk can move whole ones.
      if (record.kind !== 'pack' || record.hash !== pack.hash) {
        throw new LedgerCorruptError(
          `segment ${pack.position.segment}, offset ${pack.position.frame}`,
          'another pack lies there than was received',
        )
      }
      if (enrolled === undefined) continue
      marks.push({
        device: device.id,
        sequence: pack.sequence,
        previous: pack.previous,
        hash: pack.hash,
        bootCount: pack.bootCount,
        firstTimeMs: pack.firstTimeMs,
        lastTimeMs: pack.lastTimeMs,
        receivedMs: pack.receivedMs,
      })
      packs.push({
        device: enrolled,
        receivedMs: pack.receivedMs,
        bytes: record.bytes,
      })
      for (const reading of decodePack(record.bytes).readings(enrolled.tier)) {
        // What a device that moved said about elsewhere is not about this subject.
        if (device.tenures !== undefined && !isWithinSpans(spans, reading.timeMs)) continue
        readings.push(reading)
        const isWithin = reading.timeMs >= period.startMs && reading.timeMs < period.endMs
        if (!isWithin || reading.timeMs < lastReadingMs) continue
        lastReadingMs = reading.timeMs
        lastReceivedMs = pack.receivedMs
      }
    }
  }
  return {
    marks,
    readings,
    packs,
    observed: moved,
    calibrations,
    lastReadingMs,
    lastReceivedMs,
  }
}

/** Whether a later report says anything else than the one before it, evidence aside. */
export function saysOtherwise(report: Report, before: Report): boolean {
  const same: Report = { ...report, evidenceRoot: before.evidenceRoot, amends: before.amends }
  return (Object.keys(before) as (keyof Report)[]).some((field) => same[field] !== before[field])
}
