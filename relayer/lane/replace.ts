import type { Observation, SignRequest } from './events.ts'
import { coversBaseFee, initialFees, replacementFees } from './fees.ts'
import type { Hold, Lane, LaneTransaction } from './lane.ts'
import { feeHold, fillerRequest, newestAttempt, openTransactions } from './working.ts'

/**
 * New attempts for transactions that do not get in: the same call at higher fees, up to the cap; or,
 * for one that no node wants for other reasons, nothing at all under its nonce.
 */
export function replaceStuck(
  lane: Lane,
  nowMs: number,
): { readonly requests: readonly SignRequest[]; readonly hold?: Hold } {
  const { quote, policy } = lane
  if (quote === undefined) return { requests: [] }
  const requests: SignRequest[] = []
  let hold: Hold | undefined
  for (const transaction of openTransactions(lane)) {
    if (transaction.stage === 'included' || transaction.doubtSinceMs !== undefined) continue
    const newest = newestAttempt(transaction)
    // A chain that makes no blocks is not persuaded by a higher fee.
    const isPassedOver = (lane.head?.number ?? 0) >= newest.signedAtBlock + 2
    const isOld = isPassedOver && nowMs - newest.signedAtMs >= policy.replaceAfterMs
    const isRefusedForFee = transaction.refusal !== undefined && !coversBaseFee(newest, quote)
    const isGivenUp = isHopeless(lane, transaction, nowMs)
    if (!isOld && !isRefusedForFee && !isGivenUp) continue
    const fees = replacementFees(newest, quote, policy)
    if (fees === undefined) {
      if (!coversBaseFee(newest, quote)) hold ??= feeHold(lane, nowMs)
    } else if (isGivenUp) {
      requests.push(fillerRequest(lane, transaction.nonce, fees))
    } else {
      const { nonce, jobIds, call, gasLimit } = transaction
      requests.push({ nonce, jobIds, call, gasLimit, fees })
    }
  }
  return hold === undefined ? { requests } : { requests, hold }
}

/**
 * No node has ever taken it, for reasons that are neither fee nor funds, and it has been tried for
 * long. Its nonce must not block what stands above it: it is used for nothing, and the jobs try again
 * by themselves.
 */
function isHopeless(lane: Lane, transaction: LaneTransaction, nowMs: number): boolean {
  const { quote, policy } = lane
  const first = transaction.attempts[0]
  if (transaction.jobIds.length === 0 || transaction.sentAtMs !== undefined) return false
  if (transaction.refusal === undefined || first === undefined || quote === undefined) return false
  if (nowMs - first.signedAtMs < policy.abandonAfterMs) return false
  const newest = newestAttempt(transaction)
  const costWei = transaction.gasLimit * newest.maxFeePerGasWei + (transaction.call.valueWei ?? 0n)
  return coversBaseFee(newest, quote) && (lane.balanceWei ?? 0n) >= costWei
}

/**
 * A nonce below one of ours that no transaction of ours carries would block everything above it for
 * ever. It is filled by a transfer of nothing to ourselves.
 */
export function fillGaps(lane: Lane, seen: Observation): readonly SignRequest[] {
  const open = openTransactions(lane)
  const highest = open.at(-1)?.nonce
  if (highest === undefined || lane.quote === undefined) return []
  const fees = initialFees(lane.quote, lane.policy)
  if (fees === undefined) return []
  const owned = new Set(open.map(({ nonce }) => nonce))
  const requests: SignRequest[] = []
  for (let nonce = Math.max(seen.minedNonce, lane.finalNonce); nonce < highest; nonce += 1) {
    if (!owned.has(nonce)) requests.push(fillerRequest(lane, nonce, fees))
  }
  return requests
}
