import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { type Policy, assertWindow, policyId } from '#schemas/policy/policy.ts'
import type { PackMark, Reading } from '#schemas/reading.ts'
import { compilePolicy } from './compile.ts'
import { type Evaluation, conclude } from './conclude.ts'
import { type EngineState, createEngine, finish, note } from './engine.ts'
import { assertPeriod } from './evaluate.ts'
import {
  type Calibration,
  type Instant,
  type Intake,
  addStatement,
  isHeard,
  takeInstant,
} from './intake.ts'
import {
  type PackChain,
  comparePacks,
  createPackChain,
  notePackChains,
  takePack,
} from './packChain.ts'
import { restore, store } from './store.ts'

/** Raised when a stored evaluation does not belong to the policy it is resumed under. */
export class ForeignStateError extends BaseError {
  override readonly name = 'ForeignStateError'
}

/** Raised when an evaluation is used after it was concluded. */
export class ConcludedError extends BaseError {
  override readonly name = 'ConcludedError'
}

export type StreamingInput = {
  readonly policy: Policy
  readonly periodStartMs: number
  readonly periodEndMs: number
  /**
   * How far a reading may lie behind the latest one and still find its place. What comes later than
   * that is not evidence, and nothing may pass without it.
   */
  readonly latenessMs: number
  readonly calibrations?: readonly Calibration[]
}

/**
 * Judges one window while it happens. Readings and packs come as they arrive; as long as none is
 * later than the allowed lateness, the conclusion is the one that {@link evaluate} draws from all of
 * them at once, to the last byte.
 *
 * Memory does not grow with the stream: what is kept is one accumulator and the readings of the last
 * `latenessMs`. Two rules remember more by their nature: a percentile one counter for each distinct
 * value, `repeats` every value.
 */
export type StreamingEvaluator = {
  take(reading: Reading): void
  takePack(pack: PackMark): void
  /** Text from which {@link resumeStreaming} continues exactly here. */
  save(): string
  /** Ends the window. Nothing can be taken afterwards. */
  conclude(): Evaluation
}

/** Everything that {@link StreamingEvaluator.save} writes down. */
type Session = {
  readonly version: 1
  readonly policyId: Hex
  readonly latenessMs: number
  readonly engine: EngineState
  readonly devices: Set<Hex>
  outOfOrder: number
  duplicates: number
  /** The latest reading heard; before the first, earlier than any. */
  latestMs: number
  /** Instants still open, ascending. */
  readonly pending: Instant[]
  readonly chains: Map<Hex, PackChain>
  readonly pendingPacks: Map<Hex, PackMark[]>
  readonly latestPackMs: Map<Hex, number>
}

/** Index of the first entry that does not come before the one sought. */
function place<T>(sorted: readonly T[], comesBefore: (entry: T) => boolean): number {
  // Streams are nearly in order: looking from the end is the short way.
  let index = sorted.length
  while (index > 0) {
    const entry = sorted[index - 1]
    if (entry === undefined || comesBefore(entry)) break
    index -= 1
  }
  return index
}

