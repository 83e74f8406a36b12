import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { z } from 'zod'
import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import {
  type SignedReceipt,
  rosterPlaceSchema,
  rosterSchema,
  signedReceiptSchema,
} from '#schemas/workerAnswers.ts'
import { batchSchema, hexSchema, readMessage, writeMessage } from '#schemas/workerApi.ts'
import { WorkerRefusedError, createWorkerClient } from '#schemas/workerClient.ts'
import { PromiseKeptError, verifyOmission } from '#verifier/batch/verifyOmission.ts'
import { readJson } from './trust.ts'

/** Exit codes of `plumbline omission check`, apart from 0 for a promise that was kept. */
export const omissionExitCodes = { proved: 1, error: 3 } as const

/** Raised when the batch that a receipt promises is not there yet: nothing is proved either way. */
export class PromiseOpenError extends BaseError {
  override readonly name = 'PromiseOpenError'
  override readonly retryable = true
}

const { entry, index, path, packs } = rosterPlaceSchema.shape

/** One file that settles the matter: the receipt, the batch that it names, and what that one says. */
const evidenceSchema = z.strictObject({
  kind: z.literal('plumbline-omission-evidence'),
  version: z.literal(1),
  receipt: signedReceiptSchema,
  batch: batchSchema,
  signature: hexSchema(65),
  says: z.union([
    z.strictObject({ kind: z.literal('entry'), entry, index, path, packs }),
    z.strictObject({ kind: z.literal('roster'), roster: rosterSchema.shape.roster }),
  ]),
})
type OmissionEvidence = z.output<typeof evidenceSchema>

/** What the worker itself publishes about the receipt's promise. */
async function askWorker(receipt: SignedReceipt, url: string): Promise<OmissionEvidence> {
  const client = createWorkerClient({ url, fetch: (to, init) => fetch(to, init) })
  const { device, nextBatchSequence } = receipt.receipt
  const { head } = await client.batches(0n, 1)
  if (head < nextBatchSequence) {
    throw new PromiseOpenError('The batch that the receipt promises is not signed yet.', {
      field: 'receipt.nextBatchSequence',
      metaMessages: [`Promised: ${nextBatchSequence}`, `Newest: ${head}`],
      remedy:
        'Ask again later; a promise that is never kept shows on chain as a stream that stops.',
    })
  }
  const common = { kind: 'plumbline-omission-evidence', version: 1, receipt } as const
  try {
    const place = await client.rosterPlace(nextBatchSequence, device)
    const { batch, signature, digest: _, signer: __, ...says } = place
    return { ...common, batch, signature, says: { kind: 'entry', ...says } }
  } catch (error) {
    if (!(error instanceof WorkerRefusedError) || error.status !== 404) throw error
    const { batch, signature, roster } = await client.roster(nextBatchSequence)
    return { ...common, batch, signature, says: { kind: 'roster', roster } }
  }
}

/** Which of the signers the worker's stream has an attestation of, as far as the worker tells. */
async function attestedBy(url: string, signers: readonly Hex[]): Promise<Record<Hex, boolean>> {
  const known: Record<Hex, boolean> = {}
  for (const signer of new Set(signers)) {
    const response = await fetch(new URL(`/v1/attestation?signer=${signer}`, url))
    known[signer] = response.ok
  }
  return known
}

/** Adds `plumbline omission check`. */
export function registerOmission(program: Command): void {
  const omission = program
    .command('omission')
    .description('check whether a worker kept the promise of a receipt')
  omission
    .command('check')
    .description('hold a receipt against the batch that it names')
    .argument('<file>', 'a receipt as the worker answered it, or evidence that --save wrote')
    .option('--worker <url>', 'ask this worker for the batch and its roster')
    .option('--save <file>', 'write receipt and batch as one file that anybody can check')
    .addHelpText(
      'after',
      '\nExit codes: 0 the promise was kept, 1 it was broken and this proves it, 3 error or undecided.',
    )
    .action(check)
}

async function check(file: string, options: { worker?: string; save?: string }): Promise<void> {
  const value = readJson(file, 'receipt')
  const evidence =
    options.worker === undefined
      ? readMessage(evidenceSchema, value, 'evidence')
      : await askWorker(readMessage(signedReceiptSchema, value, 'receipt'), options.worker)
  if (options.save !== undefined) writeFileSync(options.save, `${writeMessage(evidence)}\n`)
  const print = (answer: object): void => {
    process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`)
  }
  const { device, packSequence, nextBatchSequence } = evidence.receipt.receipt
  const about = { device, pack: `${packSequence}`, batch: `${nextBatchSequence}` }
  try {
    const { kind, receiptSigner, batchSigner, batchDigest } = verifyOmission(
      evidence.receipt,
      evidence,
      evidence.says,
    )
    const attested =
      options.worker === undefined
        ? {}
        : { attested: await attestedBy(options.worker, [receiptSigner, batchSigner]) }
    print({
      isKept: false,
      omission: kind,
      ...about,
      receiptSigner,
      batchSigner,
      batchDigest,
      ...attested,
    })
    process.exitCode = omissionExitCodes.proved
  } catch (error) {
    if (!(error instanceof PromiseKeptError)) throw error
    print({ isKept: true, ...about })
  }
}
