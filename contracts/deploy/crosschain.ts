import { type Address, type Hex, encodeFunctionData, pad } from 'viem'
import { messageKinds } from '#schemas/crosschain.ts'
import { authorityAbi } from '#schemas/abi/authority.ts'
import { batchBroadcasterAbi } from '#schemas/abi/batchBroadcaster.ts'
import { batchReceiverAbi } from '#schemas/abi/batchReceiver.ts'
import { batchBroadcasterArtifact } from '../artifacts/BatchBroadcaster.ts'
import { batchReceiverArtifact } from '../artifacts/BatchReceiver.ts'
import { revocationBroadcasterArtifact } from '../artifacts/RevocationBroadcaster.ts'
import { type Placement, create2Proxy, place } from './create2.ts'
import { DeploymentMissingError } from './errors.ts'
import { restrictedSelectors } from './roles.ts'
import { type Call, type Sender, type SenderOptions, createSender } from './sender.ts'

/** The hub's ends of the lanes, which stand beside its registries. */
export type HubPlan = {
  /** LayerZero's endpoint on the hub. */
  readonly endpoint: Address
  readonly authority: Address
  readonly enclaveRegistry: Address
  readonly proofRegistry: Address
  readonly salt: Hex
}

/** A spoke's ends of the lanes. */
export type SpokePlan = {
  /** LayerZero's endpoint on the spoke. */
  readonly endpoint: Address
  readonly authority: Address
  readonly hub: { readonly eid: number; readonly chainId: number; readonly registry: Address }
  readonly endorsers: readonly Address[]
  readonly threshold: number
  readonly additionDelaySeconds: bigint
  readonly maxBatchAgeSeconds: bigint
  readonly salt: Hex
}

export type HubAddresses = {
  readonly batchBroadcaster: Address
  readonly revocationBroadcaster: Address
}

export type SpokeAddresses = {
  readonly batchReceiver: Address
  readonly revocationReceiver: Address
  /** The same contract as on every chain, asking the receiver instead of a registry. */
  readonly proofRegistry: Address
}

/** Where {@link deployHub} puts its contracts. */
export function placeHub(plan: HubPlan): Record<keyof HubAddresses, Placement> {
  const { endpoint, authority, enclaveRegistry, proofRegistry, salt } = plan
  return {
    batchBroadcaster: place(
      batchBroadcasterArtifact,
      [endpoint, authority, enclaveRegistry, proofRegistry],
      salt,
    ),
    revocationBroadcaster: place(
      revocationBroadcasterArtifact,
      [endpoint, authority, enclaveRegistry],
      salt,
    ),
  }
}

/** Where {@link deploySpoke} puts the receiver, which brings the rest with it. */
export function placeSpoke(plan: SpokePlan): Placement {
  const { endpoint, authority, hub, endorsers, threshold, salt } = plan
  const setup = {
    endpoint,
    authority,
    hubEid: hub.eid,
    threshold,
    hubChainId: BigInt(hub.chainId),
    hubRegistry: hub.registry,
    additionDelaySeconds: plan.additionDelaySeconds,
    maxBatchAgeSeconds: plan.maxBatchAgeSeconds,
  }
  return place(batchReceiverArtifact, [setup, endorsers], salt)
}

async function put(sender: Sender, placed: Readonly<Record<string, Placement>>): Promise<void> {
  const missing: Call[] = []
  for (const [label, { address, data }] of Object.entries(placed)) {
    if ((await sender.client.getCode({ address })) === undefined) {
      missing.push({ label, to: create2Proxy, data, extraGas: 8_000_000n })
    }
  }
  await sender.sendAll(missing)
  for (const { label } of missing) {
    const address = placed[label]?.address ?? '0x'
    if ((await sender.client.getCode({ address })) === undefined) {
      throw new DeploymentMissingError(`${label} is not where it should be.`, {
        metaMessages: [`Address: ${address}`],
        remedy: 'Its constructor reverted: check endpoint, authority and threshold.',
      })
    }
  }
}

