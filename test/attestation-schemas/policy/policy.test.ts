import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { keccak256, stringToBytes } from 'viem'
import { describe, expect, it } from 'vitest'
import { BaseError } from '#schemas/errors.ts'
import {
  AmbiguousPolicyError,
  InvalidPolicyError,
  type Policy,
  PolicySyntaxError,
  decodePolicy,
  explainPolicy,
  measureCatalogue,
  policyAdvice,
  policyBytes,
  policyExclusiveTo,
  policyId,
  templates,
} from '#schemas/policy/policy.ts'
import { zeroHash } from '#schemas/report.ts'
import { rightClass, rightId } from '#schemas/right.ts'
import { root } from '#tools/paths.ts'

const cold = templates['cold-chain']

/** The template with fields replaced, or removed where the replacement is `undefined`. */
function coldWith(changes: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries({ ...cold, ...changes }).filter(([, value]) => value !== undefined),
  )
}

function refusalOf(input: unknown): BaseError {
  try {
    decodePolicy(input)
  } catch (error) {
    if (error instanceof BaseError) return error
    throw error
  }
  throw new Error('The policy was accepted.')
}

/** The policy, or `undefined` when it was refused by an error of our own; any other error escapes. */
function decodedOrUndefined(input: unknown): Policy | undefined {
  try {
    return decodePolicy(input)
  } catch (error) {
    if (error instanceof BaseError) return undefined
    throw error
  }
}

describe('policy templates', () => {
  it.each(Object.entries(templates))('%s is a valid policy, also as text', (_name, template) => {
    const policy = decodePolicy(template)
    expect(policy).toStrictEqual(template)
    expect(policyId(decodePolicy(JSON.stringify(template, undefined, 2)))).toBe(policyId(policy))
    expect(explainPolicy(policy).length).toBeGreaterThan(5)
  })

  it('have ids that change only when what they say changes', () => {
    expect(
      Object.fromEntries(
        Object.entries(templates).map(([name, policy]) => [name, policyId(policy)]),
      ),
    ).toMatchInlineSnapshot(`
      {
        "carbon": "0x896f886ca7ebe43fa09510c0c368a04c7d6bb99b8f03b829784888718c155796",
        "cold-chain": "0x7c37cb92580ed570a9468472a13706dda3652f9780f8b7ce63d4ae201a93e8e5",
        "energy-above": "0x354ec59f6d8e6d2f740ea437ead66224f93aca2427eacf624f533d10500e8f30",
        "energy-below": "0x2030ebe0bb9a5b8c7dd397241caeaffed61b65b6f139e6a7371155895263db39",
        "net-flux": "0x5a1055347345a95f970f8a3f393d0b86678a6297e638969d6d98d6f49c923173",
        "service-level": "0xf30cb2fdacf777f84ea0ad7b5cf0365d104922a7ac8c5512ba2fc7dd4d93d9f5",
        "uptime": "0x7cafd316cb3fc1cf5940afb57c06c509f66e6f9712074bd6fd7216bc66824f6e",
        "utilisation": "0x7c05dd8247db5d171fb4050c5b9e99d5fbe2aca2079c78813c2853feccc3db4e",
      }
    `)
  })
})

