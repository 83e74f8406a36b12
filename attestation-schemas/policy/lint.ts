import type { PolicyProblem } from './errors.ts'
import type { Policy } from './schema.ts'

/** Things that a valid policy leaves undone and its author may not have meant to. */
export function policyAdvice(policy: Policy): PolicyProblem[] {
  const advice: PolicyProblem[] = []
  const advise = (path: string, message: string): void => {
    advice.push({ path, message })
  }
  const { signal, interpolation, quality, gaps, audience } = policy
  if (signal.interval === undefined && interpolation.kind !== 'interval-mean') {
    advise(
      'signal.interval',
      'Without it nobody checks that a missing reading leaves a gap: a long hold can hide one.',
    )
  }
  if (quality.range === undefined) {
    advise('quality.range', 'Without it a fault code such as -9999 counts as a value.')
  }
  if (quality.flatline === undefined) {
    advise('quality.flatline', 'Without it a sensor that is stuck at a good value passes.')
  }
  if (quality.step === undefined) {
    advise(
      'quality.step',
      'Without it a change of unit in mid-stream can look like a change of value.',
    )
  }
  if (quality.packs === undefined) {
    advise('quality.packs', 'Without it readings count that no numbered and chained pack carried.')
  }
  if (gaps === 'excluded') {
    advise(
      'gaps',
      `Whoever withholds readings chooses what is left out, up to ${policy.minCoverage ?? '100%'} coverage.`,
    )
  }
  if (audience.kind === 'right' && policy.window.kind === 'sliding') {
    advise(
      'window',
      'Sliding windows overlap, so that a right to one impact is granted many times.',
    )
  }
  return advice
}
