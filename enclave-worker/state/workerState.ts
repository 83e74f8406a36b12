import type { Calibration } from '#evaluation/intake.ts'
import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { subjectId, zeroHash } from '#schemas/report.ts'
import type { EnrolledDevice } from '../config.ts'
import {
  type EnrolmentBook,
  createEnrolmentBook,
  moveEnrolment,
} from '../enrolment/enrolmentBook.ts'
import type { LedgerPosition } from '../ledger/ledger.ts'
import type { DeviceBase, PackRecord, ReportsRecord } from '../ledger/records.ts'
import type { ClosedReport } from '../batches/storedBatch.ts'
import type { Period } from '../windows/periods.ts'
import {
  type CalibrationBook,
  type SignedCalibration,
  type StandingCalibration,
  certificateKey,
  createCalibrationBook,
  enterCalibration,
  revokeLaboratoryKey,
} from './calibrationBook.ts'
import { type PackEntry, PackLog, PackMemory } from './packLog.ts'
import { type Tenure, beginningMs, subjectsDuring, subjectsOf } from './tenure.ts'

export type { PackEntry } from './packLog.ts'

export type DeviceState = {
  readonly id: Hex
  /** Absent for a device whose packs are in the ledger and that the configuration no longer names. */
  enrolled: EnrolledDevice | undefined
  /** Zero before the first pack. */
  headSequence: bigint
  headHash: Hex
  /** Ascending by sequence, from the oldest that is still kept. */
  readonly packs: PackLog
  /** Where it has stood and will stand; absent for a device that never moved. */
  tenures: readonly Tenure[] | undefined
  /** What a retention dropped of its chain, before the oldest that is kept. */
  dropped: DeviceBase | undefined
  /** `sequence/hash` of what contradicted its chain; absent for nearly all devices. */
  equivocations: Set<string> | undefined
  /** Packs that may still come at once, and as of when: a bucket that fills with time. */
  allowance: { tokens: number; atMs: number } | undefined
  /** Whether it stands in {@link WorkerState.unbatched}. */
  isUnbatched: boolean
  /** Whether it stands in {@link WorkerState.unwritten}. */
  isUnwritten: boolean
}

/** A batch's place and what later batches need of it. */
export type BatchEntry = {
  readonly sequence: bigint
  readonly digest: Hex
  readonly closedAtMs: number
  readonly position: LedgerPosition
  /** The parts of its roster, in order. */
  readonly roster: readonly LedgerPosition[]
  /** The parts of its reports, in order; none where its own record holds them. */
  readonly reports: readonly LedgerPosition[]
}

/** One closed period of one assignment and the report that stands for it now. */
export type ClosedPeriod = Period & {
  /** Place of the report that stands now in its batch. */
  readonly index: number
  readonly batchSequence: bigint
}

export type AssignmentState = {
  readonly key: string
  readonly subject: Hex
  readonly knownSinceMs: number
  /** By `startMs-endMs`. */
  readonly closed: Map<string, ClosedPeriod>
  /** Latest end of a closed period: a pack that begins behind it is late for none. */
  closedUntilMs: number
  /** Start of the last closed period: a window's periods are closed in their order. */
  lastClosedStartMs: number | undefined
  /** Closed periods that packs or calibrations have arrived for since. */
  readonly late: Set<string>
}

