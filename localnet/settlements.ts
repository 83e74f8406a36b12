import { type Hex, parseEventLogs } from 'viem'
import { setTimeout as sleep } from 'node:timers/promises'
import { reportConsumerAbi } from '#schemas/abi/reportConsumer.ts'
import { BaseError } from '#schemas/errors.ts'
import type { ProvenReport, SignedBatch } from '#schemas/workerApi.ts'
import { batchPageSchema, readMessage } from '#schemas/workerApi.ts'
import { reportLeaf, zeroHash } from '#schemas/report.ts'
import type { LocalAgreement } from './agreements.ts'

/** Raised when the story does not come to its end in time, with how far it came. */
export class StoryIncompleteError extends BaseError {
  override readonly name = 'StoryIncompleteError'
}

/** One settlement as the chain tells it. */
export type ChainSettlement = {
  readonly agreement: LocalAgreement
  readonly proven: ProvenReport
  readonly leaf: Hex
  readonly transactionHash: Hex
  readonly blockNumber: bigint
  readonly gasUsed: bigint
  readonly beneficiary: Hex
  readonly amount: bigint
  /** This machine's clock when the block was first seen. */
  readonly seenAtMs: number
}

/** The newest batch of the worker that holds reports, once there is one. */
export async function readSettlingBatch(workerUrl: string): Promise<SignedBatch | undefined> {
  const response = await fetch(`${workerUrl}/v1/batches?after=0&limit=100`, {
    signal: AbortSignal.timeout(5_000),
  })
  const page = readMessage(batchPageSchema, await response.json(), 'batch page')
  return page.batches.find(({ reports }) => reports.length > 0)
}

/** The report that an agreement is settled by, if the batch has it. */
export function reportFor(batch: SignedBatch, agreement: LocalAgreement): ProvenReport | undefined {
  return batch.reports.find(
    ({ report }) =>
      report.subject === agreement.subject &&
      report.policyId === agreement.policyId &&
      report.exclusiveTo === (agreement.exclusiveTo ?? zeroHash),
  )
}

/**
 * Every `ReportSettled` that the chains hold for the agreements. Read from the chains alone: what the
 * relayer says about itself is not asked.
 */
export async function readChainSettlements(
  agreements: readonly LocalAgreement[],
  batch: SignedBatch,
): Promise<ChainSettlement[]> {
  const found: ChainSettlement[] = []
  for (const agreement of agreements) {
    const { client } = agreement.chain
    const proven = reportFor(batch, agreement)
    if (proven === undefined) continue
    const leaf = reportLeaf(proven.report)
    const logs = parseEventLogs({
      abi: reportConsumerAbi,
      eventName: 'ReportSettled',
      logs: await client.getLogs({ address: agreement.contract, fromBlock: 0n }),
    })
    for (const { args, transactionHash } of logs) {
      if (args.agreementId !== agreement.agreementId || args.leaf !== leaf) continue
      const receipt = await client.getTransactionReceipt({ hash: transactionHash })
      found.push({
        agreement,
        proven,
        leaf,
        transactionHash,
        blockNumber: receipt.blockNumber,
        gasUsed: receipt.gasUsed,
        beneficiary: args.beneficiary,
        amount: args.amount,
        seenAtMs: Date.now(),
      })
    }
  }
  return found
}

/**
 * Waits until every agreement is settled on its chain.
 *
 * @param onSettled - Told each one as it is seen.
 * @throws {@link StoryIncompleteError}
 */
export async function awaitSettlements(
  workerUrl: string,
  agreements: readonly LocalAgreement[],
  options: {
    readonly timeoutMs: number
    readonly signal: AbortSignal
    readonly onBatch: (batch: SignedBatch) => void
    readonly onSettled: (settlement: ChainSettlement) => void
  },
): Promise<{ batch: SignedBatch; settlements: ChainSettlement[] }> {
  const deadline = performance.now() + options.timeoutMs
  const settled = new Map<string, ChainSettlement>()
  let batch: SignedBatch | undefined
  while (performance.now() < deadline) {
    options.signal.throwIfAborted()
    // A worker or node that is just being restarted answers nothing: asked again in a moment.
    if (batch === undefined) {
      batch = await readSettlingBatch(workerUrl).catch(() => undefined)
      if (batch !== undefined) options.onBatch(batch)
    }
    if (batch !== undefined) {
      for (const settlement of await readChainSettlements(agreements, batch).catch(() => [])) {
        const key = `${settlement.agreement.label}/${settlement.transactionHash}`
        if (settled.has(key)) continue
        settled.set(key, settlement)
        options.onSettled(settlement)
      }
      if (settled.size >= agreements.length) return { batch, settlements: [...settled.values()] }
    }
    await sleep(100, undefined, { signal: options.signal })
  }
  const missing = agreements
    .filter(
      ({ label }) => ![...settled.values()].some(({ agreement }) => agreement.label === label),
    )
    .map(({ label }) => label)
  throw new StoryIncompleteError('Not every agreement was settled in time.', {
    metaMessages: [
      batch === undefined ? 'The worker has published no batch.' : `Batch: ${batch.digest}`,
      `Open: ${missing.join(', ')}`,
    ],
    remedy: 'Look at the relayer’s status page and at the logs of worker and relayer.',
  })
}
