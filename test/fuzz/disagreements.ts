import { refusalRules } from '#verifier/appraisal/rules.ts'

/** What a verifier answered. */
export type Answer =
  | { readonly isAccepted: true; readonly status: string; readonly advisoryIds: readonly string[] }
  | { readonly isAccepted: false; readonly reason: string; readonly field?: string | undefined }

export type Library = 'js' | 'web'

export type Comparison = {
  readonly library: Library
  readonly ours: Answer
  readonly theirs: Answer
  /** TEE_TCB_SVN[1], the major version of the TDX module; 0 where there is none. */
  readonly moduleMajor: number
  /** Byte 3 and byte 7 of TDATTRIBUTES, where the optional bits are; 0 where there are none. */
  readonly optionalAttributes: number
}

/**
 * Ways in which the published libraries answer otherwise than this verifier, and why. The fuzzer
 * fails on a disagreement that none of them explains; docs/quote-verifier.md lists the same ids.
 */
export type Disagreement = {
  readonly id: string
  readonly libraries: readonly Library[]
  readonly why: string
  readonly explains: (comparison: Comparison) => boolean
}

const isOf = (reason: string, ...beginnings: readonly string[]) =>
  Object.hasOwn(refusalRules, reason) && beginnings.some((start) => reason.startsWith(start))

/** They accept what we refuse with one of these codes (or codes that begin so), in such a field. */
const acceptsDespite =
  (codes: readonly string[], field = '') =>
  ({ ours, theirs }: Comparison) =>
    !ours.isAccepted &&
    theirs.isAccepted &&
    isOf(ours.reason, ...codes) &&
    (ours.field ?? '').startsWith(field)

/** They refuse, with such a message, what we accept. */
const refusesBecause =
  (reason: RegExp, holds: (comparison: Comparison) => boolean = () => true) =>
  (comparison: Comparison) =>
    comparison.ours.isAccepted &&
    !comparison.theirs.isAccepted &&
    reason.test(comparison.theirs.reason) &&
    holds(comparison)

/** Bits 27, 29 and 62, as (byte 3 << 8) | byte 7. */
const bitsUnknownToThem = 0x2840

