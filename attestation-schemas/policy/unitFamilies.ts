import { composeMaps, findUnit, invertMap } from '../units/unit.ts'

/** By how much a number is multiplied: `multiply / divide`. */
export type Factor = { readonly multiply: bigint; readonly divide: bigint }

/**
 * Masses of carbon dioxide equivalent: no registry has them, and credits are counted in them. A map:
 * units come from documents, and an object would answer for `constructor` too.
 */
const carbonGrams: ReadonlyMap<string, bigint> = new Map([
  ['gCO2e', 1n],
  ['kgCO2e', 1_000n],
  ['tCO2e', 1_000_000n],
])

/**
 * The factor between two units of one quantity; `undefined` when they are not known to measure the
 * same, so that any factor between them is a physical statement and the author's own; `'shifted'`
 * when they do but have different zeros, as degrees Celsius and kelvin have.
 */
export function conversionFactor(from: string, to: string): Factor | 'shifted' | undefined {
  if (from === to) return { multiply: 1n, divide: 1n }
  const [fromGrams, toGrams] = [carbonGrams.get(from), carbonGrams.get(to)]
  if (fromGrams !== undefined && toGrams !== undefined) {
    return { multiply: fromGrams, divide: toGrams }
  }
  const [source, target] = [findUnit(from), findUnit(to)]
  if (source === undefined || target === undefined) return undefined
  if (source.quantity !== target.quantity) return undefined
  const map = composeMaps(invertMap(target.toQuantity), source.toQuantity)
  if (map.offsetNumerator !== 0n) return 'shifted'
  return { multiply: map.numerator, divide: map.denominator }
}

const integrals: ReadonlyMap<string, string> = new Map([
  ['W per s', 'J'],
  ['W per h', 'Wh'],
  ['kW per s', 'kJ'],
  ['kW per h', 'kWh'],
  ['MW per h', 'MWh'],
  ['A per h', 'Ah'],
  ['A per s', 'C'],
])

/** The unit that integration over time gives, where it has a name of its own. */
export function integralUnit(unit: string, per: 's' | 'min' | 'h' | 'd'): string | undefined {
  return integrals.get(`${unit} per ${per}`)
}
