import type { Hex } from '#schemas/bytes.ts'
import type { TcbStatus } from '../collateral/tcbStatus.ts'

/** What was proved about a quote that passed every rule. */
export type QuoteAppraisal = {
  readonly policyId: string
  readonly appraisedAtUnixSeconds: number
  /** Last second at which the same quote and collateral still pass the rules about time. */
  readonly validUntilUnixSeconds: number
  readonly tee: 'TDX' | 'SGX'
  readonly quoteVersion: 3 | 4 | 5
  /**
   * SHA-256 of header and body. Signatures and padding can be rewritten by anyone, so nothing else of
   * a quote is fit to tell one from another.
   */
  readonly quoteId: Hex
  readonly platform: PlatformAppraisal
  readonly tcb: TcbAppraisal
  readonly qe: { readonly mrEnclave: Hex; readonly mrSigner: Hex; readonly isvSvn: number }
  /** Present for TDX. */
  readonly td: TdClaims | undefined
  /** Present for SGX. */
  readonly enclave: EnclaveClaims | undefined
  /** Name of the approved image or enclave; absent under a policy that accepts any. */
  readonly image: string | undefined
  readonly reportData: Hex
}

export type PlatformAppraisal = {
  /** From the certificate that Intel issued; the quote's own account of itself is not used. */
  readonly ppid: Hex
  readonly fmspc: string
  readonly pceId: Hex
  readonly cpuSvn: Hex
  readonly pceSvn: number
  readonly pckSerial: Hex
  readonly issuer: 'platform' | 'processor'
}

export type TcbAppraisal = {
  readonly status: TcbStatus
  readonly advisoryIds: readonly string[]
  readonly evaluationDataNumber: number
  readonly qeEvaluationDataNumber: number
  /** `tcbDate` of the matched platform level. */
  readonly dateUnixSeconds: number
  /**
   * Since when the platform is not at its best: for each part that is behind (platform, TDX module,
   * QE), the `tcbDate` of the level just above the matched one, or of the matched level itself if
   * there is none above; the earliest of these. Absent when everything is up to date.
   */
  readonly degradedSinceUnixSeconds: number | undefined
}

export type TdClaims = {
  readonly kind: 'TD10' | 'TD15'
  readonly teeTcbSvn: Hex
  readonly mrSeam: Hex
  readonly mrSignerSeam: Hex
  readonly seamAttributes: Hex
  readonly tdAttributes: Hex
  readonly xfam: Hex
  readonly mrTd: Hex
  readonly mrConfigId: Hex
  readonly mrOwner: Hex
  readonly mrOwnerConfig: Hex
  readonly rtmr: readonly [Hex, Hex, Hex, Hex]
  readonly teeTcbSvn2: Hex | undefined
  readonly mrServiceTd: Hex | undefined
}

export type EnclaveClaims = {
  readonly mrEnclave: Hex
  readonly mrSigner: Hex
  readonly isvProdId: number
  readonly isvSvn: number
  readonly attributes: Hex
  readonly miscSelect: number
}
