import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { type Hex, toHex } from '#schemas/bytes.ts'
import {
  type DecodedCalibration,
  decodeCalibration,
  verifyCalibration,
} from '#schemas/calibration/decodeCalibration.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import type { CalibrationAnswer } from '#schemas/workerAnswers.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import type { WorkerConfig } from '../config.ts'
import { RateLimitedError } from '../ingest/refusals.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { encodeJsonRecord } from '../ledger/records.ts'
import type { Clock, Log } from '../ports.ts'
import { type StandingCertificate, certificateKey } from '../state/calibrationBook.ts'
import { type WorkerState, applyCalibration } from '../state/workerState.ts'
import { standingCalibration } from './calibrationRecord.ts'
import {
  CalibrationConflictError,
  CalibrationFromFutureError,
  CalibrationQuotaError,
  LaboratoryStatusError,
  UnknownItemError,
  UnknownLaboratoryError,
} from './errors.ts'
import type { LaboratoryStatement } from './laboratories.ts'

/** What one device can have: a bundle that shows them all has to stay a file. */
export const certificatesPerDevice = 256

/** Signatures of strangers that are checked in a second: a hundredth of a core. */
const checksPerSecond = 100

/** A bucket of a second's worth, for everybody together. */
function createThrottle(clock: Clock): () => boolean {
  let tokens = checksPerSecond
  let atMs = clock.nowMs()
  return () => {
    const nowMs = clock.nowMs()
    // A clock that was set back fills no bucket.
    tokens = Math.min(
      checksPerSecond,
      tokens + (Math.max(0, nowMs - atMs) / 1000) * checksPerSecond,
    )
    atMs = nowMs
    if (tokens < 1) return false
    tokens -= 1
    return true
  }
}

export type Calibrations = {
  /**
   * Takes a certificate in. It is on the disk when this answers, and bears on every report from the
   * batch that is answered on; a report signed before is amended where it comes out different.
   *
   * @throws the errors of `enrolment/errors.ts`, and those of the format
   */
  take(bytes: Uint8Array): Promise<CalibrationAnswer>
}

/**
 * The door for calibration certificates. It is open to anybody: a certificate is believed for the
 * laboratory's signature and not for who carries it, so that a laboratory, an owner or a device may
 * hand it in alike, and the operator has no say in which of them arrive. What a stranger can cost is
 * bounded: a few kilobytes of a body, and a signature check of a shared second's worth; only what a
 * pinned key has signed is kept, once.
 */
