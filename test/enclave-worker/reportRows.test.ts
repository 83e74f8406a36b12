import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '#schemas/bytes.ts'
import { fastSha256Pairs } from '#schemas/merkle/fastPairHashers.ts'
import { assertInclusion, buildTree, inclusionPath, treeRoot } from '#schemas/merkle/orderedTree.ts'
import { type Report, InvalidReportError, reportLeaf, zeroHash } from '#schemas/report.ts'
import { createKeccakPairs } from '#worker/batches/keccakBatch.ts'
import {
  createReportHasher,
  readReportRow,
  reportRowBytes,
  writeReportRow,
} from '#worker/batches/reportRows.ts'
import { createRosterHasher, rosterRowBytes } from '#worker/batches/rosterRows.ts'
import { createSpanHasher } from '#worker/batches/spanHasher.ts'
import { spanLeaves, takeSpan } from '#worker/batches/spans.ts'
import { createVerifyPool } from '#worker/ingest/verifyPool.ts'

const word = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map(toHex)
  .filter((hash) => hash !== zeroHash)
const milliseconds = fc.bigInt({ min: 0n, max: 2n ** 53n })
const report: fc.Arbitrary<Report> = fc
  .record({
    subject: word,
    policyId: word,
    periodStartMs: milliseconds,
    length: fc.bigInt({ min: 1n, max: 2n ** 40n }),
    verdict: fc.constantFrom(1 as const, 2 as const, 3 as const),
    valueMicro: fc.bigInt({ min: -(2n ** 127n), max: 2n ** 127n - 1n }),
    unit: word,
    coveragePpm: fc.nat({ max: 1_000_000 }),
    tier: fc.constantFrom(1 as const, 2 as const, 3 as const, 4 as const),
    evidenceRoot: word,
    measuresHash: word,
    exclusiveTo: fc.oneof(word, fc.constant(zeroHash)),
    amends: fc.oneof(word, fc.constant(zeroHash)),
  })
  .map(({ length, ...fields }) => ({
    version: 1,
    ...fields,
    periodEndMs: fields.periodStartMs + length,
  }))
const facts = fc.record({ lastReadingMs: milliseconds, lastReceivedMs: milliseconds })

describe('a report in a row', () => {
  it('reads back as it was and hashes to its leaf', async () => {
    const hashReports = await createReportHasher()
    fc.assert(
      fc.property(fc.array(fc.tuple(report, facts), { minLength: 1, maxLength: 5 }), (entries) => {
        const rows = Buffer.alloc(entries.length * reportRowBytes)
        for (const [index, [each, more]] of entries.entries()) {
          writeReportRow(rows, index * reportRowBytes, each, more)
        }
        expect(
          entries.map((_, index) => readReportRow(rows, index * reportRowBytes)),
        ).toStrictEqual(entries.map(([each, more]) => ({ report: each, ...more })))
        const leaves = hashReports(rows)
        expect(
          entries.map((_, index) => toHex(leaves.subarray(index * 32, index * 32 + 32))),
        ).toStrictEqual(entries.map(([each]) => reportLeaf(each)))
      }),
    )
  })

  it('is refused where it says what no worker may sign', () => {
    fc.assert(
      fc.property(report, facts, (each, more) => {
        const rows = Buffer.alloc(reportRowBytes)
        for (const wrong of [
          { periodEndMs: each.periodStartMs },
          { coveragePpm: 1_000_001 },
          { valueMicro: 2n ** 127n },
          { subject: zeroHash },
        ]) {
          expect(() => {
            writeReportRow(rows, 0, { ...each, ...wrong }, more)
          }).toThrow(InvalidReportError)
        }
      }),
      { numRuns: 10 },
    )
  })
})