describe('policy identity', () => {
  it('is the Keccak-256 of the RFC 8785 text, by an implementation that nobody here wrote', () => {
    const small = decodePolicy({
      version: 1,
      name: 'å "b"',
      signal: { unit: 'Cel', series: 't' },
      window: { kind: 'period' },
      interpolation: { max: '1s', kind: 'hold' },
      gaps: 'unknown',
      minCoverage: '0%',
      aggregates: [],
      objectives: [],
      quality: {},
      settlement: { rounding: 'down', unit: 'ms', measure: 'known_ms' },
      audience: { kind: 'anyone' },
    })
    const text =
      '{"aggregates":[],"audience":{"kind":"anyone"},"gaps":"unknown","interpolation":{"kind":"hold","max":"1s"},' +
      '"minCoverage":"0%","name":"å \\"b\\"","objectives":[],"quality":{},' +
      '"settlement":{"measure":"known_ms","rounding":"down","unit":"ms"},"signal":{"series":"t","unit":"Cel"},' +
      '"version":1,"window":{"kind":"period"}}'
    expect(new TextDecoder().decode(policyBytes(small))).toBe(text)
    expect(policyId(small)).toBe(keccak256(stringToBytes(text)))
  })

  it('does not depend on the order of keys or on white space', () => {
    const reversed = Object.fromEntries(Object.entries(cold).toReversed())
    expect(policyId(decodePolicy(JSON.stringify(reversed, undefined, 7)))).toBe(policyId(cold))
  })

  it('an audience of one place gives the right’s id, anyone gives zero', () => {
    const contract = '0x5fbdb2315678afecb367f032d93f642f64180aa3'
    const right = decodePolicy({
      ...templates.carbon,
      audience: { kind: 'right', impactClass: 'carbon', chainId: '31338', contract },
    })
    expect(policyExclusiveTo(right)).toBe(
      rightId({ chainId: 31_338n, contract, right: rightClass('carbon') }),
    )
    expect(policyExclusiveTo(decodePolicy(cold))).toBe(zeroHash)
  })
})

describe('a policy that can be read in two ways is refused with both named', () => {
  const cases: Record<string, Record<string, unknown>> = {
    'no gap rule': { gaps: undefined },
    'interval means without a side': { interpolation: { kind: 'interval-mean', step: '15m' } },
    'an integral without a word on values below zero': {
      aggregates: [{ kind: 'integral', per: 'h', unit: 'Cel.h' }],
    },
    'an integral that is leaned on but not declared': {
      objectives: [{ measure: 'integral', operator: 'ge', limit: '1' }],
    },
    'an amount without rounding': { settlement: { measure: 'excursion_ms', unit: 'ms' } },
    'a calendar without a place': {
      window: { kind: 'calendar', every: 'day', timeZoneTable: '2026c' },
    },
    'violating gaps and a minimum coverage': { gaps: 'violating' },
    'violating gaps and a measure made of values': {
      gaps: 'violating',
      minCoverage: undefined,
      objectives: [{ measure: 'max', operator: 'le', limit: '8' }],
    },
    'gaps left out and an excursion that may lie across them': {
      gaps: 'excluded',
      settlement: { measure: 'known_ms', unit: 'ms', rounding: 'down' },
    },
    'violating time beside an allowance': {
      objectives: [{ measure: 'violating_ms', operator: 'le', limit: '1h' }],
    },
    'a hold that reaches over a missing reading': { interpolation: { kind: 'hold', max: '30m' } },
    'a range that leaves nothing to violate': { quality: { range: { low: '2', high: '8' } } },
    'an energy in the wrong unit': {
      signal: { series: 'p', unit: 'W', interval: '15m' },
      aggregates: [{ kind: 'integral', per: 'h', unit: 'kWh', negative: 'net' }],
    },
    'an amount whose factor is not that of its units': {
      settlement: { measure: 'excursion_ms', unit: 'h', rounding: 'down' },
    },
  }

  it.each(Object.entries(cases))('%s', (_name, changes) => {
    const refusal = refusalOf(coldWith(changes))
    expect(refusal).toBeInstanceOf(AmbiguousPolicyError)
    const { ambiguities } = refusal as AmbiguousPolicyError
    expect(ambiguities).toHaveLength(1)
    const [first, second] = ambiguities[0]?.readings ?? []
    expect(first).not.toBe(second)
    expect(refusal.message).toContain(`Reading 1: ${first}`)
    expect(refusal.message).toContain(`Reading 2: ${second}`)
  })

  it('says so in these words', () => {
    expect(refusalOf(coldWith({ gaps: undefined })).message).toMatchInlineSnapshot(`
      "The policy can be read in two ways.
      Field: gaps
      gaps: gaps is missing.
        Reading 1: Silence counts against the subject: an unheard minute violates.
        Reading 2: Silence does not count against the subject: an unheard minute is left open or out.
      Remedy: Write the policy so that only the intended reading is left."
    `)
    expect(refusalOf(coldWith({ interpolation: { kind: 'hold', max: '30m' } })).message)
      .toMatchInlineSnapshot(`
      "The policy can be read in two ways.
      Field: interpolation.max
      interpolation.max: Reaches over a missing reading (30m at one reading every 15m).
        Reading 1: A missing reading is silence and falls under the gap rule.
        Reading 2: A missing reading is replaced by its neighbour, so that a withheld one leaves no trace.
      Remedy: Write the policy so that only the intended reading is left."
    `)
  })
})

