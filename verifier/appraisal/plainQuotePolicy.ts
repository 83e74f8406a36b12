import type { QuotePolicyDocument } from './policy.ts'

/**
 * What is accepted when an auditor names no policy of their own: genuine platforms at their newest
 * TCB level, any image. The image's measurements are shown, for comparison with those of a release.
 */
export const plainQuotePolicy: QuotePolicyDocument = {
  id: 'no policy given: UpToDate platforms, any image',
  tees: ['TDX'],
  tcb: {
    acceptedStatuses: { UpToDate: { graceDays: null } },
    minimumEvaluationDataNumber: 0,
    minimumQeEvaluationDataNumber: 0,
    deniedAdvisories: [],
    maximumCollateralAgeDays: null,
  },
  platforms: { allowed: 'any', denied: [] },
  allowedTdAttributes: [],
  allowedServiceTds: [],
  images: 'any',
  enclaves: [],
}
