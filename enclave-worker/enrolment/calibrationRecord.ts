import { z } from 'zod'
import { fromHex } from '#schemas/bytes.ts'
import {
  type DecodedCalibration,
  decodeCalibration,
} from '#schemas/calibration/decodeCalibration.ts'
import { hexSchema, unsignedSchema } from '#schemas/workerApi.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import type { LedgerPosition } from '../ledger/ledger.ts'
import type { StandingCertificate } from '../state/calibrationBook.ts'

/** What the ledger keeps: the certificate itself, and under which key it was believed. */
export const calibrationRecordSchema = z.strictObject({
  certificate: hexSchema(),
  /** COSE_Key of the laboratory, as it was pinned. */
  laboratoryKey: hexSchema(),
  atMs: z.number().int(),
  batchSequence: unsignedSchema,
})
export type CalibrationRecord = z.output<typeof calibrationRecordSchema>

export const laboratoryRevocationSchema = z.strictObject({
  laboratoryKey: hexSchema(32),
  atMs: z.number().int(),
  batchSequence: unsignedSchema,
})

/** A certificate as the book has it. */
export function standingCalibration(
  { certificate, laboratoryKey, digest }: DecodedCalibration,
  fromBatch: bigint,
  position: LedgerPosition,
): StandingCertificate {
  const { laboratory, number, issuedMs, replaces, ...item } = certificate
  return {
    device: item.device,
    series: item.series,
    unit: item.unit,
    validFromMs: item.validFromMs,
    validUntilMs: item.validUntilMs,
    document: item.document,
    signed: { laboratory, number, issuedMs, laboratoryKey, digest, replaces, position },
    fromBatch,
    untilBatch: undefined,
  }
}

/** Reads a record back into the book's form. Its signature was checked before it was written. */
export function calibrationOf(
  { certificate, batchSequence }: CalibrationRecord,
  position: LedgerPosition,
): StandingCertificate {
  const decoded = decodeCalibration(fromHex(certificate, 'certificate'), nodeCrypto)
  return standingCalibration(decoded, batchSequence, position)
}
