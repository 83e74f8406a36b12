/** SenML field labels in CBOR (RFC 8428 §6, table 4). */
export const senmlLabel = {
  baseSum: -6,
  baseValue: -5,
  baseUnit: -4,
  baseTime: -3,
  baseName: -2,
  baseVersion: -1,
  name: 0,
  unit: 1,
  value: 2,
  stringValue: 3,
  booleanValue: 4,
  sum: 5,
  time: 6,
  updateTime: 7,
  dataValue: 8,
} as const

/** Names of the fields in JSON, by label plus six. */
export const senmlFieldNames = [
  'bs',
  'bv',
  'bu',
  'bt',
  'bn',
  'bver',
  'n',
  'u',
  'v',
  'vs',
  'vb',
  's',
  't',
  'ut',
  'vd',
] as const

/** Most records in one pack. */
export const maxRecords = 1000
/** Longest full name. */
export const maxNameLength = 255
/** Below this many seconds a SenML time is relative to now (RFC 8428 §4.5.3). */
export const firstAbsoluteMs = 2 ** 28 * 1000
/** 9999-12-31T23:59:59.999Z */
export const lastTimeMs = 253_402_300_799_999
/** RFC 8428 §4.4: the version this pack format has. */
export const senmlVersion = 10
/** RFC 9100 §4: version 10 plus the bit of feature 4, secondary units. */
export const secondaryUnitsVersion = senmlVersion + 2 ** 4

/** Whether a `bver` is one whose meaning is known: up to 10, or 10 with the secondary-units bit. */
export function isKnownVersion(version: number): boolean {
  return (version >= 1 && version <= senmlVersion) || version === secondaryUnitsVersion
}
