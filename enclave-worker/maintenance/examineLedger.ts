import { createHash } from 'node:crypto'
import { batchDigest } from '#schemas/batch.ts'
import { type Hex, concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { evidenceRoot } from '#schemas/evidence.ts'
import { treeRoot } from '#schemas/merkle/orderedTree.ts'
import { fastSha256Pairs } from '#schemas/merkle/fastPairHashers.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import { reportLeaf, zeroHash } from '#schemas/report.ts'
import { recoverSigner } from '#schemas/signatures.ts'
import { createKeccakPairs } from '../batches/keccakBatch.ts'
import { createRosterHasher, readRosterRows } from '../batches/rosterRows.ts'
import { createReportHasher, reportRowBytes } from '../batches/reportRows.ts'
import { reportsPerPart } from '../batches/reportParts.ts'
import { type StoredHead, readStoredHead, readWholeBatch } from '../batches/storedBatch.ts'
import type { BatchHead } from '#schemas/workerAnswers.ts'
import type { WorkerConfig } from '../config.ts'
import { type LedgerReader, readLedger } from '../ledger/ledger.ts'
import {
  type LedgerRecord,
  type PackTrace,
  type ReportsRecord,
  decodeRecord,
} from '../ledger/records.ts'
import type { Seal } from '../ledger/seal.ts'
import { replayRecord } from '../state/replay.ts'
import { type WorkerState, createState } from '../state/workerState.ts'

/** Raised when a ledger reads back and contradicts itself: it is not one that this worker wrote. */
export class LedgerContradictionError extends BaseError {
  override readonly name = 'LedgerContradictionError'
}

/** A ledger that was read through, with what a worker would know after a boot over it. */
export type ExaminedLedger = {
  readonly state: WorkerState
  readonly reader: LedgerReader
  readonly summary: {
    readonly batches: number
    readonly headDigest: Hex
    readonly packs: number
    /** Packs of which the bytes are kept. */
    readonly keptPacks: number
    readonly unbatchedPacks: number
    readonly devices: number
    readonly equivocations: number
    readonly frames: bigint
    readonly bytes: number
  }
}

function refuse(what: string, expected: string, actual: string): never {
  throw new LedgerContradictionError(what, {
    field: 'dataFolder',
    metaMessages: [`Expected: ${expected}`, `Actual: ${actual}`],
    remedy: 'Restore the data folder from a backup.',
  })
}

/** Checks as it reads: what each batch says against the records before it. */
type Examiner = { take(record: LedgerRecord): void }

async function createExaminer(): Promise<Examiner> {
  const hashReports = await createReportHasher()
  const hashRoster = await createRosterHasher()
  const hashPairs = await createKeccakPairs()
  const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
  /** What each batch that is not there yet will have to hold. */
  const owed = new Map<bigint, Map<Hex, PackTrace[]>>()
  let rows: Uint8Array[] = []
  let reports: ReportsRecord[] = []
  let previous: Hex = zeroHash
  let sequence = 0n

  function owe(batchSequence: bigint, trace: PackTrace): void {
    const ofBatch = owed.get(batchSequence) ?? new Map<Hex, PackTrace[]>()
    owed.set(batchSequence, ofBatch)
    const ofDevice = ofBatch.get(trace.device)
    if (ofDevice === undefined) ofBatch.set(trace.device, [trace])
    else ofDevice.push(trace)
  }

  /** Leaves of the parts that a batch counts as its own, held against what it says of them. */
  function leavesOfParts({ head, reportParts, partRoots }: StoredHead): Uint8Array {
    const name = `Batch ${head.batch.sequence}`
    const own = reports.slice(Math.max(0, reports.length - reportParts))
    if (own.length !== reportParts || partRoots.length !== reportParts) {
      refuse(`${name} lacks some of its reports.`, String(reportParts), String(own.length))
    }
    return concatBytes(
      ...own.map(({ first, rows: part, batchSequence }, place) => {
        const isInOrder = batchSequence === head.batch.sequence && first === place * reportsPerPart
        const isWhole = place === own.length - 1 || part.length === reportsPerPart * reportRowBytes
        if (!isInOrder || !isWhole) {
          refuse(`${name} has its reports in another order.`, String(place), String(first))
        }
        const leaves = hashReports(part)
        const root = toHex(treeRoot(leaves, hashPairs))
        if (root !== partRoots[place]) {
          refuse(`${name} has other reports.`, String(partRoots[place]), root)
        }
        return leaves
      }),
    )
  }

  function takeHead(json: unknown): void {
    const stored = readStoredHead(json)
    const { rosterParts } = stored
    takeBatch(
      stored.head,
      leavesOfParts(stored),
      rows.slice(Math.max(0, rows.length - rosterParts)),
    )
  }

  function takeWhole(json: unknown): void {
    const { signed } = readWholeBatch(json)
    const leaves = signed.reports.map(({ report }) => fromHex(reportLeaf(report), 'leaf', 32))
    takeBatch(signed, concatBytes(...leaves), rows)
  }

  function takeBatch(
    signed: BatchHead,
    leaves: Uint8Array,
    rosterParts: readonly Uint8Array[],
  ): void {
    const { batch } = signed
    sequence += 1n
    const name = `Batch ${batch.sequence}`
    if (batch.sequence !== sequence) {
      refuse('A batch is missing.', String(sequence), String(batch.sequence))
    }
    if (batch.previous !== previous) {
      refuse(`${name} does not follow the one before.`, previous, batch.previous)
    }
    const digest = batchDigest(batch)
    if (digest !== signed.digest) refuse(`${name} has another digest.`, digest, signed.digest)
    const signer = recoverSigner(digest, signed.signature)
    if (signer !== signed.signer) refuse(`${name} has another signer.`, signed.signer, signer)
    const reportRoot = toHex(treeRoot(leaves, hashPairs))
    if (reportRoot !== batch.reportRoot) {
      refuse(`${name} has other reports.`, batch.reportRoot, reportRoot)
    }
    if (leaves.length / 32 !== batch.reportCount) {
      refuse(
        `${name} counts its reports wrongly.`,
        String(batch.reportCount),
        `${leaves.length / 32}`,
      )
    }
    const roster = concatBytes(...rosterParts)
    rows = []
    reports = []
    const rosterRoot = toHex(treeRoot(hashRoster(roster), hashPairs))
    if (rosterRoot !== batch.rosterRoot) {
      refuse(`${name} has another roster.`, batch.rosterRoot, rosterRoot)
    }
    const held = owed.get(sequence)
    for (const { device, packsRoot } of readRosterRows(roster)) {
      const root = evidenceRoot(held?.get(device) ?? [], fastSha256Pairs, sha256)
      if (root !== packsRoot) refuse(`${name} holds other packs of ${device}.`, packsRoot, root)
      held?.delete(device)
    }
    const [missing] = held?.keys() ?? []
    if (missing !== undefined) refuse(`${name} leaves a device out.`, missing, 'not on the roster')
    owed.delete(sequence)
    previous = digest
  }

  return {
    take(record) {
      if (record.kind === 'pack') {
        const { device, sequence: number, hash, bytes, batchSequence } = record
        const decoded = decodePack(bytes, { sha256 })
        if (decoded.packHash !== hash) {
          refuse(`Pack ${number} of ${device} is another one.`, hash, decoded.packHash)
        }
        owe(batchSequence, { device, sequence: number, hash })
      } else if (record.kind === 'marks') {
        for (const mark of record.marks) owe(record.batchSequence, mark)
      } else if (record.kind === 'roster') rows.push(record.rows)
      else if (record.kind === 'reports') reports.push(record)
      else if (record.kind === 'boot') {
        rows = []
        reports = []
      } else if (record.kind === 'batch') takeWhole(record.json)
      else if (record.kind === 'head') takeHead(record.json)
    },
  }
}

/**
 * Reads a ledger through and checks what it says: every seal and checksum, every pack against its
 * hash, every batch against its predecessor, its signature, its reports, and its roster against the
 * packs that lie before it. Nothing on the disk is changed. The reader is the caller's to close.
 *
 * @throws LedgerCorruptError | LedgerForeignError | {@link LedgerContradictionError}
 */
export async function examineLedger(
  folder: string,
  config: Pick<WorkerConfig, 'streamId' | 'devices' | 'calibrations'>,
  seal: Seal,
): Promise<ExaminedLedger> {
  const state = createState(config.devices, config.calibrations)
  const examiner = await createExaminer()
  let keptPacks = 0
  const reader = await readLedger({
    folder,
    stream: config.streamId,
    seal,
    onRecord: (bytes, position) => {
      const record = decodeRecord(bytes)
      if (record.kind === 'pack') keptPacks += 1
      examiner.take(record)
      replayRecord(state, record, position)
    },
  })
  return {
    state,
    reader,
    summary: {
      batches: state.batches.length,
      headDigest: state.batches.at(-1)?.digest ?? zeroHash,
      packs: state.acceptedPacks,
      keptPacks,
      unbatchedPacks: state.unbatchedPacks,
      devices: state.devices.size,
      equivocations: state.equivocations.length,
      frames: reader.frames,
      bytes: reader.bytes,
    },
  }
}
