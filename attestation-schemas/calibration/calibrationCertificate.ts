import type { Hex } from '../bytes.ts'

/**
 * What a calibration laboratory says about one sensor, as far as judging needs it. The full
 * certificate with its results and uncertainties stays a document of the laboratory's (a DCC, a PDF)
 * that `document` is the hash of; no correction is applied to readings.
 *
 * @see ISO/IEC 17025:2017 §7.8.2.1 (laboratory, unique identification, item, dates) and §7.8.4.3:
 *   a certificate says until when a calibration holds only where that was agreed with the customer.
 */
export type CalibrationCertificate = {
  /** The laboratory as its customers know it: the name that a worker's configuration pins. */
  readonly laboratory: string
  /** Unique among the laboratory's certificates (§7.8.2.1 d). */
  readonly number: string
  /** The calibrated item (§7.8.2.1 g): id of the device, which is the thumbprint of its key. */
  readonly device: Hex
  /** Which of the device's quantities, by the name of its series. */
  readonly series: string
  /** The unit in which the series was calibrated. */
  readonly unit: string
  /** Date of issue (§7.8.2.1 j). Unix milliseconds, as all here, and whole seconds. */
  readonly issuedMs: number
  readonly validFromMs: number
  /** Exclusive. The same as `validFromMs` only where `replaces` is set: that withdraws. */
  readonly validUntilMs: number
  /** SHA-256 of the full certificate. */
  readonly document: Hex | undefined
  /**
   * Number of the certificate of the same laboratory, device and series that no longer holds since
   * this one was issued (§7.8.8.3: an amended report names the one that it replaces).
   */
  readonly replaces: string | undefined
}

/** Largest certificate in bytes, envelope included. */
export const maxCalibrationBytes = 2048

/** Longest text in a certificate, in bytes of UTF-8. */
export const longestCalibrationText = 200

/** Calibration intervals are months or a few years; a century is a slip of the pen. */
export const longestValidityMs = 20 * 366 * 86_400_000

/** Media type of a certificate over HTTP. */
export const calibrationMediaType = 'application/cose; cose-type="cose-sign1"'

/** `typ` (RFC 9596): says what a COSE_Sign1 is, so that no other message can pass for one. */
export const calibrationType = 'application/vnd.plumbline.calibration+cwt'

/** Version of the profile. */
export const calibrationVersion = 1

/** COSE header labels used: RFC 9052 §3.1, RFC 9596 §2. */
export const calibrationHeader = { algorithm: 1, keyId: 4, type: 16 } as const

/**
 * Claims: those of a CWT (RFC 8392 §3.1) where it has them, the others in the private-use range below
 * -65536. `version` is the one of packs.
 */
export const calibrationClaim = {
  /** `iss` */
  laboratory: 1,
  /** `exp`: on or after which it no longer holds. */
  validUntil: 4,
  /** `nbf` */
  validFrom: 5,
  /** `iat` */
  issued: 6,
  /** `cti`: bytes of the number's UTF-8. */
  number: 7,
  version: -65_537,
  device: -65_545,
  series: -65_546,
  unit: -65_547,
  document: -65_548,
  replaces: -65_549,
} as const
