import { measuresBytes } from '#evaluation/conclude.ts'
import { evaluate } from '#evaluation/evaluate.ts'
import { bundleVersion, writeBundle } from '#schemas/bundle.ts'
import { type Hex, concatBytes, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { type PairHasher, buildTree } from '#schemas/merkle/orderedTree.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { policyBytes } from '#schemas/policy/policy.ts'
import { type TrustTierName, trustTiers } from '#schemas/trustTier.ts'
import type { Report } from '#schemas/report.ts'
import { type ProvenReport, readMessage, writeMessage } from '#schemas/workerApi.ts'
import type { Attestations } from '../attest/attestations.ts'
import type { EnrolledDevice } from '../config.ts'
import { calibrationRecordSchema } from '../enrolment/calibrationRecord.ts'
import { RateLimitedError } from '../ingest/refusals.ts'
import type { Ledger, LedgerPosition } from '../ledger/ledger.ts'
import { decodeRecord } from '../ledger/records.ts'
import { storedMeasuresSchema } from '../state/replay.ts'
import { clipSpans, observedSpans, toldSpans } from '../state/tenure.ts'
import type { WorkerState } from '../state/workerState.ts'
import type { Assignment } from '../windows/assignment.ts'
import { evidenceSpan } from '#evaluation/evidenceSpan.ts'
import type { Period } from '../windows/periods.ts'
import type { BatchReader } from './batchReader.ts'
import { reportPath } from './composeBatch.ts'
import type { DuePeriod } from './dueWork.ts'
import { type Evidence, EvidenceDroppedError, gatherEvidence } from './judge.ts'
import { type RosterHasher, findRosterRow, readRosterRow } from './rosterRows.ts'

/** Raised when no report is there that the question is about. */
export class UnknownReportError extends BaseError {
  override readonly name = 'UnknownReportError'
}

/** Raised while a bundle cannot be completed: it would not hold without what is missing. */
export class BundleIncompleteError extends BaseError {
  override readonly name = 'BundleIncompleteError'
  override readonly retryable = true
}

/** Raised when a bundle with its packs would be larger than one file should be. */
export class BundleTooLargeError extends BaseError {
  override readonly name = 'BundleTooLargeError'
}

/** Which of a subject's reports: the newest that fits. */
export type BundleQuestion = {
  readonly subject: Hex
  readonly policyId?: Hex | undefined
  /** Of this batch. */
  readonly sequence?: bigint | undefined
  readonly withPacks: boolean
}

export type Bundles = {
  /**
   * A report with everything that proves it, as the text of one JSON file.
   *
   * @throws {@link UnknownReportError} | {@link BundleIncompleteError} | {@link BundleTooLargeError}
   */
  text(question: BundleQuestion): Promise<string>
}

/** Evaluating a month again takes a while: a few at once, no more. */
const maxAtOnce = 2
const cacheBytes = 32 * 1024 * 1024
/** The format's own bound on one device's packs. */
const maxPacksPerDevice = 10_000
const maxPackBytes = 16 * 1024 * 1024

export function createBundles(parts: {
  readonly streamName: string
  readonly anchorChainId: bigint
  readonly assignments: readonly Assignment[]
  readonly state: WorkerState
  readonly ledger: Ledger
  readonly batches: BatchReader
  readonly attestations: Attestations
  readonly hashPairs: PairHasher
  readonly hashRoster: RosterHasher
}): Bundles {
  const { state, batches } = parts
  const byKey = new Map(parts.assignments.map((assignment) => [assignment.key, assignment]))
  const texts = new Map<string, string>()
  let held = 0
  let working = 0

  async function find({ subject, policyId, sequence }: BundleQuestion) {
    const places = state.reportsOf.get(subject) ?? []
    for (const place of [...places].reverse()) {
      if (sequence !== undefined && place.sequence !== sequence) continue
      const { head, reports } = await batches.open(place.sequence)
      const [stored] = await reports(place.index, place.index + 1)
      if (stored === undefined) continue
      if (policyId === undefined || stored.proven.report.policyId === policyId) {
        return { head, ...stored }
      }
    }
    throw new UnknownReportError('There is no such report on the subject.', {
      field: 'subject',
      remedy: 'Ask /v1/reports for what there is; a window may not have closed yet.',
    })
  }

  async function rosterOf(sequence: bigint, { assignment, period }: DuePeriod) {
    const { subject } = assignment
    const span = evidenceSpan(assignment.policy, period)
    const rows = await batches.rosterRows(sequence)
    const tree = buildTree(parts.hashRoster(rows), parts.hashPairs)
    return (state.bySubject.get(subject) ?? []).flatMap((device) => {
      const index = findRosterRow(rows, device.id)
      const spans = observedSpans(device, subject, sequence)
      if (index === undefined || clipSpans(spans, span).length === 0) return []
      const observed = toldSpans(spans)
      return [
        {
          entry: readRosterRow(rows, index),
          index,
          path: reportPath(tree, index),
          ...(observed === undefined ? {} : { observed }),
        },
      ]
    })
  }

  /** The report's measures as they were signed, and what they rest on if that is still kept. */
  async function measuresOf(
    due: DuePeriod,
    sequence: bigint,
    { report, index }: ProvenReport,
  ): Promise<{ measures: string; evidence: Evidence | undefined }> {
    const stored = state.measures.get(`${sequence}/${index}`)
    try {
      // Evaluated again rather than stored: the same inputs give the same, to the last byte.
      const evidence = await gatherEvidence(due, sequence, parts)
      return { measures: measuresAgain(due, report, evidence), evidence }
    } catch (error) {
      if (!(error instanceof EvidenceDroppedError) || stored === undefined) throw error
      const record = decodeRecord(await parts.ledger.read(stored))
      if (record.kind !== 'measures') throw error
      const { text } = readMessage(storedMeasuresSchema, record.json, 'stored measures')
      return { measures: text, evidence: undefined }
    }
  }

  async function compose(
    { head, proven, closed }: Awaited<ReturnType<typeof find>>,
    withPacks: boolean,
  ): Promise<string> {
    const { batch, signature, signer } = head
    const assignment = byKey.get(closed.key)
    if (assignment === undefined) {
      throw new UnknownReportError('The report’s policy is no longer configured.', {
        field: 'policy',
        remedy: 'Take the bundle from an archive, or configure the assignment again.',
      })
    }
    const attestation = await parts.attestations.kept(parts.anchorChainId, signer)
    if (attestation.collateralAtSeconds === undefined) {
      throw new BundleIncompleteError('The signer’s attestation has no collateral yet.', {
        field: 'certificationService',
        remedy: 'Try again in a moment; the operator has to configure a certification service.',
      })
    }
    const { measures, evidence } = await measuresOf(
      { assignment, period: closed },
      batch.sequence,
      proven,
    )
    if (withPacks && evidence === undefined) {
      throw new BundleIncompleteError('The packs behind the report have been dropped.', {
        field: 'packs',
        remedy: 'Ask without packs; a backup from before the retention still holds them.',
      })
    }
    const devices =
      withPacks && evidence !== undefined ? await deviceEvidence(evidence, parts.ledger) : undefined
    const content = {
      kind: 'plumbline-proof-bundle',
      version: bundleVersion,
      recordedAtSeconds: attestation.collateralAtSeconds,
      subjectName: proven.subjectName,
      streamName: parts.streamName,
      report: proven.report,
      policy: new TextDecoder().decode(policyBytes(assignment.policy)),
      measures,
      inclusion: { index: proven.index, path: proven.path },
      batch,
      signature,
      signer,
      attestation,
      roster: await rosterOf(batch.sequence, { assignment, period: closed }),
      ...(devices === undefined ? {} : { devices }),
    }
    return writeBundle(JSON.parse(writeMessage(content)) as Record<string, unknown>)
  }

  return {
    async text(question) {
      const found = await find(question)
      const key = `${found.head.digest}/${found.proven.index}/${question.withPacks}`
      const known = texts.get(key)
      if (known !== undefined) return known
      if (working >= maxAtOnce) {
        throw new RateLimitedError('Too many bundles are asked for at once.', 'subject', 1)
      }
      working += 1
      try {
        const text = await compose(found, question.withPacks)
        texts.set(key, text)
        held += text.length
        for (const [oldest, old] of texts) {
          if (held <= cacheBytes || oldest === key) break
          texts.delete(oldest)
          held -= old.length
        }
        return text
      } finally {
        working -= 1
      }
    },
  }
}

/**
 * The canonical measures of a report, evaluated again.
 *
 * @throws {@link BundleIncompleteError} when they are others than were signed
 */
export function measuresAgain(
  { assignment, period }: DuePeriod,
  report: Pick<Report, 'measuresHash'>,
  evidence: Evidence,
): string {
  const { measures, findings, measuresHash } = evaluate({
    policy: assignment.policy,
    periodStartMs: period.startMs,
    periodEndMs: period.endMs,
    readings: evidence.readings,
    packs: evidence.marks,
    calibrations: evidence.calibrations,
  })
  if (measuresHash !== report.measuresHash) {
    throw new BundleIncompleteError('The report was made from other packs than are kept.', {
      field: 'subject',
      metaMessages: [`Signed: ${report.measuresHash}`, `Now: ${measuresHash}`],
      remedy: 'Enrol the subject’s devices as they were when the batch was signed.',
    })
  }
  return new TextDecoder().decode(measuresBytes(measures, findings))
}

const tierNames = Object.fromEntries(
  Object.entries(trustTiers).map(([name, tier]) => [tier, name as TrustTierName]),
)

async function calibrationsOf(
  device: Hex,
  calibrations: Evidence['calibrations'],
  ledger: Pick<Ledger, 'read'>,
) {
  const own = calibrations
    .filter((calibration) => calibration.device === device)
    .map(async ({ series, validFromMs, validUntilMs, signed }) => ({
      series,
      validFromMs,
      validUntilMs,
      ...(signed === undefined ? {} : { signed: await certificateAt(signed.position, ledger) }),
    }))
  return own.length === 0 ? {} : { calibrations: await Promise.all(own) }
}

function observedBy(spans: readonly Period[] | undefined) {
  const observed = spans === undefined ? undefined : toldSpans(spans)
  return observed === undefined ? {} : { observed }
}

/** A laboratory's certificate and the key that it was believed under, as they came. */
async function certificateAt(position: LedgerPosition, ledger: Pick<Ledger, 'read'>) {
  const record = decodeRecord(await ledger.read(position))
  const json = record.kind === 'calibration' ? record.json : undefined
  const { certificate, laboratoryKey } = readMessage(
    calibrationRecordSchema,
    json,
    'stored calibration',
  )
  return { certificate, laboratoryKey }
}

async function deviceEvidence(
  { packs, calibrations, observed }: Evidence,
  ledger: Pick<Ledger, 'read'>,
): Promise<unknown[]> {
  const bytes = packs.reduce((sum, pack) => sum + pack.bytes.length, 0)
  const ofDevice = new Map<EnrolledDevice, Evidence['packs'][number][]>()
  for (const pack of packs) {
    const beside = ofDevice.get(pack.device)
    if (beside === undefined) ofDevice.set(pack.device, [pack])
    else beside.push(pack)
  }
  const most = Math.max(0, ...[...ofDevice.values()].map(({ length }) => length))
  if (bytes > maxPackBytes || most > maxPacksPerDevice) {
    throw new BundleTooLargeError('The report rests on more packs than one bundle holds.', {
      field: 'packs',
      metaMessages: [`Bytes: ${bytes}`, `Packs of one device: ${most}`],
      remedy: 'Ask without packs; the packs can be read device by device.',
    })
  }
  const devices = [...ofDevice].map(async ([{ key, tier }, sent]) => ({
    coseKey: toHex(coseKeyBytes(key)),
    algorithm: key.algorithm,
    tier: tierNames[tier],
    packs: toHex(concatBytes(...sent.map((pack) => pack.bytes))),
    receivedMs: sent.map(({ receivedMs }) => receivedMs),
    ...observedBy(observed.get(key.id)),
    ...(await calibrationsOf(key.id, calibrations, ledger)),
  }))
  return Promise.all(devices)
}