describe('a tree hashed in spans', () => {
  const leavesOf = (count: number): Uint8Array => {
    const leaves = new Uint8Array(new SharedArrayBuffer(count * 32))
    const view = new DataView(leaves.buffer)
    for (let index = 0; index < count; index += 1) view.setUint32(index * 32, index * 2_654_435_761)
    return leaves
  }

  it.each([0, 1, 2, 3, 4095, 4096, 4097, 4098, 8192, 12_289, 5 * spanLeaves + 1234])(
    'has the root of the whole tree, with %i leaves',
    async (count) => {
      const hashPairs = await createKeccakPairs()
      const leaves = leavesOf(count)
      const hasher = await createSpanHasher(() => Promise.resolve())
      expect(toHex(treeRoot(await hasher.roots('leaves', leaves), hashPairs))).toBe(
        toHex(treeRoot(leaves, hashPairs)),
      )
    },
  )

  it('a path in a span and one above it are the path in the whole', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 80 }), fc.nat(), (count, pick) => {
        // Spans of eight: what is said holds for every power of two.
        const span = 8
        const index = pick % count
        const leaves = leavesOf(count)
        const spans = Array.from({ length: Math.ceil(count / span) }, (_, at) =>
          buildTree(leaves.subarray(at * span * 32, (at + 1) * span * 32), fastSha256Pairs),
        )
        const roots = new Uint8Array(spans.length * 32)
        for (const [at, { root }] of spans.entries()) roots.set(root, at * 32)
        const above = buildTree(roots, fastSha256Pairs)
        const place = Math.floor(index / span)
        const own = spans[place]
        const path = [
          ...(own === undefined ? [] : inclusionPath(own, index % span)),
          ...inclusionPath(above, place),
        ]
        const whole = buildTree(leaves, fastSha256Pairs)
        expect(path.map(toHex)).toStrictEqual(inclusionPath(whole, index).map(toHex))
        const leaf = leaves.slice(index * 32, index * 32 + 32)
        assertInclusion(whole.root, leaf, index, count, path, fastSha256Pairs)
      }),
    )
  })

  it('is hashed by threads that are idle, and they are let go when they end', async () => {
    const pool = await createVerifyPool({
      stream: zeroHash,
      threadCount: 2,
      devices: [],
      receiptKey: new Uint8Array(32).fill(1),
    })
    try {
      const hashPairs = await createKeccakPairs()
      const hashRoster = await createRosterHasher()
      const count = 5 * spanLeaves + 17
      const rows = new Uint8Array(new SharedArrayBuffer(count * rosterRowBytes))
      for (let at = 0; at < rows.length; at += 7) rows[at] = at
      const shared = (bytes: number) => new SharedArrayBuffer(bytes)
      const work = {
        kind: 'roster' as const,
        rows,
        roots: new Uint8Array(shared(6 * 32)),
        marks: new Int32Array(shared(7 * 4)),
      }
      // Nobody else takes any.
      await pool.share(work)
      expect([...work.marks.subarray(1)]).toStrictEqual([1, 1, 1, 1, 1, 1])
      const whole = toHex(treeRoot(hashRoster(rows), hashPairs))
      expect(toHex(treeRoot(work.roots, hashPairs))).toBe(whole)

      const hasher = await createSpanHasher((shares) => pool.share(shares))
      const roots = hasher.roots('roster', rows)
      await pool.close()
      expect(toHex(treeRoot(await roots, hashPairs))).toBe(whole)
    } finally {
      await pool.close()
    }
  })

  it('is whole though a thread took some of it and ended', async () => {
    const hashPairs = await createKeccakPairs()
    const leaves = leavesOf(6 * spanLeaves)
    let taken = 0
    const hasher = await createSpanHasher((work) => {
      while (taken < 3 && takeSpan(work) !== undefined) taken += 1
      return Promise.resolve()
    })
    expect(toHex(treeRoot(await hasher.roots('leaves', leaves), hashPairs))).toBe(
      toHex(treeRoot(leaves, hashPairs)),
    )
    expect(taken).toBe(3)
  })
})
