import { type Hex, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import type { PairHasher } from '#schemas/merkle/orderedTree.ts'
import { type Report, reportLeaf, zeroHash } from '#schemas/report.ts'
import type { BatchHead } from '#schemas/workerAnswers.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { encodeJsonRecord, rosterRecords } from '../ledger/records.ts'
import type { BlockSource, ChainBlock, Clock, Evaluator, Log } from '../ports.ts'
import {
  type WorkerState,
  beginBatch,
  closePeriod,
  endBatch,
  evidenceVersion,
  periodKey,
  settleTransfers,
} from '../state/workerState.ts'
import { type Span, type Tracer, noTracing } from '../tracing.ts'
import type { Assignment } from '../windows/assignment.ts'
import { composeBatch } from './composeBatch.ts'
import { createRosterDraft } from './composeRoster.ts'
import { type DuePeriod, type DueRules, type EndedPeriod, createDueWork } from './dueWork.ts'
import {
  EvidenceDroppedError,
  type EvidenceMemory,
  evidenceKey,
  type JudgedPeriod,
  judgePeriod,
  saysOtherwise,
} from './judge.ts'
import { type JudgedOn, createJudgedAhead } from './judgedAhead.ts'
import type { KeccakBatch } from './keccakBatch.ts'
import { createBatchOpener } from './openBatch.ts'
import { type ReportDraft, draftReports } from './reportParts.ts'
import { rosterRowBytes } from './rosterRows.ts'
import type { SpanHasher } from './spanHasher.ts'
import type { StoredHead } from './storedBatch.ts'

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
  close(): Promise<BatchHead | undefined>
  /**
   * Judges ahead what has ended and still waits, and writes the next roster, for as long as is given:
   * what is done now on packs that do not change any more need not be done when the window closes.
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
  readonly hashReports: KeccakBatch
  readonly hashSpans: SpanHasher
  readonly sign: (digest: Hex) => Hex
  readonly signer: Hex
  readonly isAttested: () => boolean
  /** Whether what chains remember has yet to be compared with what the data folder holds. */
  readonly isUncompared: () => boolean
  /** Resolves once every body that has arrived until now is in order. */
  readonly drain: () => Promise<void>
  readonly onBatch: (batch: BatchHead) => void
  readonly log: Log
  readonly tracer?: Tracer | undefined
  readonly failpoint?: ((name: string) => void | Promise<void>) | undefined
}

/** Packs come first: what waits at the door is let in between two pieces of long work. */
function createBreath(): { isBreathless: () => boolean; breathe: () => Promise<void> } {
  let breathedMs = performance.now()
  return {
    isBreathless: () => performance.now() - breathedMs > breathMs,
    breathe: () =>
      new Promise((resolve) => {
        setImmediate(() => {
          breathedMs = performance.now()
          resolve()
        })
      }),
  }
}

/** Closed periods that are taken into the state between two looks at the time. */
const periodsAtOnce = 64

/** A period that could not be judged is tried again after this, not at every tick. */
const judgeAgainMs = 60_000

/** Where nothing was left to judge ahead and no pack has come, it is not looked again before this. */
const lookAgainMs = 1000

/** Longest that packs wait for what is done ahead. */
const breathMs = 2

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

function lateKey({ assignment, period }: DuePeriod): string {
  return `${assignment.key}/${periodKey(period)}`
}

