/**
 * `numerator / denominator` as a whole number. `down` drops the remainder towards minus infinity;
 * `half-even` takes the nearest, and of two equally near ones the even one.
 *
 * @param denominator - Above zero.
 */
export function divideRounded(
  numerator: bigint,
  denominator: bigint,
  rounding: 'half-even' | 'down',
): bigint {
  let quotient = numerator / denominator
  let remainder = numerator % denominator
  if (remainder < 0n) {
    quotient -= 1n
    remainder += denominator
  }
  if (rounding === 'down') return quotient
  const doubled = 2n * remainder
  if (doubled > denominator || (doubled === denominator && quotient % 2n !== 0n)) quotient += 1n
  return quotient
}
