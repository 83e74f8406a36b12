import { composeReport } from '#evaluation/composeReport.ts'
import { type Calibration, evaluate } from '#evaluation/evaluate.ts'
import { evidenceSpan } from '#evaluation/evidenceSpan.ts'
import { batchDigest, streamId } from '#schemas/batch.ts'
import { type ProofBundle, bundleDigest, readBundle } from '#schemas/bundle.ts'
import { type Hex, equalBytes, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { decodeCalibration, verifyCalibration } from '#schemas/calibration/decodeCalibration.ts'
import { evidenceRoot } from '#schemas/evidence.ts'
import { keccak } from '#schemas/keccak.ts'
import { assertInclusion } from '#schemas/merkle/orderedTree.ts'
import { keccakPairs, perPair } from '#schemas/merkle/pairHashers.ts'
import { type DecodedPack, type Sha256, decodePack, packMark } from '#schemas/pack/decodePack.ts'
import { deviceKeyFromCose } from '#schemas/pack/deviceKey.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { splitPackSequence } from '#schemas/pack/packSequence.ts'
import { portableSignatures } from '#schemas/pack/portableSignatures.ts'
import type { SignatureVerifier } from '#schemas/pack/signatureVerifier.ts'
import { verifyPack } from '#schemas/pack/verifyPack.ts'
import { decodePolicy, policyBytes, policyExclusiveTo, policyId } from '#schemas/policy/policy.ts'
import type { PackMark, Reading } from '#schemas/reading.ts'
import { type Report, reportLeaf, subjectId, zeroHash } from '#schemas/report.ts'
import { rosterLeaf } from '#schemas/roster.ts'
import { possessionDigest, statementReportData } from '#schemas/statement.ts'
import { trustTiers } from '#schemas/trustTier.ts'
import type { QuoteAppraisal } from '../appraisal/appraisal.ts'
import type { QuotePolicy } from '../appraisal/policy.ts'
import type { Collateral } from '../collateral/collateral.ts'
import { verifyCollateral } from '../collateral/verifyCollateral.ts'
import type { VerifierCrypto } from '../crypto/port.ts'
import { portableCrypto } from '../crypto/portableCrypto.ts'
import { parseQuote } from '../quote/parseQuote.ts'
import { verifyQuote } from '../quote/verifyQuote.ts'
import { formatIsoTime } from '../x509/time.ts'
import { type BundleMemory, noMemory } from './bundleMemory.ts'
import {
  type Check,
  CheckFailedError,
  NotCheckedError,
  createChecklist,
  demand,
  established,
} from './checklist.ts'

export type BundleOptions = {
  /** DER of the root that is trusted; Intel's in production. */
  readonly rootCertificate: Uint8Array
  /** Which platforms, images and TCB statuses are accepted. */
  readonly quotePolicy: QuotePolicy
  /** Default: portable code; Node passes its own. */
  readonly crypto?: VerifierCrypto
  readonly signatures?: SignatureVerifier
  /** What earlier bundles under the same root and policy had in common with this one. */
  readonly memory?: BundleMemory
  /** Told each line as it is finished: for whoever watches. */
  readonly onCheck?: (check: Check) => void
}

export type BundleVerdict = {
  /** Whether every line that there was something to look at for passed, and the indispensable ones ran. */
  readonly isAccepted: boolean
  readonly checks: readonly Check[]
  /** Where the first line passed; what it says holds as far as the other lines say. */
  readonly bundle: ProofBundle | undefined
  readonly report: Report | undefined
  readonly appraisal: QuoteAppraisal | undefined
}

/** Lines without which nothing is proved; the others may be absent from a bundle without packs. */
const indispensable = [
  'format',
  'collateral',
  'quote',
  'image',
  'statement',
  'possession',
  'batch',
  'inclusion',
  'policy',
  'right',
  'measures',
  'roster',
] as const

/**
 * Examines a proof bundle from the root certificate to the devices' signatures and back up to the
 * report, without a network and without a clock: attestation is judged as of the instant that the
 * bundle records, so a bundle that held once holds for ever.
 *
 * Nothing is thrown for a bad bundle: each line says what it found.
 */
export function verifyBundle(value: unknown, options: BundleOptions): BundleVerdict {
  const { crypto = portableCrypto, signatures = portableSignatures, memory = noMemory } = options
  const list = createChecklist(options.onCheck)
  const hash = (bytes: Uint8Array): Uint8Array => crypto.sha256(bytes)

  const named = list.run('format', () => {
    const read = readBundle(value)
    const actual = bundleDigest(value as Record<string, unknown>, hash)
    demand(actual === read.digest, 'The file is damaged: its content has another digest.', [
      `Expected: ${read.digest}`,
      `Actual: ${actual}`,
    ])
    // What contradicts itself has no name: a period that ends before it begins, for one.
    const names = { leaf: reportLeaf(read.report), digest: batchDigest(read.batch) }
    return {
      detail: `Version ${read.version}, subject “${read.subjectName}”.`,
      result: { bundle: read, ...names },
    }
  })
  if (named === undefined) return conclude(list.checks, undefined, undefined)

  const { bundle, leaf, digest } = named
  const { attestation, batch, report } = bundle
  const at = bundle.recordedAtSeconds
  const collateralKey = `${at}${JSON.stringify(attestation.collateral)}`

  const collateral = list.run('collateral', () => {
    if (attestation.collateral === undefined) {
      throw new CheckFailedError('The bundle carries no collateral.')
    }
    const result = memory.collateral(collateralKey, () =>
      verifyCollateral(attestation.collateral as Collateral, {
        rootCertificate: options.rootCertificate,
        now: at,
        crypto,
      }),
    )
    return { detail: `In force at ${formatIsoTime(at)}, FMSPC ${result.fmspc}.`, result }
  })

  const appraised = list.run('quote', () => {
    const verified = established(collateral, 'collateral')
    const result = memory.appraisal(`${collateralKey}${attestation.quote}`, () => {
      const quoteBytes = fromHex(attestation.quote, 'attestation.quote')
      return {
        appraisal: verifyQuote(quoteBytes, verified, {
          now: at,
          policy: options.quotePolicy,
          crypto,
        }),
        quote: parseQuote(quoteBytes),
      }
    })
    const { tee, quoteVersion, tcb, platform } = result.appraisal
    return {
      detail: `${tee} quote version ${quoteVersion}, ${tcb.status}, platform ${platform.ppid}.`,
      result,
    }
  })

  list.run('image', () => {
    const { body } = established(appraised, 'quote').quote
    if (body.kind === 'SGX') throw new CheckFailedError('An SGX enclave has no compose file.')
    const { appCompose } = attestation
    if (appCompose === undefined) {
      throw new CheckFailedError('The bundle does not show the compose file.')
    }
    const composeHash = memory.composeHash(appCompose, () => crypto.sha256(utf8(appCompose)))
    const measured = body.mrConfigId
    // dstack, MRCONFIGID version 1: 01 ‖ SHA-256 of app-compose.json ‖ 15 zeros.
    demand(measured[0] === 1, 'MRCONFIGID does not carry a compose hash.', [
      `Version byte: ${measured[0]}`,
    ])
    demand(
      equalBytes(measured.subarray(1, 33), composeHash),
      'The compose file is not the one that was measured.',
      [`Measured: ${toHex(measured.subarray(1, 33))}`, `Shown: ${toHex(composeHash)}`],
    )
    return { detail: `Compose hash ${toHex(composeHash)}.`, result: true }
  })

  const isStated = list.run('statement', () => {
    const { body } = established(appraised, 'quote').quote
    const expected = statementReportData(attestation.statement, attestation.blockHash)
    const actual = toHex(body.reportData)
    demand(actual === expected, 'The quote vouches for another statement.', [
      `Expected: ${expected}`,
      `Actual: ${actual}`,
    ])
    demand(
      attestation.statement.signer === bundle.signer,
      'The statement is about another key than the one that signed the batch.',
    )
    return {
      detail: `Keys vouched for since block ${attestation.blockNumber} of chain ${attestation.statement.anchorChainId}.`,
      result: true,
    }
  })

  const isHeld = list.run('possession', () => {
    established(isStated, 'statement')
    const signer = memory.recoverSigner(
      possessionDigest(attestation.statement),
      attestation.possession,
    )
    demand(signer === bundle.signer, 'The statement was not signed by the key that it states.')
    return { detail: `Signer ${signer}.`, result: true }
  })

  const isSigned = list.run('batch', () => {
    established(isHeld, 'possession')
    const signer = memory.recoverSigner(digest, bundle.signature)
    demand(signer === bundle.signer, 'The batch was signed by another key.', [
      `Expected: ${bundle.signer}`,
      `Actual: ${signer}`,
    ])
    demand(
      batch.stream === attestation.statement.stream,
      'The batch belongs to a stream that the statement does not name.',
    )
    demand(
      batch.stream === streamId(bundle.streamName),
      'The stream has another name than the bundle says.',
    )
    return {
      detail: `Batch ${batch.sequence} of “${bundle.streamName}”, ${digest}.`,
      result: true,
    }
  })

  const isIncluded = list.run('inclusion', () => {
    established(isSigned, 'batch')
    assertInclusion(
      fromHex(batch.reportRoot, 'batch.reportRoot', 32),
      fromHex(leaf, 'leaf', 32),
      bundle.inclusion.index,
      batch.reportCount,
      bundle.inclusion.path.map((node) => fromHex(node, 'inclusion.path', 32)),
      keccakPairs,
    )
    demand(
      report.subject === subjectId(bundle.subjectName),
      'The report is on another subject than the bundle says.',
    )
    return {
      detail: `Leaf ${bundle.inclusion.index} of ${batch.reportCount}, ${leaf}.`,
      result: true,
    }
  })

  const policy = list.run('policy', () => {
    established(isIncluded, 'inclusion')
    const read = memory.policy(bundle.policy, () => {
      const decoded = decodePolicy(JSON.parse(bundle.policy) as unknown)
      return {
        policy: decoded,
        id: policyId(decoded),
        exclusiveTo: policyExclusiveTo(decoded),
        isCanonical: equalBytes(policyBytes(decoded), utf8(bundle.policy)),
      }
    })
    demand(read.id === report.policyId, 'The report was made under another policy.', [
      `Expected: ${report.policyId}`,
      `Actual: ${read.id}`,
    ])
    demand(read.isCanonical, 'The policy is not written in its canonical form (RFC 8785).')
    return { detail: `“${read.policy.name}”, ${report.policyId}.`, result: read }
  })

  list.run('right', () => {
    const expected = established(policy, 'policy').exclusiveTo
    demand(report.exclusiveTo === expected, 'The report grants what the policy does not.', [
      `Expected: ${expected}`,
      `Actual: ${report.exclusiveTo}`,
    ])
    const isFact = expected === zeroHash
    return {
      detail: isFact ? 'A fact: anyone may read it.' : `A right: ${expected}.`,
      result: true,
    }
  })

  list.run('measures', () => {
    established(isIncluded, 'inclusion')
    const hash = toHex(keccak(utf8(bundle.measures)))
    demand(hash === report.measuresHash, 'These are not the measures that were signed.', [
      `Expected: ${report.measuresHash}`,
      `Actual: ${hash}`,
    ])
    return { detail: hash, result: true }
  })

  // A device may have gone to another subject, or come from one, since the period. Its last value there
  // reaches as far as any value does.
  const spanOfEvidence = () =>
    evidenceSpan(established(policy, 'policy').policy, {
      startMs: Number(report.periodStartMs),
      endMs: Number(report.periodEndMs),
    })

  const rostered = list.run('roster', () => {
    established(isSigned, 'batch')
    demand(bundle.roster.length > 0, 'The bundle shows no line of the roster.')
    for (const { entry, index, path, observed } of bundle.roster) {
      assertInclusion(
        fromHex(batch.rosterRoot, 'batch.rosterRoot', 32),
        fromHex(rosterLeaf(entry), 'leaf', 32),
        index,
        batch.rosterCount,
        path.map((node) => fromHex(node, 'roster.path', 32)),
        keccakPairs,
      )
      demand(
        observed === undefined
          ? entry.subject === report.subject
          : isWithin(observed, spanOfEvidence()),
        'A line of the roster is on another subject.',
      )
    }
    const heard = bundle.roster.reduce((sum, { entry }) => sum + entry.heardReadings, 0)
    const elsewhere = bundle.roster.filter(({ entry }) => entry.subject !== report.subject).length
    return {
      detail: [
        `${bundle.roster.length} of ${batch.rosterCount} devices shown, ${heard} readings in this batch.`,
        // Nobody signed it: packs prove it, since the report comes out again with them only.
        ...(elsewhere === 0
          ? []
          : [
              `Of these ${elsewhere} stood elsewhere by then, and here before by the bundle’s word.`,
            ]),
      ].join(' '),
      result: new Map(bundle.roster.map(({ entry }) => [entry.device, entry])),
    }
  })

  const evidence = list.run('devices', () => {
    if (bundle.devices === undefined) {
      throw new NotCheckedError('The bundle was made without the devices’ packs.')
    }
    const roster = established(rostered, 'roster')
    const gathered = bundle.devices.map((device) =>
      gatherEvidence(device, batch.stream, { signatures, sha256: hash }, roster),
    )
    const marks = gathered.flatMap((device) => device.marks)
    const calibrations = gathered.flatMap((device) => device.calibrations)
    const laboratories = new Set(calibrations.flatMap(({ laboratory }) => laboratory ?? []))
    return {
      detail: [
        `Devices: ${gathered.length}. Packs: ${marks.length}.`,
        ...[...laboratories].sort().map((laboratory) => `Calibrated by ${laboratory}.`),
      ].join(' '),
      result: {
        marks,
        root: evidenceRoot(marks, perPair(hash), hash),
        readings: gathered.flatMap((device) => device.readings),
        calibrations,
      },
    }
  })

  list.run('evidence', () => {
    if (bundle.devices === undefined) throw new NotCheckedError('No packs in the bundle.')
    const { root } = established(evidence, 'devices')
    demand(root === report.evidenceRoot, 'The report rests on other packs.', [
      `Expected: ${report.evidenceRoot}`,
      `Actual: ${root}`,
    ])
    return { detail: root, result: true }
  })

  list.run('evaluation', () => {
    if (bundle.devices === undefined) throw new NotCheckedError('No packs in the bundle.')
    const { marks, root, readings, calibrations } = established(evidence, 'devices')
    const { policy: judgedBy } = established(policy, 'policy')
    for (const { device, unit } of calibrations) {
      demand(
        unit === undefined || unit === judgedBy.signal.unit,
        `A calibration of device ${device} is for another unit than the policy’s.`,
        [`Policy: ${judgedBy.signal.unit}`, `Certificate: ${unit}`],
      )
    }
    const evaluation = evaluate({
      policy: judgedBy,
      periodStartMs: Number(report.periodStartMs),
      periodEndMs: Number(report.periodEndMs),
      readings,
      packs: marks,
      calibrations,
    })
    const again = reportLeaf(composeReport(report, evaluation, root))
    demand(again === leaf, 'Evaluated again, the report comes out different.', [
      `Signed: ${leaf}`,
      `Again: ${again} (${evaluation.verdict}, ${evaluation.valueMicro} millionths of ${evaluation.unit})`,
    ])
    return {
      detail: `${evaluation.verdict}, ${readings.length} readings.`,
      result: true,
    }
  })

  return conclude(list.checks, bundle, appraised?.appraisal)
}

type DeviceEvidence = NonNullable<ProofBundle['devices']>[number]
type DeviceCalibration = NonNullable<DeviceEvidence['calibrations']>[number]
type Observed = NonNullable<DeviceEvidence['observed']>

/** Whether some of the time that a device observed a subject lies within a span. */
function isWithin(
  observed: Observed,
  { startMs, endMs }: { readonly startMs: number; readonly endMs: number },
): boolean {
  return observed.some(
    ({ fromMs = -Infinity, untilMs = Infinity }) =>
      Math.max(fromMs, startMs) < Math.min(untilMs, endMs),
  )
}

/** A calibration that a bundle shows, and what a laboratory has said of it. */
type ShownCalibration = Calibration & {
  /** The unit that the laboratory calibrated; absent where only the configuration says it. */
  readonly unit: string | undefined
  /** Name and key of the laboratory. */
  readonly laboratory: string | undefined
}

/** Verifies one device's packs and their chain; what it returns is proved to be the device's own. */
function gatherEvidence(
  device: DeviceEvidence,
  stream: Hex,
  { signatures, sha256 }: { readonly signatures: SignatureVerifier; readonly sha256: Sha256 },
  roster: ReadonlyMap<Hex, { readonly headHash: Hex; readonly lastSequence: bigint }>,
): {
  marks: PackMark[]
  readings: Reading[]
  calibrations: ShownCalibration[]
} {
  const key = deviceKeyFromCose(fromHex(device.coseKey, 'devices.coseKey'))
  const line = roster.get(key.id)
  demand(line !== undefined, `Device ${key.id} is not on the roster that the batch commits to.`)
  const packs = splitPackSequence(fromHex(device.packs, 'devices.packs'))
  const decoded: DecodedPack[] = packs.map((bytes) =>
    verifyPack(decodePack(bytes, { sha256 }), { key, stream, verifier: signatures }),
  )
  for (const [index, pack] of decoded.entries()) {
    const before = decoded[index - 1]
    if (before === undefined) {
      const isFirst = pack.claims.sequence === 1n
      demand(!isFirst || pack.claims.previous === noPrevious, 'The first pack follows another.')
      continue
    }
    demand(
      pack.claims.sequence === before.claims.sequence + 1n &&
        pack.claims.previous === before.packHash,
      `Pack ${pack.claims.sequence} of device ${key.id} does not follow the one before it.`,
    )
  }
  const tier = trustTiers[device.tier]
  return {
    marks: decoded.map((pack, index) => {
      const receivedMs = device.receivedMs?.[index]
      return { ...packMark(pack), ...(receivedMs === undefined ? {} : { receivedMs }) }
    }),
    readings: decoded
      .flatMap((pack) => pack.readings(tier))
      .filter(
        ({ timeMs }) =>
          device.observed?.some(
            ({ fromMs = -Infinity, untilMs = Infinity }) => timeMs >= fromMs && timeMs < untilMs,
          ) ?? true,
      ),
    calibrations: (device.calibrations ?? []).map((calibration) =>
      shownCalibration(key.id, calibration, signatures, sha256),
    ),
  }
}

/**
 * A calibration with who signed it, where a laboratory did. Whether the laboratory is to be believed is
 * the reader's to say: the worker's configuration, which is measured with its image, pinned this key.
 */
function shownCalibration(
  device: Hex,
  { series, validFromMs, validUntilMs, signed }: DeviceCalibration,
  signatures: SignatureVerifier,
  sha256: Sha256,
): ShownCalibration {
  const span = { device, series, validFromMs, validUntilMs }
  if (signed === undefined) return { ...span, unit: undefined, laboratory: undefined }
  const key = deviceKeyFromCose(fromHex(signed.laboratoryKey, 'devices.calibrations'))
  const certificate = verifyCalibration(
    decodeCalibration(fromHex(signed.certificate, 'devices.calibrations'), { sha256 }),
    { key, verifier: signatures },
  )
  demand(
    certificate.device === device &&
      certificate.series === series &&
      certificate.validFromMs === validFromMs &&
      certificate.validUntilMs === validUntilMs,
    `A calibration of device ${device} is not what its laboratory signed.`,
  )
  return { ...span, unit: certificate.unit, laboratory: `${certificate.laboratory} (${key.id})` }
}

function conclude(
  checks: readonly Check[],
  bundle: ProofBundle | undefined,
  appraisal: QuoteAppraisal | undefined,
): BundleVerdict {
  const status = new Map(checks.map((check) => [check.id, check.status]))
  const isAccepted =
    indispensable.every((id) => status.get(id) === 'passed') &&
    checks.every((check) => check.status !== 'failed')
  return { isAccepted, checks, bundle, report: bundle?.report, appraisal }
}