function run(session: Session, policy: Policy, calibrations: readonly Calibration[]) {
  const compiled = compilePolicy(policy)
  const intake: Intake = { policy: compiled, signal: policy.signal, calibrations }
  const { engine, pending, latenessMs } = session
  let isConcluded = false

  const assertOpen = (): void => {
    if (isConcluded) throw new ConcludedError('This evaluation has been concluded.')
  }
  /** Judges what nothing can come before any more. */
  const settle = (untilMs: number): void => {
    let count = 0
    for (const instant of pending) {
      if (instant.timeMs >= untilMs) break
      if (engine.lastMs < engine.endMs) takeInstant(instant, engine, intake)
      count += 1
    }
    if (count > 0) pending.splice(0, count)
  }
  const settlePacks = (device: Hex, untilMs: number): void => {
    const packs = session.pendingPacks.get(device) ?? []
    const chain = session.chains.get(device) ?? createPackChain()
    session.chains.set(device, chain)
    let count = 0
    for (const pack of packs) {
      if (pack.lastTimeMs >= untilMs) break
      takePack(chain, pack, engine, compiled)
      count += 1
    }
    packs.splice(0, count)
  }

  return {
    take(reading: Reading): void {
      assertOpen()
      if (!isHeard(reading, engine, intake)) return
      session.devices.add(reading.device)
      const { timeMs } = reading
      if (timeMs < session.latestMs) session.outOfOrder += 1
      if (timeMs < session.latestMs - latenessMs) {
        note(engine, 'too_late', timeMs)
        return
      }
      session.latestMs = Math.max(session.latestMs, timeMs)
      const index = place(pending, (instant) => instant.timeMs < timeMs)
      const instant = pending[index]
      if (instant?.timeMs === timeMs) {
        if (addStatement(instant, reading)) session.duplicates += 1
      } else pending.splice(index, 0, { timeMs, statements: [reading] })
      settle(session.latestMs - latenessMs)
    },

    takePack(pack: PackMark): void {
      assertOpen()
      const { device } = pack
      const chain = session.chains.get(device)
      if (chain?.last !== undefined && comparePacks(pack, chain.last) < 0) {
        note(engine, 'too_late', pack.firstTimeMs)
        return
      }
      const packs = session.pendingPacks.get(device) ?? []
      session.pendingPacks.set(device, packs)
      packs.splice(
        place(packs, (other) => comparePacks(other, pack) <= 0),
        0,
        pack,
      )
      const latestMs = Math.max(session.latestPackMs.get(device) ?? 0, pack.lastTimeMs)
      session.latestPackMs.set(device, latestMs)
      settlePacks(device, latestMs - latenessMs)
    },

    save(): string {
      assertOpen()
      return store(session)
    },

    conclude(): Evaluation {
      assertOpen()
      isConcluded = true
      settle(Number.POSITIVE_INFINITY)
      for (const device of session.pendingPacks.keys()) {
        settlePacks(device, Number.POSITIVE_INFINITY)
      }
      finish(engine, compiled)
      if (session.devices.size > 1) note(engine, 'several_devices', engine.startMs)
      notePackChains(session.chains, session.devices, engine, compiled)
      return conclude(engine, compiled, {
        exactDuplicates: session.duplicates,
        outOfOrder: session.outOfOrder,
      })
    },
  } satisfies StreamingEvaluator
}

/** @throws {@link InvalidPeriodError} | {@link NotAWindowError} */
export function createStreaming(input: StreamingInput): StreamingEvaluator {
  const { policy, periodStartMs, periodEndMs, latenessMs } = input
  assertPeriod(periodStartMs, periodEndMs)
  assertWindow(policy, { startMs: periodStartMs, endMs: periodEndMs })
  const session: Session = {
    version: 1,
    policyId: policyId(policy),
    latenessMs,
    engine: createEngine(periodStartMs, periodEndMs, compilePolicy(policy)),
    devices: new Set(),
    outOfOrder: 0,
    duplicates: 0,
    latestMs: Number.MIN_SAFE_INTEGER,
    pending: [],
    chains: new Map(),
    pendingPacks: new Map(),
    latestPackMs: new Map(),
  }
  return run(session, policy, input.calibrations ?? [])
}

/**
 * Continues from what {@link StreamingEvaluator.save} wrote. The text is the program's own and is
 * believed; only that it belongs to this policy is checked.
 *
 * @throws {@link ForeignStateError}
 */
export function resumeStreaming(
  saved: string,
  { policy, calibrations }: Pick<StreamingInput, 'policy' | 'calibrations'>,
): StreamingEvaluator {
  const session = restore(saved) as Session
  if (session.version !== 1 || session.policyId !== policyId(policy)) {
    throw new ForeignStateError('The stored evaluation belongs to another policy.', {
      field: 'policyId',
      metaMessages: [`Expected: ${policyId(policy)}`, `Actual: ${session.policyId}`],
    })
  }
  return run(session, policy, calibrations ?? [])
}
