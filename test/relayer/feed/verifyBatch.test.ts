import { describe, expect, it } from 'vitest'
import { verifiedParts } from '#relayer/feed/verifiedParts.ts'
import { InvalidBatchError, feedStart, verifyBatch } from '#relayer/feed/verifyBatch.ts'
import { jobsOfBatch } from '#relayer/feed/jobsOfBatch.ts'
import { decodePlan } from '#relayer/plan/plan.ts'
import { streamId } from '#schemas/batch.ts'
import type { Hex } from '#schemas/bytes.ts'
import { reportLeaf, zeroHash } from '#schemas/report.ts'
import type { ReportPage, SignedBatch } from '#schemas/workerApi.ts'
import {
  createTestStream,
  subjectOf,
  testPolicy,
  testReport,
  testStream,
} from '../support/testStream.ts'

const stream = createTestStream()
const first = stream.close([testReport(0, 1), testReport(1, 1), testReport(2, 1)])
const second = stream.close([testReport(0, 2)])
const afterFirst = { sequence: 1n, digest: first.digest }

function messageOf(signed: SignedBatch, cursor = feedStart, of = testStream): string {
  try {
    verifyBatch(of, cursor, signed)
  } catch (error) {
    return (error as Error).message.split('\n').slice(0, 2).join(' ')
  }
  return 'accepted'
}

describe('a batch before anything is spent on it', () => {
  it('batches in order are accepted and move the cursor', () => {
    expect(verifyBatch(testStream, feedStart, first).cursor).toEqual(afterFirst)
    expect(verifyBatch(testStream, afterFirst, second).cursor.sequence).toBe(2n)
  })

  it('each fault is refused by name', () => {
    const [report] = first.reports
    if (report === undefined) throw new Error('no report')
    const changed = { ...report, report: { ...report.report, valueMicro: 5n } }
    const moved = { ...report, index: 1 }
    const refusals = {
      'of another stream': messageOf(first, feedStart, streamId('other')),
      'out of order': messageOf(second),
      again: messageOf(first, afterFirst),
      'on another past': messageOf(second, { sequence: 1n, digest: zeroHash }),
      'with another digest': messageOf({ ...first, digest: second.digest }),
      'changed after signing': messageOf({ ...first, batch: { ...first.batch, rosterCount: 9 } }),
      'signed by another': messageOf({ ...first, signer: `0x${'11'.repeat(20)}` }),
      'with another signature': messageOf({ ...first, signature: second.signature }),
      'with a changed report': messageOf({ ...first, reports: [changed] }),
      'with a report elsewhere': messageOf({ ...first, reports: [moved] }),
      'with a report too many': messageOf({ ...second, reports: first.reports }, afterFirst),
    }
    expect(refusals).toMatchInlineSnapshot(`
      {
        "again": "The stream has a gap. Field: batch.sequence",
        "changed after signing": "The batch has another digest than it says. Field: batch.digest",
        "of another stream": "The batch belongs to another stream. Field: batch.stream",
        "on another past": "The batch does not follow the one before. Field: batch.previous",
        "out of order": "The stream has a gap. Field: batch.sequence",
        "signed by another": "The batch was signed by another key than it says. Field: batch.signer",
        "with a changed report": "Report 0 is not under the signed root. Field: batch.reports.0",
        "with a report elsewhere": "Report 1 is not under the signed root. Field: batch.reports.0",
        "with a report too many": "There are more reports than signed. Field: batch.reports",
        "with another digest": "The batch has another digest than it says. Field: batch.digest",
        "with another signature": "The batch was signed by another key than it says. Field: batch.signer",
      }
    `)
  })

  it('a complete batch and any part of it verify to the same leaves; one bent path is found in both', () => {
    const stream = createTestStream()
    const whole = stream.close(Array.from({ length: 11 }, (_, subject) => testReport(subject, 1)))
    const leavesOf = (batch: SignedBatch): readonly Hex[] =>
      verifyBatch(testStream, feedStart, batch).reports.map(({ leaf }) => leaf)
    const leaves = leavesOf(whole)
    expect(leaves).toEqual(whole.reports.map(({ report }) => reportLeaf(report)))
    expect(new Set(leaves).size).toBe(11)
    const part = { ...whole, reports: whole.reports.filter(({ index }) => index % 3 === 0) }
    expect(leavesOf(part)).toEqual(leaves.filter((_, index) => index % 3 === 0))
    const bent = whole.reports.map((report) =>
      report.index === 6 ? { ...report, path: report.path.toReversed() } : report,
    )
    const text = 'Report 6 is not under the signed root. Field: batch.reports'
    expect(messageOf({ ...whole, reports: bent })).toBe(`${text}.6`)
    expect(messageOf({ ...whole, reports: bent.slice(5) })).toBe(`${text}.1`)
    const backwards = whole.reports.map((proven) =>
      proven.index === 4 ? { ...proven, report: { ...proven.report, periodEndMs: 0n } } : proven,
    )
    expect(messageOf({ ...whole, reports: backwards })).toBe(
      'Report 4 is none. Field: batch.reports.4',
    )
  })

  it('a batch asks each chain for one commit, and for one settlement for each report that is wanted', () => {
    const chain = (chainId: number) => ({
      chainId,
      rpcUrls: ['http://rpc'],
      enclaveRegistry: `0x${'aa'.repeat(20)}`,
      proofRegistry: `0x${'bb'.repeat(20)}`,
    })
    const settlement = (chainId: number, agreementId: number, subject: number) => ({
      chainId,
      contract: `0x${'cc'.repeat(20)}`,
      kind: 'x',
      agreementId,
      subject: subjectOf(subject),
      policyId: testPolicy,
      label: 'x',
    })
    const plan = decodePlan({
      version: 1,
      worker: 'http://worker',
      stream: testStream,
      chains: [chain(1), chain(2)],
      settlements: [settlement(1, 7, 0), settlement(1, 8, 0), settlement(2, 9, 2)],
    })
    const { reports } = verifyBatch(testStream, feedStart, first)
    const leaves = reports.map(({ leaf }) => leaf)
    const jobs = jobsOfBatch(plan, first, reports, 0)
    const contract = `0x${'cc'.repeat(20)}`
    expect([...jobs].map(([chainId, list]) => [chainId, list.map(({ id }) => id)])).toEqual([
      [
        1,
        [
          `commit/${testStream}/1`,
          `settle/${contract}/7/${leaves[0]}`,
          `settle/${contract}/8/${leaves[0]}`,
        ],
      ],
      [2, [`commit/${testStream}/1`, `settle/${contract}/9/${leaves[2]}`]],
    ])
  })
})