describe('a policy that is wrong is refused with the place named', () => {
  const cases: [string, Record<string, unknown>, string][] = [
    ['an unknown field', { surprise: 1 }, 'policy'],
    ['an unknown field deep inside', { quality: { rnage: { low: '0', high: '1' } } }, 'quality'],
    ['no name', { name: undefined }, 'name'],
    ['a name with a control character', { name: 'a\u0007' }, 'name'],
    ['a name with a lone surrogate', { name: 'a\ud800' }, 'name'],
    [
      'a number where text is demanded',
      { predicate: { operator: 'le', limit: 5 } },
      'predicate.limit',
    ],
    ['a trailing zero', { predicate: { operator: 'le', limit: '5.0' } }, 'predicate.limit'],
    ['an exponent', { predicate: { operator: 'le', limit: '5e1' } }, 'predicate.limit'],
    ['minus zero', { predicate: { operator: 'le', limit: '-0' } }, 'predicate.limit'],
    ['seven places', { predicate: { operator: 'le', limit: '0.0000001' } }, 'predicate.limit'],
    [
      'more than a reading can hold',
      { predicate: { operator: 'le', limit: '9007199255' } },
      'predicate.limit',
    ],
    [
      'an operator that does not exist',
      { predicate: { operator: 'ne', limit: '5' } },
      'predicate.operator',
    ],
    [
      'limits the wrong way round',
      { predicate: { operator: 'between', low: '8', high: '2' } },
      'predicate.low',
    ],
    ['a duration in a second spelling', { for: '90m' }, 'for'],
    ['a duration of nothing', { for: '0s' }, 'for'],
    [
      'an allowance without a predicate',
      {
        predicate: undefined,
        aggregates: [],
        objectives: [],
        settlement: { measure: 'known_ms', unit: 'ms', rounding: 'down' },
      },
      'for',
    ],
    ['hysteresis without room', { hysteresis: '4' }, 'hysteresis'],
    ['hysteresis of nothing', { hysteresis: '0' }, 'hysteresis'],
    [
      'hysteresis around one value',
      { predicate: { operator: 'equals', limit: '5' }, hysteresis: '1' },
      'hysteresis',
    ],
    [
      'a measure that does not exist',
      { objectives: [{ measure: 'mean', operator: 'le', limit: '5' }] },
      'objectives[0].measure',
    ],
    [
      'a delivery counter as objective',
      { objectives: [{ measure: 'out_of_order', operator: 'le', limit: '0' }] },
      'objectives[0].measure',
    ],
    [
      'a limit of the wrong kind',
      { objectives: [{ measure: 'excursions', operator: 'le', limit: '5m' }] },
      'objectives[0].limit',
    ],
    [
      'a share above one',
      { objectives: [{ measure: 'compliance_ppm', operator: 'ge', limit: '101%' }] },
      'objectives[0].limit',
    ],
    [
      'an instant as an amount',
      { settlement: { measure: 'longest_excursion_start_ms', unit: 'ms', rounding: 'down' } },
      'settlement.measure',
    ],
    [
      'a settlement above and below',
      { settlement: { ...cold.settlement, above: '1m', below: '2m' } },
      'settlement',
    ],
    [
      'a factor of zero',
      { settlement: { ...cold.settlement, factor: { multiply: '0', divide: '1' } } },
      'settlement.factor.multiply',
    ],
    [
      'units with different zeros',
      { settlement: { measure: 'max', unit: 'K', rounding: 'down' } },
      'settlement.unit',
    ],
    ['no minimum coverage', { minCoverage: undefined }, 'minCoverage'],
    [
      'gaps left out without a minimum',
      { gaps: 'excluded', minCoverage: '0%', objectives: [] },
      'minCoverage',
    ],
    [
      'violating gaps without a predicate',
      {
        gaps: 'violating',
        minCoverage: undefined,
        predicate: undefined,
        for: undefined,
        objectives: [],
        settlement: { measure: 'known_ms', unit: 'ms', rounding: 'down' },
      },
      'gaps',
    ],
    [
      'a hold shorter than the interval',
      { interpolation: { kind: 'hold', max: '10m' } },
      'interpolation.max',
    ],
    ['an empty range', { quality: { range: { low: '9', high: '9' } } }, 'quality.range'],
    [
      'a step of nothing',
      { quality: { step: { limit: '0', within: '1m' } } },
      'quality.step.limit',
    ],
    [
      'an aggregate twice',
      { aggregates: [{ kind: 'mean-kinetic-temperature' }, { kind: 'mean-kinetic-temperature' }] },
      'aggregates[1]',
    ],
    [
      'a kinetic mean of pressures',
      { signal: { series: 'p', unit: 'Pa', interval: '15m' } },
      'aggregates[0]',
    ],
    [
      'slices without a predicate',
      {
        predicate: undefined,
        for: undefined,
        objectives: [],
        aggregates: [{ kind: 'slices', length: '5m' }],
        settlement: { measure: 'known_ms', unit: 'ms', rounding: 'down' },
      },
      'aggregates[0]',
    ],
    [
      'a percentile of nothing',
      { aggregates: [{ kind: 'percentile', rank: '0%' }] },
      'aggregates[0].rank',
    ],
    [
      'a unit that readings are never kept in',
      { signal: { series: 'p', unit: 'mW' } },
      'signal.unit',
    ],
    [
      'a time-zone table that is not shipped',
      { window: { kind: 'calendar', every: 'day', zone: 'Europe/Berlin', timeZoneTable: '1999a' } },
      'window.timeZoneTable',
    ],
    [
      'a zone that is not shipped',
      { window: { kind: 'calendar', every: 'day', zone: 'Mars/Olympus', timeZoneTable: '2026c' } },
      'window.zone',
    ],
    [
      'a sliding window that does not slide',
      { window: { kind: 'sliding', length: '1h', step: '1h', anchorMs: 0 } },
      'window.step',
    ],
    [
      'a step that does not divide its window',
      { window: { kind: 'sliding', length: '1h', step: '7m', anchorMs: 0 } },
      'window.step',
    ],
    [
      'a right without its place',
      { audience: { kind: 'right', impactClass: 'carbon' } },
      'audience.chainId',
    ],
    [
      'an address in capitals',
      {
        audience: {
          kind: 'right',
          impactClass: 'carbon',
          chainId: '1',
          contract: `0x${'AB'.repeat(20)}`,
        },
      },
      'audience.contract',
    ],
  ]

  it.each(cases)('%s', (_name, changes, field) => {
    const refusal = refusalOf(coldWith(changes))
    expect(refusal).toBeInstanceOf(InvalidPolicyError)
    expect(refusal.field).toBe(field)
  })

  it('an unknown version is refused by name, before anything else is looked at', () => {
    expect(refusalOf({ version: 2, whatever: true }).message).toMatchInlineSnapshot(`
      "policy has version 2, which is unknown here.
      Field: policy.version
      Known: 1
      Remedy: Use a release that knows this version; nothing is guessed about it."
    `)
  })

  it.each([
    ['a comment', '{ /* no */ "version": 1 }'],
    ['a trailing comma', '{ "version": 1, }'],
    ['two documents', '{} {}'],
    ['no document', ''],
    ['a key twice', '{ "version": 1, "version": 1 }'],
    [
      'a key twice, deep inside',
      JSON.stringify(cold).replace('"unit":"Cel"', '"unit":"Cel","unit":"K"'),
    ],
    ['nesting without end', '['.repeat(5_000)],
    ['a book', ' '.repeat(70_000)],
  ])('text with %s is not strict JSON', (_name, text) => {
    expect(refusalOf(text)).toBeInstanceOf(PolicySyntaxError)
  })

  it('names line and column, of the key or else of its parent', () => {
    const text = JSON.stringify(coldWith({ for: '90m', name: undefined }), undefined, 2)
    const { problems } = refusalOf(text) as InvalidPolicyError
    expect(problems.map(({ path, line, column }) => ({ path, line, column }))).toStrictEqual([
      { path: 'name', line: 1, column: 1 },
      { path: 'for', line: 23, column: 10 },
    ])
  })
})

