/**
 * What a finding does to the verdict. `note` only informs; `no-pass` says that evidence is missing, so
 * that nothing may pass on it; `void` says that the evidence is in doubt, so that nothing may be
 * concluded from it in either direction.
 */
export type FindingEffect = 'note' | 'no-pass' | 'void'

/** Every finding there is, with what it does. The list is closed. */
export const findingEffects = {
  /** Part of the window was not observed. */
  gap: 'note',
  /** Slots came without a value. */
  empty_slot: 'note',
  /** Values that the policy lists as the sensor's fault codes. */
  fault_code: 'note',
  /** Readings outside every calibration window of their sensor. */
  outside_calibration: 'note',
  /** Readings of a weaker tier than the policy accepts. */
  tier_too_weak: 'note',
  /** Readings that came after their place in the stream was closed. */
  too_late: 'no-pass',
  /** No reading at all was evidence. */
  no_evidence: 'no-pass',
  /** Less was observed than the policy demands. */
  coverage_below_minimum: 'no-pass',
  /** What would be settled on depends on what was not observed. */
  settlement_undetermined: 'void',
  /** The amount does not fit the report's 128 bits. */
  settlement_out_of_range: 'void',
  /** Values that the sensor cannot measure. */
  out_of_range: 'no-pass',
  /** Numbers that no reading can hold. */
  invalid_value: 'no-pass',
  /** Readings of this series in another unit than the policy's. */
  unit_mismatch: 'no-pass',
  /** Packs are missing between packs. */
  sequence_gap: 'no-pass',
  /** The policy demands packs, and there are none (or none for some reading). */
  packs_missing: 'no-pass',
  /** One instant, two different values: the device said both. */
  equivocation: 'void',
  /** One sequence number, two different packs. */
  pack_equivocation: 'void',
  /** A pack does not name the pack before it. */
  chain_broken: 'void',
  /** The device's clock went backwards between packs. */
  clock_step: 'void',
  /** A later pack counts fewer boots than an earlier one. */
  boot_count_regressed: 'void',
  /** The device's clock and the receiver's disagree by more than the policy allows. */
  clock_skew: 'void',
  /** Holes or doubled hours where a wall clock changed. */
  daylight_saving: 'void',
  /** A value that does not change for longer than the sensor's nature allows. */
  flatline: 'void',
  /** A change faster than the sensor's nature allows. */
  step: 'void',
  /** Readings closer together than the device can sample. */
  too_frequent: 'void',
  /** Interval means that describe the same time twice. */
  interval_overlap: 'void',
  /** A stretch of values that occurred before, value by value. */
  repeated_values: 'void',
  /** A temperature below absolute zero. */
  below_absolute_zero: 'void',
  /** Readings of several devices where one was expected. */
  several_devices: 'void',
} as const satisfies Record<string, FindingEffect>

export type FindingName = keyof typeof findingEffects

export type Finding = {
  readonly name: FindingName
  readonly effect: FindingEffect
  readonly count: number
  /** First and last instant it concerns, Unix milliseconds; `null` when it concerns the whole. */
  readonly firstMs: number | null
  readonly lastMs: number | null
}