/** Everything the worker knows, rebuilt from the ledger at every boot by the same functions. */
export type WorkerState = {
  readonly devices: Map<Hex, DeviceState>
  readonly packMemory: PackMemory
  /** Changes whenever a device comes or is enrolled: what was derived from the fleet is stale then. */
  fleetVersion: number
  /** Devices that observe a subject, have observed it, or will. */
  readonly bySubject: Map<Hex, DeviceState[]>
  /** Devices whose last transfer may not have begun when anybody last looked. */
  readonly moving: Set<DeviceState>
  readonly enrolments: EnrolmentBook
  readonly calibrations: CalibrationBook
  readonly assignments: Map<string, AssignmentState>
  readonly assignmentsOf: Map<Hex, AssignmentState[]>
  /** Assignments with late periods; some that have none any more may still stand here. */
  readonly late: Set<AssignmentState>
  readonly batches: BatchEntry[]
  /** By signer, then by chain. */
  readonly attestations: Map<string, LedgerPosition>
  readonly equivocations: LedgerPosition[]
  /** By batch: what is left of packs that a retention dropped. */
  readonly marks: Map<bigint, LedgerPosition[]>
  /** By `batch/index` of a report: its measures, where the packs behind it were dropped. */
  readonly measures: Map<string, LedgerPosition>
  /** Since when this ledger, brought back from a backup, has signed nothing yet. */
  restoredMs: number | undefined
  /** Replay only: parts of a roster whose batch has not come yet; a crash may have kept it away. */
  pendingRoster: { readonly sequence: bigint; readonly parts: LedgerPosition[] } | undefined
  /** The same of reports. */
  pendingReports: PendingReports | undefined
  /** Periods for which a right was granted, by `subject/impact class`. */
  readonly rights: Map<string, Period[]>
  /**
   * Where the reports on each subject stand, in order; of a batch behind {@link foundSequence} not all
   * of them yet.
   */
  readonly reportsOf: Map<Hex, { readonly sequence: bigint; readonly index: number }[]>
  /** The last batch of which every report is found by its subject. */
  foundSequence: bigint
  /** When the last pack or certificate for a subject was taken. */
  lastIngestMs: Map<Hex, number>
  /** By subject: changes whenever something comes that a judgement may rest on. */
  readonly evidenceVersions: Map<Hex, EvidenceVersion>
  /** Devices with packs that no batch holds yet, each of them once. */
  unbatched: DeviceState[]
  /** Devices whose line of the roster has to be written anew, each of them once. */
  unwritten: DeviceState[]
  /** Sequence of the batch that packs accepted now go into. */
  openSequence: bigint
  /** Received time of the oldest pack that no batch holds yet. */
  oldestUnbatchedMs: number | undefined
  unbatchedPacks: number
  acceptedPacks: number
  acceptedReadings: number
  boots: number
  firstBootMs: number | undefined
}

/** Counts what has come for a subject. */
export type EvidenceVersion = { count: number }

export type PendingReports = {
  readonly sequence: bigint
  readonly parts: { readonly position: LedgerPosition; readonly record: ReportsRecord }[]
}

export function createState(
  devices: readonly EnrolledDevice[],
  calibrations: readonly (Calibration & { readonly certificate?: Hex | undefined })[] = [],
): WorkerState {
  const state: WorkerState = {
    devices: new Map(),
    packMemory: new PackMemory(),
    fleetVersion: 0,
    bySubject: new Map(),
    moving: new Set(),
    enrolments: createEnrolmentBook(),
    calibrations: createCalibrationBook(calibrations),
    assignments: new Map(),
    assignmentsOf: new Map(),
    late: new Set(),
    batches: [],
    attestations: new Map(),
    equivocations: [],
    marks: new Map(),
    measures: new Map(),
    restoredMs: undefined,
    pendingRoster: undefined,
    pendingReports: undefined,
    rights: new Map(),
    reportsOf: new Map(),
    foundSequence: 0n,
    lastIngestMs: new Map(),
    evidenceVersions: new Map(),
    unbatched: [],
    unwritten: [],
    openSequence: 1n,
    oldestUnbatchedMs: undefined,
    unbatchedPacks: 0,
    acceptedPacks: 0,
    acceptedReadings: 0,
    boots: 0,
    firstBootMs: undefined,
  }
  for (const enrolled of devices) addDevice(state, enrolled.key.id, enrolled)
  return state
}

function addDevice(state: WorkerState, id: Hex, enrolled: EnrolledDevice | undefined): DeviceState {
  const device: DeviceState = {
    id,
    enrolled,
    headSequence: 0n,
    headHash: zeroHash,
    packs: new PackLog(id, state.packMemory),
    tenures: undefined,
    dropped: undefined,
    equivocations: undefined,
    allowance: undefined,
    isUnbatched: false,
    isUnwritten: false,
  }
  state.devices.set(id, device)
  state.fleetVersion += 1
  if (enrolled !== undefined) {
    const beside = state.bySubject.get(enrolled.subject)
    if (beside === undefined) state.bySubject.set(enrolled.subject, [device])
    else beside.push(device)
    changeEvidence(state, enrolled.subject)
  }
  return device
}

/** Has judgements that were made ahead looked at again. */
function changeEvidence(state: WorkerState, subject: Hex): void {
  evidenceVersion(state, subject).count += 1
}

export function evidenceVersion(
  { evidenceVersions }: Pick<WorkerState, 'evidenceVersions'>,
  subject: Hex,
): EvidenceVersion {
  const known = evidenceVersions.get(subject)
  if (known !== undefined) return known
  const first = { count: 0 }
  evidenceVersions.set(subject, first)
  return first
}