export const disagreements: readonly Disagreement[] = [
  {
    id: 'clock',
    libraries: ['js'],
    why: 'A clock that is no number passes every comparison, so that nothing ever expires.',
    explains: acceptsDespite(['ClockInvalid']),
  },
  {
    id: 'pinned-root',
    libraries: ['js'],
    why: 'Any certificate may be pinned as root, an end entity too.',
    explains: acceptsDespite(['RootCertificateUnusable']),
  },
  {
    id: 'crl-unchecked',
    libraries: ['js'],
    why: 'Neither issuer, signature nor dates of revocation lists are looked at, and a list that cannot be read counts as empty.',
    explains: acceptsDespite(['RootCrl', 'PckCrl', 'CollateralMalformed']),
  },
  {
    id: 'crl-from-the-future',
    libraries: ['web'],
    why: 'Only nextUpdate of a list is looked at, not thisUpdate.',
    explains: acceptsDespite(['RootCrlNotYetValid', 'PckCrlNotYetValid']),
  },
  {
    id: 'tcb-info-from-the-future',
    libraries: ['web'],
    why: 'Only nextUpdate of the TCB info is looked at, not issueDate.',
    explains: acceptsDespite(['TcbInfoNotYetValid']),
  },
  {
    id: 'crl-issuer-chain-unread',
    libraries: ['js', 'web'],
    why: 'The issuer chain of the PCK list is not read: lists are matched with the chain in the quote.',
    explains: acceptsDespite(['IssuerChain', 'PckCa'], 'collateral.pck_crl_issuer_chain'),
  },
  {
    id: 'qe-identity-unverified',
    libraries: ['web'],
    why: 'The QE identity, its signature, its issuer chain and its dates are not looked at at all.',
    explains: (comparison) =>
      acceptsDespite(['IssuerChain', 'TcbSigning'], 'collateral.qe_identity')(comparison) ||
      acceptsDespite(['CollateralMalformed'], 'collateral.qe_identity')(comparison) ||
      acceptsDespite(['QeIdentity', 'QeTcb', 'QeMr', 'QeIsv', 'QeMisc', 'QeAttr'])(comparison),
  },
  {
    id: 'no-level-is-unknown',
    libraries: ['web'],
    why: 'A platform below every TCB level is accepted, with the status “Unknown”.',
    explains: acceptsDespite(['TcbLevelNotFound']),
  },
  {
    id: 'root-not-compared',
    libraries: ['web'],
    why: 'The root at the end of a chain is not compared with the pinned one; its key is taken instead.',
    explains: acceptsDespite(['IssuerChainRootMismatch', 'PckChainRootMismatch']),
  },
  {
    id: 'pem-leniency',
    libraries: ['js', 'web'],
    why: 'Text around and within PEM blocks is skipped, and chains may hold more than they should.',
    explains: acceptsDespite(['PckChainMalformed', 'IssuerChainMalformed']),
  },
  {
    id: 'names-and-usage',
    libraries: ['js'],
    why: 'Names, issuers, CA flags of intermediates and key usage are not looked at: any certificate under the root can stand in for any other.',
    explains: acceptsDespite([
      'PckCaNameMismatch',
      'PckCaIssuerMismatch',
      'PckCaUsageInvalid',
      'PckNameMismatch',
      'PckIssuerMismatch',
      'PckUsageInvalid',
      'TcbSigningNameMismatch',
      'TcbSigningIssuerMismatch',
      'TcbSigningUsageInvalid',
    ]),
  },
  {
    id: 'authority-of-the-list',
    libraries: ['js', 'web'],
    why: 'The chain in the quote may pass through another authority than the one whose list is in the collateral.',
    explains: acceptsDespite(['PckChainCaMismatch']),
  },
  {
    id: 'qe-vendor',
    libraries: ['js', 'web'],
    why: 'The vendor of the quoting enclave is not looked at.',
    explains: acceptsDespite(['QeVendorUnknown']),
  },
  {
    id: 'pce-id',
    libraries: ['js', 'web'],
    why: 'The PCE id of the platform is not compared with that of the TCB info.',
    explains: acceptsDespite(['PceIdMismatch']),
  },
  {
    id: 'key-binding-half',
    libraries: ['js', 'web'],
    why: 'Only 32 of the 64 bytes with which the QE report binds the attestation key are compared.',
    explains: acceptsDespite(['AttestationKeyNotBound']),
  },
  {
    id: 'trailing-bytes',
    libraries: ['js', 'web'],
    why: 'Anything may follow the authentication data, so a quote can be rewritten at will.',
    explains: acceptsDespite(['TrailingBytesNotZero']),
  },
  {
    id: 'loose-lengths',
    libraries: ['js', 'web'],
    why: 'Sizes and types inside the authentication data need not agree with each other, and no size is too large.',
    explains: acceptsDespite([
      'AuthDataMalformed',
      'CertificationDataUnsupported',
      'QuoteTooLarge',
    ]),
  },
  {
    id: 'loose-documents',
    libraries: ['js'],
    why: 'Signed documents and certificates are read without a schema: missing fields are filled in, other kinds and encodings pass.',
    explains: acceptsDespite([
      'TcbInfoMalformed',
      'TcbInfoUnsupported',
      'QeIdentityMalformed',
      'QeIdentityUnsupported',
      'PckExtensionMalformed',
      'PckMalformed',
      'PckCaMalformed',
      'TcbSigningMalformed',
    ]),
  },
  {
    id: 'module-unchecked',
    libraries: ['js', 'web'],
    why: 'The TDX module is not looked at: not its signer, not its attributes, not its TCB level.',
    explains: acceptsDespite(['TdxModule']),
  },
  {
    id: 'module-revoked',
    libraries: ['js', 'web'],
    why: 'A revoked level of the TDX module does not count, since the module is not looked at.',
    explains: (comparison) =>
      comparison.moduleMajor > 0 && acceptsDespite(['TcbRevoked'])(comparison),
  },
  {
    id: 'module-version-in-the-platform-level',
    libraries: ['js', 'web'],
    why: 'The first two TDX components are compared with the platform’s level although, from module 1.5 on, they are judged by the module’s identity: an honest platform can match no level, or a lower one.',
    explains: refusesBecause(
      /No matching TCB level|TCB status is invalid|not supported/i,
      ({ moduleMajor }) => moduleMajor > 0,
    ),
  },
  {
    id: 'optional-attributes',
    libraries: ['js'],
    why: 'TD attributes that Intel has defined since (LASS, MIGRATABLE, TPA) count as reserved; here a policy may allow them.',
    explains: refusesBecause(
      /Reserved bits/,
      ({ optionalAttributes }) => (optionalAttributes & bitsUnknownToThem) !== 0,
    ),
  },
  {
    id: 'version-5',
    libraries: ['web'],
    why: 'Quotes of version 5 cannot be decoded.',
    explains: refusesBecause(/decode quote/i),
  },
  {
    id: 'convergence',
    libraries: ['js', 'web'],
    why: 'Statuses are merged by severity alone: a platform that needs configuration with a quoting enclave out of date is “OutOfDate” to them, where Intel’s library keeps both.',
    explains: ({ ours, theirs }) =>
      ours.isAccepted &&
      theirs.isAccepted &&
      ours.status === 'OutOfDateConfigurationNeeded' &&
      theirs.status === 'OutOfDate',
  },
  {
    id: 'module-not-counted',
    libraries: ['js', 'web'],
    why: 'Status and advisories of the TDX module’s own level are missing from theirs, and the module’s version may cost the platform its level.',
    explains: ({ ours, theirs, moduleMajor }) =>
      ours.isAccepted && theirs.isAccepted && theirs.status !== 'Unknown' && moduleMajor > 0,
  },
]

/** The first entry that explains a comparison; `undefined` when nothing does. */
export function explain(comparison: Comparison): Disagreement | undefined {
  return disagreements.find(
    ({ libraries, explains }) => libraries.includes(comparison.library) && explains(comparison),
  )
}

/** Whether two answers are the same to a relying party. */
export function agree(ours: Answer, theirs: Answer): boolean {
  if (!ours.isAccepted || !theirs.isAccepted) return ours.isAccepted === theirs.isAccepted
  return (
    ours.status === theirs.status &&
    ours.advisoryIds.toSorted().join() === theirs.advisoryIds.toSorted().join()
  )
}
