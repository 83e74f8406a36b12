import { secp256k1 } from '@noble/curves/secp256k1'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Batch, batchDigest } from '#schemas/batch.ts'
import { type Hex, concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import { evidenceRoot } from '#schemas/evidence.ts'
import { buildTree, inclusionPath } from '#schemas/merkle/orderedTree.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import { type Receipt, receiptDigest } from '#schemas/receipt.ts'
import { receiptTreeDigest, receiptTreeOf } from '#schemas/receiptTree.ts'
import { zeroHash } from '#schemas/report.ts'
import { type RosterEntry, rosterLeaf } from '#schemas/roster.ts'
import { addressOf, signDigest } from '#schemas/signatures.ts'
import { type RosterEvidence, verifyOmission } from '#verifier/batch/verifyOmission.ts'

const key = new Uint8Array(32).fill(3)
const signer = addressOf(secp256k1.getPublicKey(key, false))
const stream: Hex = `0x${'5c'.repeat(32)}`
const word = (byte: number): Hex => `0x${byte.toString(16).padStart(2, '0').repeat(32)}`
const device = word(0xd1)

type Pack = { readonly sequence: bigint; readonly hash: Hex }

function entryOf(id: Hex, packs: readonly Pack[]): RosterEntry {
  return {
    device: id,
    subject: word(0x50),
    expectedReadings: 10,
    heardReadings: packs.length,
    firstSequence: packs[0]?.sequence ?? 0n,
    lastSequence: packs.at(-1)?.sequence ?? 0n,
    headHash: packs.at(-1)?.hash ?? zeroHash,
    packsRoot: evidenceRoot(packs.map((pack) => ({ device: id, ...pack }))),
  }
}

function batchOf(roster: readonly RosterEntry[], sequence = 4n): { batch: Batch; signature: Hex } {
  const leaves = concatBytes(...roster.map((entry) => fromHex(rosterLeaf(entry), 'leaf')))
  const batch: Batch = {
    stream,
    sequence,
    previous: word(0x77),
    reportRoot: zeroHash,
    reportCount: 0,
    rosterRoot: toHex(buildTree(leaves, keccakPairs).root),
    rosterCount: roster.length,
    closedAtMs: 1n,
    anchorNumber: 1n,
    anchorHash: word(0x88),
  }
  return { batch, signature: signDigest(batchDigest(batch), key) }
}

function place(
  roster: readonly RosterEntry[],
  index: number,
  packs?: readonly Pack[],
): RosterEvidence {
  const leaves = concatBytes(...roster.map((entry) => fromHex(rosterLeaf(entry), 'leaf')))
  const entry = roster[index]
  if (entry === undefined) throw new Error('no such line')
  return {
    kind: 'entry',
    entry,
    index,
    path: inclusionPath(buildTree(leaves, keccakPairs), index).map(toHex),
    ...(packs === undefined ? {} : { packs }),
  }
}

function receiptFor(pack: Pack, nextBatchSequence = 4n): { receipt: Receipt; signature: Hex } {
  const receipt = {
    device,
    packSequence: pack.sequence,
    packHash: pack.hash,
    stream,
    nextBatchSequence,
  }
  return { receipt, signature: signDigest(receiptDigest(receipt), key) }
}

const kept: readonly Pack[] = [
  { sequence: 5n, hash: word(5) },
  { sequence: 6n, hash: word(6) },
  { sequence: 7n, hash: word(7) },
]
const other = entryOf(word(0xe1), [])
const honest = [entryOf(device, kept), other]

describe('verifyOmission', () => {
  it('a receipted pack behind the last one of the promised batch is proved to be left out', () => {
    expect(
      verifyOmission(
        receiptFor({ sequence: 8n, hash: word(8) }),
        batchOf(honest),
        place(honest, 0),
      ),
    ).toStrictEqual({
      kind: 'pack-missing',
      receiptSigner: signer,
      batchSigner: signer,
      batchDigest: batchDigest(batchOf(honest).batch),
    })
  })

  it('a device that is silent in the promised batch, or not on its roster, breaks the promise too', () => {
    const silent = [entryOf(device, []), other]
    expect(
      verifyOmission(
        receiptFor({ sequence: 5n, hash: word(5) }),
        batchOf(silent),
        place(silent, 0),
      ),
    ).toMatchObject({ kind: 'pack-missing' })
    const without = [other]
    expect(
      verifyOmission(receiptFor({ sequence: 5n, hash: word(5) }), batchOf(without), {
        kind: 'roster',
        roster: without,
      }),
    ).toMatchObject({ kind: 'device-missing' })
  })

  it('another pack in the place of the receipted one is proved by the list, the last by the head alone', () => {
    const evidence = place(honest, 0, kept)
    expect(
      verifyOmission(receiptFor({ sequence: 6n, hash: word(0x66) }), batchOf(honest), evidence),
    ).toMatchObject({ kind: 'pack-replaced' })
    expect(
      verifyOmission(
        receiptFor({ sequence: 7n, hash: word(0x67) }),
        batchOf(honest),
        place(honest, 0),
      ),
    ).toMatchObject({ kind: 'pack-replaced' })
  })

  it('no promise that was kept can be made to look broken', () => {
    fc.assert(
      fc.property(fc.constantFrom(...kept), (pack) => {
        const whole: RosterEvidence = { kind: 'roster', roster: honest }
        for (const evidence of [place(honest, 0), place(honest, 0, kept), whole]) {
          expect(() => verifyOmission(receiptFor(pack), batchOf(honest), evidence)).toThrowError(
            /The batch holds|The batch ends|only the list/,
          )
        }
      }),
    )
  })

  it('a receipt from a signed tree counts like one with its own signature', () => {
    const { receipt } = receiptFor({ sequence: 8n, hash: word(8) })
    const neighbour = receiptFor({ sequence: 7n, hash: word(7) }).receipt
    const tree = receiptTreeOf(stream, [neighbour, receipt])
    const leafOfNeighbour = receiptTreeOf(stream, [neighbour]).root
    expect(
      verifyOmission(
        {
          receipt,
          place: { index: 1, count: 2, path: [leafOfNeighbour] },
          signature: signDigest(receiptTreeDigest(tree), key),
        },
        batchOf(honest),
        place(honest, 0),
      ),
    ).toMatchObject({ kind: 'pack-missing', receiptSigner: signer })
  })

  it.each([
    [
      'another batch than the promised one',
      (): unknown =>
        verifyOmission(
          receiptFor({ sequence: 8n, hash: word(8) }, 5n),
          batchOf(honest),
          place(honest, 0),
        ),
      'batch.sequence',
    ],
    [
      'a batch of another stream',
      (): unknown => {
        const signed = receiptFor({ sequence: 8n, hash: word(8) })
        const receipt = { ...signed.receipt, stream: word(1) }
        return verifyOmission({ ...signed, receipt }, batchOf(honest), place(honest, 0))
      },
      'batch.stream',
    ],
    [
      'a line about another device',
      (): unknown =>
        verifyOmission(
          receiptFor({ sequence: 8n, hash: word(8) }),
          batchOf(honest),
          place(honest, 1),
        ),
      'roster',
    ],
    [
      'a line that is not under the root',
      (): unknown =>
        verifyOmission(
          receiptFor({ sequence: 8n, hash: word(8) }),
          batchOf(honest),
          place([entryOf(device, []), other], 0),
        ),
      'roster',
    ],
    [
      'a roster with a line cut out',
      (): unknown =>
        verifyOmission(receiptFor({ sequence: 8n, hash: word(8) }), batchOf(honest), {
          kind: 'roster',
          roster: [other],
        }),
      'roster',
    ],
    [
      'a list of packs that is not the committed one',
      (): unknown =>
        verifyOmission(
          receiptFor({ sequence: 6n, hash: word(6) }),
          batchOf(honest),
          place(honest, 0, [...kept.slice(0, 1), ...kept.slice(2)]),
        ),
      'packs',
    ],
  ])('%s proves nothing', (_, attempt, field) => {
    expect(attempt).toThrowError(expect.objectContaining({ name: 'OmissionEvidenceError', field }))
  })
})
