import { z } from 'zod'
import type { Hex } from '#schemas/bytes.ts'
import { batchHeadSchema } from '#schemas/workerAnswers.ts'
import { type SignedBatch, hexSchema, readMessage, signedBatchSchema } from '#schemas/workerApi.ts'

/** Which period a report closes, for replay. */
export type ClosedReport = {
  /** Of the assignment. */
  readonly key: string
  readonly startMs: number
  readonly endMs: number
  readonly index: number
  /** Of a right: what no other right may be granted on for this time, whatever is configured. */
  readonly impactClass?: Hex | undefined
}

/** How batches were kept before their reports lay in parts: one document with reports and paths. */
export type WholeBatch = {
  readonly signed: SignedBatch
  readonly closed: readonly (ClosedReport & {
    /** Leaf of the first report on the period: differs from the leaf in an amendment. */
    readonly firstLeaf: Hex
  })[]
}

const wholeBatchSchema = z.strictObject({
  signed: signedBatchSchema,
  closed: z.array(
    z.strictObject({
      key: z.string(),
      startMs: z.number().int(),
      endMs: z.number().int(),
      firstLeaf: hexSchema(32),
      index: z.number().int(),
      impactClass: z.optional(hexSchema(32)),
    }),
  ),
})

/** Reads a batch record of the older form back. @throws {@link InvalidMessageError} */
export function readWholeBatch(json: unknown): WholeBatch {
  return readMessage(wholeBatchSchema, json, 'stored batch')
}

const storedHeadSchema = z.strictObject({
  head: batchHeadSchema,
  /**
   * How many records of its roster and of its reports lie before it. Those of an attempt that came
   * to nothing may lie before them.
   */
  rosterParts: z.number().int(),
  reportParts: z.number().int(),
  /** Root of the tree over each part of the reports: the nodes that the report root is made of. */
  partRoots: z.array(hexSchema(32)),
})

/** What the ledger keeps of a batch beside its roster and its reports. */
export type StoredHead = z.output<typeof storedHeadSchema>

/** Reads the record of a batch whose reports lie in parts. @throws {@link InvalidMessageError} */
export function readStoredHead(json: unknown): StoredHead {
  return readMessage(storedHeadSchema, json, 'stored batch head')
}
