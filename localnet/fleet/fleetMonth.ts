import { generateKeyPairSync, sign } from 'node:crypto'
import { sha256 } from '@noble/hashes/sha2'
import { secp256k1 } from '@noble/curves/secp256k1'
import { composeReport } from '#evaluation/composeReport.ts'
import { measuresBytes } from '#evaluation/conclude.ts'
import { evaluate } from '#evaluation/evaluate.ts'
import { type Batch, batchDigest, streamId } from '#schemas/batch.ts'
import { writeBundle } from '#schemas/bundle.ts'
import { type Hex, concatBytes, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { evidenceRoot } from '#schemas/evidence.ts'
import { keccakText } from '#schemas/keccak.ts'
import { buildTree, inclusionPath } from '#schemas/merkle/orderedTree.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import { decodePack, packMark } from '#schemas/pack/decodePack.ts'
import { type DeviceKey, coseKeyBytes, deviceKeyFromJwk } from '#schemas/pack/deviceKey.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { decodePolicy, policyBytes, policyExclusiveTo, policyId } from '#schemas/policy/policy.ts'
import { reportLeaf, subjectId, zeroHash } from '#schemas/report.ts'
import { type RosterEntry, rosterLeaf } from '#schemas/roster.ts'
import { addressOf, signDigest } from '#schemas/signatures.ts'
import { type Statement, possessionDigest, statementReportData } from '#schemas/statement.ts'
import { trustTiers } from '#schemas/trustTier.ts'
import { writeMessage } from '#schemas/workerApi.ts'
import type { Measurement } from './device.ts'
import { createPlatform } from '../tdx/platform.ts'

const stepMs = 15 * 60_000
const month = { startMs: Date.UTC(2026, 0, 1), endMs: Date.UTC(2026, 1, 1) }
const recordedAtSeconds = month.endMs / 1000 + 600
const readingsPerPack = 60
/** Devices of one batch: as many as are held in memory at once. */
const devicesPerBatch = 1000
const peakW = 8000

const policy = decodePolicy({
  version: 1,
  name: 'Rooftop month',
  signal: { series: 'power', unit: 'W', interval: '15m' },
  window: { kind: 'period' },
  interpolation: { kind: 'interval-mean', step: '15m', stamp: 'start' },
  gaps: 'unknown',
  minCoverage: '95%',
  aggregates: [{ kind: 'integral', per: 'h', unit: 'Wh', negative: 'zero' }],
  objectives: [{ measure: 'integral', operator: 'ge', limit: '500000' }],
  quality: {
    range: { low: '0', high: '10000' },
    flatline: { longest: '2h', except: ['0'] },
    packs: 'required',
    minimumTier: 'hardware',
  },
  settlement: { measure: 'integral', unit: 'Wh', rounding: 'down' },
  audience: { kind: 'anyone' },
})

/** A month of one rooftop: a bell by day under passing clouds, nothing by night. */
function measure(seed: number): Measurement[] {
  let state = Math.imul(seed + 1, 2_654_435_761) >>> 0
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const lost = seed % 97 === 0 ? Math.floor(next() * 2000) : -1
  const measurements: Measurement[] = []
  for (let index = 0; month.startMs + index * stepMs < month.endMs; index += 1) {
    // One device in a hundred is offline for five hours: a gap, which is no reading at all.
    if (lost >= 0 && index >= lost && index < lost + 20) continue
    const hour = ((index * stepMs) / 3_600_000) % 24
    const sun = Math.max(0, Math.sin(((hour - 7) / 10) * Math.PI))
    const watts = hour < 7 || hour >= 17 ? 0 : Math.floor(peakW * sun * (0.2 + 0.8 * next()))
    measurements.push({ timeMs: month.startMs + index * stepMs, valueMicro: watts * 1_000_000 })
  }
  return measurements
}

type SignedDevice = { readonly key: DeviceKey; readonly packs: readonly Uint8Array[]; head: Hex }

function signMonth(stream: Hex, measurements: readonly Measurement[]): SignedDevice {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = deviceKeyFromJwk(publicKey.export({ format: 'jwk' }))
  const packs: Uint8Array[] = []
  let head: Hex = noPrevious
  for (let at = 0; at < measurements.length; at += readingsPerPack) {
    const { bytes, packHash } = encodePack({
      claims: {
        stream,
        sequence: BigInt(packs.length + 1),
        previous: head,
        bootCount: 1n,
        firmware: keccakText('firmware'),
      },
      kid: key.id,
      algorithm: key.algorithm,
      records: measurements
        .slice(at, at + readingsPerPack)
        .map((each) => ({ name: 'power', unit: 'W', ...each })),
      sign: (signed) => sign('sha256', signed, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
    })
    packs.push(bytes)
    head = packHash
  }
  return { key, packs, head }
}

export type FleetBundle = { readonly name: string; readonly text: string }

export type FleetMonth = {
  /** Root certificate under which the bundles hold, PEM. */
  readonly rootCertificatePem: string
  readonly readingsPerDevice: number
  /** One bundle for each device, packs included, a batch for every thousand of them. */
  readonly bundles: () => Generator<FleetBundle>
}

/**
 * Proof bundles of a whole fleet's month: rooftops that report every quarter of an hour and sign every
 * fifteen hours, with keys, signatures, trees and an attestation that are all real under a local root.
 * For measuring how long it takes to examine them; the keys are thrown away.
 *
 * @param streamName - Fleets of different names have nothing in common but the platform.
 */
export function createFleetMonth(devices: number, streamName = 'rooftops'): FleetMonth {
  const platform = createPlatform({ now: recordedAtSeconds, seed: 'a fleet’s month' })
  const stream = streamId(streamName)
  const enclaveKey = sha256(utf8('the enclave of a fleet’s month'))
  const signer = addressOf(secp256k1.getPublicKey(enclaveKey))
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
  // As long as the compose file of a real worker.
  const appCompose = JSON.stringify({ name: 'plumbline-worker', padding: 'x'.repeat(7000) })
  const quote = platform.mintQuote({
    reportData: fromHex(statementReportData(statement, blockHash), 'reportData', 64),
    measurements: {
      mrConfigId: concatBytes(Uint8Array.of(1), sha256(utf8(appCompose)), new Uint8Array(15)),
    },
  })
  const attestation = {
    statement,
    possession: signDigest(possessionDigest(statement), enclaveKey),
    quote: toHex(quote),
    blockNumber: 6n,
    blockHash,
    appCompose,
    collateral: platform.collateral(recordedAtSeconds),
    collateralAtSeconds: recordedAtSeconds,
  }
  const place = {
    policyId: policyId(policy),
    exclusiveTo: policyExclusiveTo(policy),
    amends: zeroHash,
  }

  function prepare(index: number) {
    const subjectName = `rooftop-${String(index + 1).padStart(5, '0')}`
    const { key, packs, head } = signMonth(stream, measure(index))
    const decoded = packs.map((bytes) => decodePack(bytes))
    const marks = decoded.map((pack) => packMark(pack))
    const evaluation = evaluate({
      policy,
      periodStartMs: month.startMs,
      periodEndMs: month.endMs,
      readings: decoded.flatMap((pack) => pack.readings(trustTiers.hardware)),
      packs: marks,
    })
    const report = composeReport({ ...place, subject: subjectId(subjectName) }, evaluation, marks)
    const heardReadings = decoded.reduce((sum, pack) => sum + pack.readings(1).length, 0)
    const entry: RosterEntry = {
      device: key.id,
      subject: report.subject,
      expectedReadings: (month.endMs - month.startMs) / stepMs,
      heardReadings,
      firstSequence: 1n,
      lastSequence: BigInt(packs.length),
      headHash: head,
      packsRoot: evidenceRoot(marks),
    }
    return {
      subjectName,
      report,
      entry,
      measures: new TextDecoder().decode(measuresBytes(evaluation.measures, evaluation.findings)),
      devices: [
        {
          coseKey: toHex(coseKeyBytes(key)),
          algorithm: key.algorithm,
          tier: 'hardware',
          // As bytes until it is written: a thousand devices wait for their batch here.
          packs: concatBytes(...packs),
        },
      ],
    }
  }

  function* bundles(): Generator<FleetBundle> {
    let previous: Hex = zeroHash
    for (let first = 0; first < devices; first += devicesPerBatch) {
      const length = Math.min(devicesPerBatch, devices - first)
      const prepared = Array.from({ length }, (_, index) => prepare(first + index))
      const tree = buildTree(
        concatBytes(...prepared.map(({ report }) => fromHex(reportLeaf(report), 'leaf', 32))),
        keccakPairs,
      )
      const roster = buildTree(
        concatBytes(...prepared.map(({ entry }) => fromHex(rosterLeaf(entry), 'leaf', 32))),
        keccakPairs,
      )
      const batch: Batch = {
        stream,
        sequence: BigInt(first / devicesPerBatch + 1),
        previous,
        reportRoot: toHex(tree.root),
        reportCount: length,
        rosterRoot: toHex(roster.root),
        rosterCount: length,
        closedAtMs: BigInt(month.endMs + 1000),
        anchorNumber: 7n,
        anchorHash: keccakText('block 7'),
      }
      previous = batchDigest(batch)
      const signature = signDigest(previous, enclaveKey)
      for (const [
        index,
        { subjectName, report, entry, measures, devices: sent },
      ] of prepared.entries()) {
        const content = {
          kind: 'plumbline-proof-bundle',
          version: 1,
          recordedAtSeconds,
          subjectName,
          streamName,
          report,
          policy: new TextDecoder().decode(policyBytes(policy)),
          measures,
          inclusion: { index, path: inclusionPath(tree, index).map(toHex) },
          batch,
          signature,
          signer,
          attestation,
          roster: [{ entry, index, path: inclusionPath(roster, index).map(toHex) }],
          devices: sent.map((each) => ({ ...each, packs: toHex(each.packs) })),
        }
        const text = writeBundle(JSON.parse(writeMessage(content)) as Record<string, unknown>)
        yield { name: subjectName, text }
      }
    }
  }

  return {
    rootCertificatePem: platform.rootCertificatePem,
    readingsPerDevice: (month.endMs - month.startMs) / stepMs,
    bundles,
  }
}
