import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createQuotePolicy, type QuotePolicyDocument } from '#verifier/appraisal/policy.ts'
import { QuoteRefusedError } from '#verifier/appraisal/errors.ts'
import type { RefusalCode } from '#verifier/appraisal/rules.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { decodeQuoteFile } from '#verifier/quote/decodeQuoteFile.ts'

/** Accepts every status and image: what is left are the rules that no policy can switch off. */
export const permissivePolicyDocument: QuotePolicyDocument = {
  id: 'permissive',
  tees: ['TDX', 'SGX'],
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
  allowedTdAttributes: [],
  allowedServiceTds: [],
  images: 'any',
  enclaves: 'any',
}

export const permissivePolicy = createQuotePolicy(permissivePolicyDocument)

export function readQuote(folder: string, name: string): Uint8Array {
  return decodeQuoteFile(readFileSync(join(folder, name))).quote
}

export function readCollateralFile(folder: string, name: string): Collateral {
  return JSON.parse(readFileSync(join(folder, name), 'utf8')) as Collateral
}

/** The code of the refusal that a call ends in; a call that ends otherwise fails the test. */
export function refusalOf(call: () => unknown): RefusalCode {
  return refusedBy(call).code
}

/** The refusal that a call ends in. */
export function refusedBy(call: () => unknown): QuoteRefusedError {
  try {
    call()
  } catch (error) {
    if (error instanceof QuoteRefusedError) return error
    throw error
  }
  throw new Error('Nothing was refused.')
}
