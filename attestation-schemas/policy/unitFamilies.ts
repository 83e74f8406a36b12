/**
 * The few conversions that a policy may lean on, as exact rationals to one member of each family. A
 * unit that is not listed here is a word: nothing is assumed about it.
 */
const families: readonly (readonly (readonly [
  unit: string,
  numerator: bigint,
  denominator: bigint,
])[])[] = [
  [
    ['ms', 1n, 1n],
    ['s', 1_000n, 1n],
    ['min', 60_000n, 1n],
    ['h', 3_600_000n, 1n],
    ['d', 86_400_000n, 1n],
  ],
  [
    ['J', 1n, 1n],
    ['kJ', 1_000n, 1n],
    ['MJ', 1_000_000n, 1n],
    ['Wh', 3_600n, 1n],
    ['kWh', 3_600_000n, 1n],
    ['MWh', 3_600_000_000n, 1n],
  ],
  [
    ['mW', 1n, 1_000n],
    ['W', 1n, 1n],
    ['kW', 1_000n, 1n],
    ['MW', 1_000_000n, 1n],
  ],
  [
    ['gCO2e', 1n, 1n],
    ['kgCO2e', 1_000n, 1n],
    ['tCO2e', 1_000_000n, 1n],
  ],
  [
    ['g', 1n, 1n],
    ['kg', 1_000n, 1n],
    ['t', 1_000_000n, 1n],
  ],
]

/** By how much a number in `from` is multiplied to be one in `to`; `undefined` where none is known. */
export function conversionFactor(
  from: string,
  to: string,
): { multiply: bigint; divide: bigint } | undefined {
  if (from === to) return { multiply: 1n, divide: 1n }
  for (const family of families) {
    const source = family.find(([unit]) => unit === from)
    const target = family.find(([unit]) => unit === to)
    if (source === undefined || target === undefined) continue
    return { multiply: source[1] * target[2], divide: source[2] * target[1] }
  }
  return undefined
}

const integrals: Readonly<Record<string, string>> = {
  'W per s': 'J',
  'W per h': 'Wh',
  'kW per s': 'kJ',
  'kW per h': 'kWh',
  'MW per h': 'MWh',
  'A per h': 'Ah',
  'A per s': 'C',
}

/** The unit that integration over time gives, where it has a name of its own. */
export function integralUnit(unit: string, per: 's' | 'min' | 'h' | 'd'): string | undefined {
  return integrals[`${unit} per ${per}`]
}
