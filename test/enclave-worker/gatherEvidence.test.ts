import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { type Hex, concatBytes } from '#schemas/bytes.ts'
import { decodePolicy } from '#schemas/policy/policy.ts'
import { subjectId, zeroHash } from '#schemas/report.ts'
import { gatherEvidence } from '#worker/batches/judge.ts'
import { createPackChecker } from '#worker/ingest/checkPacks.ts'
import { decodeRecord, stampPackRecord } from '#worker/ledger/records.ts'
import {
  applyPack,
  applyTransfer,
  createState,
  settleTransfers,
} from '#worker/state/workerState.ts'
import { createTestDevice, testStream } from './rig.ts'
import { bootMs, minute, seconds, tumbling, watts } from './stage.ts'

const policyId: Hex = `0x${'01'.repeat(32)}`

describe('the evidence of a period', () => {
  it('names a device once, though its move begins while its packs are read', async () => {
    const device = createTestDevice('meter', testStream)
    const { key } = device.signer
    const subject = subjectId('plant')
    const door = { key, intervalMs: 1000, series: ['power'] }
    const state = createState([
      { ...door, subject, subjectName: 'plant', tier: 1, label: undefined },
    ])
    const half = (startMs: number) => device.next(seconds(startMs, 30), watts(90, 30))
    const checker = createPackChecker(
      testStream,
      createNodeSignatures(),
      (bytes) => createHash('sha256').update(bytes).digest(),
      () => door,
    )
    const { items, records } = checker.check(
      concatBytes(half(bootMs), half(bootMs + minute / 2)),
      2,
    )
    const kept = items.map((item, frame) => {
      if (item.kind !== 'pack') throw new Error(item.refusal.message)
      const record = records.slice(item.start, item.end)
      stampPackRecord(record, bootMs, 1n)
      applyPack(
        state,
        { ...item, receivedMs: bootMs, batchSequence: 1n },
        { segment: 1, frame, at: 0 },
      )
      return record
    })
    const fromMs = bootMs + 10 * minute
    applyTransfer(state, {
      device: device.id,
      fromSubjectName: 'plant',
      subjectName: 'cellar',
      fromMs,
      batchSequence: 1n,
    })
    const assignment = {
      key: `${subject}/${policyId}/${zeroHash}`,
      subject,
      subjectName: 'plant',
      policy: decodePolicy(tumbling),
      policyId,
      exclusiveTo: zeroHash,
      impactClass: undefined,
      periods: undefined,
      fromMs: undefined,
    }
    const evidence = await gatherEvidence(
      { assignment, period: { startMs: bootMs, endMs: bootMs + minute } },
      1n,
      {
        state,
        ledger: {
          read: ({ frame }) => {
            settleTransfers(state, fromMs + frame - 1)
            return Promise.resolve(kept[frame] ?? new Uint8Array())
          },
        },
      },
    )
    expect(kept.map((record) => decodeRecord(record).kind)).toStrictEqual(['pack', 'pack'])
    expect(state.devices.get(device.id)?.enrolled?.subjectName).toBe('cellar')
    expect(evidence.readings).toHaveLength(60)
    expect(new Set(evidence.packs.map((pack) => pack.device)).size).toBe(1)
  })
})
