import type { Calibration } from '#evaluation/intake.ts'
import type { Hex } from '#schemas/bytes.ts'
import type { LedgerPosition } from '../ledger/ledger.ts'

/** What stands behind a calibration that a laboratory has signed. */
export type SignedCalibration = {
  readonly laboratory: string
  readonly number: string
  /** Thumbprint of the key that signed. */
  readonly laboratoryKey: Hex
  readonly issuedMs: number
  /** Of what was signed; tells two certificates with one number apart. */
  readonly digest: Hex
  readonly replaces: string | undefined
  readonly position: LedgerPosition
}

/** A calibration and the batches whose reports it bears on. */
export type StandingCalibration = Calibration & {
  /** Absent: any, as where the configuration says it. */
  readonly unit: string | undefined
  /** SHA-256 of the laboratory's full certificate. */
  readonly document: Hex | undefined
  /** Absent where the configuration says it. */
  readonly signed: SignedCalibration | undefined
  /** First batch that it bears on: what was signed before it came is not changed by it. */
  readonly fromBatch: bigint
  /** First batch that it no longer bears on; absent while it stands. */
  untilBatch: bigint | undefined
}

/** One that a laboratory has signed. */
export type StandingCertificate = StandingCalibration & { readonly signed: SignedCalibration }

/** Every calibration there ever was, in the order in which they came. */
export type CalibrationBook = {
  readonly byDevice: Map<Hex, StandingCalibration[]>
  readonly byNumber: Map<string, StandingCertificate>
  /** Keys of laboratories that count no more, and from which batch on. */
  readonly revokedKeys: Map<Hex, bigint>
}

/** Numbers are unique with one laboratory, whichever of its keys signs. */
export const certificateKey = (laboratory: string, number: string): string =>
  JSON.stringify([laboratory, number])

export function createCalibrationBook(
  configured: readonly (Calibration & { readonly certificate?: Hex | undefined })[],
): CalibrationBook {
  const standing = configured.map(({ certificate, ...calibration }): StandingCalibration => ({
    ...calibration,
    unit: undefined,
    document: certificate,
    signed: undefined,
    fromBatch: 0n,
    untilBatch: undefined,
  }))
  return {
    byDevice: Map.groupBy(standing, ({ device }) => device),
    byNumber: new Map(),
    revokedKeys: new Map(),
  }
}

/** Enters a certificate and ends the one that it replaces: the one way in, live and at replay. */
export function enterCalibration(book: CalibrationBook, entry: StandingCertificate): void {
  const { laboratory, number, replaces } = entry.signed
  book.byNumber.set(certificateKey(laboratory, number), entry)
  const beside = book.byDevice.get(entry.device)
  if (beside === undefined) book.byDevice.set(entry.device, [entry])
  else beside.push(entry)
  const replaced =
    replaces === undefined ? undefined : book.byNumber.get(certificateKey(laboratory, replaces))
  if (replaced !== undefined) replaced.untilBatch ??= entry.fromBatch
}

/** Ends whatever a key has signed. Answers what stood until then. */
export function revokeLaboratoryKey(
  book: CalibrationBook,
  laboratoryKey: Hex,
  fromBatch: bigint,
): StandingCalibration[] {
  book.revokedKeys.set(laboratoryKey, fromBatch)
  const ended: StandingCalibration[] = []
  for (const entry of book.byNumber.values()) {
    if (entry.signed.laboratoryKey !== laboratoryKey || entry.untilBatch !== undefined) continue
    entry.untilBatch = fromBatch
    ended.push(entry)
  }
  return ended
}

/** What bears on a batch's reports about one quantity of a device, in the order in which it came. */
export function calibrationsAsOf(
  { byDevice }: Pick<CalibrationBook, 'byDevice'>,
  device: Hex,
  signal: { readonly series: string; readonly unit: string },
  sequence: bigint,
): StandingCalibration[] {
  return (byDevice.get(device) ?? []).filter(
    ({ series, unit, fromBatch, untilBatch }) =>
      series === signal.series &&
      (unit === undefined || unit === signal.unit) &&
      fromBatch <= sequence &&
      (untilBatch === undefined || sequence < untilBatch),
  )
}
