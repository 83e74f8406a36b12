import type { Hex } from '#schemas/bytes.ts'
import { recoverSigner } from '#schemas/signatures.ts'
import type { QuoteAppraisal } from '../appraisal/appraisal.ts'
import type { VerifiedCollateral } from '../collateral/verifyCollateral.ts'

/** More bundles than this share nothing that is worth the memory. */
const longest = 256

/**
 * What the bundles of one enclave share, remembered from one examination to the next: its
 * collateral, the appraisal of its quote and the signers of its statement and batches. Each is found under all that it was concluded
 * from, so that remembering can change the time an answer takes and never the answer.
 *
 * A memory belongs to one root certificate and one appraisal policy; share none between two.
 */
export type BundleMemory = {
  readonly collateral: (key: string, verify: () => VerifiedCollateral) => VerifiedCollateral
  readonly appraisal: (key: string, appraise: () => QuoteAppraisal) => QuoteAppraisal
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
    appraisal: remember<QuoteAppraisal>(),
    recoverSigner: (digest, signature) =>
      signers(`${digest}${signature}`, () => recoverSigner(digest, signature)),
  }
}

/** Remembers nothing: every bundle by itself. */
export const noMemory: BundleMemory = {
  collateral: (_, verify) => verify(),
  appraisal: (_, appraise) => appraise(),
  recoverSigner,
}
