import type { Hex } from '#schemas/bytes.ts'
import type { Policy } from '#schemas/policy/policy.ts'
import { recoverSigner } from '#schemas/signatures.ts'
import type { QuoteAppraisal } from '../appraisal/appraisal.ts'
import type { VerifiedCollateral } from '../collateral/verifyCollateral.ts'
import type { Quote } from '../quote/parseQuote.ts'

/** More bundles than this share nothing that is worth the memory. */
const longest = 256

/** A quote that was accepted, and what it says. */
export type AppraisedQuote = { readonly appraisal: QuoteAppraisal; readonly quote: Quote }

/** A policy as its text gives it. */
export type ReadPolicy = {
  readonly policy: Policy
  readonly id: Hex
  readonly exclusiveTo: Hex
  readonly isCanonical: boolean
}

/**
 * What the bundles of one enclave share, remembered from one examination to the next: its
 * collateral, the appraisal of its quote, the signers of its statement and batches, its compose file
 * and its policies. Each is found under all that it was concluded from, so that remembering can change
 * the time an answer takes and never the answer. What fails is never remembered.
 *
 * A memory belongs to one root certificate and one appraisal policy; share none between two.
 */
export type BundleMemory = {
  readonly collateral: (key: string, verify: () => VerifiedCollateral) => VerifiedCollateral
  readonly appraisal: (key: string, appraise: () => AppraisedQuote) => AppraisedQuote
  readonly composeHash: (compose: string, hash: () => Uint8Array) => Uint8Array
  readonly policy: (text: string, read: () => ReadPolicy) => ReadPolicy
  readonly recoverSigner: (digest: Hex, signature: Hex) => Hex
}

function remember<Value>(): (key: string, make: () => Value) => Value {
  const known = new Map<string, Value>()
  return (key, make) => {
    const found = known.get(key)
    if (found !== undefined) return found
    const made = make()
    if (known.size >= longest) known.clear()
    known.set(key, made)
    return made
  }
}

export function createBundleMemory(): BundleMemory {
  const signers = remember<Hex>()
  return {
    collateral: remember<VerifiedCollateral>(),
    appraisal: remember<AppraisedQuote>(),
    composeHash: remember<Uint8Array>(),
    policy: remember<ReadPolicy>(),
    recoverSigner: (digest, signature) =>
      signers(`${digest}${signature}`, () => recoverSigner(digest, signature)),
  }
}

/** Remembers nothing: every bundle by itself. */
export const noMemory: BundleMemory = {
  collateral: (_, verify) => verify(),
  appraisal: (_, appraise) => appraise(),
  composeHash: (_, hash) => hash(),
  policy: (_, read) => read(),
  recoverSigner,
}
