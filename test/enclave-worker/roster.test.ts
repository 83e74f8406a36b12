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
  writeExpected,
  writeRosterNames,
  writeRosterRow,
} from '#worker/batches/rosterRows.ts'
import { PackLog } from '#worker/state/packLog.ts'

const word = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex)
const uint32 = fc.nat({ max: 0xffffffff })
const line = fc.record({
  device: word,
  subject: word,
  expectedReadings: uint32,
  headHash: word,
  firstSequence: fc.bigInt({ min: 1n, max: 2n ** 63n }),
  packs: fc.array(fc.record({ hash: word, readings: fc.nat({ max: 0xffffffff }) }), {
    maxLength: 9,
  }),
})

describe('a roster in rows', () => {
  it('says and hashes exactly what its lines say and hash to', async () => {
    const hash = await createRosterHasher()
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 8 }), (lines) => {
        const rows = Buffer.alloc(lines.length * rosterRowBytes)
        const view = new DataView(rows.buffer, rows.byteOffset, rows.length)
        const expected = lines.map((entry, index) => {
          const { device, subject, expectedReadings, headHash, firstSequence } = entry
          const packs = new PackLog(device)
          for (const [at, { hash, readings }] of entry.packs.entries()) {
            packs.push({
              sequence: firstSequence + BigInt(at),
              previous: entry.packs[at - 1]?.hash ?? headHash,
              hash,
              bootCount: 1n,
              firstTimeMs: 1,
              lastTimeMs: 2,
              readings,
              receivedMs: 3,
              batchSequence: 1n,
              position: { segment: 1, frame: 64, at: 0 },
            })
          }
          writeRosterNames(rows, index, device, subject)
          const at = index * rosterRowBytes
          writeRosterRow(view, at, { packs, headHash }, 0, packs.length)
          writeExpected(view, at, expectedReadings)
          const heard = entry.packs.reduce((sum, { readings }) => sum + readings, 0)
          return {
            device,
            subject,
            expectedReadings,
            heardReadings: Math.min(0xffffffff, heard),
            firstSequence: packs.length === 0 ? 0n : firstSequence,
            lastSequence: packs.length === 0 ? 0n : firstSequence + BigInt(packs.length - 1),
            headHash: entry.packs.at(-1)?.hash ?? headHash,
            packsRoot: evidenceRoot([...packs].map((pack) => ({ ...pack, device }))),
          }
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
