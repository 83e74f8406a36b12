import { type Address, type Hex, sha256 } from 'viem'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { appraisalPolicyArtifact } from '../artifacts/AppraisalPolicy.ts'
import { collateralStoreArtifact } from '../artifacts/CollateralStore.ts'
import { dcapQuoteVerifierArtifact } from '../artifacts/DcapQuoteVerifier.ts'
import { type Placement, place } from './create2.ts'

/** SHA-256 of Intel's root certificate, which production pins. */
export const intelRootFingerprint: Hex = sha256(intelRootCertificate)

/** What a quote must show beyond being genuine; see `IAppraisalPolicy.Rules`. */
export type AppraisalRules = {
  readonly evaluationNumberFloor: number
  readonly qeEvaluationNumberFloor: number
  readonly maximumCollateralAgeSeconds: number
  readonly acceptedTcbStatuses: number
  readonly requiresAllowedPlatform: boolean
  readonly requiresImage: boolean
  readonly allowedTdAttributes: Hex
}

export type AttestationPlan = {
  readonly rootFingerprint: Hex
  readonly authority: Address
  /** Absent: the registry's own appraisal is all there is, and a registration 15 k gas cheaper. */
  readonly appraisal?: AppraisalRules | undefined
}

export type AttestationPlacements = {
  readonly collateralStore: Placement
  readonly dcapQuoteVerifier: Placement
  readonly appraisalPolicy?: Placement
}

/** Where the contracts stand that verify quotes, in the order in which they are put there. */
export function placeAttestation(plan: AttestationPlan, salt: Hex): AttestationPlacements {
  const collateralStore = place(collateralStoreArtifact, [plan.rootFingerprint], salt)
  const dcapQuoteVerifier = place(dcapQuoteVerifierArtifact, [collateralStore.address], salt)
  if (plan.appraisal === undefined) return { collateralStore, dcapQuoteVerifier }
  const appraisalPolicy = place(
    appraisalPolicyArtifact,
    [dcapQuoteVerifier.address, plan.authority, plan.appraisal],
    salt,
  )
  return { collateralStore, dcapQuoteVerifier, appraisalPolicy }
}

/** What a registry takes as its quote verifier. */
export const quoteVerifierOf = (placed: AttestationPlacements): Address =>
  (placed.appraisalPolicy ?? placed.dcapQuoteVerifier).address
