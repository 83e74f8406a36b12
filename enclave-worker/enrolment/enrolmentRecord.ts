import { z } from 'zod'
import { toHex } from '#schemas/bytes.ts'
import { coseKeyBytes, deviceKeyFromCose } from '#schemas/pack/deviceKey.ts'
import { fromHex } from '#schemas/bytes.ts'
import { subjectId } from '#schemas/report.ts'
import { hexSchema, unsignedSchema } from '#schemas/workerApi.ts'
import type { EnrolledDevice } from '../config.ts'
import type { Appraisal } from './appraiseEnrolment.ts'
import type { Enrolment } from './enrolmentBook.ts'

/**
 * What the ledger keeps of an enrolment. The terms of the model are written down with it: a later
 * change of the configuration does not change what a device was enrolled as.
 */
export const enrolmentRecordSchema = z.strictObject({
  device: hexSchema(32),
  coseKey: hexSchema(),
  certificates: z.array(hexSchema()),
  subjectName: z.string(),
  maker: z.string(),
  hwType: z.string(),
  hardwareSerial: hexSchema(),
  certificate: z.string(),
  atMs: z.number().int(),
  tier: z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(4)]),
  intervalMs: z.number().int(),
  series: z.array(z.string()).optional(),
})
export type EnrolmentRecord = z.output<typeof enrolmentRecordSchema>

/** What the ledger keeps of a device's move to another subject. */
export const transferRecordSchema = z.strictObject({
  device: hexSchema(32),
  fromSubjectName: z.string(),
  subjectName: z.string(),
  fromMs: z.number().int(),
  atMs: z.number().int(),
  batchSequence: unsignedSchema,
})

export function recordOf(
  { key, model, enrolment }: Appraisal,
  certificates: readonly Uint8Array[],
): EnrolmentRecord {
  return {
    ...enrolment,
    coseKey: toHex(coseKeyBytes(key)),
    certificates: certificates.map(toHex),
    tier: model.tier,
    intervalMs: model.intervalMs,
    ...(model.series === undefined ? {} : { series: [...model.series] }),
  }
}

export function enrolledDeviceOf(record: EnrolmentRecord): EnrolledDevice {
  return {
    key: deviceKeyFromCose(fromHex(record.coseKey, 'coseKey')),
    subject: subjectId(record.subjectName),
    subjectName: record.subjectName,
    tier: record.tier,
    intervalMs: record.intervalMs,
    series: record.series,
    label: `${record.maker} ${record.hwType} ${record.hardwareSerial}`,
  }
}

export function enrolmentOf(record: EnrolmentRecord): Enrolment {
  const { device, subjectName, maker, hwType, hardwareSerial, certificate, atMs } = record
  return { device, subjectName, maker, hwType, hardwareSerial, certificate, atMs }
}
