import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import type { PairHasher } from '#schemas/merkle/orderedTree.ts'
import { zeroHash } from '#schemas/report.ts'
import type { ProvenReport, SignedBatch } from '#schemas/workerApi.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { decodeRecord, encodeJsonRecord, rosterRecords } from '../ledger/records.ts'
import type { BlockSource, ChainBlock, Clock, Evaluator, Log } from '../ports.ts'
import { type WorkerState, applyBatch, periodKey, settleTransfers } from '../state/workerState.ts'
import { type Span, type Tracer, noTracing } from '../tracing.ts'
import type { Assignment } from '../windows/assignment.ts'
import { composeBatch, reportPath } from './composeBatch.ts'
import { type RosterOrder, composeRoster, rosterOrder } from './composeRoster.ts'
import type { RosterHasher } from './rosterRows.ts'
import { type DuePeriod, type DueRules, duePeriods, endedWork, latePeriods } from './dueWork.ts'
import {
  EvidenceDroppedError,
  evidenceKey,
  type JudgedPeriod,
  judgePeriod,
  saysOtherwise,
} from './judge.ts'
import { type StoredBatch, readStoredBatch } from './storedBatch.ts'

/** Raised when the clock or the anchor chain do not allow a batch to be signed now. */
export class SigningHeldError extends BaseError {
  override readonly name = 'SigningHeldError'
  override readonly retryable = true
}

export type CloserRules = DueRules & {
  readonly maxAnchorAgeMs: number
  readonly maxAnchorLeadMs: number
  readonly maxBatchIntervalMs: number | undefined
}

export type Closer = {
  /** Closes what is due into one batch; `undefined` when nothing is. One at a time. */
  close(): Promise<SignedBatch | undefined>
  /**
   * Judges ahead what has ended and still waits, for as long as is given: what is judged now on packs
   * that do not change any more need not be judged when the window closes.
   */
  prepare(budgetMs: number): Promise<void>
  /** Does work when no batch is on its way, at once and between two of them. */
  between<Result>(work: () => Result): Promise<Result>
  /** Why nothing can be signed at present, for `/healthz`. */
  held(): string | undefined
  /** How long the last batch took from its cut to the disk; zero before the first. */
  lastCloseMs(): number
}

export type CloserParts = {
  readonly stream: Hex
  readonly assignments: readonly Assignment[]
  readonly rules: CloserRules
  readonly state: WorkerState
  readonly ledger: Ledger
  readonly clock: Clock
  readonly anchorBlocks: BlockSource
  readonly evaluate: Evaluator
  readonly hashPairs: PairHasher
  readonly hashRoster: RosterHasher
  readonly sign: (digest: Hex) => Hex
  readonly signer: Hex
  readonly isAttested: () => boolean
  /** Whether what chains remember has yet to be compared with what the data folder holds. */
  readonly isUncompared: () => boolean
  /** Resolves once every body that has arrived until now is in order. */
  readonly drain: () => Promise<void>
  readonly onBatch: (batch: SignedBatch) => void
  readonly log: Log
  readonly tracer?: Tracer | undefined
  readonly failpoint?: ((name: string) => void | Promise<void>) | undefined
}

/** A period that could not be judged is tried again after this, not at every tick. */
const judgeAgainMs = 60_000

/** A subject that has been quiet for so long is worth judging ahead. */
const settledMs = 500

/** The newest block, and that it and the clock agree with each other. */
async function anchorNow(
  blocks: BlockSource,
  nowMs: number,
  rules: Pick<CloserRules, 'maxAnchorAgeMs' | 'maxAnchorLeadMs'>,
): Promise<ChainBlock> {
  const anchor = await blocks.latest()
  if (anchor.timestampMs > nowMs + rules.maxAnchorLeadMs) {
    throw new SigningHeldError('The clock is behind the anchor block.', {
      field: 'clock',
      metaMessages: [`Clock: ${nowMs}`, `Anchor: ${anchor.timestampMs}`],
      remedy: 'Set the host’s clock; batches wait until it agrees with the chain.',
    })
  }
  if (anchor.timestampMs < nowMs - rules.maxAnchorAgeMs) {
    throw new SigningHeldError('The newest anchor block is too old.', {
      field: 'anchor',
      metaMessages: [`Clock: ${nowMs}`, `Anchor: ${anchor.timestampMs}`],
      remedy: 'Check the anchor chain’s node and the host’s clock.',
    })
  }
  return anchor
}