export function createCalibrations(parts: {
  readonly config: Pick<WorkerConfig, 'laboratories' | 'maxFutureSkewMs'>
  readonly state: WorkerState
  readonly ledger: Ledger
  readonly clock: Clock
  readonly log: Log
}): Calibrations {
  const { config, state, ledger, clock, log } = parts
  const verifier = createNodeSignatures({ capacity: 100 })
  const mayCheck = createThrottle(clock)
  const { calibrations: book } = state

  function laboratoryOf({ certificate, laboratoryKey }: DecodedCalibration): LaboratoryStatement {
    const laboratory = config.laboratories.find(
      ({ key, name }) => key.id === laboratoryKey && name === certificate.laboratory,
    )
    if (laboratory === undefined) {
      throw new UnknownLaboratoryError('No laboratory of this name has this key here.', {
        field: 'kid',
        metaMessages: [`Key: ${laboratoryKey}`],
        remedy: 'Ask the operator to pin the laboratory under config.laboratories.',
      })
    }
    if (laboratory.status !== 'active' || book.revokedKeys.has(laboratoryKey)) {
      throw new LaboratoryStatusError('The laboratory’s key is revoked.', {
        field: 'kid',
        remedy: 'Have the certificate issued anew under a key in good standing.',
      })
    }
    const { series, unit } = certificate
    const { scope } = laboratory
    if (scope?.some((entry) => entry.series === series && entry.unit === unit) === false) {
      throw new LaboratoryStatusError('The laboratory is not accredited for this quantity.', {
        field: 'series',
        metaMessages: [`Series: ${series}`, `Unit: ${unit}`],
        remedy: 'Correct the certificate, or the scope under config.laboratories.',
      })
    }
    return laboratory
  }

  function assertItem({ certificate }: DecodedCalibration): void {
    const enrolled = state.devices.get(certificate.device)?.enrolled
    if (enrolled === undefined) {
      throw new UnknownItemError('No such device is enrolled here.', {
        field: 'device',
        remedy: 'Enrol the device first; hand the certificate in again then.',
      })
    }
    if (enrolled.series?.includes(certificate.series) === false) {
      throw new UnknownItemError('The device is not enrolled for this series.', {
        field: 'series',
        remedy: `Name a series that it is enrolled for: ${enrolled.series.join(', ')}.`,
      })
    }
  }

  /** @returns The very same certificate where it was taken before. */
  function find({ certificate, digest }: DecodedCalibration): StandingCertificate | undefined {
    const { laboratory, number } = certificate
    const standing = book.byNumber.get(certificateKey(laboratory, number))
    if (standing === undefined || standing.signed.digest === digest) return standing
    throw new CalibrationConflictError('The laboratory gave this number to another certificate.', {
      field: 'number',
      metaMessages: [`Standing: ${standing.signed.digest}`, `Actual: ${digest}`],
      remedy: 'Issue it under a number of its own, naming the one that it replaces.',
    })
  }

  function assertReplaces({ certificate }: DecodedCalibration): void {
    const { laboratory, replaces, device, series } = certificate
    if (replaces === undefined) return
    const replaced = book.byNumber.get(certificateKey(laboratory, replaces))
    const refuse = (message: string, remedy: string): never => {
      throw new CalibrationConflictError(message, { field: 'replaces', remedy })
    }
    if (replaced === undefined) {
      refuse(
        'The certificate that is to be replaced is not here.',
        'Hand that one in first, or issue this one without naming it.',
      )
    } else if (replaced.device !== device || replaced.series !== series) {
      refuse(
        'The certificate that is to be replaced is about something else.',
        'Name one on the same device and series.',
      )
    } else if (replaced.untilBatch !== undefined) {
      refuse(
        'The certificate that is to be replaced was replaced before.',
        'Name the one that stands now.',
      )
    }
  }

  function answerOf(standing: StandingCertificate, isNew: boolean): CalibrationAnswer {
    const { device, series, validFromMs, validUntilMs, fromBatch, signed } = standing
    return {
      device,
      series,
      laboratory: signed.laboratory,
      number: signed.number,
      validFromMs,
      validUntilMs,
      batchSequence: fromBatch,
      isNew,
    }
  }

  return {
    async take(bytes) {
      const decoded = decodeCalibration(bytes, nodeCrypto)
      // In the order of their cost: what a table can refuse costs no signature check.
      const laboratory = laboratoryOf(decoded)
      if (!mayCheck()) {
        throw new RateLimitedError('More certificates arrive than are checked.', 'body', 1)
      }
      verifyCalibration(decoded, { key: laboratory.key, verifier })
      assertItem(decoded)
      const known = find(decoded)
      if (known !== undefined) {
        // It may be on its way to the disk still.
        await ledger.commit()
        return answerOf(known, false)
      }
      assertReplaces(decoded)
      const { certificate } = decoded
      const nowMs = clock.nowMs()
      if (certificate.issuedMs > nowMs + config.maxFutureSkewMs) {
        throw new CalibrationFromFutureError('The certificate was issued ahead of the clock.', {
          field: 'issued',
          metaMessages: [`Issued: ${certificate.issuedMs}`, `Clock: ${nowMs}`],
          remedy: 'Hand it in again when its date has come.',
        })
      }
      const signed = (book.byDevice.get(certificate.device) ?? []).filter(
        (each) => each.signed !== undefined,
      )
      if (signed.length >= certificatesPerDevice) {
        throw new CalibrationQuotaError('The device has as many certificates as one may have.', {
          field: 'device',
          metaMessages: [`Allowed: ${certificatesPerDevice}`],
          remedy: 'Enrol the sensor anew under another key; what the device has stays.',
        })
      }
      const record = {
        certificate: toHex(bytes),
        laboratoryKey: toHex(coseKeyBytes(laboratory.key)),
        atMs: nowMs,
        // As for a pack: from the batch that is open now.
        batchSequence: state.openSequence,
      }
      const position = ledger.append(encodeJsonRecord('calibration', record))
      // Entered at once: a batch that is cut from here on finds it, and lies behind it on the disk.
      const entry = standingCalibration(decoded, record.batchSequence, position)
      applyCalibration(state, entry, nowMs)
      await ledger.commit()
      log('info', 'calibration taken', {
        device: certificate.device,
        series: certificate.series,
        laboratory: certificate.laboratory,
        number: certificate.number,
      })
      return answerOf(entry, true)
    },
  }
}

/** Keys that the configuration revokes and the ledger does not know of yet. */
export function freshRevocations(
  laboratories: readonly LaboratoryStatement[],
  { calibrations }: Pick<WorkerState, 'calibrations'>,
): Hex[] {
  return laboratories
    .filter(({ status, key }) => status === 'revoked' && !calibrations.revokedKeys.has(key.id))
    .map(({ key }) => key.id)
}
