import { refusal } from '../appraisal/errors.ts'

/** Year 9999: a clock in milliseconds lies beyond it and is found out. */
const latestUnixSeconds = 253_402_300_799

/**
 * The instant of appraisal must be whole Unix seconds. Comparisons with NaN are false, so a missing
 * clock would otherwise switch off every expiry.
 *
 * @throws {@link VerifierInputError} `ClockInvalid`.
 */
export function expectClock(now: unknown): number {
  if (typeof now === 'number' && Number.isInteger(now) && now > 0 && now <= latestUnixSeconds) {
    return now
  }
  throw refusal('ClockInvalid', 'The instant of appraisal is not a whole number of Unix seconds.', {
    field: 'now',
    metaMessages: [`Actual: ${String(now)}`],
    remedy: 'Pass seconds since 1970 as an integer, for example Math.floor(milliseconds / 1000).',
  })
}
