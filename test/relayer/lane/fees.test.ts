import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { coversBaseFee, initialFees, replacementFees } from '#relayer/lane/fees.ts'

const wei = fc.bigInt({ min: 1n, max: 10n ** 13n })
const quotes = fc.record({ baseFeePerGasWei: wei, priorityFeePerGasWei: wei })
const caps = fc.record({ maxFeePerGasWei: wei, maxPriorityFeePerGasWei: wei })

describe('fees', () => {
  it('first fees cover the base fee, and neither fee is above its cap', () => {
    fc.assert(
      fc.property(quotes, caps, (quote, cap) => {
        const fees = initialFees(quote, cap)
        fc.pre(fees !== undefined)
        expect(coversBaseFee(fees, quote)).toBe(true)
        expect(fees.maxFeePerGasWei).toBeLessThanOrEqual(cap.maxFeePerGasWei)
        expect(fees.maxPriorityFeePerGasWei).toBeLessThanOrEqual(cap.maxPriorityFeePerGasWei)
        expect(fees.maxPriorityFeePerGasWei).toBeLessThanOrEqual(fees.maxFeePerGasWei)
      }),
    )
  })

  it('there are no first fees exactly when base fee and tip do not fit under the cap', () => {
    fc.assert(
      fc.property(quotes, caps, (quote, cap) => {
        const { priorityFeePerGasWei } = quote
        const { maxPriorityFeePerGasWei } = cap
        const tip =
          priorityFeePerGasWei < maxPriorityFeePerGasWei
            ? priorityFeePerGasWei
            : maxPriorityFeePerGasWei
        const fits = quote.baseFeePerGasWei + tip <= cap.maxFeePerGasWei
        expect(initialFees(quote, cap) !== undefined).toBe(fits)
      }),
    )
  })

  it('a replacement raises both fees by 12.5 % or more and never passes the cap', () => {
    fc.assert(
      fc.property(quotes, quotes, caps, (before, now, cap) => {
        const old = initialFees(before, cap)
        const fees = old === undefined ? undefined : replacementFees(old, now, cap)
        fc.pre(old !== undefined && fees !== undefined)
        expect(fees.maxFeePerGasWei * 8n).toBeGreaterThanOrEqual(old.maxFeePerGasWei * 9n)
        expect(fees.maxPriorityFeePerGasWei * 8n).toBeGreaterThanOrEqual(
          old.maxPriorityFeePerGasWei * 9n,
        )
        expect(fees.maxFeePerGasWei).toBeLessThanOrEqual(cap.maxFeePerGasWei)
        expect(coversBaseFee(fees, now)).toBe(true)
      }),
    )
  })

  it('a tip of one wei is raised too, since nodes count in whole wei', () => {
    const old = { maxFeePerGasWei: 10n, maxPriorityFeePerGasWei: 1n }
    const cap = { maxFeePerGasWei: 100n, maxPriorityFeePerGasWei: 100n }
    const quote = { baseFeePerGasWei: 5n, priorityFeePerGasWei: 1n }
    expect(replacementFees(old, quote, cap)).toEqual({
      maxFeePerGasWei: 12n,
      maxPriorityFeePerGasWei: 2n,
    })
  })
})
