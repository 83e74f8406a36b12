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
import { subjectId, zeroHash } from '#schemas/report.ts'
import { signDigest } from '#schemas/signatures.ts'
import { composeBatch } from './batches/composeBatch.ts'
import { createRosterDraft } from './batches/composeRoster.ts'
import { createKeccakPairs } from './batches/keccakBatch.ts'
import { rosterRowBytes } from './batches/rosterRows.ts'
import { createSpanHasher } from './batches/spanHasher.ts'
import { openLedger } from './ledger/ledger.ts'
import { encodeJsonRecord, rosterRecords } from './ledger/records.ts'
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
const ids = Array.from({ length: deviceCount }, (_, index) => hashOf(`device ${index}`))
/** Every device says something for a batch. */
function speak(batch: bigint): void {
  for (const [index, id] of ids.entries()) {
    applyPack(
      state,
      {
        device: id,
        sequence: batch,
        previous: state.devices.get(id)?.headHash ?? zeroHash,
        hash: hashOf(`pack ${index} ${batch}`),
        bootCount: 1n,
        firstTimeMs: 1,
        lastTimeMs: 60_000,
        readings: 60,
        receivedMs: 60_000,
        batchSequence: batch,
      },
      { segment: 1, frame: 64, at: index },
    )
  }
}
for (const id of ids) {
  applyDevice(state, {
    key: { id, algorithm: 'ES256', publicKey: new Uint8Array(randomBytes(64)) },
    subject,
    subjectName: 'fleet',
    tier: 1,
    intervalMs: 1000,
    series: undefined,
    label: undefined,
  })
}
speak(1n)
globalThis.gc?.()
const stateBytes = process.memoryUsage.rss() - before

const hashPairs = await createKeccakPairs()
const hashSpans = await createSpanHasher(() => Promise.resolve())
const key = new Uint8Array(32).fill(7)
// A worker writes the roster while packs come in, and its key is warm from its attestation.
const roster = createRosterDraft(state, () => 1e9)
signDigest(zeroHash, key)

type Marks = Record<string, number>
async function closeBatch(sequence: bigint): Promise<Marks> {
  const marks: Marks = {}
  const begunMs = performance.now()
  const cpu = process.cpuUsage()
  let lastMs = begunMs
  const mark = (name: string): void => {
    const nowMs = performance.now()
    marks[name] = Math.round(nowMs - lastMs)
    lastMs = nowMs
  }
  const rows = roster.compose(sequence, 60_000)
  mark('rowsMs')
  for (const part of rosterRecords(sequence, rows)) ledger.append(part.head, part.rows)
  const written = ledger.commit()
  const rosterRoots = await hashSpans.roots('roster', rows)
  mark('hashedMs')
  const { digest } = composeBatch(
    {
      stream,
      sequence,
      previous: zeroHash,
      reports: { count: 0, roots: new Uint8Array() },
      roster: { count: rows.length / rosterRowBytes, roots: rosterRoots },
      closedAtMs: 1,
      anchor: { number: 1n, hash: zeroHash },
    },
    hashPairs,
  )
  signDigest(digest, key)
  mark('signatureMs')
  await written
  ledger.append(encodeJsonRecord('head', { digest }))
  await ledger.commit()
  mark('durableMs')
  const { user, system } = process.cpuUsage(cpu)
  return {
    totalMs: Math.round(lastMs - begunMs),
    cpuMs: Math.round((user + system) / 1000),
    ...marks,
    rosterBytes: rows.length,
  }
}

const first = await closeBatch(1n)
const later: Marks[] = []
for (let batch = 2n; batch <= (isShort ? 3n : 8n); batch += 1n) {
  speak(batch)
  roster.follow(batch, () => false)
  later.push(await closeBatch(batch))
}
await ledger.close()
rmSync(folder, { recursive: true, force: true })
later.sort((left, right) => (left['totalMs'] ?? 0) - (right['totalMs'] ?? 0))

console.log(
  JSON.stringify({
    benchmark: 'close a window over a whole fleet',
    devices: deviceCount,
    ...later[Math.floor(later.length / 2)],
    first,
    stateBytesPerDevice: Math.round(stateBytes / deviceCount),
  }),
)
