import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { streamId } from '#schemas/batch.ts'
import { type Rehearsal, rehearse, statusOf, until } from './support/rehearsal.ts'
import { subjectOf, testPolicy, testReport, testStream } from './support/testStream.ts'
import { type TestWorker, startTestWorker } from './support/testWorker.ts'

const otherStream = streamId('relayer-test-2')

describe.each(['workerd', 'node'] as const)(
  'several workers, one relayer, %s adapter',
  (engine) => {
    let rehearsal: Rehearsal
    let other: TestWorker
    let relayer: { readonly url: string; stop(): Promise<void> }

    beforeAll(async () => {
      rehearsal = await rehearse({ chainIds: [31_355] })
      const targets = rehearsal.chains.map(({ chainId, rpcUrl, contract }) => ({
        chainId,
        rpcUrl,
        registry: contract,
      }))
      other = await startTestWorker(() => targets, otherStream)
      const plan = rehearsal.plan({ subjects: 2 })
      const [first] = plan.settlements
      if (first === undefined) throw new Error('no settlement')
      const both = {
        ...plan,
        workers: [{ worker: other.url, stream: otherStream, pollMs: 100 }],
        // The same agreement and subject, from the other stream.
        settlements: [
          ...plan.settlements,
          { ...first, agreementId: 77, stream: otherStream, label: 'from the other worker' },
        ],
      }
      relayer = engine === 'workerd' ? await rehearsal.start(both) : await rehearsal.startNode(both)
    })

    afterAll(async () => {
      await relayer.stop()
      await other.stop()
      await rehearsal.stop()
    })

    it('each stream is anchored in its own order, and an agreement gets reports of its stream only', async () => {
      // One stream runs far ahead of the other, and the other one starts later.
      for (let period = 1; period <= 6; period += 1) {
        rehearsal.worker.close([testReport(0, period), testReport(1, period)])
      }
      await until(
        () => statusOf(relayer.url),
        ({ feeds }) => feeds[0]?.sequence === '6',
      )
      for (let period = 1; period <= 2; period += 1) {
        other.close([testReport(0, period), testReport(1, period)])
      }
      // Two registrations, eight commits, twelve settlements of one stream and two of the other.
      const status = await until(
        () => statusOf(relayer.url),
        ({ lanes }) => lanes[0]?.counts.final === 2 + 8 + 12 + 2,
      )
      expect(status.feeds.map(({ stream, sequence }) => [stream, sequence])).toEqual([
        [testStream, '6'],
        [otherStream, '2'],
      ])
      const fromOther = status.settlements.filter(({ agreementId }) => agreementId === '77')
      expect(fromOther.map(({ sequence, subject }) => [sequence, subject])).toEqual([
        ['2', subjectOf(0)],
        ['1', subjectOf(0)],
      ])
      expect(status.settlements.every(({ policyId }) => policyId === testPolicy)).toBe(true)
      expect(await rehearsal.chains[0]?.settlements()).toBe(14n)
      expect(await rehearsal.chains[0]?.wasted()).toBe(0n)
    })

    it('a worker that is down is named and does not hold up the other', async () => {
      await other.stop()
      rehearsal.worker.close([testReport(0, 7)])
      const status = await until(
        () => statusOf(relayer.url),
        ({ feeds, lanes }) => feeds[1]?.problem !== undefined && lanes[0]?.counts.final === 24 + 2,
      )
      expect(status.feeds[0]?.problem).toBeUndefined()
      expect(status.feeds[1]?.problem).toBe(
        'The worker could not be reached.\nField: /v1/batches?after=2&limit=20',
      )
    })
  },
)
