import { measureCatalogue } from './measures.ts'
import type { Policy } from './schema.ts'

const words = { lt: 'below', le: 'at most', gt: 'above', ge: 'at least' } as const

function predicateWords({ predicate, signal }: Policy): string {
  if (predicate === undefined) return ''
  const { unit } = signal
  if (predicate.operator === 'between') {
    return `between ${predicate.low} and ${predicate.high} ${unit}, both included`
  }
  if (predicate.operator === 'equals') return `exactly ${predicate.limit} ${unit}`
  return `${words[predicate.operator]} ${predicate.limit} ${unit}`
}

function windowWords({ window }: Policy): string {
  switch (window.kind) {
    case 'period':
      return 'The period that the report names, as a whole.'
    case 'tumbling':
      return `Every ${window.length}, one after the other, counted from Unix millisecond ${window.anchorMs}.`
    case 'sliding':
      return `Every span of ${window.length}, a new one each ${window.step}, counted from Unix millisecond ${window.anchorMs}.`
    case 'calendar':
      return `Every ${window.every} on the wall clocks of ${window.zone} (time-zone table ${window.timeZoneTable}).`
    default:
      return window satisfies never
  }
}

function interpolationWords({ interpolation }: Policy): string {
  switch (interpolation.kind) {
    case 'hold':
      return `A value holds until the next reading, for ${interpolation.max} at most; then it is unknown.`
    case 'linear':
      return `Between two readings at most ${interpolation.max} apart the value lies on a straight line; else it is unknown.`
    case 'interval-mean':
      return `A value is the mean of the ${interpolation.step} that ${interpolation.stamp === 'start' ? 'begin' : 'end'} at its stamp.`
    default:
      return interpolation satisfies never
  }
}

const gapWords = {
  unknown:
    'An unobserved time stays open: the verdict has to hold whatever happened then, else it is INCONCLUSIVE.',
  violating: 'An unobserved time counts as a violation.',
  excluded: 'An unobserved time is left out, as if it did not exist.',
} as const

function measureWords(name: string): string {
  return name.replace(/_ms$/, '_time').replace(/_ppm$/, '_share').replaceAll('_', ' ')
}

function amountWords(policy: Policy): string {
  const { settlement } = policy
  const unit = measureCatalogue(policy).get(settlement.measure)?.unit ?? ''
  const base = measureWords(settlement.measure)
  let amount = base
  if (settlement.above !== undefined) amount = `what ${base} has above ${settlement.above}`
  if (settlement.below !== undefined) amount = `what ${base} lacks of ${settlement.below}`
  const factor =
    settlement.factor === undefined
      ? ''
      : `, times ${settlement.factor.multiply} over ${settlement.factor.divide}`
  const rounding =
    settlement.rounding === 'down' ? 'rounded down' : 'rounded to the nearest, half to even'
  return `The amount is ${amount} (in ${unit})${factor}, in ${settlement.unit}, ${rounding} at the sixth place.`
}

/** What a policy demands and pays on, one plain sentence after the other. */
export function explainPolicy(policy: Policy): string[] {
  const { signal, quality, audience } = policy
  const sentences = [
    `It looks at "${signal.series}" in ${signal.unit}${signal.device === undefined ? ' from one device' : ` from device ${signal.device}`}${signal.interval === undefined ? '' : `, a reading every ${signal.interval}`}.`,
    `Judged: ${windowWords(policy)}`,
    interpolationWords(policy),
    gapWords[policy.gaps],
  ]
  if (policy.minCoverage !== undefined) {
    sentences.push(`It does not pass when less than ${policy.minCoverage} was observed.`)
  }
  if (policy.predicate !== undefined) {
    sentences.push(`A value complies while it is ${predicateWords(policy)}.`)
    if (policy.hysteresis !== undefined) {
      sentences.push(`A violation ends only ${policy.hysteresis} ${signal.unit} inside the limit.`)
    }
    sentences.push(
      policy.for === undefined
        ? 'Every violation is an excursion, however short.'
        : `A violation is an excursion when it lasts longer than ${policy.for}.`,
    )
  }
  for (const { measure, operator, limit } of policy.objectives) {
    sentences.push(`PASS needs ${measureWords(measure)} ${words[operator]} ${limit}.`)
  }
  if (policy.objectives.length === 0) {
    sentences.push('It has no objective: whatever is observed well enough passes.')
  }
  sentences.push(amountWords(policy))
  if (policy.gaps === 'unknown') {
    sentences.push('Where gaps leave the amount open, the part that is certain is settled.')
  }
  const rules = Object.keys(quality)
  sentences.push(
    rules.length === 0
      ? 'It has no quality rules beyond the built-in ones.'
      : `Quality rules: ${rules.join(', ')}.`,
    audience.kind === 'anyone'
      ? 'The report is a fact: anyone may read it, anywhere and any number of times.'
      : `The report is a right to "${audience.impactClass}": contract ${audience.contract} on chain ${audience.chainId} can use it once, and nobody else.`,
  )
  return sentences
}
