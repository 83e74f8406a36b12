import {
  type Abi,
  decodeFunctionData,
  decodeFunctionResult,
  encodeFunctionData,
  isHex,
  keccak256,
} from 'viem'
import { batchBroadcasterAbi } from '#schemas/abi/batchBroadcasterCalls.ts'
import { enclaveRegistryAbi, proofRegistryAbi } from '#schemas/abi/relayerCalls.ts'
import type { Hex } from '#schemas/bytes.ts'
import { type Hub, type Registration, encodeMessage } from '#schemas/crosschain.ts'
import type { CheckContext, Preparation } from '../../chain/checkContext.ts'
import { type Rpc, ChainUnreachableError } from '../../chain/rpc.ts'
import type { Job } from '../../lane/job.ts'
import type { PlanChain, PlanLayerZero } from '../../plan/plan.ts'
import type { Fetch } from '../../ports.ts'
import { endpointAbi } from './abi.ts'
import { broadcastBatchCall, broadcastRegistrationCall } from './calls.ts'
import { collectEndorsements } from './endorsements.ts'
import { addressWord, createPacket, payloadHash } from './packet.ts'
import { lzReceiveCall } from './receiveCall.ts'

/**
 * LayerZero as a way for keys and batches to reach a chain. Where a message stands is read from state on
 * both sides, never from receipts or logs: the hub's broadcaster says under which number it went out,
 * the spoke's endpoint whether that number is verified and still to be carried out, and the spoke's own
 * registries whether it has been. A verified message that the executor leaves behind is carried out from here.
 */

type Asks = Pick<Rpc, 'ask'>
type Spoke = PlanChain & { readonly layerZero: PlanLayerZero }

/** Room above the quoted fee: prices move until the transaction is in; what is left over comes back. */
const feeMarginPercent = 10n
const usualGraceMs = 60_000

async function view(
  rpc: Asks,
  to: Hex,
  abi: Abi,
  functionName: string,
  args: readonly unknown[],
): Promise<unknown> {
  const data = encodeFunctionData({ abi, functionName, args })
  const [answer] = await rpc.ask([{ method: 'eth_call', params: [{ to, data }, 'latest'] }])
  if (answer?.ok === true && isHex(answer.result) && answer.result !== '0x') {
    return decodeFunctionResult({ abi, functionName, args, data: answer.result })
  }
  throw new ChainUnreachableError(`${functionName} of ${to} did not answer.`, {
    remedy: 'Check the addresses of `layerZero` in the plan, peers and gas floors on the hub.',
  })
}

/** What the hub's registry holds of a key. */
async function registrationOf(rpc: Asks, registry: Hex, signer: Hex): Promise<Registration> {
  const [stream, imageId, expiresAt] = (await view(
    rpc,
    registry,
    enclaveRegistryAbi,
    'signerStatus',
    [signer],
  )) as readonly [Hex, Hex, bigint]
  const [, , ppid, attestedAt] = (await view(rpc, registry, enclaveRegistryAbi, 'signerRecord', [
    signer,
  ])) as readonly [Hex, Hex, Hex, bigint, boolean]
  return { signer, stream, imageId, ppid, attestedAt, expiresAt }
}

type Sent = { readonly nonce: bigint; readonly sentAt: bigint }

async function sentPacket(
  rpc: Asks,
  broadcaster: Hex,
  functionName: 'sentBatch' | 'sentRegistration',
  args: readonly unknown[],
): Promise<Sent> {
  const answer = await view(rpc, broadcaster, batchBroadcasterAbi, functionName, args)
  const [nonce, sentAt] = answer as readonly [bigint, bigint]
  return { nonce, sentAt }
}

/** Batch and signature in a call that a job was made with. */
function batchIn(job: Job) {
  const data = job.call?.data ?? '0x'
  const abi = [...proofRegistryAbi, ...batchBroadcasterAbi]
  const { functionName, args } = decodeFunctionData({ abi, data })
  if (functionName === 'commit' || functionName === 'broadcastBatch') {
    const [batch, signature] = args
    return { batch, signature }
  }
  throw new TypeError(`${job.id} was made with another call: ${functionName}`)
}

type Endorsed = { readonly registration: Registration } & (
  | { readonly endorsements: Hex }
  | { readonly waits: Preparation }
)

async function endorsed(
  hubRpc: Asks,
  hub: PlanChain,
  { layerZero }: Spoke,
  signer: Hex,
  fetch: Fetch,
): Promise<Endorsed> {
  const registration = await registrationOf(hubRpc, hub.enclaveRegistry, signer)
  const identity: Hub = { chainId: BigInt(hub.chainId), registry: hub.enclaveRegistry }
  const { endorsers, threshold } = layerZero
  const { count, endorsements } = await collectEndorsements(
    { endorsers, threshold, fetch },
    identity,
    registration,
  )
  if (endorsements !== undefined) return { registration, endorsements }
  const reason = `${count} of ${threshold} endorsers have endorsed signer ${signer}.`
  return { registration, waits: { kind: 'waits', reason } }
}