/** Closes windows into batches. It decides nothing itself: it fetches, composes, signs, keeps. */
export function createCloser(parts: CloserParts): Closer {
  const { state, ledger, clock, log, rules, tracer = noTracing } = parts
  const fail = parts.failpoint ?? (() => undefined)
  let closing: Promise<SignedBatch | undefined> | undefined
  let heldBecause: string | undefined
  let lastCloseMs = 0
  let inOrder: (RosterOrder & { readonly version: number }) | undefined
  /** Assignments that could not be judged, and when to try again. */
  const notBeforeMs = new Map<string, number>()
  const asleepUntilMs = new Map<string, number>()

  function isOverdue(nowMs: number): boolean {
    const { maxBatchIntervalMs } = rules
    const oldest = state.oldestUnbatchedMs
    if (maxBatchIntervalMs === undefined || oldest === undefined) return false
    return nowMs - oldest >= maxBatchIntervalMs
  }

  /** A batch that packs were promised to and that a crash kept from being signed. */
  function isOwed(): boolean {
    return state.openSequence > BigInt(state.batches.length) + 1n
  }

  /** What was judged ahead, and on which packs. */
  const ahead = new Map<string, { readonly evidence: string; readonly judged: JudgedPeriod }>()
  const aheadKey = ({ assignment, period }: DuePeriod): string =>
    `${assignment.key}/${periodKey(period)}`

  async function judgeOrRecall(entry: DuePeriod, sequence: bigint): Promise<JudgedPeriod> {
    const known = ahead.get(aheadKey(entry))
    if (known?.evidence === evidenceKey(entry, sequence, state)) return known.judged
    return judgePeriod(entry, sequence, zeroHash, parts)
  }

  async function prepare(budgetMs: number): Promise<void> {
    const untilMs = performance.now() + budgetMs
    const nowMs = clock.nowMs()
    const { waiting } = endedWork(parts.assignments, state, rules, nowMs, asleepUntilMs)
    const sequence = BigInt(state.batches.length) + 1n
    for (const entry of waiting) {
      if (performance.now() > untilMs || closing !== undefined) return
      // A subject that is sending will have said more by then.
      const spokenMs = state.lastIngestMs.get(entry.assignment.subject) ?? 0
      if (nowMs - spokenMs < settledMs) continue
      const evidence = evidenceKey(entry, sequence, state)
      if (ahead.get(aheadKey(entry))?.evidence === evidence) continue
      try {
        const judged = await tracer.during('judge ahead', () =>
          judgePeriod(entry, sequence, zeroHash, parts),
        )
        ahead.set(aheadKey(entry), { evidence, judged })
      } catch {
        // It is tried again when it is due, and said then.
        ahead.delete(aheadKey(entry))
      }
      // Packs come first: what waits at the door is let in between two judgements.
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
    }
  }

  async function judgeAll(
    due: readonly DuePeriod[],
    late: readonly DuePeriod[],
    sequence: bigint,
  ): Promise<JudgedPeriod[]> {
    const judged: JudgedPeriod[] = []
    const stopped = new Set<string>()
    for (const entry of due) {
      // A window's periods close in order: behind one that cannot be judged the rest wait.
      if (stopped.has(entry.assignment.key)) continue
      try {
        judged.push(await judgeOrRecall(entry, sequence))
      } catch (error) {
        stopped.add(entry.assignment.key)
        notBeforeMs.set(entry.assignment.key, clock.nowMs() + judgeAgainMs)
        log('error', 'period not judged', {
          subject: entry.assignment.subjectName,
          policy: entry.assignment.policy.name,
          error: error instanceof BaseError ? error.message : String(error),
        })
      }
    }
    for (const entry of late) {
      const closed = state.assignments
        .get(entry.assignment.key)
        ?.closed.get(periodKey(entry.period))
      if (closed === undefined) continue
      const again = await judgeAgain(entry, sequence, closed.firstLeaf)
      if (again === undefined) continue
      const before = (await readBatch(closed.batchSequence)).signed.reports[closed.index]
      if (before !== undefined && saysOtherwise(again.report, before.report)) judged.push(again)
      else state.assignments.get(entry.assignment.key)?.late.delete(periodKey(entry.period))
    }
    return judged
  }

  /** A late pack about a time of which evidence was dropped amends nothing: half is no evidence. */
  async function judgeAgain(
    entry: DuePeriod,
    sequence: bigint,
    firstLeaf: Hex,
  ): Promise<JudgedPeriod | undefined> {
    try {
      return await judgePeriod(entry, sequence, firstLeaf, parts)
    } catch (error) {
      if (!(error instanceof EvidenceDroppedError)) throw error
      state.assignments.get(entry.assignment.key)?.late.delete(periodKey(entry.period))
      log('warn', 'period not amended', {
        subject: entry.assignment.subjectName,
        policy: entry.assignment.policy.name,
        error: error.message,
      })
      return undefined
    }
  }

  /**
   * Whether a closed period rests on anything else by now. Where it does not, nothing can come out
   * different: it is forgotten, and nothing has to be read for it.
   */
  function hasNews(entry: DuePeriod): boolean {
    const known = state.assignments.get(entry.assignment.key)
    const closed = known?.closed.get(periodKey(entry.period))
    if (known === undefined || closed === undefined) return false
    const sequence = BigInt(state.batches.length) + 1n
    const isSame =
      evidenceKey(entry, closed.batchSequence, state) === evidenceKey(entry, sequence, state)
    if (isSame) known.late.delete(periodKey(entry.period))
    return !isSame
  }

  async function readBatch(sequence: bigint): Promise<StoredBatch> {
    const entry = state.batches[Number(sequence) - 1]
    if (entry === undefined) throw new BaseError(`Batch ${sequence} is not there.`)
    const record = decodeRecord(await ledger.read(entry.position))
    if (record.kind !== 'batch') throw new BaseError(`Batch ${sequence} is not where it should be.`)
    return readStoredBatch(record.json)
  }

  async function closeNow(): Promise<SignedBatch | undefined> {
    const nowMs = clock.nowMs()
    settleTransfers(state, nowMs)
    const owed = isOwed()
    const find = (): { due: DuePeriod[]; late: DuePeriod[] } => ({
      due: owed
        ? []
        : duePeriods(parts.assignments, state, rules, nowMs, asleepUntilMs).filter(
            ({ assignment }) => nowMs >= (notBeforeMs.get(assignment.key) ?? 0),
          ),
      late: owed ? [] : latePeriods(parts.assignments, state, rules, nowMs).filter(hasNews),
    })
    const isIdle = ({ due, late }: ReturnType<typeof find>): boolean =>
      due.length === 0 && late.length === 0 && !owed && !isOverdue(nowMs)
    if (isIdle(find())) return undefined
    if (!parts.isAttested()) {
      throw new SigningHeldError('This boot’s keys are not attested yet.', {
        field: 'attestation',
        remedy: 'Check the guest agent and the anchor chain’s node.',
      })
    }
    if (parts.isUncompared()) {
      throw new SigningHeldError('The head on the anchor chain is not compared yet.', {
        field: 'registries.proofRegistry',
        remedy: 'Check the anchor chain’s node and the address of its proof registry.',
      })
    }
    return tracer.during('close', async (span) => {
      // Before the cut, so that nothing but the disk can come between the cut and the signature.
      const anchor = await span.during('anchor', () => anchorNow(parts.anchorBlocks, nowMs, rules))
      await span.during('drain', () => parts.drain())
      // What was on its way has arrived: a subject that has just spoken may have to be left alone.
      const found = find()
      return isIdle(found) ? undefined : signBatch(span, found, anchor)
    })
  }

  async function signBatch(
    span: Span,
    { due, late }: { readonly due: readonly DuePeriod[]; readonly late: readonly DuePeriod[] },
    anchor: ChainBlock,
  ): Promise<SignedBatch> {
    const sequence = BigInt(state.batches.length) + 1n
    const before = state.batches.at(-1)
    const cutMs = performance.now()
    // The cut: packs accepted from here on are promised to the batch after this one.
    if (state.openSequence <= sequence) state.openSequence = sequence + 1n
    await fail('close.afterCut')
    const judged = await span.during('judge', () => judgeAll(due, late, sequence))

    // Never backwards, whatever the host does to its clock.
    const closedAtMs = Math.max(clock.nowMs(), before?.closedAtMs ?? 0)
    const sinceMs = before?.closedAtMs ?? state.firstBootMs ?? closedAtMs
    settleTransfers(state, closedAtMs)
    if (inOrder?.version !== state.fleetVersion) {
      inOrder = { ...rosterOrder(state.devices.values()), version: state.fleetVersion }
    }
    const order = inOrder
    const { rows, composed } = await span.during('compose', () => {
      const lines = composeRoster(order, sequence, closedAtMs - sinceMs, state.enrolments.retired)
      return Promise.resolve({
        rows: lines,
        composed: composeBatch(
          {
            stream: parts.stream,
            sequence,
            previous: before?.digest ?? zeroHash,
            reports: judged.map(({ report }) => report),
            rosterLeaves: parts.hashRoster(lines),
            closedAtMs,
            anchor,
          },
          parts.hashPairs,
        ),
      })
    })
    const { batch, digest, leaves, tree } = composed
    const signature = await span.during('sign', () => Promise.resolve(parts.sign(digest)))
    const reports = judged.map((entry, index): ProvenReport => ({
      subjectName: entry.assignment.subjectName,
      policyName: entry.assignment.policy.name,
      report: entry.report,
      index,
      path: reportPath(tree, index),
      lastReadingMs: BigInt(entry.lastReadingMs),
      lastReceivedMs: BigInt(entry.lastReceivedMs),
    }))
    const signed: SignedBatch = {
      batch,
      digest,
      signature,
      signer: parts.signer,
      reports,
    }
    const stored: StoredBatch = {
      signed,
      closed: judged.map((entry, index) => ({
        key: entry.assignment.key,
        startMs: entry.period.startMs,
        endMs: entry.period.endMs,
        ...(entry.assignment.impactClass === undefined
          ? {}
          : { impactClass: entry.assignment.impactClass }),
        firstLeaf:
          entry.report.amends === zeroHash ? (leaves[index] ?? zeroHash) : entry.report.amends,
        index,
      })),
    }
    await fail('close.beforeAppend')
    const roster = rosterRecords(sequence, rows).map((part) => ledger.append(part.head, part.rows))
    const position = ledger.append(encodeJsonRecord('batch', stored))
    // The packs it speaks about lie before it in the same file: one sync covers both.
    await span.during('durable', () => ledger.commit())
    lastCloseMs = performance.now() - cutMs
    for (const entry of judged) ahead.delete(aheadKey(entry))
    await fail('close.afterCommit')
    applyBatch(state, { sequence, digest, closedAtMs, closed: stored.closed }, position, roster)
    log('info', 'batch signed', {
      sequence,
      digest,
      reports: reports.length,
      devices: batch.rosterCount,
    })
    span.tell({
      batch: String(sequence),
      digest,
      reports: reports.length,
      devices: batch.rosterCount,
    })
    parts.onBatch(signed)
    return signed
  }

  return {
    close() {
      closing ??= closeNow()
        .then(
          (signed) => {
            heldBecause = undefined
            return signed
          },
          (error: unknown) => {
            if (error instanceof BaseError && error.retryable) heldBecause = error.shortMessage
            throw error
          },
        )
        .finally(() => {
          closing = undefined
        })
      return closing
    },
    prepare,
    async between(work) {
      for (;;) {
        const underWay = closing
        if (underWay === undefined) return work()
        await underWay.catch(() => undefined)
      }
    },
    held: () => heldBecause,
    lastCloseMs: () => lastCloseMs,
  }
}
