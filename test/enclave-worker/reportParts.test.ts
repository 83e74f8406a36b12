import fc from 'fast-check'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type Hex, concatBytes, toHex } from '#schemas/bytes.ts'
import { decodePolicy } from '#schemas/policy/policy.ts'
import {
  InvalidReportError,
  type Report,
  reportLeaf,
  subjectId,
  zeroHash,
} from '#schemas/report.ts'
import type { BatchHead } from '#schemas/workerAnswers.ts'
import type { EndedPeriod } from '#worker/batches/dueWork.ts'
import { createJudgedAhead } from '#worker/batches/judgedAhead.ts'
import { createKeccakPairs } from '#worker/batches/keccakBatch.ts'
import { createBatchOpener } from '#worker/batches/openBatch.ts'
import {
  type ReportDraft,
  closedOfPart,
  draftReports,
  openPart,
  reportOfPart,
  reportsPerPart,
} from '#worker/batches/reportParts.ts'
import { createReportHasher } from '#worker/batches/reportRows.ts'
import { openLedger } from '#worker/ledger/ledger.ts'
import { decodeRecord, encodeJsonRecord } from '#worker/ledger/records.ts'
import { noSeal } from '#worker/ledger/seal.ts'
import { assignmentKey } from '#worker/windows/assignment.ts'
import { testPolicy, testStream } from './rig.ts'

const hashReports = await createReportHasher()
const hashPairs = await createKeccakPairs()
const policies = ['At least 1 Wh', 'At least 2 Wh'].map((name) =>
  decodePolicy({ ...testPolicy, name }),
)
const word = (byte: number): Hex => `0x${byte.toString(16).padStart(2, '0').repeat(32)}`

function endedAt(place: number): EndedPeriod {
  const subjectName = `plant ${place % 700}`
  const subject = subjectId(subjectName)
  const policyId = word(1 + (place % 2))
  const policy = policies[place % 2]
  if (policy === undefined) throw new Error('no policy')
  return {
    assignment: {
      key: assignmentKey(subject, policyId, zeroHash),
      subject,
      subjectName,
      policy,
      policyId,
      exclusiveTo: zeroHash,
      impactClass: place % 2 === 0 ? undefined : word(0xcc),
      periods: undefined,
      fromMs: undefined,
    },
    place,
    period: { startMs: place * 1000, endMs: (place + 1) * 1000 },
    isDue: true,
  }
}

function judgedAt(place: number, changes: Partial<Report> = {}) {
  const { assignment, period } = endedAt(place)
  const report: Report = {
    version: 1,
    subject: assignment.subject,
    policyId: assignment.policyId,
    periodStartMs: BigInt(period.startMs),
    periodEndMs: BigInt(period.endMs),
    verdict: 1,
    valueMicro: BigInt(place) - 5n,
    unit: word(3),
    coveragePpm: place,
    tier: 1,
    evidenceRoot: word(4),
    measuresHash: word(5),
    exclusiveTo: zeroHash,
    amends: zeroHash,
    ...changes,
  }
  return { assignment, period, report, lastReadingMs: place, lastReceivedMs: place + 1 }
}

/** What a draft says to a report that no worker may sign. */
function refusalOf(draft: ReportDraft, place: number): unknown {
  try {
    draft.add(judgedAt(place, { coveragePpm: 1_000_001 }))
    return undefined
  } catch (error) {
    return error
  }
}

const partsOf = (draft: ReportDraft) =>
  draft.records(7n).map(({ head, rows }) => {
    const record = decodeRecord(concatBytes(head, rows))
    if (record.kind !== 'reports') throw new Error(record.kind)
    return openPart(record)
  })

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

