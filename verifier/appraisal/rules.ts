/**
 * Every reason for which this verifier refuses evidence, in the order in which it looks.
 *
 * The table is the specification: the first rule that fails is the answer, so two implementations
 * that follow it (this one and the contracts) give the same answer to the same bytes. Ids are stable
 * and ascend with the order of evaluation; a rule that is withdrawn leaves its id unused. Every rule
 * is a bounded comparison over fixed fields, one pass over a bounded list, or one P-256 verification,
 * so that a contract can carry it out.
 *
 * `where`: `both`, or `offchain` where a contract is never given the input (it takes TDX
 * quotes only, without padding, the PCK leaf without its chain, and the block's time as clock).
 */
export const refusalRules = {
  // --- what the caller hands in -----------------------------------------------------------------
  ClockInvalid: { id: 100, stage: 'input', where: 'offchain' },
  RootCertificateUnusable: { id: 101, stage: 'input', where: 'offchain' },
  CollateralNotVerified: { id: 102, stage: 'input', where: 'both' },
  PolicyNotPrepared: { id: 103, stage: 'input', where: 'offchain' },

  // --- collateral: authenticity -----------------------------------------------------------------
  CollateralMalformed: { id: 110, stage: 'collateral', where: 'both' },
  IssuerChainMalformed: { id: 111, stage: 'collateral', where: 'both' },
  IssuerChainRootMismatch: { id: 112, stage: 'collateral', where: 'both' },
  RootCrlMalformed: { id: 120, stage: 'collateral', where: 'both' },
  RootCrlIssuerMismatch: { id: 121, stage: 'collateral', where: 'both' },
  RootCrlSignatureInvalid: { id: 122, stage: 'collateral', where: 'both' },
  RootCertificateRevoked: { id: 123, stage: 'collateral', where: 'both' },
  PckCaMalformed: { id: 130, stage: 'collateral', where: 'both' },
  PckCaNameMismatch: { id: 131, stage: 'collateral', where: 'both' },
  PckCaIssuerMismatch: { id: 132, stage: 'collateral', where: 'both' },
  PckCaUsageInvalid: { id: 133, stage: 'collateral', where: 'both' },
  PckCaSignatureInvalid: { id: 134, stage: 'collateral', where: 'both' },
  PckCaRevoked: { id: 135, stage: 'collateral', where: 'both' },
  PckCrlMalformed: { id: 140, stage: 'collateral', where: 'both' },
  PckCrlIssuerMismatch: { id: 141, stage: 'collateral', where: 'both' },
  PckCrlSignatureInvalid: { id: 142, stage: 'collateral', where: 'both' },
  TcbSigningMalformed: { id: 150, stage: 'collateral', where: 'both' },
  TcbSigningNameMismatch: { id: 151, stage: 'collateral', where: 'both' },
  TcbSigningIssuerMismatch: { id: 152, stage: 'collateral', where: 'both' },
  TcbSigningUsageInvalid: { id: 153, stage: 'collateral', where: 'both' },
  TcbSigningSignatureInvalid: { id: 154, stage: 'collateral', where: 'both' },
  TcbSigningRevoked: { id: 155, stage: 'collateral', where: 'both' },
  TcbInfoSignatureInvalid: { id: 160, stage: 'collateral', where: 'both' },
  TcbInfoMalformed: { id: 161, stage: 'collateral', where: 'both' },
  TcbInfoUnsupported: { id: 162, stage: 'collateral', where: 'both' },
  QeIdentitySignatureInvalid: { id: 165, stage: 'collateral', where: 'both' },
  QeIdentityMalformed: { id: 166, stage: 'collateral', where: 'both' },
  QeIdentityUnsupported: { id: 167, stage: 'collateral', where: 'both' },

  // --- collateral: windows, looked at again with every quote ------------------------------------
  RootCertificateNotYetValid: { id: 170, stage: 'window', where: 'both' },
  RootCertificateExpired: { id: 171, stage: 'window', where: 'both' },
  RootCrlNotYetValid: { id: 172, stage: 'window', where: 'both' },
  RootCrlExpired: { id: 173, stage: 'window', where: 'both' },
  PckCaNotYetValid: { id: 174, stage: 'window', where: 'both' },
  PckCaExpired: { id: 175, stage: 'window', where: 'both' },
  PckCrlNotYetValid: { id: 176, stage: 'window', where: 'both' },
  PckCrlExpired: { id: 177, stage: 'window', where: 'both' },
  TcbSigningNotYetValid: { id: 178, stage: 'window', where: 'both' },
  TcbSigningExpired: { id: 179, stage: 'window', where: 'both' },
  TcbInfoNotYetValid: { id: 180, stage: 'window', where: 'both' },
  TcbInfoExpired: { id: 181, stage: 'window', where: 'both' },
  QeIdentityNotYetValid: { id: 182, stage: 'window', where: 'both' },
  QeIdentityExpired: { id: 183, stage: 'window', where: 'both' },

  // --- quote: format ----------------------------------------------------------------------------
  QuoteTooLarge: { id: 200, stage: 'format', where: 'both' },
  QuoteTruncated: { id: 201, stage: 'format', where: 'both' },
  QuoteVersionUnsupported: { id: 202, stage: 'format', where: 'both' },
  AttestationKeyTypeUnsupported: { id: 203, stage: 'format', where: 'both' },
  TeeTypeUnsupported: { id: 204, stage: 'format', where: 'both' },
  QuoteBodyUnsupported: { id: 205, stage: 'format', where: 'both' },
  CertificationDataUnsupported: { id: 206, stage: 'format', where: 'both' },
  AuthDataMalformed: { id: 207, stage: 'format', where: 'both' },
  TrailingBytesNotZero: { id: 208, stage: 'format', where: 'offchain' },

  // --- quote: genuineness -----------------------------------------------------------------------
  QeVendorUnknown: { id: 210, stage: 'genuineness', where: 'both' },
  TeeMismatch: { id: 211, stage: 'genuineness', where: 'both' },
  PckChainMalformed: { id: 220, stage: 'genuineness', where: 'offchain' },
  PckChainRootMismatch: { id: 221, stage: 'genuineness', where: 'offchain' },
  PckChainCaMismatch: { id: 222, stage: 'genuineness', where: 'offchain' },
  PckMalformed: { id: 230, stage: 'genuineness', where: 'both' },
  PckNameMismatch: { id: 231, stage: 'genuineness', where: 'both' },
  PckIssuerMismatch: { id: 232, stage: 'genuineness', where: 'both' },
  PckUsageInvalid: { id: 233, stage: 'genuineness', where: 'both' },
  PckSignatureInvalid: { id: 234, stage: 'genuineness', where: 'both' },
  PckNotYetValid: { id: 235, stage: 'genuineness', where: 'both' },
  PckExpired: { id: 236, stage: 'genuineness', where: 'both' },
  PckRevoked: { id: 237, stage: 'genuineness', where: 'both' },
  PckExtensionMalformed: { id: 238, stage: 'genuineness', where: 'both' },
  FmspcMismatch: { id: 240, stage: 'genuineness', where: 'both' },
  PceIdMismatch: { id: 241, stage: 'genuineness', where: 'both' },
  QeReportSignatureInvalid: { id: 250, stage: 'genuineness', where: 'both' },
  AttestationKeyNotBound: { id: 251, stage: 'genuineness', where: 'both' },
  AttestationKeyInvalid: { id: 252, stage: 'genuineness', where: 'both' },
  QuoteSignatureInvalid: { id: 253, stage: 'genuineness', where: 'both' },
  QeMrSignerMismatch: { id: 260, stage: 'genuineness', where: 'both' },
  QeIsvProdIdMismatch: { id: 261, stage: 'genuineness', where: 'both' },
  QeMiscSelectMismatch: { id: 262, stage: 'genuineness', where: 'both' },
  QeAttributesMismatch: { id: 263, stage: 'genuineness', where: 'both' },
  QeDebug: { id: 264, stage: 'genuineness', where: 'both' },

  // --- quote: what Intel says of this platform --------------------------------------------------
  EnclaveDebug: { id: 270, stage: 'tcb', where: 'offchain' },
  TdDebug: { id: 271, stage: 'tcb', where: 'both' },
  TdAttributesReserved: { id: 272, stage: 'tcb', where: 'both' },
  TdSeptVeDisableClear: { id: 273, stage: 'tcb', where: 'both' },
  TdxModuleUnknown: { id: 280, stage: 'tcb', where: 'both' },
  TdxModuleSignerMismatch: { id: 281, stage: 'tcb', where: 'both' },
  TdxModuleAttributesMismatch: { id: 282, stage: 'tcb', where: 'both' },
  TcbLevelNotFound: { id: 290, stage: 'tcb', where: 'both' },
  TdxModuleTcbLevelNotFound: { id: 291, stage: 'tcb', where: 'both' },
  QeTcbLevelNotFound: { id: 292, stage: 'tcb', where: 'both' },
  TcbRevoked: { id: 293, stage: 'tcb', where: 'both' },

  // --- appraisal policy -------------------------------------------------------------------------
  TeeNotAllowed: { id: 300, stage: 'policy', where: 'offchain' },
  EvaluationNumberBelowFloor: { id: 301, stage: 'policy', where: 'both' },
  QeEvaluationNumberBelowFloor: { id: 302, stage: 'policy', where: 'both' },
  CollateralTooOld: { id: 303, stage: 'policy', where: 'both' },
  TcbStatusNotAllowed: { id: 304, stage: 'policy', where: 'both' },
  TcbGraceExpired: { id: 305, stage: 'policy', where: 'both' },
  AdvisoryDenied: { id: 306, stage: 'policy', where: 'both' },
  PlatformDenied: { id: 310, stage: 'policy', where: 'both' },
  PlatformNotAllowed: { id: 311, stage: 'policy', where: 'both' },
  TdAttributeNotAllowed: { id: 320, stage: 'policy', where: 'both' },
  ServiceTdNotAllowed: { id: 321, stage: 'policy', where: 'both' },
  MeasurementZero: { id: 330, stage: 'policy', where: 'both' },
  MrConfigIdUnknown: { id: 331, stage: 'policy', where: 'both' },
  ImageNotAllowed: { id: 332, stage: 'policy', where: 'both' },
  EnclaveNotAllowed: { id: 333, stage: 'policy', where: 'offchain' },
  ReportDataMismatch: { id: 340, stage: 'policy', where: 'both' },

  // --- dstack: event log ------------------------------------------------------------------------
  EventLogMalformed: { id: 400, stage: 'dstack', where: 'offchain' },
  EventDigestMismatch: { id: 401, stage: 'dstack', where: 'offchain' },
  RtmrMismatch: { id: 402, stage: 'dstack', where: 'offchain' },
  EventRepeated: { id: 403, stage: 'dstack', where: 'offchain' },
  EventTooLate: { id: 404, stage: 'dstack', where: 'offchain' },
  EventMissing: { id: 405, stage: 'dstack', where: 'offchain' },
  ComposeHashMismatch: { id: 410, stage: 'dstack', where: 'offchain' },
  AppIdMismatch: { id: 411, stage: 'dstack', where: 'offchain' },
  KeyProviderNotAllowed: { id: 412, stage: 'dstack', where: 'offchain' },
  MrConfigIdZero: { id: 420, stage: 'dstack', where: 'both' },
  MrConfigDocumentInvalid: { id: 421, stage: 'dstack', where: 'offchain' },
  MrConfigIdMismatch: { id: 422, stage: 'dstack', where: 'offchain' },

  // --- dstack: keys from the KMS ----------------------------------------------------------------
  KmsChainMalformed: { id: 430, stage: 'dstack', where: 'both' },
  KmsSignatureInvalid: { id: 431, stage: 'dstack', where: 'both' },
  KmsRootMismatch: { id: 432, stage: 'dstack', where: 'both' },

  // --- dstack: RA-TLS certificates --------------------------------------------------------------
  RaTlsMalformed: { id: 440, stage: 'dstack', where: 'offchain' },
  RaTlsQuoteMissing: { id: 441, stage: 'dstack', where: 'offchain' },
  RaTlsNotYetValid: { id: 442, stage: 'dstack', where: 'offchain' },
  RaTlsExpired: { id: 443, stage: 'dstack', where: 'offchain' },
  RaTlsSignatureInvalid: { id: 444, stage: 'dstack', where: 'offchain' },
  RaTlsKeyNotBound: { id: 445, stage: 'dstack', where: 'offchain' },
} as const satisfies Record<string, RefusalRule>

/** The part of the verification that a rule belongs to; each has its own error class. */
export type RefusalStage =
  | 'input'
  | 'collateral'
  | 'window'
  | 'format'
  | 'genuineness'
  | 'tcb'
  | 'policy'
  | 'dstack'

export type RefusalRule = {
  readonly id: number
  readonly stage: RefusalStage
  readonly where: 'both' | 'offchain'
}

/** Stable name of a refusal, the same word in TypeScript and Solidity. */
export type RefusalCode = keyof typeof refusalRules

/** All codes, in the order of evaluation. */
export const refusalCodes = Object.keys(refusalRules) as RefusalCode[]
