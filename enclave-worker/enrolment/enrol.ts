import { z } from 'zod'
import { fromHex } from '#schemas/bytes.ts'
import type { Hex } from '#schemas/bytes.ts'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { hexSchema, readMessage } from '#schemas/workerApi.ts'
import { transferRoute } from '#schemas/capability.ts'
import { subjectId } from '#schemas/report.ts'
import type { TransferAnswer } from '#schemas/workerAnswers.ts'
import type { WorkerConfig } from '../config.ts'
import { DeviceOutOfServiceError, UnknownDeviceError } from '../ingest/refusals.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { encodeJsonRecord } from '../ledger/records.ts'
import type { VerifyPool } from '../ingest/verifyPool.ts'
import type { Clock, Log } from '../ports.ts'
import type { Tenure } from '../state/tenure.ts'
import {
  type DeviceState,
  type WorkerState,
  applyDevice,
  applyTransfer,
  settleTransfers,
} from '../state/workerState.ts'
import {
  HardwareClaimedTwiceError,
  type EnrolmentRules,
  appraiseEnrolment,
} from './appraiseEnrolment.ts'
import { applyEnrolment } from './enrolmentBook.ts'
import { enrolledDeviceOf, recordOf } from './enrolmentRecord.ts'
import {
  EnrolmentQuotaError,
  PossessionError,
  TransferConflictError,
  UnknownSubjectError,
} from './errors.ts'
import type { Nonces } from './nonces.ts'

export const enrolmentRequestSchema = z.strictObject({
  /** DER in hex, the device's own first. */
  certificates: z.array(hexSchema()).min(1).max(4),
  subject: z.string().min(1).max(200),
  nonce: hexSchema(32),
  proof: hexSchema(64),
})

export const transferRequestSchema = z.strictObject({
  /** Name of the subject that it goes to: one of the worker's assignments. */
  subject: z.string().min(1).max(200),
  /** Readings from this instant on, by the device's own stamps, are the new subject's. Absent: now. */
  fromMs: z.int().min(0).optional(),
})
export type TransferRequest = z.output<typeof transferRequestSchema>

/** Answer of `POST /v1/enrolments`. */
export type EnrolmentAnswer = {
  readonly device: Hex
  readonly subject: string
  readonly tier: number
  readonly intervalMs: number
  readonly isNew: boolean
}

export type Enrolments = {
  nonce(): { readonly nonce: Hex; readonly expiresAtMs: number }
  /** @throws the errors of `enrolment/errors.ts` */
  enrol(json: unknown): Promise<EnrolmentAnswer>
  /** What a capability has to name for a transfer; `undefined` where no such device is enrolled. */
  route(device: Hex, request: TransferRequest): Hex | undefined
  /**
   * Moves a device to another subject, from an instant on. Windows that are closed stay as they are: the
   * instant may not lie before the end of one on either subject.
   *
   * @param allowed - The {@link Enrolments.route} that a capability was held against: the device may have
   *   gone elsewhere while this waited for a batch.
   * @throws UnknownDeviceError | UnknownSubjectError | DeviceOutOfServiceError |
   *   TransferConflictError | EnrolmentQuotaError
   */
  transfer(device: Hex, request: TransferRequest, allowed: Hex | undefined): Promise<TransferAnswer>
  /** Takes a device out of service for good. `false` when it is not enrolled. */
  retire(device: Hex): Promise<boolean>
}

/** Places that one device can have had, the first included. */
const tenuresPerDevice = 64
const farthestTransferMs = 366 * 86_400_000

/** Where a device would leave from, and the transfer itself where it was made before. */
function journeyOf(
  { enrolled, tenures }: DeviceState,
  { subject, fromMs }: TransferRequest,
): { readonly from: string | undefined; readonly made: Tenure | undefined } {
  const last = tenures?.at(-1)
  const isMade = last?.subjectName === subject && (fromMs === undefined || fromMs === last.fromMs)
  if (isMade) return { from: tenures?.at(-2)?.subjectName, made: last }
  return { from: last?.subjectName ?? enrolled?.subjectName, made: undefined }
}

const nowhere = { from: undefined, made: undefined }

const routeOf = (from: string, { subject }: TransferRequest): Hex =>
  transferRoute(subjectId(from), subjectId(subject))

