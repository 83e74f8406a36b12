/** EIP-1559 fees, in wei per gas. */
export type Fees = {
  readonly maxFeePerGasWei: bigint
  readonly maxPriorityFeePerGasWei: bigint
}

export type FeeCap = {
  readonly maxFeePerGasWei: bigint
  readonly maxPriorityFeePerGasWei: bigint
}

/** What a chain asks for at the moment. */
export type FeeQuote = {
  readonly baseFeePerGasWei: bigint
  readonly priorityFeePerGasWei: bigint
}

function smaller(left: bigint, right: bigint): bigint {
  return left < right ? left : right
}

function larger(left: bigint, right: bigint): bigint {
  return left > right ? left : right
}

/**
 * Fees for a new transaction: room for the base fee to double, never above the cap.
 *
 * @returns `undefined` when even the present base fee does not fit under the cap.
 */
export function initialFees(quote: FeeQuote, cap: FeeCap): Fees | undefined {
  const tip = smaller(quote.priorityFeePerGasWei, cap.maxPriorityFeePerGasWei)
  if (quote.baseFeePerGasWei + tip > cap.maxFeePerGasWei) return undefined
  const maxFeePerGasWei = smaller(2n * quote.baseFeePerGasWei + tip, cap.maxFeePerGasWei)
  return { maxFeePerGasWei, maxPriorityFeePerGasWei: smaller(tip, maxFeePerGasWei) }
}

/** One eighth more, rounded up. Nodes refuse a replacement that raises either fee by less than 10 %. */
function raised(feeWei: bigint): bigint {
  return (feeWei * 9n + 7n) / 8n
}

/**
 * Fees that replace a transaction which is not getting in: both at least 12.5 % above the old ones,
 * and at least what the chain asks now.
 *
 * @returns `undefined` when that would break the cap; the old transaction then stays as it is.
 */
export function replacementFees(old: Fees, quote: FeeQuote, cap: FeeCap): Fees | undefined {
  const tip = larger(raised(old.maxPriorityFeePerGasWei), quote.priorityFeePerGasWei)
  const least = raised(old.maxFeePerGasWei)
  const wanted = larger(least, 2n * quote.baseFeePerGasWei + tip)
  const maxFeePerGasWei = smaller(wanted, cap.maxFeePerGasWei)
  // The tip's own cap yields to the 12.5 % rule only as far as the least replacement demands.
  const cappedTip = larger(
    smaller(tip, cap.maxPriorityFeePerGasWei),
    raised(old.maxPriorityFeePerGasWei),
  )
  if (maxFeePerGasWei < least) return undefined
  if (quote.baseFeePerGasWei + cappedTip > maxFeePerGasWei) return undefined
  return { maxFeePerGasWei, maxPriorityFeePerGasWei: cappedTip }
}

/** Whether a transaction with these fees can enter a block at the present base fee. */
export function coversBaseFee(fees: Fees, quote: FeeQuote): boolean {
  return fees.maxFeePerGasWei >= quote.baseFeePerGasWei
}
