import { z } from 'zod'
import type { Hex } from './bytes.ts'
import type { Receipt } from './receipt.ts'
import type { ReceiptPlace } from './receiptTree.ts'
import type { RosterEntry } from './roster.ts'
import {
  batchSchema,
  hexSchema,
  provenReportSchema,
  uint32Schema,
  unsignedSchema,
} from './workerApi.ts'

/** The rest of what a worker answers over HTTP; batches and attestations stand in `workerApi.ts`. */

export const receiptSchema = z.strictObject({
  device: hexSchema(32),
  packSequence: unsignedSchema,
  packHash: hexSchema(32),
  stream: hexSchema(32),
  nextBatchSequence: unsignedSchema,
})

/** Why something was not taken: a caller decides by `name` and `retryable`, people read the rest. */
export const refusalSchema = z.strictObject({
  name: z.string().min(1),
  message: z.string(),
  field: z.string().optional(),
  remedy: z.string().optional(),
  retryable: z.boolean(),
})

/** Body of every answer with a status of 400 or above. */
export const problemSchema = z.strictObject({ error: refusalSchema })

const refusedSchema = z.strictObject({ refusal: refusalSchema })

/** Answer of `POST /v1/packs`: one entry for each pack, in order. */
export const packAnswersSchema = z.array(
  z.union([z.strictObject({ receipt: receiptSchema, signature: hexSchema(65) }), refusedSchema]),
)

/** Answer of `POST /v1/packs?receipts=tree`: one signature for all receipts, a path for each. */
export const packTreeAnswerSchema = z.strictObject({
  tree: z
    .strictObject({ root: hexSchema(32), count: uint32Schema, signature: hexSchema(65) })
    .optional(),
  answers: z.array(
    z.union([
      z.strictObject({
        receipt: receiptSchema,
        index: uint32Schema,
        path: z.array(hexSchema(32)).max(32),
      }),
      refusedSchema,
    ]),
  ),
})

export const rosterEntrySchema = z.strictObject({
  device: hexSchema(32),
  subject: hexSchema(32),
  expectedReadings: uint32Schema,
  heardReadings: uint32Schema,
  firstSequence: unsignedSchema,
  lastSequence: unsignedSchema,
  headHash: hexSchema(32),
  packsRoot: hexSchema(32),
})

/** A batch and its signature without its reports. */
export const batchHeadSchema = z.strictObject({
  batch: batchSchema,
  digest: hexSchema(32),
  signature: hexSchema(65),
  signer: hexSchema(20),
})

/** Answer of `GET /v1/batches/{sequence}/roster`: everything that the roster root commits to. */
export const rosterSchema = batchHeadSchema.extend({ roster: z.array(rosterEntrySchema) })

/** Answer of `GET /v1/batches/{sequence}/roster/{device}`: one line, its place and its packs. */
export const rosterPlaceSchema = batchHeadSchema.extend({
  entry: rosterEntrySchema,
  index: uint32Schema,
  path: z.array(hexSchema(32)).max(32),
  /** The packs under the entry's `packsRoot`, as far as the worker still keeps them. */
  packs: z.array(z.strictObject({ sequence: unsignedSchema, hash: hexSchema(32) })),
})

/** Answer of `GET /v1/proofs/{subject}`: the newest reports on a subject, each provable alone. */
export const proofsSchema = z.strictObject({
  subject: hexSchema(32),
  proofs: z.array(batchHeadSchema.extend({ proven: provenReportSchema })),
})

/** Answer of `GET /v1/reports`: reports in the order of their batches. */
export const reportListSchema = z.strictObject({
  reports: z.array(z.strictObject({ batchSequence: unsignedSchema, proven: provenReportSchema })),
  /** Ask again with `after` set to this; absent at the end. */
  next: z.optional(unsignedSchema),
  /** In the middle of a large batch: ask again with `from` set to this, too. */
  nextIndex: z.optional(uint32Schema),
})

/** Answer of `GET /v1/policies`. */
export const policyListSchema = z.strictObject({
  policies: z.array(
    z.strictObject({ id: hexSchema(32), policy: z.record(z.string(), z.unknown()) }),
  ),
})

/** A calibration as a worker counts it. What a laboratory has signed names it and its certificate. */
export const deviceCalibrationSchema = z.strictObject({
  series: z.string(),
  validFromMs: z.number().int(),
  /** Exclusive. */
  validUntilMs: z.number().int(),
  unit: z.string().optional(),
  /** SHA-256 of the laboratory's full certificate. */
  document: z.optional(hexSchema(32)),
  /** Absent, like the number, where the operator's configuration says it. */
  laboratory: z.string().optional(),
  number: z.string().optional(),
  issuedMs: z.number().int().optional(),
  replaces: z.string().optional(),
  /** First batch whose reports it bears on; 0: every one. */
  fromBatch: unsignedSchema,
  /** First batch that it no longer bears on: it was replaced, or its laboratory's key revoked. */
  untilBatch: z.optional(unsignedSchema),
})

