import { sha256 } from '@noble/hashes/sha2'
import { secp256k1 } from '@noble/curves/secp256k1'
import { composeReport } from '#evaluation/composeReport.ts'
import { evaluate } from '#evaluation/evaluate.ts'
import { measuresBytes } from '#evaluation/conclude.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { type Batch, batchDigest, streamId } from '#schemas/batch.ts'
import { bundleSchema, writeBundle } from '#schemas/bundle.ts'
import { type Hex, concatBytes, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { evidenceRoot } from '#schemas/evidence.ts'
import { keccakText } from '#schemas/keccak.ts'
import { buildTree, inclusionPath } from '#schemas/merkle/orderedTree.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import { decodePack, packMark } from '#schemas/pack/decodePack.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import { decodePolicy, policyBytes, policyExclusiveTo, policyId } from '#schemas/policy/policy.ts'
import { reportLeaf, subjectId, zeroHash } from '#schemas/report.ts'
import { rosterLeaf } from '#schemas/roster.ts'
import { addressOf, signDigest } from '#schemas/signatures.ts'
import { type Statement, possessionDigest, statementReportData } from '#schemas/statement.ts'
import { writeMessage } from '#schemas/workerApi.ts'

const instant = Date.UTC(2026, 0, 15) / 1000
const minuteMs = 60_000

/** The platform that vouches for the bundles made here. */
export const bundlePlatform = createPlatform({ now: instant, seed: 'bundles of this test suite' })

const appCompose = JSON.stringify({ manifest_version: 2, name: 'plumbline-worker' })

/**
 * A complete, genuine bundle of a device that was warm for five minutes of an hour, made with nothing
 * but the product's own pieces. Every call gives the same bytes.
 */
export function makeBundle(): { text: string; content: Record<string, unknown> } {
  const stream = streamId('test stream')
  const device = createDeviceSigner('ES256', sha256(utf8('the device of this test')))
  const startMs = instant * 1000 - 60 * minuteMs
  const policy = decodePolicy({
    version: 1,
    name: 'Cool for an hour',
    signal: { series: 'temperature', unit: 'Cel', interval: '1m' },
    window: { kind: 'period' },
    interpolation: { kind: 'hold', max: '1m30s' },
    gaps: 'violating',
    predicate: { operator: 'le', limit: '5' },
    aggregates: [],
    objectives: [{ measure: 'violating_ms', operator: 'le', limit: '10m' }],
    quality: { packs: 'required' },
    settlement: {
      measure: 'violating_ms',
      unit: 's',
      rounding: 'down',
      factor: { multiply: '1', divide: '1000' },
    },
    audience: { kind: 'anyone' },
  })

  let previous: Hex = noPrevious
  const packs = [0, 1, 2].map((part) => {
    const { bytes, packHash } = encodePack({
      claims: {
        stream,
        sequence: BigInt(part + 1),
        previous,
        bootCount: 1n,
        firmware: keccakText('firmware'),
      },
      kid: device.key.id,
      algorithm: device.key.algorithm,
      records: Array.from({ length: 20 }, (_, index) => {
        const minute = part * 20 + index
        return {
          name: 'temperature',
          unit: 'Cel',
          timeMs: startMs + minute * minuteMs,
          valueMicro: minute >= 30 && minute < 35 ? 6_500_000 : 4_000_000 + minute * 1_000,
        }
      }),
      sign: device.sign,
    })
    previous = packHash
    return bytes
  })
  const decoded = packs.map((bytes) => decodePack(bytes))
  const marks = decoded.map((pack) => packMark(pack))
  const evaluation = evaluate({
    policy,
    periodStartMs: startMs,
    periodEndMs: startMs + 60 * minuteMs,
    readings: decoded.flatMap((pack) => pack.readings(1)),
    packs: marks,
  })
  const report = composeReport(
    {
      subject: subjectId('cooler 4'),
      policyId: policyId(policy),
      exclusiveTo: policyExclusiveTo(policy),
      amends: zeroHash,
    },
    evaluation,
    marks,
  )

  const leaves = [reportLeaf(report), keccakText('another leaf'), keccakText('a third leaf')]
  const tree = buildTree(
    concatBytes(...leaves.map((leaf) => fromHex(leaf, 'leaf', 32))),
    keccakPairs,
  )
  const entry = {
    device: device.key.id,
    subject: report.subject,
    expectedReadings: 60,
    heardReadings: 60,
    firstSequence: 1n,
    lastSequence: 3n,
    headHash: previous,
    packsRoot: evidenceRoot(marks),
  }
  const rosterTree = buildTree(
    concatBytes(
      fromHex(keccakText('a silent device'), 'leaf', 32),
      fromHex(rosterLeaf(entry), 'leaf', 32),
    ),
    keccakPairs,
  )
  const key = sha256(utf8('the enclave key of this test'))
  const signer = addressOf(secp256k1.getPublicKey(key))
  const batch: Batch = {
    stream,
    sequence: 1n,
    previous: zeroHash,
    reportRoot: toHex(tree.root),
    reportCount: leaves.length,
    rosterRoot: toHex(rosterTree.root),
    rosterCount: 2,
    closedAtMs: BigInt(instant * 1000),
    anchorNumber: 7n,
    anchorHash: keccakText('block 7'),
  }
  const statement: Statement = {
    version: 1,
    signer,
    ed25519PublicKey: keccakText('ed25519'),
    stream,
    release: keccakText('release'),
    anchorChainId: 31_337n,
    registry: '0x00000000000000000000000000000000000000aa',
  }
  const blockHash = keccakText('block 6')
  const quote = bundlePlatform.mintQuote({
    reportData: fromHex(statementReportData(statement, blockHash), 'reportData', 64),
    measurements: {
      mrConfigId: concatBytes(Uint8Array.of(1), sha256(utf8(appCompose)), new Uint8Array(15)),
    },
  })
  const content = JSON.parse(
    writeMessage({
      kind: 'plumbline-proof-bundle',
      version: 1,
      recordedAtSeconds: instant,
      subjectName: 'cooler 4',
      streamName: 'test stream',
      report,
      policy: new TextDecoder().decode(policyBytes(policy)),
      measures: new TextDecoder().decode(measuresBytes(evaluation.measures, evaluation.findings)),
      inclusion: { index: 0, path: inclusionPath(tree, 0).map(toHex) },
      batch,
      signature: signDigest(batchDigest(batch), key),
      signer,
      attestation: {
        statement,
        possession: signDigest(possessionDigest(statement), key),
        quote: toHex(quote),
        blockNumber: 6n,
        blockHash,
        appCompose,
        collateral: bundlePlatform.collateral(instant),
      },
      roster: [{ entry, index: 1, path: inclusionPath(rosterTree, 1).map(toHex) }],
      devices: [
        {
          coseKey: toHex(coseKeyBytes(device.key)),
          algorithm: device.key.algorithm,
          tier: 'hardware',
          packs: toHex(concatBytes(...packs)),
        },
      ],
    } satisfies Record<Exclude<keyof typeof bundleSchema.shape, 'digest'>, unknown>),
  ) as Record<string, unknown>
  return { text: writeBundle(content), content }
}