function answerOf(
  device: Hex,
  from: string,
  { subjectName, fromMs, fromBatch }: Pick<Tenure, 'subjectName' | 'fromMs' | 'fromBatch'>,
  isNew: boolean,
): TransferAnswer {
  return { device, from, subject: subjectName, fromMs, batchSequence: fromBatch, isNew }
}

/** Joins the appraisal with the ledger: an enrolment is durable before anybody hears of it. */
export function createEnrolments(parts: {
  readonly config: Pick<
    WorkerConfig,
    'makers' | 'assignments' | 'streamId' | 'maxDevicesPerSubject'
  >
  readonly state: WorkerState
  readonly ledger: Ledger
  readonly pool: VerifyPool
  readonly clock: Clock
  readonly nonces: Nonces
  /** Does work when no batch is on its way, at once. */
  readonly between: <Result>(work: () => Result) => Promise<Result>
  readonly log: Log
}): Enrolments {
  const { config, state, ledger, clock, log } = parts
  const rules: EnrolmentRules = {
    stream: config.streamId,
    makers: config.makers,
    subjects: new Set(config.assignments.map(({ subjectName }) => subjectName)),
    maxDevicesPerSubject: config.maxDevicesPerSubject,
  }
  // Few keys are seen twice here: makers' own, and a device that answers again.
  const verifier = createNodeSignatures({ capacity: 1000 })

  /** Refuses a move that would reach into what is decided, or that the subject has no room for. */
  function assertTransfer(
    device: DeviceState,
    from: string,
    { subject, fromMs }: { readonly subject: string; readonly fromMs: number },
    nowMs: number,
  ): void {
    if (!rules.subjects.has(subject)) {
      throw new UnknownSubjectError('Nothing is reported on this subject.', {
        field: 'subject',
        remedy: 'Name a subject of one of the worker’s assignments.',
      })
    }
    const { frozen, retired, perSubject } = state.enrolments
    if (frozen.has(device.id) || retired.has(device.id)) {
      throw new DeviceOutOfServiceError('A device that is out of service goes nowhere.', {
        field: 'device',
        remedy: 'A new device needs a new key.',
      })
    }
    const refuse = (field: string, message: string, remedy: string): never => {
      throw new TransferConflictError(message, { field, remedy })
    }
    if (from === subject) {
      refuse(
        'subject',
        'The device observes this subject already, or will.',
        'Look at /v1/devices/{device} for where it stands, and since when.',
      )
    }
    const standing = device.tenures ?? []
    if (standing.length >= tenuresPerDevice) {
      refuse(
        'device',
        `The device has moved ${tenuresPerDevice - 1} times, and may not more often.`,
        'Retire it, and enrol a new key at the other subject.',
      )
    }
    const last = standing.at(-1)
    if (last !== undefined && fromMs <= last.fromMs) {
      refuse(
        'fromMs',
        'The device has moved since then.',
        `Name an instant behind its last move: Unix milliseconds, above ${last.fromMs}.`,
      )
    }
    const closedUntilMs = Math.max(
      0,
      ...[from, subject]
        .flatMap((name) => state.assignmentsOf.get(subjectId(name)) ?? [])
        .map((assignment) => assignment.closedUntilMs),
    )
    if (fromMs < closedUntilMs) {
      refuse(
        'fromMs',
        'Windows that reach beyond this instant are closed; they stay as they are.',
        `Name an instant from which nothing is closed: Unix milliseconds, from ${closedUntilMs} on.`,
      )
    }
    if (fromMs > nowMs + farthestTransferMs) {
      refuse(
        'fromMs',
        'The instant is more than a year ahead.',
        'Give Unix milliseconds, and transfer the device nearer to the time.',
      )
    }
    if ((perSubject.get(subject) ?? 0) >= config.maxDevicesPerSubject) {
      throw new EnrolmentQuotaError('The subject has as many devices as one may have.', {
        field: 'subject',
        metaMessages: [`Allowed: ${config.maxDevicesPerSubject}`],
      })
    }
  }

  function enterTransfer(
    device: Hex,
    request: TransferRequest,
    allowed: Hex | undefined,
  ): TransferAnswer {
    const nowMs = clock.nowMs()
    const known = state.devices.get(device)
    const { from, made } = known === undefined ? nowhere : journeyOf(known, request)
    if (known === undefined || from === undefined) {
      throw new UnknownDeviceError('No such device is enrolled.', {
        field: 'device',
        remedy: 'See /v1/devices for those that are.',
      })
    }
    if (routeOf(from, request) !== allowed) {
      throw new TransferConflictError('The device went elsewhere while this call waited.', {
        field: 'device',
        remedy: 'Look where it stands now; a capability for that way is needed.',
      })
    }
    if (made !== undefined) return answerOf(device, from, made, false)
    const fromMs = request.fromMs ?? nowMs
    assertTransfer(known, from, { subject: request.subject, fromMs }, nowMs)
    const transfer = {
      device,
      fromSubjectName: from,
      subjectName: request.subject,
      fromMs,
      batchSequence: state.openSequence,
    }
    ledger.append(encodeJsonRecord('transfer', { ...transfer, atMs: nowMs }))
    // Entered at once: the batch that is cut next heeds it, and lies behind it on the disk.
    applyTransfer(state, transfer)
    settleTransfers(state, nowMs)
    return answerOf(device, from, { ...transfer, fromBatch: transfer.batchSequence }, true)
  }

  return {
    nonce: () => parts.nonces.issue(),
    async enrol(json) {
      const request = readMessage(enrolmentRequestSchema, json, 'enrolment')
      if (!parts.nonces.isFresh(request.nonce)) {
        throw new PossessionError('The nonce is not one of this worker, or has gone stale.', {
          field: 'nonce',
          remedy: 'Ask for another one and sign again.',
        })
      }
      const certificates = request.certificates.map((hex, index) =>
        fromHex(hex, `certificates[${index}]`),
      )
      try {
        const appraisal = appraiseEnrolment(
          {
            certificates,
            subjectName: request.subject,
            nonce: request.nonce,
            proof: fromHex(request.proof, 'proof', 64),
          },
          rules,
          state.enrolments,
          clock.nowMs(),
          verifier,
        )
        const { key, model, enrolment } = appraisal
        if (appraisal.kind === 'new') {
          const record = recordOf(appraisal, certificates)
          ledger.append(encodeJsonRecord('enrolment', record))
          // Entered at once, so that a second claim finds it even before the disk has answered.
          applyEnrolment(state.enrolments, enrolment)
          const enrolled = enrolledDeviceOf(record)
          applyDevice(state, enrolled)
          parts.pool.enrol([enrolled])
          log('info', 'device enrolled', { device: key.id, maker: enrolment.maker })
        }
        await ledger.commit()
        return {
          device: key.id,
          subject: enrolment.subjectName,
          tier: model.tier,
          intervalMs: model.intervalMs,
          isNew: appraisal.kind === 'new',
        }
      } catch (error) {
        if (
          error instanceof HardwareClaimedTwiceError &&
          !state.enrolments.frozen.has(error.standing)
        ) {
          ledger.append(encodeJsonRecord('freeze', { device: error.standing, atMs: clock.nowMs() }))
          state.enrolments.frozen.add(error.standing)
          await ledger.commit()
          log('warn', 'device frozen', { device: error.standing })
        }
        throw error
      }
    },
    route(device, request) {
      const known = state.devices.get(device)
      if (known === undefined) return undefined
      const { from } = journeyOf(known, request)
      return from === undefined ? undefined : routeOf(from, request)
    },
    async transfer(device, request, allowed) {
      // Between two batches: a window that is being closed has not decided yet how far it reaches.
      const answer = await parts.between(() => enterTransfer(device, request, allowed))
      await ledger.commit()
      if (answer.isNew) {
        const { from, subject: to, fromMs } = answer
        log('info', 'device transferred', { device, from, to, fromMs })
      }
      return answer
    },
    async retire(device) {
      if (state.devices.get(device)?.enrolled === undefined) return false
      if (!state.enrolments.retired.has(device)) {
        ledger.append(encodeJsonRecord('retire', { device, atMs: clock.nowMs() }))
        state.enrolments.retired.add(device)
        log('info', 'device retired', { device })
      }
      await ledger.commit()
      return true
    },
  }
}
