import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { secp256k1 } from '@noble/curves/secp256k1'
import { Command } from 'commander'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { registerOmission } from '#cli/omission.ts'
import { type Batch, batchDigest } from '#schemas/batch.ts'
import { type Hex, fromHex, toHex } from '#schemas/bytes.ts'
import { evidenceRoot } from '#schemas/evidence.ts'
import { buildTree } from '#schemas/merkle/orderedTree.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import { receiptDigest } from '#schemas/receipt.ts'
import { zeroHash } from '#schemas/report.ts'
import { type RosterEntry, rosterLeaf } from '#schemas/roster.ts'
import { addressOf, signDigest } from '#schemas/signatures.ts'
import { writeMessage } from '#schemas/workerApi.ts'

const folder = mkdtempSync(join(tmpdir(), 'plumbline-omission-'))
const key = new Uint8Array(32).fill(7)
const signer = addressOf(secp256k1.getPublicKey(key, false))
const word = (byte: number): Hex => `0x${byte.toString(16).padStart(2, '0').repeat(32)}`
const [device, stream] = [word(0xd1), word(0x5c)]
const pack = { device, sequence: 1n, hash: word(1) }

/** A receipt for pack 1, and the promised batch with or without it. */
function evidence(isKept: boolean): unknown {
  const packs = isKept ? [pack] : []
  const entry: RosterEntry = {
    device,
    subject: word(0x50),
    expectedReadings: 1,
    heardReadings: packs.length,
    firstSequence: isKept ? 1n : 0n,
    lastSequence: isKept ? 1n : 0n,
    headHash: isKept ? pack.hash : zeroHash,
    packsRoot: evidenceRoot(packs),
  }
  const receipt = {
    device,
    packSequence: 1n,
    packHash: pack.hash,
    stream,
    nextBatchSequence: 4n,
  }
  const batch: Batch = {
    stream,
    sequence: 4n,
    previous: word(0x77),
    reportRoot: zeroHash,
    reportCount: 0,
    rosterRoot: toHex(buildTree(fromHex(rosterLeaf(entry), 'leaf'), keccakPairs).root),
    rosterCount: 1,
    closedAtMs: 1n,
    anchorNumber: 1n,
    anchorHash: word(0x88),
  }
  return {
    kind: 'plumbline-omission-evidence',
    version: 1,
    receipt: { receipt, signature: signDigest(receiptDigest(receipt), key) },
    batch,
    signature: signDigest(batchDigest(batch), key),
    says: {
      kind: 'entry',
      entry,
      index: 0,
      path: [],
      packs: packs.map(({ sequence, hash }) => ({ sequence, hash })),
    },
  }
}

function file(name: string, value: unknown): string {
  const path = join(folder, name)
  writeFileSync(path, writeMessage(value))
  return path
}

async function check(...args: string[]): Promise<{ code: unknown; answer: unknown }> {
  const written: string[] = []
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    written.push(String(text))
    return true
  })
  try {
    const program = new Command().exitOverride()
    registerOmission(program)
    for (const command of program.commands[0]?.commands ?? []) {
      command.exitOverride().configureOutput({ writeErr: () => undefined })
    }
    await program.parseAsync(['omission', 'check', ...args], { from: 'user' })
    return { code: process.exitCode ?? 0, answer: JSON.parse(written.join('')) as unknown }
  } finally {
    spy.mockRestore()
  }
}

afterEach(() => {
  process.exitCode = undefined
})
afterAll(() => {
  rmSync(folder, { recursive: true })
})

describe('plumbline omission check', () => {
  it('says that a promise was kept, whoever signed it', async () => {
    expect(await check(file('kept.json', evidence(true)))).toStrictEqual({
      code: 0,
      answer: { isKept: true, device, pack: '1', batch: '4' },
    })
  })

  it('proves a broken promise of a key that is known to be the stream’s', async () => {
    expect(await check(file('broken.json', evidence(false)), '--signer', signer)).toMatchObject({
      code: 1,
      answer: { isKept: false, omission: 'pack-missing', receiptSigner: signer },
    })
  })

  it('proves nothing by keys that anybody could have made, and names them', async () => {
    const path = file('forged.json', evidence(false))
    await expect(check(path)).rejects.toThrow(new RegExp(`Key: ${signer}`))
    await expect(check(path, '--signer', `0x${'ab'.repeat(20)}`)).rejects.toThrow(/--signer/)
  })

  it('refuses a key that is no address, and a worker that has none, before it looks at anything', async () => {
    const path = file('unasked.json', evidence(false))
    await expect(check(path, '--signer', '0x12')).rejects.toMatchObject({
      code: 'commander.invalidArgument',
      message: expect.stringContaining('--signer') as unknown,
    })
    await expect(check(path, '--worker', 'worker.example')).rejects.toMatchObject({
      code: 'commander.invalidArgument',
      message: expect.stringContaining('--worker') as unknown,
    })
  })

  it('refuses a file that is no evidence by the field at fault', async () => {
    await expect(check(file('none.json', { kind: 'else' }))).rejects.toThrow(/evidence/)
  })
})
