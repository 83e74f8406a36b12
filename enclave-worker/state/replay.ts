import { z } from 'zod'
import { closedOfPart, openPart } from '../batches/reportParts.ts'
import {
  type ClosedReport,
  type WholeBatch,
  readStoredHead,
  readWholeBatch,
} from '../batches/storedBatch.ts'
import type { LedgerPosition } from '../ledger/ledger.ts'
import { LedgerCorruptError } from '../ledger/ledgerErrors.ts'
import type { LedgerRecord } from '../ledger/records.ts'
import { equivocationSchema } from '#schemas/workerAnswers.ts'
import { attestationSchema, hexSchema, readMessage, unsignedSchema } from '#schemas/workerApi.ts'
import {
  calibrationOf,
  calibrationRecordSchema,
  laboratoryRevocationSchema,
} from '../enrolment/calibrationRecord.ts'
import { applyEnrolment } from '../enrolment/enrolmentBook.ts'
import {
  enrolledDeviceOf,
  enrolmentOf,
  enrolmentRecordSchema,
  transferRecordSchema,
} from '../enrolment/enrolmentRecord.ts'
import {
  type BatchEntry,
  type WorkerState,
  applyAssignment,
  applyBase,
  applyBatch,
  applyCalibration,
  applyDevice,
  applyLaboratoryRevocation,
  applyPack,
  applyTransfer,
} from './workerState.ts'

const bootSchema = z.strictObject({ atMs: z.number(), signer: z.string() })
const deviceEventSchema = z.strictObject({ device: hexSchema(32), atMs: z.number() })
const restoredSchema = z.looseObject({ atMs: z.number() })
/** What the ledger keeps of a report's measures when the packs behind it are dropped. */
export const storedMeasuresSchema = z.strictObject({
  batchSequence: unsignedSchema,
  index: z.number().int(),
  /** Canonical text, as bundles carry it. */
  text: z.string(),
})
const assignmentsSchema = z.strictObject({ atMs: z.number(), keys: z.array(z.string()) })

function takeBatch(
  state: WorkerState,
  { batch, digest }: Pick<WholeBatch['signed'], 'batch' | 'digest'>,
  places: Pick<BatchEntry, 'position' | 'roster' | 'reports'>,
  closed: Iterable<ClosedReport>,
): void {
  const { sequence } = batch
  applyBatch(state, { sequence, digest, closedAtMs: Number(batch.closedAtMs), ...places }, closed)
  state.pendingRoster = undefined
  state.pendingReports = undefined
}

/** The last of some, as many as are said: those before them are of an attempt that came to nothing. */
function lastOf<Item>(items: readonly Item[], count: number): readonly Item[] {
  if (items.length < count) {
    throw new LedgerCorruptError('a batch', `${count - items.length} of its parts are missing`)
  }
  return items.slice(items.length - count)
}

/** Takes one record of the ledger into the state, in the order in which it was written. */
export function replayRecord(
  state: WorkerState,
  record: LedgerRecord,
  position: LedgerPosition,
): void {
  switch (record.kind) {
    case 'pack':
      applyPack(state, record, position)
      return
    case 'roster': {
      if (state.pendingRoster?.sequence === record.batchSequence) {
        state.pendingRoster.parts.push(position)
      } else state.pendingRoster = { sequence: record.batchSequence, parts: [position] }
      return
    }
    case 'reports': {
      const { batchSequence: sequence } = record
      if (state.pendingReports?.sequence !== sequence) {
        state.pendingReports = { sequence, parts: [] }
      }
      state.pendingReports.parts.push({ position, record })
      return
    }
    case 'head': {
      const { head, rosterParts, reportParts } = readStoredHead(record.json)
      const roster = lastOf(state.pendingRoster?.parts ?? [], rosterParts)
      const parts = lastOf(state.pendingReports?.parts ?? [], reportParts)
      const reports = parts.map((part) => part.position)
      const closed = (function* () {
        for (const part of parts) yield* closedOfPart(openPart(part.record))
      })()
      takeBatch(state, head, { position, roster, reports }, closed)
      return
    }
    case 'batch': {
      const { signed, closed } = readWholeBatch(record.json)
      const roster = state.pendingRoster?.parts ?? []
      takeBatch(state, signed, { position, roster, reports: [] }, closed)
      return
    }
    case 'base': {
      for (const base of record.devices) applyBase(state, base)
      return
    }
    case 'marks': {
      const beside = state.marks.get(record.batchSequence)
      if (beside === undefined) state.marks.set(record.batchSequence, [position])
      else beside.push(position)
      return
    }
    case 'measures': {
      const { batchSequence, index } = readMessage(
        storedMeasuresSchema,
        record.json,
        'stored measures',
      )
      state.measures.set(`${batchSequence}/${index}`, position)
      return
    }
    case 'retention':
      return
    case 'restored': {
      state.restoredMs = readMessage(restoredSchema, record.json, 'restored record').atMs
      return
    }
    case 'attestation': {
      const { statement } = readMessage(attestationSchema, record.json, 'stored attestation')
      state.attestations.set(`${statement.signer}/${statement.anchorChainId}`, position)
      return
    }
    case 'equivocation': {
      const { device, sequence, hash } = readMessage(
        equivocationSchema,
        record.json,
        'stored equivocation',
      )
      const known = state.devices.get(device)
      if (known !== undefined) (known.equivocations ??= new Set()).add(`${sequence}/${hash}`)
      state.equivocations.push(position)
      return
    }
    case 'boot': {
      const { atMs } = readMessage(bootSchema, record.json, 'boot record')
      state.boots += 1
      // What a crash parted from its batch: the batch was signed anew, or never.
      state.pendingRoster = undefined
      state.pendingReports = undefined
      state.firstBootMs ??= atMs
      return
    }
    case 'enrolment': {
      const enrolment = readMessage(enrolmentRecordSchema, record.json, 'stored enrolment')
      applyEnrolment(state.enrolments, enrolmentOf(enrolment))
      applyDevice(state, enrolledDeviceOf(enrolment))
      return
    }
    case 'calibration': {
      const calibration = readMessage(calibrationRecordSchema, record.json, 'stored calibration')
      applyCalibration(state, calibrationOf(calibration, position), calibration.atMs)
      return
    }
    case 'laboratoryRevocation': {
      const { laboratoryKey, batchSequence } = readMessage(
        laboratoryRevocationSchema,
        record.json,
        'stored revocation',
      )
      applyLaboratoryRevocation(state, laboratoryKey, batchSequence)
      return
    }
    case 'freeze': {
      const { device } = readMessage(deviceEventSchema, record.json, 'stored freeze')
      state.enrolments.frozen.add(device)
      return
    }
    case 'transfer': {
      applyTransfer(state, readMessage(transferRecordSchema, record.json, 'stored transfer'))
      return
    }
    case 'retire': {
      const { device } = readMessage(deviceEventSchema, record.json, 'stored retirement')
      state.enrolments.retired.add(device)
      return
    }
    case 'assignments': {
      const { atMs, keys } = readMessage(assignmentsSchema, record.json, 'assignments record')
      for (const key of keys) applyAssignment(state, key, atMs)
    }
  }
}
