import type { QuotePolicyDocument } from '#verifier/appraisal/policy.ts'

/** Everything that is a matter of taste is allowed, so that only genuineness and TCB decide. */
export const anythingGenuine: QuotePolicyDocument = {
  id: 'anything genuine',
  tees: ['TDX'],
  tcb: {
    acceptedStatuses: {
      UpToDate: { graceDays: null },
      SWHardeningNeeded: { graceDays: null },
      ConfigurationNeeded: { graceDays: null },
      ConfigurationAndSWHardeningNeeded: { graceDays: null },
      OutOfDate: { graceDays: null },
      OutOfDateConfigurationNeeded: { graceDays: null },
    },
    minimumEvaluationDataNumber: 0,
    minimumQeEvaluationDataNumber: 0,
    deniedAdvisories: [],
    maximumCollateralAgeDays: null,
  },
  platforms: { allowed: 'any', denied: [] },
  allowedTdAttributes: ['LASS', 'MIGRATABLE', 'PKS', 'KL', 'TPA', 'PERFMON'],
  allowedServiceTds: [],
  images: 'any',
  enclaves: [],
}
