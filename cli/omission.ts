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
import { WorkerRefusedError } from '#schemas/workerClient.ts'
import { PromiseKeptError, verifyOmission } from '#verifier/batch/verifyOmission.ts'
import { openWorker } from './openWorker.ts'
import { addressOption, severally, workerOption } from './optionValues.ts'
import { readJson } from './trust.ts'

/** Exit codes of `plumbline omission check`, apart from 0 for a promise that was kept. */
export const omissionExitCodes = { proved: 1, error: 3 } as const

/** Raised when receipt or batch is signed by a key that nobody vouches for: anybody could make both. */
export class UnknownSignerError extends BaseError {
  override readonly name = 'UnknownSignerError'
}

/** Raised when the batch that a receipt promises is not there yet: nothing is proved either way. */
export class PromiseOpenError extends BaseError {
  override readonly name = 'PromiseOpenError'
  override readonly retryable = true
}

const timeoutMs = 30_000

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
  const client = openWorker(url)
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

/**
 * The worker's own word that these keys are its own, which only weighs against itself. Without a worker
 * to ask, the caller has to know them.
 *
 * @throws {@link UnknownSignerError}
 */
async function assertSigners(
  signers: readonly Hex[],
  { worker, signer: known = [] }: CheckOptions,
): Promise<void> {
  for (const signer of new Set(signers)) {
    if (known.includes(signer)) continue
    if (worker !== undefined) {
      const response = await fetch(new URL(`/v1/attestation?signer=${signer}`, worker), {
        signal: AbortSignal.timeout(timeoutMs),
      })
      await response.body?.cancel()
      if (response.ok) continue
    }
    throw new UnknownSignerError('Nobody vouches for a key that the evidence leans on.', {
      field: 'signer',
      metaMessages: [`Key: ${signer}`],
      remedy:
        'Ask an enclave registry for `signerStatus`, or check a bundle of its batch, and give --signer for each key that is the stream’s.',
    })
  }
}

type CheckOptions = {
  readonly worker?: string
  readonly save?: string
  readonly signer?: readonly Hex[]
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
    .option('--worker <url>', 'ask this worker for the batch and its roster', workerOption)
    .option(
      '--signer <address...>',
      'keys that are known to be attested for the stream',
      severally(addressOption),
    )
    .option('--save <file>', 'write receipt and batch as one file that anybody can check')
    .addHelpText(
      'after',
      '\nExit codes: 0 the promise was kept, 1 it was broken and this proves it, 3 error or undecided.',
    )
    .action(check)
}

async function check(file: string, options: CheckOptions): Promise<void> {
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
    await assertSigners([receiptSigner, batchSigner], options)
    print({ isKept: false, omission: kind, ...about, receiptSigner, batchSigner, batchDigest })
    process.exitCode = omissionExitCodes.proved
  } catch (error) {
    if (!(error instanceof PromiseKeptError)) throw error
    print({ isKept: true, ...about })
  }
}