describe('the reports of a batch in parts', () => {
  it('are those that were taken, in order, wherever their rows lay and whatever was refused', () => {
    const count = reportsPerPart + 40
    const ahead = createJudgedAhead(hashReports)
    const version = { count: 0 }
    const on = { version, count: 0, isCut: false, evidence: '' }
    for (let place = 0; place < count; place += 1) ahead.put(endedAt(place), judgedAt(place), on)
    const exceptions = fc.array(
      fc.record({
        place: fc.oneof(
          fc.nat({ max: count - 1 }),
          fc.constantFrom(0, 1, reportsPerPart - 1, reportsPerPart, reportsPerPart + 1),
        ),
        action: fc.constantFrom('judge', 'skip', 'refuse'),
      }),
      { maxLength: 4 },
    )
    fc.assert(
      fc.property(exceptions, (chosen) => {
        const actions = new Map(chosen.map(({ place, action }) => [place, action]))
        const draft = draftReports(hashReports, count)
        const taken: number[] = []
        const copied: boolean[] = []
        const refused: unknown[] = []
        for (let place = 0; place < count; place += 1) {
          const action = actions.get(place) ?? 'copy'
          if (action === 'skip') continue
          if (action === 'refuse') {
            refused.push(refusalOf(draft, place))
            continue
          }
          if (action === 'judge') draft.add(judgedAt(place))
          else copied.push(ahead.copy(endedAt(place), draft))
          taken.push(place)
        }
        expect(refused.filter((error) => !(error instanceof InvalidReportError))).toStrictEqual([])
        expect(copied).not.toContain(false)
        const parts = partsOf(draft)
        expect(parts.map((part) => part.first)).toStrictEqual(
          Array.from(
            { length: Math.ceil(taken.length / reportsPerPart) },
            (_, part) => part * reportsPerPart,
          ),
        )
        const read = parts.flatMap((part) =>
          Array.from({ length: part.count }, (_, place) => reportOfPart(part, place)),
        )
        expect(read).toStrictEqual(
          taken.map((place) => {
            const { assignment, report, lastReadingMs, lastReceivedMs } = judgedAt(place)
            return {
              report,
              lastReadingMs: BigInt(lastReadingMs),
              lastReceivedMs: BigInt(lastReceivedMs),
              subjectName: assignment.subjectName,
              policyName: assignment.policy.name,
            }
          }),
        )
        expect(parts.flatMap((part) => [...closedOfPart(part)])).toStrictEqual([...draft.closed()])
        const leaves = draft.leaves()
        expect(draft.count()).toBe(taken.length)
        expect(leaves).toHaveLength(taken.length * 32)
        for (const [index, place] of taken.entries()) {
          if (index % 97 !== 0) continue
          expect(toHex(leaves.subarray(index * 32, index * 32 + 32))).toBe(
            reportLeaf(judgedAt(place).report),
          )
        }
      }),
      {
        numRuns: 12,
        examples: [
          [[]],
          [[{ place: 0, action: 'skip' }]],
          [[{ place: reportsPerPart, action: 'judge' }]],
          // Nothing but the refused one would have been in the second part.
          [
            Array.from({ length: 40 }, (_, at) => ({
              place: reportsPerPart + at,
              action: 'refuse',
            })),
          ],
        ],
      },
    )
  }, 60_000)

  it('have no part for one that was refused alone', () => {
    const draft = draftReports(hashReports, 1)
    expect(refusalOf(draft, 1)).toBeInstanceOf(InvalidReportError)
    expect(draft.records(7n)).toStrictEqual([])
    expect(draft.count()).toBe(0)
  })

  it('are not answered from a part that is another than was signed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'plumbline-parts-'))
    folders.push(folder)
    const ledger = await openLedger({
      folder,
      stream: testStream,
      seal: noSeal,
      onRecord: () => undefined,
    })
    const draft = draftReports(hashReports, 3)
    for (const place of [1, 2, 3]) draft.add(judgedAt(place))
    const reports = draft.records(1n).map(({ head, rows }) => ledger.append(head, rows))
    const head: BatchHead = {
      batch: {
        stream: testStream,
        sequence: 1n,
        previous: zeroHash,
        reportRoot: word(9),
        reportCount: 3,
        rosterRoot: zeroHash,
        rosterCount: 0,
        closedAtMs: 1n,
        anchorNumber: 1n,
        anchorHash: word(1),
      },
      digest: word(1),
      signature: `0x${'01'.repeat(65)}`,
      signer: `0x${'01'.repeat(20)}`,
    }
    const stored = { head, rosterParts: 0, reportParts: 1, partRoots: [word(9)] }
    const position = ledger.append(encodeJsonRecord('head', stored))
    await ledger.commit()
    const open = createBatchOpener({ ledger, hashPairs, hashReports })
    const entry = { sequence: 1n, digest: word(1), closedAtMs: 1, position, roster: [], reports }
    await expect((await open(entry)).reports(0, 3)).rejects.toThrowErrorMatchingInlineSnapshot(`
      [LedgerCorruptError: The ledger is damaged at segment 1, offset 64: the reports are others than were signed.
      Field: dataFolder
      Remedy: Restore the data folder from a backup; nothing behind the damage is guessed.]
    `)
    const other = open({ ...entry, digest: word(2) })
    await expect(other).rejects.toThrow('another batch lies there than was signed')
    await ledger.close()
  })
})
