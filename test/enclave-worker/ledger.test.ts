import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Hex } from '#schemas/bytes.ts'
import { type Ledger, type LedgerPosition, openLedger } from '#worker/ledger/ledger.ts'
import { LedgerCorruptError } from '#worker/ledger/ledgerErrors.ts'
import { closeFrame } from '#worker/ledger/frame.ts'
import { type Seal, createSeal, noSeal } from '#worker/ledger/seal.ts'

const stream: Hex = `0x${'01'.repeat(32)}`
const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-ledger-'))
  folders.push(folder)
  return folder
}

function sealWith(byte: number): Seal {
  return createSeal(new Uint8Array(32).fill(byte), new Uint8Array(32), (length) =>
    randomBytes(length),
  )
}

async function reopen(
  folder: string,
  seal: Seal = noSeal,
  options: { segmentBytes?: number; failpoint?: (name: string) => void; stream?: Hex } = {},
): Promise<{ ledger: Ledger; found: string[]; positions: LedgerPosition[] }> {
  const found: string[] = []
  const positions: LedgerPosition[] = []
  const ledger = await openLedger({
    folder,
    stream,
    seal,
    onRecord: (record, position) => {
      found.push(new TextDecoder().decode(record))
      positions.push(position)
    },
    ...options,
  })
  return { ledger, found, positions }
}

const record = (text: string): Uint8Array => new TextEncoder().encode(text)
const segmentPath = (folder: string): string => {
  const name = readdirSync(folder).sort().at(-1)
  return join(folder, name ?? '')
}

async function written(seal: Seal, groups: readonly (readonly string[])[]): Promise<string> {
  const folder = freshFolder()
  const { ledger } = await reopen(folder, seal)
  for (const group of groups) {
    for (const text of group) ledger.append(record(text))
    await ledger.commit()
  }
  await ledger.close()
  return folder
}

describe.each([
  ['plain', noSeal],
  ['sealed', sealWith(7)],
] as const)('a %s ledger', (_, seal) => {
  it('gives back every committed record in order, also by its position', async () => {
    const folder = freshFolder()
    const { ledger } = await reopen(folder, seal, { segmentBytes: 300 })
    const texts = Array.from({ length: 40 }, (_, index) => `record ${index}`)
    const positions: LedgerPosition[] = []
    for (const [index, text] of texts.entries()) {
      positions.push(ledger.append(record(text)))
      if (index % 3 === 0) await ledger.commit()
    }
    await ledger.commit()
    for (const [index, position] of positions.entries()) {
      expect(new TextDecoder().decode(await ledger.read(position))).toBe(texts[index])
    }
    expect(ledger.stats().segments).toBeGreaterThan(1)
    await ledger.close()
    const again = await reopen(folder, seal, { segmentBytes: 300 })
    expect(again.found).toStrictEqual(texts)
    expect(again.positions).toStrictEqual(positions)
    await again.ledger.close()
  })

  it('gives back records of megabytes beside small ones, and none of which a bit was turned', async () => {
    const large = 'x'.repeat(3 * 1024 * 1024)
    const folder = await written(seal, [['small'], [large, 'beside it'], ['small again']])
    const { ledger, found } = await reopen(folder, seal)
    expect(found).toStrictEqual(['small', large, 'beside it', 'small again'])
    await ledger.close()
    const path = segmentPath(folder)
    const bytes = readFileSync(path)
    const middle = 2 * 1024 * 1024
    bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle)
    writeFileSync(path, bytes)
    await expect(reopen(folder, seal)).rejects.toMatchObject({ name: 'LedgerCorruptError' })
  })

  it('recovers from a tail cut at any byte: whole groups or nothing of them', async () => {
    const groups = [['a', 'bb'], ['ccc'], ['dddd', 'e', 'ff']]
    const folder = await written(seal, groups)
    const path = segmentPath(folder)
    const whole = readFileSync(path)
    const prefixes = [0, 1, 2, 3].map((count) => groups.slice(0, count).flat().join())
    // Below the header of the segment nothing was ever acknowledged from it.
    for (let length = whole.length; length >= 0; length -= 1) {
      writeFileSync(path, whole.subarray(0, length))
      const { ledger, found } = await reopen(folder, seal)
      expect(prefixes).toContain(found.join())
      ledger.append(record('after'))
      await ledger.commit()
      await ledger.close()
      const again = await reopen(folder, seal)
      expect(again.found).toStrictEqual([...found, 'after'])
      await again.ledger.close()
    }
  })

  it('refuses to start over damage before its tail, whichever byte it hits', async () => {
    const folder = await written(seal, [['first group'], ['second group'], ['third group']])
    const path = segmentPath(folder)
    const whole = readFileSync(path)
    const frame = (whole.length - 64) / 3
    for (let at = 64; at < 64 + Math.floor(frame) * 2 - 2; at += 1) {
      const damaged = new Uint8Array(whole)
      damaged[at] = (damaged[at] ?? 0) ^ 0x40
      writeFileSync(path, damaged)
      await expect(reopen(folder, seal)).rejects.toMatchObject({ name: 'LedgerCorruptError' })
    }
  })
})

