import { describe, expect, it } from 'vitest'
import { createNodeSql } from '#relayer/adapters/node/nodeSql.ts'
import type { Job } from '#relayer/lane/job.ts'
import { decodePlan } from '#relayer/plan/plan.ts'
import { createFeedRuntime } from '#relayer/runtime/feedRuntime.ts'
import { createFeedStore } from '#relayer/runtime/feedStore.ts'
import type { Hex } from '#schemas/bytes.ts'
import {
  createTestStream,
  subjectOf,
  testPolicy,
  testReport,
  testStream,
} from '../support/testStream.ts'

describe('a feed', () => {
  it('hands a large batch over in calls that a platform carries, and moves on when all are stored', async () => {
    const settlements = 2_500
    const contract: Hex = `0x${'cc'.repeat(20)}`
    const plan = decodePlan({
      version: 1,
      worker: 'http://worker',
      stream: testStream,
      chains: [
        {
          chainId: 1,
          rpcUrls: ['http://chain'],
          enclaveRegistry: contract,
          proofRegistry: contract,
        },
      ],
      settlements: Array.from({ length: settlements }, (_, subject) => ({
        chainId: 1,
        contract,
        kind: 'stand-in',
        agreementId: subject,
        subject: subjectOf(subject),
        policyId: testPolicy,
        label: `plant ${subject}`,
      })),
    })
    const stream = createTestStream()
    const signed = stream.close(
      Array.from({ length: settlements }, (_, subject) => testReport(subject, 1)),
    )
    const calls: (readonly Job[])[] = []
    let failingCall = 2
    const runtime = createFeedRuntime({
      store: createFeedStore(createNodeSql(':memory:')),
      alarm: { set: () => Promise.resolve() },
      now: () => 1_800_000_000_000,
      plan,
      feed: { worker: 'http://worker', stream: testStream },
      source: {
        batches: (after) =>
          Promise.resolve({
            stream: testStream,
            batches: after === 0n ? [signed] : [],
            head: 1n,
          }),
        reports: () => Promise.reject(new Error('the batch is whole')),
        attestation: () => Promise.reject(new Error('nobody asks a feed')),
      },
      enqueue(_, jobs) {
        calls.push(jobs)
        failingCall -= 1
        return failingCall === 0 ? Promise.reject(new Error('gone')) : Promise.resolve()
      },
    })
    await runtime.turn()
    expect(runtime.state().cursor.sequence).toBe(0n)
    calls.length = 0
    await runtime.turn()
    expect(runtime.state().cursor.sequence).toBe(1n)
    expect(calls.map((jobs) => jobs.length)).toEqual([1_000, 1_000, 501])
    expect(new Set(calls.flat().map(({ id }) => id)).size).toBe(settlements + 1)
  })
})
