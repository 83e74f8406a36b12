import type { Hex } from '#schemas/bytes.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'
import type { WorkerSource } from '../ports.ts'
import {
  type FeedCursor,
  type VerifiedReport,
  InvalidBatchError,
  verifyBatch,
  verifyReports,
} from './verifyBatch.ts'

/** A batch with some of its reports, and what was verified of them. */
export type VerifiedPart = {
  readonly signed: SignedBatch
  readonly reports: readonly VerifiedReport[]
  /** Where the feed stands once every part has been handed on. */
  readonly cursor: FeedCursor
}

/**
 * A batch as it is served: whole, or, where it has too many reports for one answer, page by page, each
 * report with its own path to the signed root. At no time more than one page is held.
 *
 * @throws {@link InvalidBatchError} | {@link WorkerUnavailableError}
 */
export async function* verifiedParts(
  source: Pick<WorkerSource, 'reports'>,
  stream: Hex,
  before: FeedCursor,
  signed: SignedBatch,
): AsyncGenerator<VerifiedPart> {
  const { reports, cursor } = verifyBatch(stream, before, signed)
  yield { signed, reports, cursor }
  let from = signed.nextReport
  while (from !== undefined) {
    const page = await source.reports(cursor.sequence, from)
    const isOfBatch = page.digest === cursor.digest
    const goesOn = page.reports.length > 0 && (page.next === undefined || page.next > from)
    if (!isOfBatch || !goesOn) {
      throw new InvalidBatchError('A page of reports does not go on with its batch.', {
        field: `batch.reports.${from}`,
        metaMessages: [`Expected: ${cursor.digest}`, `Actual: ${page.digest}, next ${page.next}`],
        remedy: 'Do not carry it. The signed root stands; ask the worker again.',
      })
    }
    const part = { ...signed, reports: page.reports }
    yield { signed: part, reports: verifyReports(part), cursor }
    from = page.next
  }
}
