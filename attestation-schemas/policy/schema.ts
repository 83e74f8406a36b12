import { z } from 'zod'
import { decimalPattern, durationPattern, percentPattern } from './quantities.ts'

/** The policy language that this release speaks, and the only one. */
export const policyVersion = 1

const decimal = z.string().regex(decimalPattern, {
  error: 'Write a decimal as text with at most six places and no trailing zero, such as "4.5".',
})
const duration = z.string().regex(durationPattern, {
  error: 'Write a duration in its one spelling, largest unit first, such as "1h30m" or "45m".',
})
const percent = z.string().regex(percentPattern, {
  error: 'Write a percentage such as "95%" or "99.95%".',
})
const unit = z.string().regex(/^[!-~]{1,32}$/, {
  error: 'Write a unit as 1 to 32 printable ASCII characters without spaces.',
})
const hex32 = z.string().regex(/^0x[0-9a-f]{64}$/, {
  error: 'Write 32 bytes as 0x and 64 lower-case hexadecimal digits.',
})
/** Printable text without control characters, so that what people read is what is hashed. */
const text = (longest: number): z.ZodString =>
  z
    .string()
    .min(1)
    .max(longest)
    .regex(/^[^\p{C}]+$/u, { error: 'Use printable characters only.' })

/**
 * Fields whose absence is not a slip but an open question, with the two answers that were possible.
 * None of them has a default: a default would choose for two parties who have not agreed.
 */
export const openQuestions = {
  'gaps is missing.': [
    'Silence counts against the subject: an unheard minute violates.',
    'Silence does not count against the subject: an unheard minute is left open or out.',
  ],
  'stamp is missing.': [
    'A stamp marks the start of the interval that its value describes.',
    'A stamp marks the end of the interval that its value describes.',
  ],
  'negative is missing.': [
    'Values below zero are subtracted (net).',
    'Values below zero are taken as zero (zero).',
  ],
  'rounding is missing.': [
    'What does not fit the last place is rounded half to even (half-even).',
    'What does not fit the last place is dropped (down).',
  ],
  'zone is missing.': [
    'A day begins at midnight UTC.',
    'A day begins at midnight on the wall clock of some place.',
  ],
} as const satisfies Record<string, readonly [string, string]>

const question =
  (message: keyof typeof openQuestions) =>
  (issue: { input?: unknown }): string | undefined =>
    issue.input === undefined ? message : undefined

const signal = z.strictObject({
  series: text(256),
  unit,
  device: hex32.optional(),
  interval: duration.optional(),
})

const window = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('period') }),
  z.strictObject({ kind: z.literal('tumbling'), length: duration, anchorMs: z.int().min(0) }),
  z.strictObject({
    kind: z.literal('sliding'),
    length: duration,
    step: duration,
    anchorMs: z.int().min(0),
  }),
  z.strictObject({
    kind: z.literal('calendar'),
    every: z.enum(['day', 'week', 'month', 'quarter', 'year']),
    zone: z
      .string({ error: question('zone is missing.') })
      .min(1)
      .max(64),
    timeZoneTable: text(32),
  }),
])

const interpolation = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('hold'), max: duration }),
  z.strictObject({ kind: z.literal('linear'), max: duration }),
  z.strictObject({
    kind: z.literal('interval-mean'),
    step: duration,
    stamp: z.enum(['start', 'end'], {
      error: question('stamp is missing.'),
    }),
  }),
])

const predicate = z.discriminatedUnion('operator', [
  z.strictObject({ operator: z.enum(['lt', 'le', 'gt', 'ge', 'equals']), limit: decimal }),
  z.strictObject({ operator: z.literal('between'), low: decimal, high: decimal }),
])

const aggregate = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('integral'),
    per: z.enum(['s', 'min', 'h', 'd']),
    unit,
    negative: z.enum(['net', 'zero'], {
      error: question('negative is missing.'),
    }),
  }),
  z.strictObject({ kind: z.literal('percentile'), rank: percent }),
  z.strictObject({ kind: z.literal('mean-kinetic-temperature') }),
  z.strictObject({ kind: z.literal('slices'), length: duration }),
])

const objective = z.strictObject({
  measure: text(64),
  operator: z.enum(['lt', 'le', 'gt', 'ge']),
  limit: z.string().min(1).max(32),
})

const quality = z.strictObject({
  range: z.strictObject({ low: decimal, high: decimal }).optional(),
  step: z.strictObject({ limit: decimal, within: duration }).optional(),
  flatline: z
    .strictObject({ longest: duration, except: z.array(decimal).max(16).optional() })
    .optional(),
  faultCodes: z.array(decimal).min(1).max(16).optional(),
  minimumSpacing: duration.optional(),
  packs: z.literal('required').optional(),
  calibration: z.literal('required').optional(),
  clock: z.strictObject({ maxAhead: duration, maxBehind: duration }).optional(),
  daylightSaving: z.strictObject({ zone: text(64), timeZoneTable: text(32) }).optional(),
  repeats: z.strictObject({ run: z.int().min(8).max(4096) }).optional(),
  minimumTier: z.enum(['hardware', 'software', 'gateway', 'replay']).optional(),
})

const positiveInteger = z.string().regex(/^[1-9][0-9]{0,17}$/, {
  error: 'Write a positive whole number of at most 18 digits as text.',
})

const settlement = z.strictObject({
  measure: text(64),
  unit,
  rounding: z.enum(['half-even', 'down'], {
    error: question('rounding is missing.'),
  }),
  above: z.string().min(1).max(32).optional(),
  below: z.string().min(1).max(32).optional(),
  factor: z.strictObject({ multiply: positiveInteger, divide: positiveInteger }).optional(),
})

const audience = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('anyone') }),
  z.strictObject({
    kind: z.literal('right'),
    impactClass: z.string().regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/, {
      error: 'Write an impact class in lower case with hyphens, such as "carbon".',
    }),
    chainId: positiveInteger,
    contract: z.string().regex(/^0x[0-9a-f]{40}$/, {
      error: 'Write an address as 0x and 40 lower-case hexadecimal digits.',
    }),
  }),
])

/** The one source of the policy document: its type, its decoder and its JSON Schema come from here. */
export const policySchema = z.strictObject({
  version: z.literal(policyVersion),
  name: text(128),
  description: text(1024).optional(),
  signal,
  window,
  interpolation,
  gaps: z.enum(['unknown', 'violating', 'excluded'], {
    error: question('gaps is missing.'),
  }),
  minCoverage: percent.optional(),
  predicate: predicate.optional(),
  for: duration.optional(),
  hysteresis: decimal.optional(),
  aggregates: z.array(aggregate).max(16),
  objectives: z.array(objective).max(16),
  quality,
  settlement,
  audience,
})

/**
 * What is demanded of one signal over one window, and what is settled on. A plain JSON document: all
 * numbers that matter are text in one spelling, so the canonical bytes (RFC 8785) name the policy.
 */
export type Policy = z.infer<typeof policySchema>
