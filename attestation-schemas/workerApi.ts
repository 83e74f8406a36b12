import * as z from 'zod/mini'
import { type Batch } from './batch.ts'
import type { Hex } from './bytes.ts'
import './english.ts'
import { BaseError } from './errors.ts'
import type { Report } from './report.ts'
import { reportVersion } from './report.ts'
import { type Statement, statementVersion } from './statement.ts'

/**
 * What a worker and whoever reads it (relayer, explorer, auditor) say to each other over HTTP, as
 * JSON: integers beyond 2^53 as decimal text, bytes as lower-case hex with 0x. Written with zod's small
 * interface, a quarter of the other's size: these schemas travel into the relayer.
 */

/** Lower-case hex with 0x, of an exact number of bytes where the field has one. */
export const hexSchema = (bytes?: number) =>
  z.pipe(
    z
      .string()
      .check(
        z.regex(
          bytes === undefined ? /^0x([0-9a-f]{2})*$/ : new RegExp(`^0x[0-9a-f]{${bytes * 2}}$`),
          bytes === undefined ? 'must be lower-case hex with 0x' : `must be ${bytes} bytes of hex`,
        ),
      ),
    z.transform((text: string) => text as Hex),
  )

/** An unsigned integer as decimal text. */
export const unsignedSchema = z.pipe(
  z
    .string()
    .check(z.regex(/^(0|[1-9][0-9]{0,77})$/, 'must be an unsigned decimal integer as text')),
  z.transform((text: string) => BigInt(text)),
)

/** A signed integer as decimal text. */
export const signedSchema = z.pipe(
  z.string().check(z.regex(/^(0|-?[1-9][0-9]{0,77})$/, 'must be a decimal integer as text')),
  z.transform((text: string) => BigInt(text)),
)

export const uint32Schema = z.int().check(z.minimum(0), z.maximum(0xffffffff))

export const reportSchema = z.strictObject({
  version: z.literal(reportVersion),
  subject: hexSchema(32),
  policyId: hexSchema(32),
  periodStartMs: unsignedSchema,
  periodEndMs: unsignedSchema,
  verdict: z.union([z.literal(1), z.literal(2), z.literal(3)]),
  valueMicro: signedSchema,
  unit: hexSchema(32),
  coveragePpm: uint32Schema,
  tier: z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(4)]),
  evidenceRoot: hexSchema(32),
  measuresHash: hexSchema(32),
  exclusiveTo: hexSchema(32),
  amends: hexSchema(32),
})

export const batchSchema = z.strictObject({
  stream: hexSchema(32),
  sequence: unsignedSchema,
  previous: hexSchema(32),
  reportRoot: hexSchema(32),
  reportCount: uint32Schema,
  rosterRoot: hexSchema(32),
  rosterCount: uint32Schema,
  closedAtMs: unsignedSchema,
  anchorNumber: unsignedSchema,
  anchorHash: hexSchema(32),
})

export const statementSchema = z.strictObject({
  version: z.literal(statementVersion),
  signer: hexSchema(20),
  ed25519PublicKey: hexSchema(32),
  stream: hexSchema(32),
  release: hexSchema(32),
  anchorChainId: unsignedSchema,
  registry: hexSchema(20),
})

/** One report of a batch with what a contract needs to find it under the batch's root. */
export const provenReportSchema = z.strictObject({
  /** The subject's and the policy's readable names, for people; contracts read the hashes. */
  subjectName: z.string().check(z.minLength(1), z.maxLength(200)),
  policyName: z.string().check(z.minLength(1), z.maxLength(200)),
  report: reportSchema,
  index: uint32Schema,
  path: z.array(hexSchema(32)).check(z.maxLength(32)),
  /** Unix milliseconds of the last reading that the report leans on. */
  lastReadingMs: unsignedSchema,
  /** When the worker took that reading's pack, its host's clock, Unix milliseconds. */
  lastReceivedMs: unsignedSchema,
})

