import { scaleMapped } from './decimal.ts'
import { composeMaps, invertMap, UnitMismatchError, unitOf } from './unit.ts'

/** Whether values of one unit can be expressed in the other. */
export function areCommensurable(from: string, to: string): boolean {
  return unitOf(from, 'from').quantity === unitOf(to, 'to').quantity
}

/**
 * Millionths of one unit in millionths of another, by exact rational arithmetic with one rounding
 * (half to even) at the end.
 *
 * @returns NaN when the result is not below 2^53 in magnitude.
 * @throws {@link UnknownUnitError}, {@link UnitMismatchError}
 */
export function convertMicro(valueMicro: number, from: string, to: string): number {
  const source = unitOf(from, 'from')
  const target = unitOf(to, 'to')
  if (source.quantity !== target.quantity) {
    throw new UnitMismatchError(`A value in ${from} cannot be expressed in ${to}.`, {
      field: 'to',
      metaMessages: [`${from} measures: ${source.quantity}`, `${to} measures: ${target.quantity}`],
    })
  }
  if (from === to) return valueMicro
  const map = composeMaps(invertMap(target.toQuantity), source.toQuantity)
  return scaleMapped(valueMicro, -6, 6, map)
}
