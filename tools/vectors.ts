/**
 * Golden vectors: what TypeScript computes, written down so that Solidity and every other reader can
 * be held against it. `node tools/vectors.ts` writes them, `--check` fails when they are stale. An
 * independent implementation (viem) is held against the same values in the tests, so that a mistake
 * here cannot bless itself.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Batch, batchDigest } from '#schemas/batch.ts'
import { type Hex, concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import { keccak, keccakText } from '#schemas/keccak.ts'
import {
  buildTree,
  consistencyProof,
  inclusionPath,
  multiproof,
} from '#schemas/merkle/orderedTree.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import { type Receipt, receiptDigest } from '#schemas/receipt.ts'
import {
  type Report,
  encodeReport,
  reportLeaf,
  subjectId,
  unitCode,
  zeroHash,
} from '#schemas/report.ts'
import { rightClass, rightId } from '#schemas/right.ts'
import { type RosterEntry, rosterLeaf } from '#schemas/roster.ts'
import { addressOf, signDigest } from '#schemas/signatures.ts'
import {
  type Statement,
  possessionDigest,
  statementHash,
  statementReportData,
} from '#schemas/statement.ts'
import { domainSeparatorHex } from '#schemas/typedData.ts'
import { secp256k1 } from '@noble/curves/secp256k1'
import { root } from './paths.ts'

const folder = join(root, 'attestation-schemas', 'vectors')

/** A published test key (the second account of every development mnemonic); worth nothing. */
const vectorKey = fromHex(
  '0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d',
  'vectorKey',
  32,
)

const solar: Report = {
  version: 1,
  subject: subjectId('solar-plant-1'),
  policyId: keccakText('policy: energy'),
  periodStartMs: 1_422_748_800_000n,
  periodEndMs: 1_425_168_000_000n,
  verdict: 2,
  valueMicro: 312_345_678_901n,
  unit: unitCode('Wh'),
  coveragePpm: 1_000_000,
  tier: 1,
  evidenceRoot: keccakText('evidence'),
  measuresHash: keccakText('measures'),
  exclusiveTo: zeroHash,
  amends: zeroHash,
}

const reports: readonly Report[] = [
  solar,
  {
    ...solar,
    policyId: keccakText('policy: carbon'),
    verdict: 1,
    exclusiveTo: rightId({
      chainId: 31_338n,
      contract: '0x5fbdb2315678afecb367f032d93f642f64180aa3',
      right: rightClass('carbon'),
    }),
  },
  {
    ...solar,
    subject: subjectId('shipment-7'),
    policyId: keccakText('policy: cold chain'),
    valueMicro: -1n,
    unit: unitCode('Cel'),
    verdict: 3,
    coveragePpm: 0,
    tier: 4,
  },
  {
    ...solar,
    valueMicro: -(2n ** 127n),
    periodEndMs: 2n ** 64n - 1n,
    amends: reportLeaf(solar),
  },
  { ...solar, valueMicro: 2n ** 127n - 1n, coveragePpm: 1, unit: unitCode('%RH') },
]

function numberedLeaf(index: number): Uint8Array {
  return keccak(new TextEncoder().encode(`leaf ${index}`))
}

function treeVector(count: number) {
  const leaves = Array.from({ length: count }, (_, index) => numberedLeaf(index))
  const tree = buildTree(concatBytes(...leaves), keccakPairs)
  const everyThird = leaves.map((_, index) => index).filter((index) => index % 3 !== 1)
  return {
    count,
    leaves: leaves.map(toHex),
    root: toHex(tree.root),
    paths: leaves.map((_, index) => inclusionPath(tree, index).map(toHex)),
    multiproof: {
      indices: everyThird,
      proof: multiproof(tree, everyThird).map(toHex),
    },
    consistency: leaves.map((_, index) => ({
      oldCount: index + 1,
      proof: consistencyProof(tree, index + 1, keccakPairs).map(toHex),
    })),
  }
}