/**
 * A batch of more reports is served without them, and they are read by pages: one answer would be
 * larger than anybody wants to hold.
 */
export const wholeBatchReports = 10_000

/** Reports in a page of `GET /v1/batches/{sequence}/reports` at most. */
export const maxReportsPerPage = 4096

/** A signed batch and its reports. */
export const signedBatchSchema = z.strictObject({
  batch: batchSchema,
  /** EIP-712 digest of the batch. */
  digest: hexSchema(32),
  /** 65 bytes: r ‖ s ‖ v with v 27 or 28 and s in the lower half. */
  signature: hexSchema(65),
  signer: hexSchema(20),
  reports: z.array(provenReportSchema),
  /**
   * Where to go on reading at `GET /v1/batches/{sequence}/reports?from=`; absent when `reports` are
   * all of them.
   */
  nextReport: z.optional(uint32Schema),
})

/** Answer of `GET /v1/batches/{sequence}/reports?from=N`: ascending, without gaps. */
export const reportPageSchema = z.strictObject({
  sequence: unsignedSchema,
  /** Of the batch, so that pages of two batches are never taken for one. */
  digest: hexSchema(32),
  /** How many the batch has in all. */
  reportCount: uint32Schema,
  reports: z.array(provenReportSchema),
  /** Ask again with `from` set to this; absent at the end. */
  next: z.optional(uint32Schema),
})

/** Answer of `GET /v1/batches?after=N`: ascending, without gaps, at most `limit` of them. */
export const batchPageSchema = z.strictObject({
  stream: hexSchema(32),
  batches: z.array(signedBatchSchema),
  /** Sequence of the newest batch there is; zero before the first. */
  head: unsignedSchema,
})

/** What a registry needs to register a signer: answer of `GET /v1/attestation`. */
export const attestationSchema = z.strictObject({
  statement: statementSchema,
  /** The signer's signature over the statement: proof of possession. */
  possession: hexSchema(65),
  /** TDX quote, raw. Its report data is `hash(statement) ‖ blockHash`. */
  quote: hexSchema(),
  blockNumber: unsignedSchema,
  blockHash: hexSchema(32),
  /** dstack event log and app-compose text, when the guest agent gave them. */
  eventLog: z.optional(z.string()),
  appCompose: z.optional(z.string()),
  /** Of the quote's platform, when a certification service is configured. */
  collateral: z.optional(z.unknown()),
  /** When the collateral was fetched, Unix seconds: the instant that it is good for. */
  collateralAtSeconds: z.optional(
    z.int().check(z.minimum(1_700_000_000), z.maximum(9_999_999_999)),
  ),
})

export type ProvenReport = z.output<typeof provenReportSchema> & { readonly report: Report }
export type SignedBatch = z.output<typeof signedBatchSchema> & { readonly batch: Batch }
export type ReportPage = z.output<typeof reportPageSchema>
export type BatchPage = z.output<typeof batchPageSchema>
export type Attestation = z.output<typeof attestationSchema> & { readonly statement: Statement }

/** Raised when a peer's JSON is not what the format demands; names the first field at fault. */
export class InvalidMessageError extends BaseError {
  override readonly name = 'InvalidMessageError'
}

/**
 * Reads untrusted JSON against one of the schemas above.
 *
 * @param what - Names the message in the error: `batch page`, `attestation`.
 * @throws {@link InvalidMessageError}
 */
export function readMessage<Output>(
  schema: z.core.$ZodType<Output>,
  value: unknown,
  what: string,
): Output {
  const result = z.safeParse(schema, value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new InvalidMessageError(`The ${what} is not well formed.`, {
    field: issue === undefined ? what : [what, ...issue.path].join('.'),
    ...(issue === undefined ? {} : { metaMessages: [`Problem: ${issue.message}`] }),
    remedy: 'Compare the message with the published JSON Schema of its format.',
  })
}

/** A message as JSON text: integers as decimal text where the schema says so. */
export function writeMessage(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === 'bigint' ? item.toString() : item,
  )
}
