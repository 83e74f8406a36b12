import type { Hex } from '#schemas/bytes.ts'
import type { DeviceState, PackEntry } from '../state/workerState.ts'

/** A pack whose signature holds and whose content decodes. */
export type CheckedPack = {
  readonly device: Hex
  readonly sequence: bigint
  readonly previous: Hex
  readonly hash: Hex
  readonly bootCount: bigint
  readonly firstTimeMs: number
  readonly lastTimeMs: number
  readonly readings: number
}

/** What a pack is to the device's chain as the worker knows it. */
export type Admission =
  | { readonly kind: 'next' }
  | { readonly kind: 'duplicate'; readonly entry: PackEntry }
  | { readonly kind: 'ahead'; readonly expected: bigint }
  | { readonly kind: 'forgotten'; readonly oldest: bigint }
  /** The device signed two packs that cannot both stand; `entry` is the one that stands here. */
  | { readonly kind: 'fork'; readonly entry: PackEntry | undefined }

/**
 * Where a pack belongs in its device's chain: `sequence` strictly one more than the one before, and
 * `previous` its hash. Pure; it changes nothing.
 */
export function admit(device: DeviceState, pack: CheckedPack): Admission {
  const expected = device.headSequence + 1n
  if (pack.sequence > expected) return { kind: 'ahead', expected }
  if (pack.sequence === expected) {
    if (pack.previous === device.headHash) return { kind: 'next' }
    return { kind: 'fork', entry: device.packs.at(-1) }
  }
  const { packs } = device
  if (packs.length === 0 || pack.sequence < packs.sequence(0)) {
    return { kind: 'forgotten', oldest: packs.length === 0 ? expected : packs.sequence(0) }
  }
  const entry = packs.at(Number(pack.sequence - packs.sequence(0)))
  if (entry?.hash === pack.hash) return { kind: 'duplicate', entry }
  return { kind: 'fork', entry }
}
