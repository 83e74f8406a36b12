import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '#schemas/bytes.ts'
import { evidenceRoot } from '#schemas/evidence.ts'
import { rosterLeaf } from '#schemas/roster.ts'
import {
  createRosterHasher,
  findRosterRow,
  readRosterRow,
  rosterRowBytes,
  writeRosterRow,
} from '#worker/batches/rosterRows.ts'
import type { PackEntry } from '#worker/state/workerState.ts'

const word = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex)
const uint32 = fc.nat({ max: 0xffffffff })
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const line = fc.record({
  device: word,
  subject: word,
  expectedReadings: uint32,
  heardReadings: uint32,
  firstSequence: uint64,
  lastSequence: uint64,
  headHash: word,
  hashes: fc.array(word, { maxLength: 9 }),
})

describe('a roster in rows', () => {
  it('says and hashes exactly what its lines say and hash to', async () => {
    const hash = await createRosterHasher()
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 8 }), (lines) => {
        const rows = Buffer.alloc(lines.length * rosterRowBytes)
        const expected = lines.map(({ hashes, ...entry }, index) => {
          const packs = hashes.map((hash, at) => ({ sequence: BigInt(at + 1), hash }) as PackEntry)
          writeRosterRow(rows, index, { ...entry, packs })
          const packsRoot = evidenceRoot(packs.map((pack) => ({ ...pack, device: entry.device })))
          return { ...entry, packsRoot }
        })
        expect(lines.map((_, index) => readRosterRow(rows, index))).toStrictEqual(expected)
        const leaves = hash(rows)
        expect(
          lines.map((_, index) => toHex(leaves.subarray(index * 32, index * 32 + 32))),
        ).toStrictEqual(expected.map(rosterLeaf))
      }),
      { numRuns: 50 },
    )
  })

  it('finds every device that is on it, and none that is not', () => {
    fc.assert(
      fc.property(fc.uniqueArray(word, { minLength: 1, maxLength: 20 }), word, (ids, other) => {
        const devices = [...ids].sort()
        const rows = Buffer.alloc(devices.length * rosterRowBytes)
        for (const [index, device] of devices.entries()) {
          rows.write(device.slice(2), index * rosterRowBytes, 'hex')
        }
        expect(devices.map((device) => findRosterRow(rows, device))).toStrictEqual(
          devices.map((_, index) => index),
        )
        expect(findRosterRow(rows, other)).toBe(
          devices.includes(other) ? devices.indexOf(other) : undefined,
        )
      }),
    )
  })
})