/** How messages go out from a hub to the spokes of a plan. */
export function sendsFrom(
  hub: PlanChain,
  spokes: readonly PlanChain[],
  fetch: Fetch,
): NonNullable<CheckContext['prepareSend']> {
  return async (rpc, job) => {
    const { task } = job
    const spoke = spokes.find(
      (chain): chain is Spoke =>
        chain.chainId === task.toChainId && chain.layerZero?.hub === hub.chainId,
    )
    if (spoke === undefined) {
      return {
        kind: 'refused',
        reason: `The plan no longer has chain ${task.toChainId} behind this hub.`,
        remedy: 'Put it back, or leave the job where it is.',
      }
    }
    const { broadcaster, eid, maxFeeWei } = spoke.layerZero
    if (task.what === 'batch') {
      const { nonce } = await sentPacket(rpc, broadcaster, 'sentBatch', [
        eid,
        task.stream,
        task.sequence,
      ])
      if (nonce !== 0n) return { kind: 'done' }
      const { batch, signature } = batchIn(job)
      const args = [batch, signature, eid, '0x']
      const fee = (await view(rpc, broadcaster, batchBroadcasterAbi, 'quoteBatch', args)) as bigint
      return payable(fee, maxFeeWei, (feeWei) =>
        broadcastBatchCall(broadcaster, batch, signature, [{ eid, feeWei, options: '0x' }]),
      )
    }
    const found = await endorsed(rpc, hub, spoke, task.signer, fetch)
    if ('waits' in found) return found.waits
    const { endorsements } = found
    const { nonce } = await sentPacket(rpc, broadcaster, 'sentRegistration', [
      eid,
      task.signer,
      keccak256(endorsements),
    ])
    if (nonce !== 0n) return { kind: 'done' }
    const args = [task.signer, endorsements, eid, '0x']
    const fee = (await view(
      rpc,
      broadcaster,
      batchBroadcasterAbi,
      'quoteRegistration',
      args,
    )) as bigint
    return payable(fee, maxFeeWei, (feeWei) =>
      broadcastRegistrationCall(broadcaster, task.signer, endorsements, [
        { eid, feeWei, options: '0x' },
      ]),
    )
  }
}

function payable(
  quotedWei: bigint,
  maxFeeWei: bigint,
  callFor: (feeWei: bigint) => ReturnType<typeof broadcastBatchCall>,
): Preparation {
  if (quotedWei > maxFeeWei) {
    const reason = `LayerZero asks ${quotedWei} wei, above the ${maxFeeWei} of the plan; it waits until the fee falls.`
    return { kind: 'waits', reason }
  }
  const withRoom = quotedWei + (quotedWei * feeMarginPercent) / 100n
  return { kind: 'call', call: callFor(withRoom < maxFeeWei ? withRoom : maxFeeWei) }
}

/** How what arrived at a spoke is carried out there. */
export function deliveriesTo(
  spoke: Spoke,
  hub: PlanChain,
  hubRpc: Asks,
  fetch: Fetch,
): NonNullable<CheckContext['prepareDelivery']> {
  const { layerZero } = spoke
  const { broadcaster, eid, hubEid, endpoint } = layerZero
  const path = {
    srcEid: hubEid,
    sender: broadcaster,
    dstEid: eid,
    receiver: spoke.enclaveRegistry,
  }

  /** What the message says, and when it went out. */
  async function sentOf(job: Job): Promise<(Sent & { readonly message: Hex }) | Preparation> {
    const { task } = job
    if (task.kind === 'commit') {
      const { batch, signature } = batchIn(job)
      const args = [eid, task.stream, task.sequence]
      const sent = await sentPacket(hubRpc, broadcaster, 'sentBatch', args)
      return { ...sent, message: encodeMessage({ kind: 'batch', batch, signature }) }
    }
    if (task.kind !== 'register') throw new TypeError(`No message carries ${job.id}`)
    const found = await endorsed(hubRpc, hub, spoke, task.signer, fetch)
    if ('waits' in found) return found.waits
    const { registration, endorsements } = found
    const args = [eid, task.signer, keccak256(endorsements)]
    const sent = await sentPacket(hubRpc, broadcaster, 'sentRegistration', args)
    const parts = endorsements.slice(2).match(/.{130}/g) ?? []
    return {
      ...sent,
      message: encodeMessage({
        kind: 'registration',
        registration,
        endorsements: parts.map((part): Hex => `0x${part}`),
      }),
    }
  }

  return async (rpc, job, nowSeconds) => {
    const { kind } = job.task
    const isByMessage = kind === 'register' || (kind === 'commit' && layerZero.batches !== 'direct')
    if (!isByMessage) return undefined
    const sent = await sentOf(job)
    if ('kind' in sent) return sent
    if (sent.nonce === 0n) return { kind: 'waits', reason: 'The hub has not sent it yet.' }
    const packet = createPacket(path, sent.nonce, sent.message)
    const stored = (await view(rpc, endpoint, endpointAbi, 'inboundPayloadHash', [
      packet.receiver,
      packet.srcEid,
      addressWord(packet.sender),
      packet.nonce,
    ])) as Hex
    if (BigInt(stored) === 0n) {
      const reason = `Message ${packet.nonce} (${packet.guid}) is sent and not verified here yet.`
      return { kind: 'waits', reason }
    }
    if (stored !== payloadHash(packet)) {
      return {
        kind: 'refused',
        reason: `Message ${packet.nonce} (${packet.guid}) is verified here as something else.`,
        remedy: 'Compare both chains: the path’s verifiers vouch for what the hub did not send.',
      }
    }
    const graceSeconds = BigInt(Math.ceil((layerZero.executorGraceMs ?? usualGraceMs) / 1_000))
    if (nowSeconds < sent.sentAt + graceSeconds) {
      return {
        kind: 'waits',
        reason: `Message ${packet.nonce} is verified; its executor has time.`,
      }
    }
    return { kind: 'call', call: lzReceiveCall(endpoint, packet) }
  }
}
