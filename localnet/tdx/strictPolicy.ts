import type { ImageDocument, QuotePolicyDocument } from '#verifier/appraisal/policy.ts'
import type { Measurements, Platform } from './platform.ts'

/** On the deny lists of {@link strictPolicy}, so that each of them has something to refuse. */
export const deniedAdvisory = 'LOCAL-SA-00099'
export const deniedPpid = 'dd'.repeat(16)

/**
 * The strictest policy under which the platform's own quotes pass: this processor package, this
 * image, up to date, nothing optional. Every negative case of stage `policy` is meant for it.
 *
 * @param measurements - Where the image is not the local one: the application's MRCONFIGID.
 */
export function strictPolicy(
  platform: Platform,
  measurements: Measurements = {},
): QuotePolicyDocument {
  return {
    id: 'local-strict',
    tees: ['TDX'],
    tcb: {
      acceptedStatuses: {
        UpToDate: { graceDays: null },
        ConfigurationAndSWHardeningNeeded: { graceDays: 30 },
      },
      minimumEvaluationDataNumber: 20,
      minimumQeEvaluationDataNumber: 20,
      deniedAdvisories: [deniedAdvisory],
      maximumCollateralAgeDays: 28,
    },
    platforms: { allowed: [hex(platform.ppid)], denied: [deniedPpid] },
    allowedTdAttributes: [],
    allowedServiceTds: [],
    images: [localImage(platform, measurements)],
    enclaves: [],
  }
}

/** The local image as an entry of an allow list. */
export function localImage(platform: Platform, measurements: Measurements = {}): ImageDocument {
  const { mrTd, rtmr0, rtmr1, rtmr2, mrConfigId } = {
    ...platform.localMeasurements,
    ...measurements,
  }
  return {
    name: 'local',
    mrTd: hex(mrTd),
    rtmr0: hex(rtmr0),
    rtmr1: hex(rtmr1),
    rtmr2: hex(rtmr2),
    mrConfigId: hex(mrConfigId),
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
