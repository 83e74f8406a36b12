import canonicalize from 'canonicalize'
import { type Hex, toHex, utf8 } from '../bytes.ts'
import { keccak } from '../keccak.ts'
import { rightClass, rightId } from '../right.ts'
import { zeroHash } from '../report.ts'
import type { Policy } from './schema.ts'

/** The policy's one byte form. @see RFC 8785, JSON Canonicalization Scheme */
export function policyBytes(policy: Policy): Uint8Array {
  return utf8(canonicalize(policy) ?? '')
}

/** Keccak-256 of {@link policyBytes}: the policy's name in every report. */
export function policyId(policy: Policy): Hex {
  return toHex(keccak(policyBytes(policy)))
}

/** What a report under this policy carries as `exclusiveTo`: zero for a fact, else the right's id. */
export function policyExclusiveTo({ audience }: Policy): Hex {
  if (audience.kind === 'anyone') return zeroHash
  return rightId({
    chainId: BigInt(audience.chainId),
    contract: audience.contract as Hex,
    right: rightClass(audience.impactClass),
  })
}