describe('a ledger', () => {
  it('refuses a folder of another stream, another sealing or another key', async () => {
    const folder = await written(sealWith(7), [['secret reading']])
    expect(readFileSync(segmentPath(folder)).includes('secret')).toBe(false)
    await expect(reopen(folder, noSeal)).rejects.toThrowErrorMatchingInlineSnapshot(`
      [LedgerForeignError: 0000000001.segment was sealed in another way than this worker seals.
      Field: sealing
      Expected: 0
      Actual: 1
      Remedy: Start the worker with the sealing that the data folder was made with.]
    `)
    await expect(reopen(folder, sealWith(8))).rejects.toMatchObject({ name: 'LedgerCorruptError' })
    await expect(reopen(folder, sealWith(7), { stream: `0x${'02'.repeat(32)}` })).rejects
      .toThrowErrorMatchingInlineSnapshot(`
      [LedgerForeignError: 0000000001.segment belongs to another stream.
      Field: stream
      Expected: 0x0202020202020202020202020202020202020202020202020202020202020202
      Actual: 0x0101010101010101010101010101010101010101010101010101010101010101
      Remedy: Name a data folder of its own for each worker.]
    `)
  })

  it('says that it is damaged where a frame was altered while it was open', async () => {
    const folder = freshFolder()
    const { ledger } = await reopen(folder, sealWith(1))
    const position = ledger.append(record('a pack'))
    await ledger.commit()
    const bytes = new Uint8Array(readFileSync(segmentPath(folder)))
    // Whoever owns the disk makes the checksum right again; the seal he cannot.
    const frame = bytes.subarray(position.frame)
    frame[frame.length - 1] = (frame.at(-1) ?? 0) ^ 1
    closeFrame(frame, 0n)
    writeFileSync(segmentPath(folder), bytes)
    await expect(ledger.read(position)).rejects.toThrow(LedgerCorruptError)
    await ledger.close()
  })

  it('acknowledges nothing more once a write has failed', async () => {
    const folder = freshFolder()
    let isBroken = false
    const { ledger } = await reopen(folder, noSeal, {
      failpoint: (name) => {
        if (isBroken && name === 'ledger.beforeSync') throw new Error('EIO')
      },
    })
    ledger.append(record('kept'))
    await ledger.commit()
    isBroken = true
    ledger.append(record('lost'))
    await expect(ledger.commit()).rejects.toMatchObject({ name: 'LedgerFailedError' })
    isBroken = false
    expect(() => ledger.append(record('later'))).toThrowError(/restarted/)
    await expect(ledger.commit()).rejects.toMatchObject({ name: 'LedgerFailedError' })
    await ledger.close()
  })

  it('writes once for all who wait', async () => {
    const { ledger } = await reopen(freshFolder())
    const before = ledger.stats().syncs
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        ledger.append(record(`waiter ${index}`))
        await ledger.commit()
      }),
    )
    expect(ledger.stats().syncs - before).toBeLessThanOrEqual(2)
    await ledger.close()
  })
})
