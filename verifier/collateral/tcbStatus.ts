/** Statuses of Intel's TCB levels, from best to worst. @see Intel PCS API v4, TCB info */
export const tcbStatuses = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
  'Revoked',
] as const

export type TcbStatus = (typeof tcbStatuses)[number]

/** What a QE or TDX module level may say. */
export const partStatuses = ['UpToDate', 'OutOfDate', 'Revoked'] as const

export type PartStatus = (typeof partStatuses)[number]

/**
 * Platform status after looking at a part of it (QE or TDX module). A part that is out of date takes
 * the platform with it and keeps what was said of its configuration.
 *
 * @see Intel SGX DCAP QuoteVerificationLibrary, `QuoteVerifier` (convergence of TCB statuses)
 */
export function convergeStatus(platform: TcbStatus, part: PartStatus): TcbStatus {
  if (part === 'Revoked' || platform === 'Revoked') return 'Revoked'
  if (part === 'UpToDate') return platform
  return asksForConfiguration.includes(platform) ? 'OutOfDateConfigurationNeeded' : 'OutOfDate'
}

const asksForConfiguration: readonly TcbStatus[] = [
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDateConfigurationNeeded',
]
