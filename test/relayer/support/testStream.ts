import { secp256k1 } from '@noble/curves/secp256k1'
import { type Batch, batchDigest, streamId } from '#schemas/batch.ts'
import { type Hex, concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import { buildTree, inclusionPath } from '#schemas/merkle/orderedTree.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import { type Report, reportLeaf, subjectId, unitCode, zeroHash } from '#schemas/report.ts'
import { addressOf, signDigest } from '#schemas/signatures.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'

export const testStream = streamId('relayer-test')
export const testPolicy: Hex = `0x${'22'.repeat(32)}`

export function subjectOf(index: number): Hex {
  return subjectId(`plant-${index}`)
}

export function testReport(subject: number, period: number): Report {
  return {
    version: 1,
    subject: subjectOf(subject),
    policyId: testPolicy,
    periodStartMs: BigInt(period) * 3_600_000n,
    periodEndMs: BigInt(period + 1) * 3_600_000n,
    verdict: 1,
    valueMicro: BigInt(subject) * 1_000_000n,
    unit: unitCode('Wh'),
    coveragePpm: 1_000_000,
    tier: 1,
    evidenceRoot: zeroHash,
    measuresHash: zeroHash,
    exclusiveTo: zeroHash,
    amends: zeroHash,
  }
}

export type TestStream = {
  /** Address of the key in use. */
  readonly signer: Hex
  /** Closes a batch over these reports, signed for real. */
  close(reports: readonly Report[]): SignedBatch
  batches(): readonly SignedBatch[]
  /** A fresh key, as after a restart of the enclave. */
  rotate(): void
  secretOf(signer: Hex): Uint8Array | undefined
}

export function createTestStream(name: Hex = testStream): TestStream {
  const signerOf = (key: Uint8Array): Hex => addressOf(secp256k1.getPublicKey(key))
  let secret = secp256k1.utils.randomPrivateKey()
  const secrets = new Map<Hex, Uint8Array>([[signerOf(secret), secret]])
  const batches: SignedBatch[] = []
  return {
    get signer() {
      return signerOf(secret)
    },
    close(reports) {
      const leaves = reports.map((report) => fromHex(reportLeaf(report), 'leaf', 32))
      const tree = buildTree(concatBytes(...leaves), keccakPairs)
      const batch: Batch = {
        stream: name,
        sequence: BigInt(batches.length + 1),
        previous: batches.at(-1)?.digest ?? zeroHash,
        reportRoot: toHex(tree.root),
        reportCount: reports.length,
        rosterRoot: zeroHash,
        rosterCount: 0,
        closedAtMs: BigInt(Date.now()),
        anchorNumber: 0n,
        anchorHash: zeroHash,
      }
      const digest = batchDigest(batch)
      const signed: SignedBatch = {
        batch,
        digest,
        signature: signDigest(digest, secret),
        signer: signerOf(secret),
        reports: reports.map((report, index) => ({
          subjectName: `plant ${index}`,
          policyName: 'test policy',
          report,
          index,
          path: inclusionPath(tree, index).map(toHex),
          lastReadingMs: report.periodEndMs - 1n,
          lastReceivedMs: report.periodEndMs,
        })),
      }
      batches.push(signed)
      return signed
    },
    batches: () => batches,
    rotate() {
      secret = secp256k1.utils.randomPrivateKey()
      secrets.set(signerOf(secret), secret)
    },
    secretOf: (signer) => secrets.get(signer),
  }
}
