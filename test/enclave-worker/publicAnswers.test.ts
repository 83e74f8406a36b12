import { describe, expect, it } from 'vitest'
import type { Hex } from '#schemas/bytes.ts'
import { subjectId, zeroHash } from '#schemas/report.ts'
import type { ProvenReport } from '#schemas/workerApi.ts'
import type { BatchReader } from '#worker/batches/batchReader.ts'
import { createPublicAnswers } from '#worker/batches/publicAnswers.ts'
import {
  applyAssignment,
  beginBatch,
  closePeriod,
  createState,
  endBatch,
} from '#worker/state/workerState.ts'
import { assignmentKey } from '#worker/windows/assignment.ts'

const subject = subjectId('plant')
const word = (byte: number): Hex => `0x${byte.toString(16).padStart(2, '0').repeat(32)}`

describe('the list of a subject’s reports', () => {
  it('has a batch whole or not at all, so that whoever goes on behind it misses none', async () => {
    const state = createState([])
    const keys = [1, 2, 3].map((policy) => assignmentKey(subject, word(policy), zeroHash))
    for (const key of keys) applyAssignment(state, key, 0)
    // Every report of a batch is there as soon as the batch is: only where they stand is told later.
    const batches = {
      open: (sequence: bigint) =>
        Promise.resolve({
          reports: (from: number, to: number) =>
            Promise.resolve(
              Array.from({ length: to - from }, (_, place) => ({
                proven: { policyName: `${sequence}/${from + place}` } as ProvenReport,
              })),
            ),
        }),
    } as unknown as BatchReader
    const answers = createPublicAnswers({ state, batches } as never)
    const namesBehind = async (after: bigint) => {
      const { reports } = await answers.reports(after, 100, { subject })
      return reports.map(({ proven }) => proven.policyName)
    }
    const begin = (sequence: bigint): void => {
      const position = { segment: 1, frame: 64, at: 0 }
      const digest = word(Number(sequence))
      beginBatch(state, { sequence, digest, closedAtMs: 1, position, roster: [], reports: [] })
    }
    const closeOne = (sequence: bigint, index: number): void => {
      const startMs = Number(sequence) * 1000
      const key = keys[index] ?? ''
      closePeriod(state, sequence, { key, startMs, endMs: startMs + 1000, index })
    }

    begin(1n)
    for (const index of keys.keys()) closeOne(1n, index)
    endBatch(state, 1n)
    expect(await namesBehind(0n)).toStrictEqual(['1/0', '1/1', '1/2'])

    begin(2n)
    closeOne(2n, 0)
    expect(await namesBehind(0n)).toStrictEqual(['1/0', '1/1', '1/2'])
    // And where the rest is taken in while the list is read.
    const reading = namesBehind(1n)
    closeOne(2n, 1)
    closeOne(2n, 2)
    endBatch(state, 2n)
    expect(await reading).toStrictEqual([])
    expect(await namesBehind(1n)).toStrictEqual(['2/0', '2/1', '2/2'])
  })
})
