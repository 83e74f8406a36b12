import { z } from 'zod'
import type { Hex } from '#schemas/bytes.ts'
import { type SignedBatch, hexSchema, readMessage, signedBatchSchema } from '#schemas/workerApi.ts'

/** What the ledger keeps of a batch beside its roster: the answer it is served as. */
export type StoredBatch = {
  readonly signed: SignedBatch
  /** Which periods it closed, for replay: `firstLeaf` differs from the leaf in an amendment. */
  readonly closed: readonly {
    readonly key: string
    readonly startMs: number
    readonly endMs: number
    readonly firstLeaf: Hex
    readonly index: number
    /** Of a right: what no other right may be granted on for this time, whatever is configured. */
    readonly impactClass?: Hex | undefined
  }[]
}

const storedBatchSchema = z.strictObject({
  signed: signedBatchSchema,
  closed: z.array(
    z.strictObject({
      key: z.string(),
      startMs: z.number().int(),
      endMs: z.number().int(),
      firstLeaf: hexSchema(32),
      index: z.number().int(),
      impactClass: hexSchema(32).optional(),
    }),
  ),
})

/** Reads a batch record back. @throws {@link InvalidMessageError} */
export function readStoredBatch(json: unknown): StoredBatch {
  return readMessage(storedBatchSchema, json, 'stored batch')
}