export const deviceStatusSchema = z.strictObject({
  device: hexSchema(32),
  /** COSE_Key with public parameters only, deterministic CBOR in hex. */
  publicKey: hexSchema(),
  algorithm: z.enum(['ES256', 'Ed25519', 'ES256K']),
  subject: hexSchema(32),
  subjectName: z.string(),
  tier: z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(4)]),
  intervalMs: z.number().int(),
  label: z.string().optional(),
  headSequence: unsignedSchema,
  headHash: hexSchema(32),
  lastReceivedMs: z.number().int().optional(),
  equivocations: z.number().int(),
  /** Where it has stood and will stand, since when; absent for a device that never moved. */
  tenures: z
    .array(
      z.strictObject({
        subject: hexSchema(32),
        subjectName: z.string(),
        /** Absent: from its beginning. */
        fromMs: z.number().int().optional(),
        /** First batch whose reports heed it. */
        fromBatch: unsignedSchema,
      }),
    )
    .optional(),
  /** The newest last; absent where there is none. A list of devices shows those that stand. */
  calibrations: z.array(deviceCalibrationSchema).optional(),
})

/** Answer of `GET /v1/devices`: ascending by id. */
export const deviceListSchema = z.strictObject({
  devices: z.array(deviceStatusSchema),
  /** Ask again with `after` set to this; absent at the end. */
  next: z.optional(hexSchema(32)),
})

/** Two packs signed by one device that cannot both stand; base64 of what was received. */
export const equivocationSchema = z.strictObject({
  device: hexSchema(32),
  sequence: unsignedSchema,
  hash: hexSchema(32),
  foundMs: z.number().int(),
  standing: z.string().nullable(),
  contradicting: z.string().nullable(),
})

/** Answer of `GET /v1/equivocations`. */
export const equivocationListSchema = z.strictObject({
  equivocations: z.array(equivocationSchema),
  next: z.number().int().optional(),
})

/** Answer of `GET /v1/batches/{sequence}/signature`: the same batch, signed by this boot's key. */
export const countersignatureSchema = z.strictObject({
  sequence: unsignedSchema,
  digest: hexSchema(32),
  signature: hexSchema(65),
  signer: hexSchema(20),
})

/** Answer of `POST /v1/enrolments/nonce`. */
export const enrolmentNonceSchema = z.strictObject({
  nonce: hexSchema(32),
  expiresAtMs: z.number().int(),
})

/** Answer of `POST /v1/enrolments`. */
export const enrolmentAnswerSchema = z.strictObject({
  device: hexSchema(32),
  subject: z.string(),
  tier: z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(4)]),
  intervalMs: z.number().int(),
  /** False when the very same enrolment was made before. */
  isNew: z.boolean(),
})

/** Answer of `POST /v1/admin/devices/{device}/transfer`. */
export const transferAnswerSchema = z.strictObject({
  device: hexSchema(32),
  /** Names of the subjects that it leaves and that it goes to. */
  from: z.string(),
  subject: z.string(),
  fromMs: z.number().int(),
  /** First batch whose reports heed it. */
  batchSequence: unsignedSchema,
  /** False when the very same transfer was made before. */
  isNew: z.boolean(),
})

/** Answer of `POST /v1/admin/devices/{device}/retire`. */
export const retirementAnswerSchema = z.strictObject({ device: hexSchema(32) })

/** Answer of `POST /v1/calibrations`. */
export const calibrationAnswerSchema = z.strictObject({
  device: hexSchema(32),
  series: z.string(),
  laboratory: z.string(),
  number: z.string(),
  validFromMs: z.number().int(),
  validUntilMs: z.number().int(),
  /** First batch whose reports it bears on. */
  batchSequence: unsignedSchema,
  /** False when the very same certificate was taken before. */
  isNew: z.boolean(),
})

/** Answer of `GET /healthz`. */
export const healthSchema = z.strictObject({
  status: z.enum(['ok', 'held', 'failed']),
  reason: z.string().optional(),
  stream: hexSchema(32),
  signer: hexSchema(20),
  head: unsignedSchema,
  devices: z.number().int(),
  unbatchedPacks: z.number().int(),
})

export type Refusal = z.output<typeof refusalSchema>
export type PackAnswers = z.output<typeof packAnswersSchema>
export type PackTreeAnswer = z.output<typeof packTreeAnswerSchema>
export type BatchHead = z.output<typeof batchHeadSchema>
export type RosterPlace = z.output<typeof rosterPlaceSchema> & { readonly entry: RosterEntry }
export type Roster = z.output<typeof rosterSchema>
export type Proofs = z.output<typeof proofsSchema>
export type ReportList = z.output<typeof reportListSchema>
export type DeviceStatus = z.output<typeof deviceStatusSchema>
export type DeviceList = z.output<typeof deviceListSchema>
export type EquivocationList = z.output<typeof equivocationListSchema>
export type Countersignature = z.output<typeof countersignatureSchema>
export type DeviceCalibration = z.output<typeof deviceCalibrationSchema>
export type TransferAnswer = z.output<typeof transferAnswerSchema>
export type RetirementAnswer = z.output<typeof retirementAnswerSchema>
export type CalibrationAnswer = z.output<typeof calibrationAnswerSchema>
export type Health = z.output<typeof healthSchema>

/** A receipt with what proves it: its own signature, or its place under a tree's. */
export type SignedReceipt =
  | { readonly receipt: Receipt; readonly signature: Hex }
  | {
      readonly receipt: Receipt
      readonly place: ReceiptPlace
      readonly signature: Hex
    }

/** The same as a file: what a device or gateway keeps, to show one day that its pack was left out. */
export const signedReceiptSchema: z.ZodType<SignedReceipt> = z.union([
  z.strictObject({ receipt: receiptSchema, signature: hexSchema(65) }),
  z.strictObject({
    receipt: receiptSchema,
    place: z.strictObject({
      count: uint32Schema,
      index: uint32Schema,
      path: z.array(hexSchema(32)).max(32),
    }),
    signature: hexSchema(65),
  }),
])