const reportTree = buildTree(
  concatBytes(...reports.map((report) => fromHex(reportLeaf(report), 'leaf', 32))),
  keccakPairs,
)

const firstBatch: Batch = {
  stream: keccakText('stream'),
  sequence: 1n,
  previous: zeroHash,
  reportRoot: toHex(reportTree.root),
  reportCount: reports.length,
  rosterRoot: keccakText('roster'),
  rosterCount: 2,
  closedAtMs: 1_425_168_001_000n,
  anchorNumber: 123_456n,
  anchorHash: keccakText('block'),
}
const secondBatch: Batch = {
  ...firstBatch,
  sequence: 2n,
  previous: batchDigest(firstBatch),
  reportRoot: zeroHash,
  reportCount: 0,
  closedAtMs: 1_425_168_061_000n,
}

const statement: Statement = {
  version: 1,
  signer: addressOf(secp256k1.getPublicKey(vectorKey)),
  ed25519PublicKey: keccakText('ed25519'),
  stream: firstBatch.stream,
  release: keccakText('release'),
  anchorChainId: 31_337n,
  registry: '0xe7f1725e7734ce288f8367e1bb143e90bb3f0512',
}

const receipt: Receipt = {
  device: keccakText('device'),
  packSequence: 42n,
  packHash: keccakText('pack'),
  stream: firstBatch.stream,
  nextBatchSequence: 3n,
}

const roster: RosterEntry = {
  device: keccakText('device'),
  subject: solar.subject,
  expectedReadings: 2_688,
  heardReadings: 2_687,
  firstSequence: 1n,
  lastSequence: 45n,
  headHash: keccakText('head'),
  packsRoot: keccakText('packs'),
}

function signed(digest: Hex) {
  return { digest, signature: signDigest(digest, vectorKey), signer: statement.signer }
}

const vectors = {
  reports: {
    domainSeparator: domainSeparatorHex,
    cases: reports.map((report) => ({
      report,
      encoded: toHex(encodeReport(report)),
      leaf: reportLeaf(report),
    })),
  },
  batches: {
    cases: [firstBatch, secondBatch].map((batch) => ({ batch, ...signed(batchDigest(batch)) })),
  },
  statements: {
    cases: [
      {
        statement,
        structHash: statementHash(statement),
        blockHash: keccakText('block'),
        reportData: statementReportData(statement, keccakText('block')),
        ...signed(possessionDigest(statement)),
      },
    ],
  },
  receipts: { cases: [{ receipt, ...signed(receiptDigest(receipt)) }] },
  rosters: { cases: [{ entry: roster, leaf: rosterLeaf(roster) }] },
  rights: {
    cases: [
      {
        chainId: '31338',
        contract: '0x5fbdb2315678afecb367f032d93f642f64180aa3',
        rightName: 'carbon',
        right: rightClass('carbon'),
        rightId: reports[1]?.exclusiveTo,
      },
    ],
  },
  trees: { cases: [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17].map(treeVector) },
}

export function vectorFiles(): { path: string; text: string }[] {
  return Object.entries(vectors).map(([name, value]) => ({
    path: join(folder, `${name}.json`),
    text: `${JSON.stringify(
      {
        generated: 'by `node tools/vectors.ts`; a test fails when this file is stale',
        ...value,
      },
      (_, item: unknown) => (typeof item === 'bigint' ? item.toString() : item),
      2,
    )}\n`,
  }))
}

if (import.meta.main) {
  const isCheck = process.argv.includes('--check')
  let stale = 0
  for (const { path, text } of vectorFiles()) {
    if (!isCheck) writeFileSync(path, text)
    else if (readFileSync(path, 'utf8') !== text) {
      stale += 1
      console.error(`${path} is stale. Run \`node tools/vectors.ts\` and look at what changed.`)
    }
  }
  process.exit(stale === 0 ? 0 : 1)
}