/** Lets a device in that its maker vouched for. */
export function applyDevice(state: WorkerState, enrolled: EnrolledDevice): void {
  const known = state.devices.get(enrolled.key.id)
  if (known === undefined) {
    addDevice(state, enrolled.key.id, enrolled)
    return
  }
  if (known.enrolled !== undefined) return
  known.enrolled = enrolled
  state.fleetVersion += 1
  const beside = state.bySubject.get(enrolled.subject)
  if (beside === undefined) state.bySubject.set(enrolled.subject, [known])
  else beside.push(known)
  changeEvidence(state, enrolled.subject)
}

/** Raised when a device stands elsewhere than where a transfer takes it from. */
export class DeviceElsewhereError extends BaseError {
  override readonly name = 'DeviceElsewhereError'
}

/** A device’s move from one subject to another, from a time on. */
export type Transfer = {
  readonly device: Hex
  readonly fromSubjectName: string
  readonly subjectName: string
  readonly fromMs: number
  readonly batchSequence: bigint
}

/**
 * Moves a device: the one way in, live and at replay. Readings before the time stay the old subject's;
 * reports of batches before stay as they were.
 *
 * @throws {@link DeviceElsewhereError} at replay, when the configuration has put it elsewhere since.
 */
export function applyTransfer(state: WorkerState, transfer: Transfer): void {
  const device = state.devices.get(transfer.device)
  const enrolled = device?.enrolled
  if (device === undefined || enrolled === undefined) return
  const tenures = device.tenures ?? [
    {
      subject: enrolled.subject,
      subjectName: enrolled.subjectName,
      fromMs: beginningMs,
      fromBatch: 0n,
    },
  ]
  const standing = tenures.at(-1)?.subjectName
  if (standing !== transfer.fromSubjectName) {
    throw new DeviceElsewhereError('A device was transferred from where it does not stand.', {
      field: 'config.devices',
      metaMessages: [
        `Device: ${transfer.device}`,
        `Transferred from: ${transfer.fromSubjectName}`,
        `Stands at: ${standing}`,
      ],
      remedy: 'Leave its subject in the configuration as it was: the ledger knows of the transfer.',
    })
  }
  const subject = subjectId(transfer.subjectName)
  device.tenures = [
    ...tenures,
    {
      subject,
      subjectName: transfer.subjectName,
      fromMs: transfer.fromMs,
      fromBatch: transfer.batchSequence,
    },
  ]
  const beside = state.bySubject.get(subject)
  if (beside === undefined) state.bySubject.set(subject, [device])
  else if (!beside.includes(device)) beside.push(device)
  for (const each of subjectsOf(device)) changeEvidence(state, each)
  moveEnrolment(state.enrolments, transfer.device, transfer.subjectName)
  state.moving.add(device)
}

/** Puts devices where their transfers that have begun by now have taken them. */
export function settleTransfers(state: WorkerState, nowMs: number): void {
  for (const device of state.moving) {
    const { enrolled, tenures = [] } = device
    const tenure = tenures.findLast(({ fromMs }) => fromMs <= nowMs)
    if (tenure === tenures.at(-1)) state.moving.delete(device)
    if (enrolled === undefined || tenure === undefined) continue
    if (tenure.subject === enrolled.subject) continue
    device.enrolled = { ...enrolled, subject: tenure.subject, subjectName: tenure.subjectName }
    state.fleetVersion += 1
  }
}

export function rightKey(subject: Hex, impactClass: Hex): string {
  return `${subject}/${impactClass}`
}

export function periodKey({ startMs, endMs }: Period): string {
  return `${startMs}-${endMs}`
}

/** Takes an accepted pack into the state: the one way in, live and at replay. */
export function applyPack(
  state: WorkerState,
  pack: Omit<PackRecord, 'kind' | 'bytes'>,
  position: LedgerPosition,
): void {
  const device = state.devices.get(pack.device) ?? addDevice(state, pack.device, undefined)
  device.headSequence = pack.sequence
  device.headHash = pack.hash
  device.packs.push({
    sequence: pack.sequence,
    previous: pack.previous,
    hash: pack.hash,
    bootCount: pack.bootCount,
    firstTimeMs: pack.firstTimeMs,
    lastTimeMs: pack.lastTimeMs,
    readings: pack.readings,
    receivedMs: pack.receivedMs,
    batchSequence: pack.batchSequence,
    position,
  })
  if (pack.batchSequence > state.openSequence) state.openSequence = pack.batchSequence
  state.acceptedPacks += 1
  state.acceptedReadings += pack.readings
  state.unbatchedPacks += 1
  state.oldestUnbatchedMs ??= pack.receivedMs
  if (!device.isUnbatched) {
    device.isUnbatched = true
    state.unbatched.push(device)
  }
  if (!device.isUnwritten) {
    device.isUnwritten = true
    state.unwritten.push(device)
  }
  for (const subject of subjectsDuring(device, pack.firstTimeMs, pack.lastTimeMs)) {
    state.lastIngestMs.set(subject, pack.receivedMs)
    changeEvidence(state, subject)
    markLate(state, subject, pack)
  }
}