/** Puts the hub's ends of the lanes on its chain. What stands already is left alone. */
export async function deployHub(options: SenderOptions & HubPlan): Promise<HubAddresses> {
  const placed = placeHub(options)
  await put(await createSender(options), placed)
  return {
    batchBroadcaster: placed.batchBroadcaster.address,
    revocationBroadcaster: placed.revocationBroadcaster.address,
  }
}

/**
 * Puts a spoke's ends of the lanes on its chain, and gives its restricted functions to their roles.
 * The sender must be admin of the authority.
 */
export async function deploySpoke(options: SenderOptions & SpokePlan): Promise<SpokeAddresses> {
  const { address } = placeSpoke(options)
  const sender = await createSender(options)
  await put(sender, { batchReceiver: placeSpoke(options) })
  await sender.sendAll(
    restrictedSelectors('batchReceiver').map(({ role, selectors }) => ({
      label: 'roles of batchReceiver',
      to: options.authority,
      data: encodeFunctionData({
        abi: authorityAbi,
        functionName: 'setTargetFunctionRole',
        args: [address, selectors, role],
      }),
    })),
  )
  const read = (functionName: 'REVOCATIONS' | 'PROOFS') =>
    sender.client.readContract({ address, abi: batchReceiverAbi, functionName })
  return {
    batchReceiver: address,
    revocationReceiver: await read('REVOCATIONS'),
    proofRegistry: await read('PROOFS'),
  }
}

/** Gas that `lzReceive` gets at least, for each kind of message; measured by `tools/gas/crosschain.ts`. */
export const gasFloors = { batch: 250_000n, registration: 300_000n, revocation: 120_000n } as const

/** A call that the authority makes in its own name: it owns the ends of the lanes. */
function ownerCall(label: string, authority: Address, target: Address, data: Hex): Call {
  return {
    label,
    to: authority,
    data: encodeFunctionData({
      abi: authorityAbi,
      functionName: 'execute',
      args: [target, data],
    }),
  }
}

function peerCall(authority: Address, target: Address, eid: number, peer: Address): Call {
  const data = encodeFunctionData({
    abi: batchReceiverAbi,
    functionName: 'setPeer',
    args: [eid, pad(peer)],
  })
  return ownerCall(`peer of ${target}`, authority, target, data)
}

/** What the hub's authority has to call before anything goes to a spoke. */
export function openHubPath(
  authority: Address,
  hub: HubAddresses,
  spoke: SpokeAddresses & { readonly eid: number },
  /** Options of type 3 for each kind: the gas that `lzReceive` gets at least. */
  floors: Readonly<Record<keyof typeof messageKinds, Hex>>,
): Call[] {
  const { eid } = spoke
  const floorCall = (target: Address, kinds: readonly (keyof typeof messageKinds)[]) =>
    ownerCall(
      `gas floors of ${target}`,
      authority,
      target,
      encodeFunctionData({
        abi: batchBroadcasterAbi,
        functionName: 'setEnforcedOptions',
        args: [kinds.map((kind) => ({ eid, msgType: messageKinds[kind], options: floors[kind] }))],
      }),
    )
  return [
    peerCall(authority, hub.batchBroadcaster, eid, spoke.batchReceiver),
    peerCall(authority, hub.revocationBroadcaster, eid, spoke.revocationReceiver),
    floorCall(hub.batchBroadcaster, ['batch', 'registration']),
    floorCall(hub.revocationBroadcaster, ['revocation']),
  ]
}

/** What a spoke's authority has to call before it takes anything from the hub. */
export function openSpokePath(
  authority: Address,
  spoke: SpokeAddresses,
  hub: HubAddresses & { readonly eid: number },
): Call[] {
  return [
    peerCall(authority, spoke.revocationReceiver, hub.eid, hub.revocationBroadcaster),
    peerCall(authority, spoke.batchReceiver, hub.eid, hub.batchBroadcaster),
  ]
}