describe('a batch with too many reports for one answer', () => {
  const many = createTestStream()
  const whole = many.close(Array.from({ length: 11 }, (_, subject) => testReport(subject, 1)))
  const head: SignedBatch = { ...whole, reports: [], nextReport: 0 }

  function sourceOf(change: (page: ReportPage) => ReportPage = (page) => page) {
    return {
      reports: (sequence: bigint, from: number) => {
        const reports = whole.reports.slice(from, from + 4)
        const next = from + 4
        const page: ReportPage = {
          sequence,
          digest: whole.digest,
          reportCount: 11,
          reports,
          ...(next < 11 ? { next } : {}),
        }
        return Promise.resolve(change(page))
      },
    }
  }

  async function read(source: ReturnType<typeof sourceOf>) {
    const leaves: Hex[] = []
    for await (const { reports, cursor } of verifiedParts(source, testStream, feedStart, head)) {
      expect(cursor).toEqual({ sequence: 1n, digest: whole.digest })
      leaves.push(...reports.map(({ leaf }) => leaf))
    }
    return leaves
  }

  it('is read page by page, each report by its own path', async () => {
    expect(await read(sourceOf())).toEqual(whole.reports.map(({ report }) => reportLeaf(report)))
  })

  it('is not carried when it leaves reports out and says that it has none further', async () => {
    const source = sourceOf()
    for (const reports of [whole.reports.slice(0, 10), whole.reports.slice(1)]) {
      const short: SignedBatch = { ...whole, reports }
      const parts = verifiedParts(source, testStream, feedStart, short)
      await expect(parts.next()).rejects.toThrow(InvalidBatchError)
    }
  })

  it.each<[string, (page: ReportPage) => ReportPage]>([
    ['another batch', (page) => ({ ...page, digest: zeroHash })],
    ['no reports and no end', (page) => ({ ...page, reports: [] })],
    ['a next page that is no next one', (page) => ({ ...page, next: 0 })],
    ['a next page that leaves one out', (page) => ({ ...page, next: (page.next ?? 10) + 1 })],
    ['an end before the last report', (page) => ({ ...page, next: undefined })],
    ['a batch of another size', (page) => ({ ...page, reportCount: 12 })],
    ['reports in another order', (page) => ({ ...page, reports: page.reports.toReversed() })],
    ['fewer reports than it says', (page) => ({ ...page, reports: page.reports.slice(1) })],
    [
      'a report that is not under the root',
      (page) => ({
        ...page,
        reports: page.reports.map((proven) => ({
          ...proven,
          report: { ...proven.report, valueMicro: 7n },
        })),
      }),
    ],
  ])('a page of %s ends the reading', async (_, change) => {
    await expect(read(sourceOf(change))).rejects.toThrow(InvalidBatchError)
  })
})
