import type { SignedBatch } from '#schemas/workerApi.ts'
import { readMessage, signedBatchSchema } from '#schemas/workerApi.ts'
import type { Hex } from '#schemas/bytes.ts'
import type { RosterEntry } from '#schemas/roster.ts'
import { z } from 'zod'

const hex = (bytes: number) =>
  z
    .string()
    .regex(new RegExp(`^0x[0-9a-f]{${bytes * 2}}$`))
    .transform((text) => text as Hex)
const unsigned = z
  .string()
  .regex(/^\d+$/)
  .transform((text) => BigInt(text))

export const rosterEntrySchema = z.strictObject({
  device: hex(32),
  subject: hex(32),
  expectedReadings: z.number().int(),
  heardReadings: z.number().int(),
  firstSequence: unsigned,
  lastSequence: unsigned,
  headHash: hex(32),
  packsRoot: hex(32),
})

/** What the ledger keeps of a batch: the answer it is served as, and what the roots commit to. */
export type StoredBatch = {
  readonly signed: SignedBatch
  readonly roster: readonly RosterEntry[]
  /** Which periods it closed, for replay: `firstLeaf` differs from the leaf in an amendment. */
  readonly closed: readonly {
    readonly key: string
    readonly startMs: number
    readonly endMs: number
    readonly firstLeaf: Hex
    readonly index: number
  }[]
}

const storedBatchSchema = z.strictObject({
  signed: signedBatchSchema,
  roster: z.array(rosterEntrySchema),
  closed: z.array(
    z.strictObject({
      key: z.string(),
      startMs: z.number().int(),
      endMs: z.number().int(),
      firstLeaf: hex(32),
      index: z.number().int(),
    }),
  ),
})

/** Reads a batch record back. @throws {@link InvalidMessageError} */
export function readStoredBatch(json: unknown): StoredBatch {
  return readMessage(storedBatchSchema, json, 'stored batch')
}
