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
 * report with its own path to the signed root. At no time more than one page is held. All of its reports
 * have to come, in order: one that is left out would be one that is not paid.
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
  const { reportCount } = signed.batch
  let from = assertGoesOn(signed.reports, 0, signed.nextReport, reportCount)
  yield { signed, reports, cursor }
  while (from < reportCount) {
    const page = await source.reports(cursor.sequence, from)
    if (page.digest !== cursor.digest || page.reportCount !== reportCount) {
      throw brokenOff(
        from,
        `${cursor.digest} of ${reportCount}`,
        `${page.digest} of ${page.reportCount}`,
      )
    }
    if (page.reports.length === 0) throw brokenOff(from, 'reports', 'none')
    from = assertGoesOn(page.reports, from, page.next, reportCount)
    const part = { ...signed, reports: page.reports }
    yield { signed: part, reports: verifyReports(part), cursor }
  }
}

function brokenOff(from: number, expected: string, actual: string): InvalidBatchError {
  return new InvalidBatchError('The reports do not go on with their batch.', {
    field: `batch.reports.${from}`,
    metaMessages: [`Expected: ${expected}`, `Actual: ${actual}`],
    remedy: 'Do not carry it. The signed root stands; ask the worker for all of its reports.',
  })
}

/**
 * Whether reports follow each other from an index on, and what is said to come next really does.
 *
 * @returns the index of the next report, or how many there are
 */
function assertGoesOn(
  reports: SignedBatch['reports'],
  from: number,
  next: number | undefined,
  reportCount: number,
): number {
  for (const [at, { index }] of reports.entries()) {
    if (index !== from + at) throw brokenOff(from, `report ${from + at}`, `report ${index}`)
  }
  const end = from + reports.length
  if ((next ?? reportCount) !== end)
    throw brokenOff(from, `next is ${end}`, `next is ${next ?? reportCount}`)
  return end
}