/** Takes in where a chain stands whose oldest packs were dropped. Comes before all its packs. */
export function applyBase(state: WorkerState, base: DeviceBase): void {
  const device = state.devices.get(base.device) ?? addDevice(state, base.device, undefined)
  device.dropped = base
  device.headSequence = base.sequence
  device.headHash = base.hash
  state.acceptedPacks += base.packs
  state.acceptedReadings += base.readings
}

function setLate({ late }: WorkerState, assignment: AssignmentState, period: string): void {
  assignment.late.add(period)
  late.add(assignment)
}

/** Remembers which closed periods a pack speaks about. */
function markLate(
  state: WorkerState,
  subject: Hex,
  pack: Pick<PackEntry, 'firstTimeMs' | 'lastTimeMs' | 'batchSequence'>,
): void {
  for (const assignment of state.assignmentsOf.get(subject) ?? []) {
    if (pack.firstTimeMs >= assignment.closedUntilMs) continue
    for (const [key, closed] of assignment.closed) {
      const speaks = pack.firstTimeMs < closed.endMs && pack.lastTimeMs >= closed.startMs
      if (speaks && pack.batchSequence > closed.batchSequence) setLate(state, assignment, key)
    }
  }
}

/** Furthest that a reading bears on a period from outside it; what is farther is judged to be so. */
const widestReachMs = 32 * 86_400_000

/**
 * Remembers which closed periods a change of calibration can bear on. Too many rather than too few:
 * whether one comes out different is found when it is judged again.
 */
function markRecalibrated(
  state: WorkerState,
  { device, validFromMs, validUntilMs }: Calibration,
  fromBatch: bigint,
): void {
  const known = state.devices.get(device)
  if (known === undefined) return
  const assignments = subjectsOf(known).flatMap((subject) => state.assignmentsOf.get(subject) ?? [])
  for (const assignment of assignments) {
    for (const [key, closed] of assignment.closed) {
      const bears =
        validFromMs - widestReachMs < closed.endMs && validUntilMs + widestReachMs > closed.startMs
      if (bears && fromBatch > closed.batchSequence) setLate(state, assignment, key)
    }
  }
}

/** Takes a laboratory's certificate into the state: the one way in, live and at replay. */
export function applyCalibration(
  state: WorkerState,
  entry: StandingCalibration & { readonly signed: SignedCalibration },
  atMs: number,
): void {
  const { laboratory, replaces } = entry.signed
  enterCalibration(state.calibrations, entry)
  markRecalibrated(state, entry, entry.fromBatch)
  if (replaces !== undefined) {
    const replaced = state.calibrations.byNumber.get(certificateKey(laboratory, replaces))
    if (replaced !== undefined) markRecalibrated(state, replaced, entry.fromBatch)
  }
  const device = state.devices.get(entry.device)
  if (device === undefined) return
  // As with packs: a laboratory that hands a stack in makes one amendment of it.
  for (const subject of subjectsOf(device)) {
    state.lastIngestMs.set(subject, atMs)
    changeEvidence(state, subject)
  }
}

/** Ends what a laboratory's key has signed, for reports from a batch on. */
export function applyLaboratoryRevocation(
  state: WorkerState,
  laboratoryKey: Hex,
  fromBatch: bigint,
): void {
  for (const ended of revokeLaboratoryKey(state.calibrations, laboratoryKey, fromBatch)) {
    markRecalibrated(state, ended, fromBatch)
  }
}

/** Calibrations that came or ended behind a batch and bear on a period that it closes. */
function isRecalibratedSince(
  state: WorkerState,
  subject: Hex,
  period: Period,
  sequence: bigint,
): boolean {
  // Nearly always: a hundred thousand devices are not asked for what none of them has.
  if (state.calibrations.byNumber.size === 0) return false
  return (state.bySubject.get(subject) ?? []).some(({ id }) =>
    (state.calibrations.byDevice.get(id) ?? []).some(
      ({ fromBatch, untilBatch, validFromMs, validUntilMs }) =>
        (fromBatch > sequence || (untilBatch !== undefined && untilBatch > sequence)) &&
        validFromMs - widestReachMs < period.endMs &&
        validUntilMs + widestReachMs > period.startMs,
    ),
  )
}

