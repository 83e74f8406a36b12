import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Hex } from '#schemas/bytes.ts'
import type { DeviceDoor } from '#worker/ingest/checkPacks.ts'
import { createDeviceTable, readDeviceTable } from '#worker/ingest/deviceTable.ts'

const idOf = (name: string): Hex => `0x${createHash('sha256').update(name).digest('hex')}`

/** `alike`: ids that begin with the same bytes, as whoever grinds keys could make them. */
function doorOf(index: number, isAlike = false): DeviceDoor {
  const id = idOf(`device ${index}`)
  const algorithm = (['ES256', 'Ed25519', 'ES256K'] as const)[index % 3] ?? 'ES256'
  return {
    key: {
      id: isAlike ? `0x${'ab'.repeat(8)}${id.slice(18)}` : id,
      algorithm,
      publicKey: Uint8Array.from(
        { length: algorithm === 'Ed25519' ? 32 : 64 },
        (_, at) => (at * index) & 255,
      ),
    },
    intervalMs: 1000 + index / 8,
    series: index % 4 === 0 ? undefined : [`series ${index % 5}`, 'power'],
  }
}

describe('what threads know of devices', () => {
  it('is found as it was entered, however the table grew, and nothing else is', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 8 }),
        fc.boolean(),
        (sizes, isAlike) => {
          const writer = createDeviceTable(1)
          const doors: DeviceDoor[] = []
          let find = readDeviceTable(writer.table())
          for (const size of sizes) {
            const more = Array.from({ length: size }, (_, at) => doorOf(doors.length + at, isAlike))
            // Whoever has the table sees what is added, unless he is told to take it anew.
            if (writer.add(more)) find = readDeviceTable(structuredClone(writer.table()))
            doors.push(...more)
            expect(find(more.at(-1)?.key.id ?? '0x')).toStrictEqual(more.at(-1))
          }
          for (const door of doors) expect(find(door.key.id)).toStrictEqual(door)
          expect(find(idOf('nobody'))).toBeUndefined()
        },
      ),
      { numRuns: 10 },
    )
  })

  it('is nothing of a device whose series have not reached the thread yet', () => {
    const writer = createDeviceTable(10)
    const [known, fresh] = [doorOf(1), doorOf(2)]
    writer.add([known])
    const before = readDeviceTable(structuredClone(writer.table()))
    expect(writer.add([fresh])).toBe(true)
    // The row is there already; without its series the device would be let in with any.
    expect(before(fresh.key.id)).toBeUndefined()
    expect(before(known.key.id)).toStrictEqual(known)
    expect(readDeviceTable(writer.table())(fresh.key.id)).toStrictEqual(fresh)
  })
})
