import type { Hex } from '#schemas/bytes.ts'
import type { SignatureAlgorithm } from '#schemas/cose/signatureAlgorithm.ts'
import type { DeviceDoor } from './checkPacks.ts'

/**
 * What checking threads know of devices, once for all of them: a copy in each thread would take more
 * than half a kilobyte for each device. Devices are added by one thread and never changed.
 */
export type DeviceTable = {
  /** 112 bytes a device: 32 id + 64 key + 1 size of the key + 1 algorithm + 2 nothing + 4 series + 8 interval. */
  readonly rows: SharedArrayBuffer
  /** Open addressing: a row's place plus one, by the first bytes of its id; zero where nothing is. */
  readonly slots: SharedArrayBuffer
  /** Series that devices may send, each combination once; a row tells one by its place. */
  readonly series: readonly (readonly string[] | undefined)[]
}

const rowBytes = 112
const at = { id: 0, key: 32, keySize: 96, algorithm: 97, series: 100, interval: 104 } as const
const algorithms: readonly SignatureAlgorithm[] = ['ES256', 'Ed25519', 'ES256K']

/** Where to begin to look for an id. An id is a hash: its bytes are as good as any. */
function firstSlot(id: Buffer, count: number): number {
  return (id.readUInt32LE(0) ^ Math.imul(id.readUInt32LE(4), 0x9e37_79b1)) & (count - 1)
}

/** The thread that adds devices. */
export type DeviceTableWriter = {
  /** Answers whether threads need the table anew: it grew, or a combination of series is new. */
  add(devices: readonly DeviceDoor[]): boolean
  readonly table: () => DeviceTable
}

export function createDeviceTable(expected: number): DeviceTableWriter {
  let capacity = Math.max(1024, Math.ceil(expected * 1.25))
  let count = 0
  const series: (readonly string[] | undefined)[] = []
  const placeOfSeries = new Map<string, number>()
  let { rows, slots, ids } = allocate()

  function allocate() {
    const slotCount = 2 ** Math.ceil(Math.log2(capacity * 2))
    return {
      rows: Buffer.from(new SharedArrayBuffer(capacity * rowBytes)),
      slots: new Int32Array(new SharedArrayBuffer(slotCount * 4)),
      ids: Buffer.alloc(32),
    }
  }

  function enter(place: number): void {
    rows.copy(ids, 0, place * rowBytes, place * rowBytes + 32)
    let slot = firstSlot(ids, slots.length)
    while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1)
    // The row is whole before anybody can find it.
    Atomics.store(slots, slot, place + 1)
  }

  function grow(): void {
    const before = rows
    capacity *= 2
    ;({ rows, slots, ids } = allocate())
    before.copy(rows)
    for (let place = 0; place < count; place += 1) enter(place)
  }

  return {
    add(devices) {
      let isNew = false
      for (const { key, intervalMs, series: allowed } of devices) {
        if (count === capacity) {
          grow()
          isNew = true
        }
        const name = JSON.stringify(allowed ?? null)
        let combination = placeOfSeries.get(name)
        if (combination === undefined) {
          combination = series.push(allowed) - 1
          placeOfSeries.set(name, combination)
          isNew = true
        }
        const start = count * rowBytes
        rows.write(key.id.slice(2), start + at.id, 'hex')
        rows.set(key.publicKey, start + at.key)
        rows.writeUInt8(key.publicKey.length, start + at.keySize)
        rows.writeUInt8(algorithms.indexOf(key.algorithm), start + at.algorithm)
        rows.writeUInt32LE(combination, start + at.series)
        rows.writeDoubleLE(intervalMs, start + at.interval)
        enter(count)
        count += 1
      }
      return isNew
    },
    table: () => ({
      rows: rows.buffer,
      slots: slots.buffer,
      series: [...series],
    }),
  }
}

/** Finds devices in a table. */
export function readDeviceTable(table: DeviceTable): (id: Hex) => DeviceDoor | undefined {
  const rows = Buffer.from(table.rows)
  const slots = new Int32Array(table.slots)
  const wanted = Buffer.alloc(32)
  return (id) => {
    wanted.write(id.slice(2), 0, 'hex')
    for (let slot = firstSlot(wanted, slots.length); ; slot = (slot + 1) & (slots.length - 1)) {
      const place = Atomics.load(slots, slot) - 1
      if (place < 0) return undefined
      const start = place * rowBytes
      if (rows.compare(wanted, 0, 32, start, start + 32) !== 0) continue
      const keySize = rows.readUInt8(start + at.keySize)
      const algorithm = algorithms[rows.readUInt8(start + at.algorithm)]
      const combination = rows.readUInt32LE(start + at.series)
      // A row is seen before the table that knows its series: until then nobody knows the device.
      if (algorithm === undefined || combination >= table.series.length) return undefined
      return {
        key: {
          id,
          algorithm,
          publicKey: Uint8Array.from(rows.subarray(start + at.key, start + at.key + keySize)),
        },
        intervalMs: rows.readDoubleLE(start + at.interval),
        series: table.series[combination],
      }
    }
  }
}
