import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { batchDigest } from '#schemas/batch.ts'
import { type Hex, fromHex, toHex } from '#schemas/bytes.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import { rootFromPath } from '#schemas/merkle/orderedTree.ts'
import { type Receipt, receiptDigest } from '#schemas/receipt.ts'
import { reportLeaf, subjectId, verdicts, zeroHash } from '#schemas/report.ts'
import { recoverSigner } from '#schemas/signatures.ts'
import { possessionDigest, statementReportData } from '#schemas/statement.ts'
import { attestationSchema, batchPageSchema, readMessage } from '#schemas/workerApi.ts'
import { readConfig } from '#worker/config.ts'
import { type RunningWorker, createPorts, startWorker } from '#worker/createWorker.ts'
import {
  type Rig,
  anchorChainId,
  createTestDevice,
  eventually,
  postPacks,
  registryAddress,
  startRig,
  testConfig,
  testStream,
} from './rig.ts'

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(async () => {
  await rig.stop()
})

const running: RunningWorker[] = []
afterAll(async () => {
  for (const worker of running) await worker.stop()
})

async function start(config: Record<string, unknown>): Promise<RunningWorker> {
  const read = readConfig(config)
  const worker = await startWorker(
    read,
    createPorts(read, () => undefined),
  )
  running.push(worker)
  return worker
}

async function page(url: string, after = 0): Promise<ReturnType<typeof batchPageSchema.parse>> {
  const response = await fetch(`${url}/v1/batches?after=${after}`)
  return readMessage(batchPageSchema, await response.json(), 'batch page')
}

function receiptOf(answer: Record<string, unknown> | undefined): {
  receipt: Receipt
  signature: Hex
} {
  const { receipt, signature } = answer as {
    receipt: Record<string, string>
    signature: Hex
  }
  return {
    receipt: {
      device: receipt['device'] as Hex,
      packSequence: BigInt(receipt['packSequence'] ?? -1),
      packHash: receipt['packHash'] as Hex,
      stream: receipt['stream'] as Hex,
      nextBatchSequence: BigInt(receipt['nextBatchSequence'] ?? -1),
    },
    signature,
  }
}

describe('a worker from pack to signed batch', () => {
  it('receipts every pack, closes the window and signs one batch that a contract can open', async () => {
    const device = createTestDevice('meter', testStream)
    const silent = createTestDevice('silent', testStream)
    const end = Date.now() + 1500
    const start0 = end - 60_000
    const worker = await start(
      testConfig(rig, rig.folder(), [device, silent], {
        assignments: [
          { subject: 'plant', policy: 'At least 1 Wh', periods: [{ startMs: start0, endMs: end }] },
        ],
      }),
    )
    const times = Array.from({ length: 60 }, (_, index) => start0 + index * 1000)
    const values = times.map(() => 120_000_000)
    const first = device.next(times.slice(0, 30), values)
    const second = device.next(times.slice(30), values)
    const answers = await postPacks(worker.url, [first, second])
    expect(answers).toHaveLength(2)
    for (const [index, answer] of answers.entries()) {
      const { receipt, signature } = receiptOf(answer)
      expect(receipt.packSequence).toBe(BigInt(index + 1))
      expect(receipt.nextBatchSequence).toBe(1n)
      expect(recoverSigner(receiptDigest(receipt), signature)).toBe(worker.signer)
    }

    const repeated = await postPacks(worker.url, [first])
    expect(repeated[0]).toStrictEqual(answers[0])

    const { batches, head } = await eventually(
      () => page(worker.url),
      (answer) => answer.batches.length > 0,
    )
    expect(head).toBe(1n)
    const signed = batches[0]
    expect(signed?.digest).toBe(batchDigest(signed?.batch ?? ({} as never)))
    expect(recoverSigner(signed?.digest ?? '0x', signed?.signature ?? '0x')).toBe(worker.signer)
    expect(signed?.batch.previous).toBe(zeroHash)
    expect(signed?.batch.rosterCount).toBe(2)
    const proven = signed?.reports[0]
    expect(proven?.report).toMatchObject({
      subject: subjectId('plant'),
      verdict: verdicts.PASS,
      tier: 1,
      exclusiveTo: zeroHash,
      amends: zeroHash,
    })
    // 120 W held over one minute is 2 Wh.
    expect(proven?.report.valueMicro).toBe(2_000_000n)
    expect(proven?.lastReadingMs).toBe(BigInt(times.at(-1) ?? 0))
    const leaf = fromHex(reportLeaf(proven?.report as never), 'leaf')
    const path = (proven?.path ?? []).map((node) => fromHex(node, 'node'))
    expect(toHex(rootFromPath(leaf, 0, 1, path, keccakPairs))).toBe(signed?.batch.reportRoot)

    const response = await fetch(`${worker.url}/v1/attestation?chain=${anchorChainId}`)
    const attestation = readMessage(attestationSchema, await response.json(), 'attestation')
    expect(attestation.statement.signer).toBe(worker.signer)
    expect(attestation.statement.registry).toBe(registryAddress)
    expect(recoverSigner(possessionDigest(attestation.statement), attestation.possession)).toBe(
      worker.signer,
    )
    const reportData = statementReportData(attestation.statement, attestation.blockHash)
    expect(attestation.quote).toContain(reportData.slice(2))

    const health = (await (await fetch(`${worker.url}/healthz`)).json()) as Record<string, unknown>
    expect(health).toMatchObject({ status: 'ok', head: '1', stream: testStream })
  })
})
