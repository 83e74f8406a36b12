import type { WordField } from './abiWords.ts'
import type { Hex } from './bytes.ts'
import { defineStructure, hashStructure } from './typedData.ts'

/**
 * One line of a batch's roster: an enrolled device, whether or not it spoke. The roster makes
 * silence a statement: a device that was expected and not heard is there with zero packs.
 */
export type RosterEntry = {
  readonly device: Hex
  /** {@link subjectId} of what the device observes. */
  readonly subject: Hex
  /** Readings that its sampling interval promises for the time since the batch before. */
  readonly expectedReadings: number
  readonly heardReadings: number
  /** First and last pack sequence in this batch; both zero when none came. */
  readonly firstSequence: bigint
  readonly lastSequence: bigint
  /** Hash of the last pack heard ever; zero before the first. */
  readonly headHash: Hex
  /** SHA-256 tree over this device's packs in this batch; zero when none came. */
  readonly packsRoot: Hex
}

const rosterFields: readonly WordField[] = [
  { name: 'device', type: 'bytes32' },
  { name: 'subject', type: 'bytes32' },
  { name: 'expectedReadings', type: 'uint32' },
  { name: 'heardReadings', type: 'uint32' },
  { name: 'firstSequence', type: 'uint64' },
  { name: 'lastSequence', type: 'uint64' },
  { name: 'headHash', type: 'bytes32' },
  { name: 'packsRoot', type: 'bytes32' },
]

export const rosterStructure = defineStructure('RosterEntry', rosterFields)

/** The entry's leaf in the roster tree; its preimage has 288 bytes. */
export function rosterLeaf(entry: RosterEntry): Hex {
  return hashStructure(rosterStructure, entry)
}