describe('advice', () => {
  it('names what a valid policy leaves open', () => {
    const bare = decodePolicy(
      coldWith({
        signal: { series: 't', unit: 'Cel' },
        quality: {},
        gaps: 'excluded',
        objectives: [],
        settlement: { measure: 'known_ms', unit: 'ms', rounding: 'down' },
        window: { kind: 'sliding', length: '1h', step: '30m', anchorMs: 0 },
        audience: {
          kind: 'right',
          impactClass: 'carbon',
          chainId: '1',
          contract: `0x${'ab'.repeat(20)}`,
        },
      }),
    )
    expect(policyAdvice(bare).map(({ path }) => path)).toStrictEqual([
      'signal.interval',
      'quality.range',
      'quality.flatline',
      'quality.step',
      'quality.packs',
      'gaps',
      'window',
    ])
  })
})

describe('the decoder under arbitrary input', () => {
  const paths = (value: unknown, path: (string | number)[] = []): (string | number)[][] =>
    typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([key, item]) => [
          [...path, key],
          ...paths(item, [...path, key]),
        ])
      : []

  /** A template with one place replaced by anything. */
  const mutated = fc
    .constantFrom(...Object.values(templates))
    .chain((template) =>
      fc.record({
        template: fc.constant(template as Policy),
        path: fc.constantFrom(...paths(template)),
        value: fc.oneof(
          fc.jsonValue({ maxDepth: 2 }),
          fc.constantFrom('0', '5', '45m', '95%', '-9999', 'violating', 'Cel', 'W', 'max', 'sum'),
        ),
      }),
    )
    .map(({ template, path, value }) => {
      const copy = structuredClone(template) as unknown as Record<string, unknown>
      let place = copy
      for (const key of path.slice(0, -1)) place = place[key] as Record<string, unknown>
      place[path.at(-1) ?? ''] = value
      return copy
    })

  const schema = JSON.parse(
    readFileSync(join(root, 'attestation-schemas/json-schema/policy.schema.json'), 'utf8'),
  ) as object
  const validate = new Ajv2020({ strict: false }).compile(schema)

  it('either decodes to the same document or refuses with an error of its own, and never accepts what the published schema refuses', () => {
    fc.assert(
      fc.property(mutated, (document) => {
        const policy = decodedOrUndefined(document)
        if (policy === undefined) return
        expect(policy).toStrictEqual(document)
        expect(validate(document)).toBe(true)
        expect(policyId(decodePolicy(JSON.stringify(document)))).toBe(policyId(policy))
        expect(measureCatalogue(policy).has(policy.settlement.measure)).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })

  it('refuses arbitrary text and values with an error of its own', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.json(), fc.anything(), fc.string({ unit: 'binary' })),
        (input) => {
          expect(refusalOf(input)).toBeInstanceOf(BaseError)
        },
      ),
      { numRuns: 2_000 },
    )
  })
})

describe('a unit that is called like a member of every object', () => {
  it.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])(
    '%s is a unit nobody knows, and any factor to it is the author’s own statement',
    (unit) => {
      const { settlement } = templates.carbon
      const policy = decodePolicy({ ...templates.carbon, settlement: { ...settlement, unit } })
      expect(policy.settlement.unit).toBe(unit)
    },
  )
})