export function applyAssignment(state: WorkerState, key: string, knownSinceMs: number): void {
  if (state.assignments.has(key)) return
  const name = key.slice(0, key.indexOf('/')) as Hex
  const beside = state.assignmentsOf.get(name)
  const subject = beside?.[0]?.subject ?? name
  const assignment: AssignmentState = {
    key,
    subject,
    knownSinceMs,
    closed: new Map(),
    closedUntilMs: 0,
    lastClosedStartMs: undefined,
    late: new Set(),
  }
  state.assignments.set(key, assignment)
  if (beside === undefined) state.assignmentsOf.set(subject, [assignment])
  else beside.push(assignment)
}

/** Takes a batch in: what the next one links to, and which periods it closes. */
export function applyBatch(
  state: WorkerState,
  batch: BatchEntry,
  closedReports: Iterable<ClosedReport>,
): void {
  beginBatch(state, batch)
  for (const closed of closedReports) closePeriod(state, batch.sequence, closed)
  endBatch(state, batch.sequence)
}

/** The first piece of {@link applyBatch}: the batch is there from now on. */
export function beginBatch(state: WorkerState, batch: BatchEntry): void {
  state.batches.push(batch)
  state.restoredMs = undefined
  if (batch.sequence >= state.openSequence) state.openSequence = batch.sequence + 1n
}

/** The middle of {@link applyBatch}: packs may be taken between two periods. */
export function closePeriod(
  state: WorkerState,
  sequence: bigint,
  { key, index, startMs, endMs, impactClass }: ClosedReport,
): void {
  const assignment = state.assignments.get(key)
  const subject = assignment?.subject ?? (key.slice(0, key.indexOf('/')) as Hex)
  const places = state.reportsOf.get(subject)
  if (places === undefined) state.reportsOf.set(subject, [{ sequence, index }])
  else places.push({ sequence, index })
  if (impactClass !== undefined) {
    const granted = state.rights.get(rightKey(subject, impactClass))
    if (granted === undefined)
      state.rights.set(rightKey(subject, impactClass), [{ startMs, endMs }])
    else granted.push({ startMs, endMs })
  }
  if (assignment === undefined) return
  const period = periodKey({ startMs, endMs })
  assignment.closed.set(period, { startMs, endMs, index, batchSequence: sequence })
  assignment.late.delete(period)
  if (isRecalibratedSince(state, subject, { startMs, endMs }, sequence)) {
    setLate(state, assignment, period)
  }
  assignment.closedUntilMs = Math.max(assignment.closedUntilMs, endMs)
  assignment.lastClosedStartMs = Math.max(assignment.lastClosedStartMs ?? 0, startMs)
}

/** The last piece of {@link applyBatch}: which packs are left for the next one. */
export function endBatch(state: WorkerState, sequence: bigint): void {
  state.foundSequence = sequence
  // Recounted rather than subtracted: what a batch holds is decided by the packs' own promise.
  let unbatched = 0
  let oldest: number | undefined
  const newest = Number(sequence)
  state.unbatched = state.unbatched.filter((device) => {
    const { packs } = device
    let count = 0
    for (let index = packs.length - 1; index >= 0; index -= 1) {
      if (packs.batch(index) <= newest) break
      count += 1
      const receivedMs = packs.receivedMs(index)
      if (oldest === undefined || receivedMs < oldest) oldest = receivedMs
      const pack = packs.at(index)
      // They came after the cut: what they say about a period that was closed just now is late.
      if (pack === undefined) continue
      for (const subject of subjectsDuring(device, pack.firstTimeMs, pack.lastTimeMs)) {
        markLate(state, subject, pack)
      }
    }
    unbatched += count
    device.isUnbatched = count > 0
    return device.isUnbatched
  })
  state.unbatchedPacks = unbatched
  state.oldestUnbatchedMs = oldest
}

/** The device's packs of one batch, in order: those whose receipts promised it. */
export function packsOfBatch({ packs }: DeviceState, sequence: bigint): PackEntry[] {
  const { from, to } = packs.ofBatch(Number(sequence))
  return packs.slice(from, to)
}

/**
 * The device's packs up to a batch that speak about a span of time, in order. What lies between two
 * of them in the chain is taken too, so that a pack about another time is not taken for a gap.
 */
export function packsOfPeriod({ packs }: DeviceState, span: Period, sequence: bigint): PackEntry[] {
  const { from, to } = packs.speaking(span.startMs, span.endMs, Number(sequence))
  return packs.slice(from, to)
}
