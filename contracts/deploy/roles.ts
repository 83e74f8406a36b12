import { type Abi, type AbiFunction, type Hex, toFunctionSelector } from 'viem'
import { appraisalPolicyAbi } from '#schemas/abi/appraisalPolicy.ts'
import { batchReceiverAbi } from '#schemas/abi/batchReceiver.ts'
import { carbonCreditAbi } from '#schemas/abi/carbonCredit.ts'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import { parametricCoverAbi } from '#schemas/abi/parametricCover.ts'

/**
 * Roles of the authority. Whoever can only take away acts at once; whoever adds waits.
 *
 * - `guardian`: revokes keys, removes images, denies platforms, tightens the appraisal, pauses sales,
 *   removes endorsers, closes a spoke's path.
 * - `curator`: allows images and platforms, loosens the appraisal, adds endorsers.
 * - `underwriter`: offers and withdraws products, sets exposure caps, resumes sales.
 * - `registrar`: admits carbon projects, confirms issuances, keeps adjustments and the buffer.
 */
export const roles = { guardian: 1n, curator: 2n, underwriter: 3n, registrar: 4n } as const
export type RoleName = keyof typeof roles

/** Names of the contracts whose functions are restricted. */
export type RestrictedContract =
  | 'appraisalPolicy'
  | 'batchReceiver'
  | 'enclaveRegistry'
  | 'parametricCover'
  | 'carbonCredit'

const functionsOf: Readonly<
  Record<RestrictedContract, { readonly abi: Abi; readonly table: Record<string, RoleName> }>
> = {
  appraisalPolicy: {
    abi: appraisalPolicyAbi,
    table: {
      tightenRules: 'guardian',
      setPlatformDenied: 'guardian',
      setAdvisoryDenied: 'guardian',
      setRules: 'curator',
      setGrace: 'curator',
      setPlatformAllowed: 'curator',
    },
  },
  batchReceiver: {
    abi: batchReceiverAbi,
    table: {
      revoke: 'guardian',
      removeEndorser: 'guardian',
      closePath: 'guardian',
      addEndorser: 'curator',
    },
  },
  enclaveRegistry: {
    abi: enclaveRegistryAbi,
    table: {
      revoke: 'guardian',
      removeImage: 'guardian',
      setPlatformDenied: 'guardian',
      tightenAppraisal: 'guardian',
      allowImage: 'curator',
      setAppraisal: 'curator',
      setPlatformAllowed: 'curator',
    },
  },
  parametricCover: {
    abi: parametricCoverAbi,
    table: {
      pause: 'guardian',
      unpause: 'underwriter',
      offer: 'underwriter',
      withdrawOffer: 'underwriter',
      setExposureCap: 'underwriter',
    },
  },
  carbonCredit: {
    abi: carbonCreditAbi,
    table: {
      admit: 'registrar',
      confirm: 'registrar',
      setAdjustment: 'registrar',
      cancelFromBuffer: 'registrar',
    },
  },
}

/** Which selectors of a contract belong to which role. */
export function restrictedSelectors(
  contract: RestrictedContract,
): { readonly role: bigint; readonly selectors: readonly Hex[] }[] {
  const { abi, table } = functionsOf[contract]
  const byRole = new Map<bigint, Hex[]>()
  for (const [name, role] of Object.entries(table)) {
    const item = abi.find(
      (entry): entry is AbiFunction => entry.type === 'function' && entry.name === name,
    )
    if (item === undefined) throw new TypeError(`${contract} has no function ${name}`)
    byRole.set(roles[role], [...(byRole.get(roles[role]) ?? []), toFunctionSelector(item)])
  }
  return [...byRole].map(([role, selectors]) => ({ role, selectors }))
}
