import { z } from 'zod'
import { fromHex } from '#schemas/bytes.ts'
import type { Hex } from '#schemas/bytes.ts'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { hexSchema, readMessage } from '#schemas/workerApi.ts'
import type { WorkerConfig } from '../config.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { encodeJsonRecord } from '../ledger/records.ts'
import type { VerifyPool } from '../ingest/verifyPool.ts'
import type { Clock, Log } from '../ports.ts'
import { type WorkerState, applyDevice } from '../state/workerState.ts'
import {
  HardwareClaimedTwiceError,
  type EnrolmentRules,
  appraiseEnrolment,
} from './appraiseEnrolment.ts'
import { applyEnrolment } from './enrolmentBook.ts'
import { enrolledDeviceOf, recordOf } from './enrolmentRecord.ts'
import { PossessionError } from './errors.ts'
import type { Nonces } from './nonces.ts'

export const enrolmentRequestSchema = z.strictObject({
  /** DER in hex, the device's own first. */
  certificates: z.array(hexSchema()).min(1).max(4),
  subject: z.string().min(1).max(200),
  nonce: hexSchema(32),
  proof: hexSchema(64),
})

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
  /** Takes a device out of service for good. `false` when it is not enrolled. */
  retire(device: Hex): Promise<boolean>
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
