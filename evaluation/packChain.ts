import type { Hex } from '#schemas/bytes.ts'
import type { PackMark } from '#schemas/reading.ts'
import type { CompiledPolicy } from './compile.ts'
import { type EngineState, type FindingState, note, noteIn } from './engine.ts'
import type { FindingName } from './findings.ts'

/** What is remembered of one device's packs: the last one, and what was wrong so far. */
export type PackChain = {
  last: PackMark | undefined
  readonly findings: Map<FindingName, FindingState>
}

export function createPackChain(): PackChain {
  return { last: undefined, findings: new Map() }
}

/** The order that packs were made in. Copies of one pack: the earliest receipt first. */
export function comparePacks(left: PackMark, right: PackMark): number {
  if (left.sequence !== right.sequence) return left.sequence < right.sequence ? -1 : 1
  if (left.hash !== right.hash) return left.hash < right.hash ? -1 : 1
  return (left.receivedMs ?? Infinity) - (right.receivedMs ?? Infinity)
}

/**
 * Checks the next pack of one device: numbering without gaps, every pack naming the one before it, a
 * clock that never runs backwards and agrees with the receiver's.
 *
 * Packs come in the order of their sequence numbers, not of their arrival, so that findings are a
 * property of what was signed. Only what touches the window is held against it.
 */
export function takePack(
  chain: PackChain,
  pack: PackMark,
  { startMs, endMs }: { readonly startMs: number; readonly endMs: number },
  policy: CompiledPolicy,
): void {
  const { last } = chain
  if (last?.hash === pack.hash && last.sequence === pack.sequence) return
  const fromMs = startMs - policy.reachMs
  const toMs = endMs + policy.reachMs
  const concern = (name: FindingName, times = 1): void => {
    noteIn(chain.findings, name, pack.firstTimeMs, times)
  }
  if (
    pack.receivedMs !== undefined &&
    pack.lastTimeMs >= fromMs &&
    pack.firstTimeMs <= toMs &&
    (pack.lastTimeMs - pack.receivedMs > policy.maxAheadMs ||
      pack.receivedMs - pack.lastTimeMs > policy.maxBehindMs)
  ) {
    concern('clock_skew')
  }
  chain.last = pack
  if (last === undefined) return
  if (Math.max(pack.lastTimeMs, last.lastTimeMs) < fromMs) return
  if (Math.min(pack.firstTimeMs, last.firstTimeMs) > toMs) return
  if (pack.sequence === last.sequence) {
    concern('pack_equivocation')
    return
  }
  if (pack.sequence !== last.sequence + 1n) {
    concern('sequence_gap', Number(pack.sequence - last.sequence - 1n))
  } else if (pack.previous !== last.hash) concern('chain_broken')
  if (pack.firstTimeMs < last.lastTimeMs) concern('clock_step')
  if (pack.bootCount < last.bootCount) concern('boot_count_regressed')
}

/** Enters what the chains of the devices that were leaned on have shown. */
export function notePackChains(
  chains: ReadonlyMap<Hex, PackChain>,
  devices: ReadonlySet<Hex>,
  state: EngineState,
  policy: CompiledPolicy,
): void {
  for (const device of devices) {
    const chain = chains.get(device)
    if (chain?.last === undefined) {
      if (policy.needsPacks) note(state, 'packs_missing', state.startMs)
      continue
    }
    for (const [name, { count, firstMs, lastMs }] of chain.findings) {
      note(state, name, firstMs, count)
      note(state, name, lastMs, 0)
    }
  }
}
