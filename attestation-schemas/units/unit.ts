import { BaseError } from '../errors.ts'
import {
  type LinearUnit,
  primaryUnits,
  relatedPrimaryUnits,
  secondaryUnits,
  ucumAliases,
} from './unitTables.ts'

/** An exact linear map `value · numerator / denominator + offsetNumerator / offsetDenominator`. */
export type LinearMap = {
  readonly numerator: bigint
  readonly denominator: bigint
  readonly offsetNumerator: bigint
  readonly offsetDenominator: bigint
}

/** A unit as it may be sent. */
export type Unit = {
  /** As sent. */
  readonly symbol: string
  /** The registry unit that readings are kept in; the symbol itself unless it is a UCUM alias. */
  readonly reading: string
  /** From the symbol to `reading`; `undefined` when they are one and the same. */
  readonly toReading: LinearMap | undefined
  /** The unit that names the quantity: units of one quantity can be converted. */
  readonly quantity: string
  /** From the symbol to `quantity`. */
  readonly toQuantity: LinearMap
  /** Whether a pack that uses it should announce SenML feature 4 (RFC 8798 §4, RFC 9100 §4). */
  readonly isSecondary: boolean
}

/** A unit that is neither in the SenML registry nor an accepted UCUM code. */
export class UnknownUnitError extends BaseError {
  override readonly name = 'UnknownUnitError'
  readonly unit: string

  constructor(unit: string, field?: string) {
    super('The unit is not known.', {
      field,
      metaMessages: [`Actual: ${JSON.stringify(unit.slice(0, 32))}`],
      remedy:
        'Use a symbol of the SenML units registry (RFC 8428, RFC 8798) or an accepted UCUM code.',
    })
    this.unit = unit
  }
}

/** Two units that measure different quantities. */
export class UnitMismatchError extends BaseError {
  override readonly name = 'UnitMismatchError'
}

const identity: LinearMap = {
  numerator: 1n,
  denominator: 1n,
  offsetNumerator: 0n,
  offsetDenominator: 1n,
}

const units = buildUnits()

/** Looks a unit up by registry symbol or UCUM code; `undefined` when it is not known. */
export function findUnit(symbol: string): Unit | undefined {
  return units.get(symbol)
}

/**
 * Looks a unit up.
 *
 * @throws {@link UnknownUnitError}
 */
export function unitOf(symbol: string, field?: string): Unit {
  const unit = units.get(symbol)
  if (unit === undefined) throw new UnknownUnitError(symbol, field)
  return unit
}

/** All accepted symbols, registry first. */
export function knownUnits(): readonly Unit[] {
  return [...units.values()]
}

/** `first`, then `second`. */
export function composeMaps(second: LinearMap, first: LinearMap): LinearMap {
  return {
    numerator: first.numerator * second.numerator,
    denominator: first.denominator * second.denominator,
    offsetNumerator:
      first.offsetNumerator * second.numerator * second.offsetDenominator +
      second.offsetNumerator * first.offsetDenominator * second.denominator,
    offsetDenominator: first.offsetDenominator * second.denominator * second.offsetDenominator,
  }
}

/** The map that undoes `map`. */
export function invertMap(map: LinearMap): LinearMap {
  return {
    numerator: map.denominator,
    denominator: map.numerator,
    offsetNumerator: -map.offsetNumerator * map.denominator,
    offsetDenominator: map.offsetDenominator * map.numerator,
  }
}

function buildUnits(): Map<string, Unit> {
  const table = new Map<string, Unit>()
  for (const symbol of primaryUnits)
    table.set(symbol, registryUnit(symbol, symbol, identity, false))
  for (const linear of relatedPrimaryUnits) {
    table.set(linear[0], registryUnit(linear[0], linear[1], mapOf(linear), false))
  }
  for (const linear of secondaryUnits) {
    const base = table.get(linear[1])
    if (base === undefined) throw new UnknownUnitError(linear[1])
    const toQuantity = composeMaps(base.toQuantity, mapOf(linear))
    table.set(linear[0], registryUnit(linear[0], base.quantity, toQuantity, true))
  }
  for (const alias of ucumAliases) {
    const target = table.get(alias[1])
    if (target === undefined) throw new UnknownUnitError(alias[1])
    const map = mapOf(alias)
    table.set(alias[0], {
      symbol: alias[0],
      reading: target.symbol,
      toReading: isIdentity(map) ? undefined : map,
      quantity: target.quantity,
      toQuantity: composeMaps(target.toQuantity, map),
      isSecondary: target.isSecondary,
    })
  }
  return table
}

function registryUnit(
  symbol: string,
  quantity: string,
  toQuantity: LinearMap,
  isSecondary: boolean,
): Unit {
  return { symbol, reading: symbol, toReading: undefined, quantity, toQuantity, isSecondary }
}

function mapOf([, , scale, offset]: LinearUnit): LinearMap {
  return {
    numerator: scale[0],
    denominator: scale[1],
    offsetNumerator: offset?.[0] ?? 0n,
    offsetDenominator: offset?.[1] ?? 1n,
  }
}

function isIdentity(map: LinearMap): boolean {
  return map.numerator === map.denominator && map.offsetNumerator === 0n
}