/** Closes windows into batches. It decides nothing itself: it fetches, composes, signs, keeps. */
export function createCloser(parts: CloserParts): Closer {
  const { state, ledger, clock, log, rules, tracer = noTracing } = parts
  const fail = parts.failpoint ?? (() => undefined)
  let closing: Promise<BatchHead | undefined> | undefined
  let heldBecause: string | undefined
  let lastCloseMs = 0
  const roster = createRosterDraft(state)
  const work = createDueWork(parts.assignments, state, rules)
  const openBatch = createBatchOpener(parts)
  /** Assignments that could not be judged and periods that could not be amended, and when to try again. */
  const notBeforeMs = new Map<string, number>()

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

  const ahead = createJudgedAhead(parts.hashReports)

  /** Whether a judgement that was made ahead still rests on what it rested on. */
  function stands(entry: DuePeriod, on: JudgedOn, sequence: bigint): boolean {
    return isUntouched(on) || on.evidence === evidenceKey(entry, sequence, state)
  }

  /** Nothing has come for the subject, and nothing that had come belongs to a later batch. */
  function isUntouched({ isCut, version, count }: JudgedOn): boolean {
    return !isCut && version.count === count
  }

  /** Where judging ahead goes on the next time, and what it has found nothing left in. */
  let place = -1
  let nothingLeft = { packs: -1, atMs: 0 }

  const remembered: EvidenceMemory = {}

  async function judgeAhead(entry: EndedPeriod, sequence: bigint): Promise<void> {
    const version = evidenceVersion(state, entry.assignment.subject)
    const evidence = evidenceKey(entry, sequence, state)
    const isCut = state.openSequence > sequence
    const on: JudgedOn = { version, count: version.count, isCut, evidence }
    try {
      const judged = await tracer.during('judge ahead', () =>
        judgePeriod(entry, sequence, zeroHash, {
          ...parts,
          remembered: { memory: remembered, key: evidence },
        }),
      )
      // Meanwhile it may have been closed: then nothing would ever take it away again.
      if (closing !== undefined || sequence !== nextSequence()) return
      ahead.put(entry, judged, on)
    } catch {
      // It is tried again when it is due, and said then.
      ahead.drop(entry)
    }
  }

  function nextSequence(): bigint {
    return BigInt(state.batches.length) + 1n
  }

  async function prepare(budgetMs: number): Promise<void> {
    const untilMs = performance.now() + budgetMs
    const isOver = (): boolean => performance.now() > untilMs || closing !== undefined
    const nowMs = clock.nowMs()
    const sequence = BigInt(state.batches.length) + 1n
    const { breathe, isBreathless } = createBreath()
    while (!isOver() && !roster.follow(sequence, isBreathless)) await breathe()
    const isQuiet = nothingLeft.packs === state.acceptedPacks
    if (isQuiet && Math.abs(nowMs - nothingLeft.atMs) < lookAgainMs) return
    const { acceptedPacks } = state
    // Judged in one round they lie as a batch needs them.
    if (ahead.isEmpty()) place = -1
    let isLeft = false
    for (let looked = 0; looked < parts.assignments.length; looked += 1) {
      if (looked % 256 === 0 && isOver()) return
      place = (place + 1) % parts.assignments.length
      for (const entry of work.ended(place, nowMs)) {
        if (entry.isDue) continue
        const on = ahead.find(entry)
        if (on !== undefined && isUntouched(on)) continue
        const { assignment } = entry
        // A subject that is sending will have said more by then.
        const isSending = nowMs - (state.lastIngestMs.get(assignment.subject) ?? 0) < settledMs
        isLeft ||= isSending
        if (isSending || (on !== undefined && stands(entry, on, sequence))) continue
        await judgeAhead(entry, sequence)
        if (!isBreathless()) continue
        await breathe()
        if (isOver()) return
      }
    }
    if (!isLeft) nothingLeft = { packs: acceptedPacks, atMs: nowMs }
  }

  async function judgeAll(
    due: readonly EndedPeriod[],
    late: readonly DuePeriod[],
    sequence: bigint,
  ): Promise<ReportDraft> {
    const draft = draftReports(parts.hashReports, due.length + late.length)
    const stopped = new Set<string>()
    for (const entry of due) {
      // A window's periods close in order: behind one that cannot be judged the rest wait.
      if (stopped.size > 0 && stopped.has(entry.assignment.key)) continue
      const on = ahead.find(entry)
      const isKept = on !== undefined && stands(entry, on, sequence)
      if (isKept && ahead.copy(entry, draft)) continue
      try {
        draft.add(await judgePeriod(entry, sequence, zeroHash, parts))
      } catch (error) {
        stopped.add(entry.assignment.key)
        putOff(entry.assignment.key, entry, 'period not judged', error)
      }
    }
    for (const entry of late) {
      try {
        await amend(entry, sequence, draft)
      } catch (error) {
        // What is due does not wait for it.
        putOff(lateKey(entry), entry, 'period not amended', error)
      }
    }
    return draft
  }

  function putOff(key: string, { assignment }: DuePeriod, event: string, error: unknown): void {
    notBeforeMs.set(key, clock.nowMs() + judgeAgainMs)
    log('error', event, {
      subject: assignment.subjectName,
      policy: assignment.policy.name,
      error: error instanceof BaseError ? error.message : String(error),
    })
  }

  /** Judges a closed period again, and reports what comes out different. */
  async function amend(entry: DuePeriod, sequence: bigint, draft: ReportDraft): Promise<void> {
    const closed = state.assignments.get(entry.assignment.key)?.closed.get(periodKey(entry.period))
    if (closed === undefined) return
    const before = await reportAt(closed.batchSequence, closed.index)
    if (before === undefined) return
    // Every amendment names the first report on its period.
    const firstLeaf = before.amends === zeroHash ? reportLeaf(before) : before.amends
    const again = await judgeAgain(entry, sequence, firstLeaf)
    if (again === undefined) return
    if (saysOtherwise(again.report, before)) draft.add(again)
    // What has come behind the cut is not in it: that is for the next batch.
    else keepIfNews(entry, sequence)
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
   * Keeps a closed period among the late while it rests on anything else by now than as of a batch, and
   * answers whether it does. Where it does not, nothing can come out different: it is forgotten, and
   * nothing has to be read for it.
   *
   * @param since - Default: the batch whose report stands for it.
   */
  function keepIfNews(entry: DuePeriod, since?: bigint): boolean {
    const known = state.assignments.get(entry.assignment.key)
    const closed = known?.closed.get(periodKey(entry.period))
    if (known === undefined || closed === undefined) return false
    const before = evidenceKey(entry, since ?? closed.batchSequence, state)
    const isSame = before === evidenceKey(entry, state.openSequence, state)
    if (isSame) known.late.delete(periodKey(entry.period))
    return !isSame
  }

  async function reportAt(sequence: bigint, index: number): Promise<Report | undefined> {
    const entry = state.batches[Number(sequence) - 1]
    if (entry === undefined) throw new BaseError(`Batch ${sequence} is not there.`)
    const [stored] = await (await openBatch(entry)).reports(index, index + 1)
    return stored?.proven.report
  }

  async function closeNow(): Promise<BatchHead | undefined> {
    const nowMs = clock.nowMs()
    settleTransfers(state, nowMs)
    const owed = isOwed()
    const isReady = (key: string): boolean =>
      notBeforeMs.size === 0 || nowMs >= (notBeforeMs.get(key) ?? 0)
    const findLate = (): DuePeriod[] =>
      owed ? [] : work.late(nowMs).filter((entry) => isReady(lateKey(entry)) && keepIfNews(entry))
    const findDue = (): EndedPeriod[] =>
      owed ? [] : work.due(nowMs).filter(({ assignment }) => isReady(assignment.key))
    const isCalled = owed || isOverdue(nowMs)
    // Where some cannot be judged, whether others are due takes a whole look.
    const isAnyDue = (): boolean =>
      notBeforeMs.size === 0 ? work.isAnyDue(nowMs) : findDue().length > 0
    if (!isCalled && !isAnyDue() && findLate().length === 0) return undefined
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
      const found = { due: findDue(), late: findLate() }
      const isIdle = found.due.length === 0 && found.late.length === 0
      return isIdle && !isCalled ? undefined : signBatch(span, found, anchor)
    })
  }

  async function signBatch(
    span: Span,
    { due, late }: { readonly due: readonly EndedPeriod[]; readonly late: readonly DuePeriod[] },
    anchor: ChainBlock,
  ): Promise<BatchHead> {
    const sequence = BigInt(state.batches.length) + 1n
    const before = state.batches.at(-1)
    const cutMs = performance.now()
    // The cut: packs accepted from here on are promised to the batch after this one.
    if (state.openSequence <= sequence) state.openSequence = sequence + 1n
    await fail('close.afterCut')
    const draft = await span.during('judge', () => judgeAll(due, late, sequence))

    // Never backwards, whatever the host does to its clock.
    const closedAtMs = Math.max(clock.nowMs(), before?.closedAtMs ?? 0)
    const sinceMs = before?.closedAtMs ?? state.firstBootMs ?? closedAtMs
    settleTransfers(state, closedAtMs)
    const { rows, places } = await span.during('write', () => {
      const lines = roster.compose(sequence, closedAtMs - sinceMs)
      const append = ({ head, rows: part }: { head: Uint8Array; rows: Uint8Array }) =>
        ledger.append(head, part)
      const appended = {
        roster: rosterRecords(sequence, lines).map(append),
        reports: draft.records(sequence).map(append),
      }
      return Promise.resolve({ rows: lines, places: appended })
    })
    // On their way to the disk while they are hashed. Without the head that follows they are nothing.
    const written = ledger.commit()
    written.catch(() => undefined) // the next append says so
    const { batch, digest, partRoots } = await span.during('compose', async () => {
      const rosterRoots = await parts.hashSpans.roots('roster', rows)
      const reportRoots = await parts.hashSpans.roots('leaves', draft.leaves())
      const composed = composeBatch(
        {
          stream: parts.stream,
          sequence,
          previous: before?.digest ?? zeroHash,
          reports: { count: draft.count(), roots: reportRoots },
          roster: { count: rows.length / rosterRowBytes, roots: rosterRoots },
          closedAtMs,
          anchor,
        },
        parts.hashPairs,
      )
      return { ...composed, partRoots: reportRoots }
    })
    const signature = await span.during('sign', () => Promise.resolve(parts.sign(digest)))
    const signed: BatchHead = { batch, digest, signature, signer: parts.signer }
    const stored: StoredHead = {
      head: signed,
      rosterParts: places.roster.length,
      reportParts: places.reports.length,
      partRoots: places.reports.map((_, part) =>
        toHex(partRoots.subarray(part * 32, part * 32 + 32)),
      ),
    }
    await fail('close.beforeAppend')
    const position = ledger.append(encodeJsonRecord('head', stored))
    // The packs it speaks about lie before it in the same file: one sync covers both.
    await span.during('durable', () => ledger.commit())
    lastCloseMs = performance.now() - cutMs
    await fail('close.afterCommit')
    beginBatch(state, { sequence, digest, closedAtMs, position, ...places })
    parts.onBatch(signed)
    const { breathe, isBreathless } = createBreath()
    for (const closed of draft.closed()) {
      closePeriod(state, sequence, closed)
      if (closed.index % periodsAtOnce === 0 && isBreathless()) await breathe()
    }
    endBatch(state, sequence)
    log('info', 'batch signed', {
      sequence,
      digest,
      reports: batch.reportCount,
      devices: batch.rosterCount,
    })
    span.tell({
      batch: String(sequence),
      digest,
      reports: batch.reportCount,
      devices: batch.rosterCount,
    })
    for (const entry of due) ahead.drop(entry)
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
