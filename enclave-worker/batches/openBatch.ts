import { concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { type OrderedTree, type PairHasher, buildTree } from '#schemas/merkle/orderedTree.ts'
import type { BatchHead } from '#schemas/workerAnswers.ts'
import type { ProvenReport } from '#schemas/workerApi.ts'
import type { Ledger, LedgerPosition } from '../ledger/ledger.ts'
import { LedgerCorruptError } from '../ledger/ledgerErrors.ts'
import { decodeRecord } from '../ledger/records.ts'
import type { BatchEntry } from '../state/workerState.ts'
import { reportPath } from './composeBatch.ts'
import type { KeccakBatch } from './keccakBatch.ts'
import {
  type ReportPart,
  closedOfReport,
  openPart,
  reportOfPart,
  reportsPerPart,
} from './reportParts.ts'
import {
  type ClosedReport,
  type StoredHead,
  readStoredHead,
  readWholeBatch,
} from './storedBatch.ts'

/** A report of a batch with its path, and which period it closes. */
export type StoredReport = { readonly proven: ProvenReport; readonly closed: ClosedReport }

/** A batch read back, in whichever form it was kept. Its reports are read when they are asked for. */
export type OpenedBatch = {
  readonly head: BatchHead
  /** The reports of `[from, to)`, as far as there are any. */
  readonly reports: (from: number, to: number) => Promise<StoredReport[]>
}

/** What batches are read and hashed with. */
export type BatchTools = {
  readonly ledger: Pick<Ledger, 'read'>
  readonly hashPairs: PairHasher
  readonly hashReports: KeccakBatch
}

/** A part and its subtree; the last ones that were opened are kept. */
type OpenedPart = { readonly part: ReportPart; readonly tree: OrderedTree }

export type BatchOpener = (entry: BatchEntry) => Promise<OpenedBatch>

/** Parts that are kept opened: about 2 MB each, and the frames that they lie in. */
const keptParts = 4

function damaged({ segment, frame }: LedgerPosition, problem: string): LedgerCorruptError {
  return new LedgerCorruptError(`segment ${segment}, offset ${frame}`, problem)
}

/** A seal tells what a frame is, not where it belongs: whoever owns the disk can move whole ones. */
function assertSame({ position, digest }: BatchEntry, found: Pick<BatchHead, 'digest'>): void {
  if (found.digest !== digest) throw damaged(position, 'another batch lies there than was signed')
}

/** Opens batches by their places in the ledger. */
export function createBatchOpener({ ledger, hashPairs, hashReports }: BatchTools): BatchOpener {
  const opened = new Map<string, OpenedPart>()

  /** @throws {@link LedgerCorruptError} where the part is another than was signed. */
  async function partAt(position: LedgerPosition, root: string | undefined): Promise<OpenedPart> {
    const key = `${position.segment}/${position.frame}/${position.at}`
    const known = opened.get(key)
    if (known !== undefined) return known
    const record = decodeRecord(await ledger.read(position))
    if (record.kind !== 'reports') throw new BaseError('A part of a batch is misplaced.')
    const part = openPart(record)
    const made = { part, tree: buildTree(hashReports(part.rows), hashPairs) }
    if (toHex(made.tree.root) !== root) {
      throw damaged(position, 'the reports are others than were signed')
    }
    opened.set(key, made)
    for (const oldest of opened.keys()) {
      if (opened.size <= keptParts) break
      opened.delete(oldest)
    }
    return made
  }

  function openParts({ head, partRoots }: StoredHead, entry: BatchEntry): OpenedBatch {
    const roots = concatBytes(...partRoots.map((root) => fromHex(root, 'partRoots', 32)))
    const above = buildTree(roots, hashPairs)
    return {
      head,
      async reports(from, to) {
        const found: StoredReport[] = []
        const end = Math.min(to, head.batch.reportCount)
        for (let index = from; index < end;) {
          const place = Math.floor(index / reportsPerPart)
          const position = entry.reports[place]
          if (position === undefined) throw new BaseError('A part of a batch is missing.')
          const { part, tree } = await partAt(position, partRoots[place])
          const behind = reportPath(above, place)
          const first = place * reportsPerPart
          const until = Math.min(end, first + part.count)
          for (; index < until; index += 1) {
            const inPart = index - first
            const { report, subjectName, policyName, ...facts } = reportOfPart(part, inPart)
            const path = [...reportPath(tree, inPart), ...behind]
            found.push({
              proven: { subjectName, policyName, report, index, path, ...facts },
              closed: closedOfReport(part, inPart),
            })
          }
        }
        return found
      },
    }
  }

  return async (entry) => {
    const record = decodeRecord(await ledger.read(entry.position))
    if (record.kind === 'head') {
      const stored = readStoredHead(record.json)
      assertSame(entry, stored.head)
      return openParts(stored, entry)
    }
    if (record.kind !== 'batch') throw new BaseError(`Batch ${entry.sequence} is misplaced.`)
    const { signed, closed } = readWholeBatch(record.json)
    assertSame(entry, signed)
    const { batch, digest, signature, signer, reports } = signed
    return {
      head: { batch, digest, signature, signer },
      reports: (from, to) =>
        Promise.resolve(
          reports.slice(from, to).flatMap((proven, place) => {
            const closes = closed[from + place]
            return closes === undefined ? [] : [{ proven, closed: closes }]
          }),
        ),
    }
  }
}
