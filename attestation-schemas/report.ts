import { type WordField, abiWords, readAbiWords } from './abiWords.ts'
import { type Hex, concatBytes, fromHex, toHex, utf8 } from './bytes.ts'
import { BaseError } from './errors.ts'
import { keccak } from './keccak.ts'
import { type TrustTier, trustTiers } from './trustTier.ts'
import { defineStructure } from './typedData.ts'

/** The layout this release writes and the only one it reads. */
export const reportVersion = 1

/** `INCONCLUSIVE` is a verdict of its own: what was not observed neither passed nor failed. */
export const verdicts = { PASS: 1, FAIL: 2, INCONCLUSIVE: 3 } as const
export type VerdictName = keyof typeof verdicts
export type Verdict = (typeof verdicts)[VerdictName]

export const zeroHash: Hex = `0x${'00'.repeat(32)}`

/**
 * The verdict on one subject, one policy, one period. Its ABI layout is fixed, fourteen words in
 * this order, so that a contract reads it directly.
 */
export type Report = {
  readonly version: typeof reportVersion
  /** {@link subjectId} of what is judged: a plant, a shipment, a line. */
  readonly subject: Hex
  /** Keccak-256 of the policy's canonical bytes (RFC 8785). */
  readonly policyId: Hex
  /** Unix milliseconds, inclusive. */
  readonly periodStartMs: bigint
  /** Unix milliseconds, exclusive. */
  readonly periodEndMs: bigint
  readonly verdict: Verdict
  /** The value to settle on, in millionths of `unit`; meaningless unless the verdict is conclusive. */
  readonly valueMicro: bigint
  /** {@link unitCode} of the settlement unit. */
  readonly unit: Hex
  /** Part of the period that was observed, in parts per million, rounded down. */
  readonly coveragePpm: number
  /** The weakest tier that the report leans on. */
  readonly tier: TrustTier
  /** SHA-256 tree over the packs in order. */
  readonly evidenceRoot: Hex
  /** Hash of the named measures and findings. */
  readonly measuresHash: Hex
  /** Zero for a fact; otherwise the one place where this right can be used (`rightId`). */
  readonly exclusiveTo: Hex
  /** Leaf hash of the report that this one amends; zero for a first report. */
  readonly amends: Hex
}

const reportFields: readonly WordField[] = [
  { name: 'version', type: 'uint16' },
  { name: 'subject', type: 'bytes32' },
  { name: 'policyId', type: 'bytes32' },
  { name: 'periodStartMs', type: 'uint64' },
  { name: 'periodEndMs', type: 'uint64' },
  { name: 'verdict', type: 'uint8' },
  { name: 'valueMicro', type: 'int128' },
  { name: 'unit', type: 'bytes32' },
  { name: 'coveragePpm', type: 'uint32' },
  { name: 'tier', type: 'uint8' },
  { name: 'evidenceRoot', type: 'bytes32' },
  { name: 'measuresHash', type: 'bytes32' },
  { name: 'exclusiveTo', type: 'bytes32' },
  { name: 'amends', type: 'bytes32' },
]

export const reportStructure = defineStructure('Report', reportFields)

/** Raised when a report says something that no worker may sign. */
export class InvalidReportError extends BaseError {
  override readonly name = 'InvalidReportError'
}

/** Raised when a structure carries a version that this release does not know. */
export class UnknownVersionError extends BaseError {
  override readonly name = 'UnknownVersionError'

  constructor(structure: string, version: bigint | number, known: number) {
    super(`${structure} has version ${version}, which is unknown here.`, {
      field: `${structure}.version`,
      metaMessages: [`Known: ${known}`],
      remedy: 'Use a release that knows this version; nothing is guessed about it.',
    })
  }
}

/**
 * Checks what the field types cannot say.
 *
 * @throws {@link InvalidReportError} | {@link UnknownVersionError}
 */
export function assertReport(report: Report): void {
  if (report.version !== reportVersion) {
    throw new UnknownVersionError('report', report.version, reportVersion)
  }
  const refuse = (field: keyof Report, message: string): never => {
    throw new InvalidReportError(message, { field: `report.${field}` })
  }
  if (report.periodEndMs <= report.periodStartMs) {
    refuse('periodEndMs', 'The period ends before it has begun.')
  }
  if (!Object.values(verdicts).includes(report.verdict)) {
    refuse('verdict', `No verdict has the code ${report.verdict}.`)
  }
  if (!Object.values(trustTiers).includes(report.tier)) {
    refuse('tier', `No trust tier has the code ${report.tier}.`)
  }
  if (report.coveragePpm > 1_000_000) refuse('coveragePpm', 'Coverage is above one million ppm.')
  if (report.subject === zeroHash) refuse('subject', 'A report needs a subject.')
  if (report.policyId === zeroHash) refuse('policyId', 'A report needs a policy.')
}

/** The report as `abi.encode` writes it: 448 bytes. */
export function encodeReport(report: Report): Uint8Array {
  assertReport(report)
  return abiWords(reportFields, report)
}

/**
 * Reads a report from its ABI bytes.
 *
 * @throws {@link AbiRangeError} | {@link InvalidReportError} | {@link UnknownVersionError}
 */
export function decodeReport(bytes: Uint8Array): Report {
  const words = readAbiWords(reportFields, bytes, 'report')
  const report = {
    ...words,
    version: Number(words['version']),
    verdict: Number(words['verdict']),
    coveragePpm: Number(words['coveragePpm']),
    tier: Number(words['tier']),
  } as Report
  assertReport(report)
  return report
}

/**
 * The report's leaf in a batch: its EIP-712 structure hash. The preimage has 480 bytes, so no leaf
 * can be mistaken for an inner node, whose preimage has 64.
 */
export function reportLeaf(report: Report): Hex {
  return leafOfReportBytes(encodeReport(report))
}

/**
 * The leaf of a report that is at hand as {@link encodeReport} wrote it.
 *
 * @param hash - Keccak-256, where a faster one is at hand.
 */
export function leafOfReportBytes(
  encoded: Uint8Array,
  hash: (bytes: Uint8Array) => Uint8Array = keccak,
): Hex {
  return toHex(hash(concatBytes(reportStructure.typeHash, encoded)))
}

/** A subject's name on chain: `keccak256("plumbline/subject/1" ‖ 0x00 ‖ name)`. */
export function subjectId(name: string): Hex {
  if (name.length === 0) {
    throw new InvalidReportError('A subject needs a name.', { field: 'subject' })
  }
  return toHex(keccak(utf8('plumbline/subject/1'), new Uint8Array(1), utf8(name)))
}

/**
 * A unit as one word: its ASCII code, left-aligned, zero-padded, as Solidity writes `bytes32("Wh")`.
 *
 * @throws {@link InvalidReportError} when the code is empty, longer than 32 bytes or not ASCII.
 */
export function unitCode(unit: string): Hex {
  if (!/^[!-~]{1,32}$/.test(unit)) {
    throw new InvalidReportError(`"${unit}" cannot be written as a unit code.`, {
      field: 'unit',
      remedy: 'Use 1 to 32 printable ASCII characters without spaces.',
    })
  }
  const word = new Uint8Array(32)
  word.set(utf8(unit))
  return toHex(word)
}

/** The unit's text back from its word. */
export function unitText(code: Hex): string {
  const bytes = fromHex(code, 'unit', 32)
  const end = bytes.indexOf(0)
  const text = new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))
  if (unitCode(text) !== code) {
    throw new InvalidReportError('The unit word is not a zero-padded ASCII code.', {
      field: 'unit',
    })
  }
  return text
}
