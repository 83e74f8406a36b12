/**
 * From the cut to the signed batch on the disk, for a fleet that all spoke: roster rows, leaves,
 * tree, digest, signature, ledger write and sync. And what the fleet costs in memory.
 *
 * `node enclave-worker/close.bench.ts [--short] [--devices N]`
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { streamId } from '#schemas/batch.ts'
import type { Hex } from '#schemas/bytes.ts'
import { createFastKeccakPairs } from '#schemas/merkle/fastPairHashers.ts'
import { subjectId, zeroHash } from '#schemas/report.ts'
import { signDigest } from '#schemas/signatures.ts'
import { composeBatch } from './batches/composeBatch.ts'
import { composeRoster, rosterOrder } from './batches/composeRoster.ts'
import { createRosterHasher } from './batches/rosterRows.ts'
import { openLedger } from './ledger/ledger.ts'
import { encodeRosterRecords } from './ledger/records.ts'
import { createSeal } from './ledger/seal.ts'
import { applyDevice, applyPack, createState } from './state/workerState.ts'

const at = process.argv.indexOf('--devices')
const isShort = process.argv.includes('--short')
const deviceCount = at < 0 ? (isShort ? 5000 : 100_000) : Number(process.argv[at + 1])
const stream = streamId('bench')
const subject = subjectId('fleet')

const hashOf = (text: string): Hex => `0x${createHash('sha256').update(text).digest('hex')}`
const folder = mkdtempSync(join(tmpdir(), 'plumbline-close-'))
const ledger = await openLedger({
  folder,
  stream,
  seal: createSeal(new Uint8Array(32).fill(1), new Uint8Array(32), (length) => randomBytes(length)),
  onRecord: () => undefined,
})
const before = process.memoryUsage.rss()
const state = createState([])
for (let index = 0; index < deviceCount; index += 1) {
  const id = hashOf(`device ${index}`)
  applyDevice(state, {
    key: { id, algorithm: 'ES256', publicKey: new Uint8Array(randomBytes(64)) },
    subject,
    subjectName: 'fleet',
    tier: 1,
    intervalMs: 1000,
    series: undefined,
    label: undefined,
  })
  applyPack(
    state,
    {
      device: id,
      sequence: 1n,
      previous: zeroHash,
      hash: hashOf(`pack ${index}`),
      bootCount: 1n,
      firstTimeMs: 1,
      lastTimeMs: 60_000,
      readings: 60,
      receivedMs: 60_000,
      batchSequence: 1n,
    },
    { segment: 1, frame: 64, at: index },
  )
}
const stateBytes = process.memoryUsage.rss() - before

const hashPairs = await createFastKeccakPairs()
const hashRoster = await createRosterHasher()
const key = new Uint8Array(32).fill(7)
// A worker keeps its devices in order from batch to batch.
const inOrder = rosterOrder(state.devices.values())
const marks: [string, number][] = [['start', performance.now()]]
const mark = (name: string): void => {
  marks.push([name, performance.now()])
}
const rows = composeRoster(inOrder, 1n, 60_000)
mark('rowsMs')
const rosterLeaves = hashRoster(rows)
mark('leavesMs')
const { digest } = composeBatch(
  {
    stream,
    sequence: 1n,
    previous: zeroHash,
    reports: [],
    rosterLeaves,
    closedAtMs: 1,
    anchor: { number: 1n, hash: zeroHash },
  },
  hashPairs,
)
signDigest(digest, key)
mark('treeAndSignatureMs')
for (const record of encodeRosterRecords(1n, rows)) ledger.append(record)
await ledger.commit()
mark('durableMs')
await ledger.close()
rmSync(folder, { recursive: true, force: true })

const spans = marks
  .slice(1)
  .map(([name, time], index) => [name, Math.round(time - (marks[index]?.[1] ?? time))])
console.log(
  JSON.stringify({
    benchmark: 'close a window over a whole fleet',
    devices: deviceCount,
    totalMs: Math.round((marks.at(-1)?.[1] ?? 0) - (marks[0]?.[1] ?? 0)),
    ...Object.fromEntries(spans),
    rosterBytes: rows.length,
    stateBytesPerDevice: Math.round(stateBytes / deviceCount),
  }),
)
