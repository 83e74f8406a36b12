import type { Blueprint, PlatformOptions } from './blueprint.ts'
import type { PlatformCertificates, QuoteCollateral } from './platform.ts'
import type { QuoteBody, QuoteParts, TdReport } from './quote.ts'

/**
 * Where and how a platform lies. What is changed before signing stays properly signed, so that one
 * rule breaks and every other holds; what is changed after signing is a forgery.
 */
export type Distortion = {
  /** Statements, before anything is signed. */
  readonly blueprint: (blueprint: Blueprint, options: PlatformOptions) => Blueprint
  /** Certificates, after they are signed. */
  readonly certificates: (
    certificates: PlatformCertificates,
    options: PlatformOptions,
  ) => PlatformCertificates
  /** A TD report, application's measurements and report data included, before it is signed. */
  readonly report: (report: TdReport) => TdReport
  /** Version and body in which every quote is minted, whatever was asked for. */
  readonly form: { readonly version: 4 | 5; readonly body: QuoteBody } | undefined
  /** Pieces of a quote, after they are signed. */
  readonly parts: (parts: QuoteParts, options: PlatformOptions) => QuoteParts
  /** A whole quote. */
  readonly bytes: (quote: Uint8Array) => Uint8Array
  readonly collateral: (collateral: QuoteCollateral, options: PlatformOptions) => QuoteCollateral
}

/** The platform that does not lie. */
export const honest: Distortion = {
  blueprint: (blueprint) => blueprint,
  certificates: (certificates) => certificates,
  report: (report) => report,
  form: undefined,
  parts: (parts) => parts,
  bytes: (quote) => quote,
  collateral: (collateral) => collateral,
}
