import { type Hex, fromHex } from '#schemas/bytes.ts'
import { registerCall } from '../chain/calls.ts'
import { contractErrors } from '../chain/contractErrors.ts'
import type { CheckContext } from '../chain/checkContext.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { isHex, keccak256 } from 'viem'
import { type Rpc, ChainUnreachableError, createRpc } from '../chain/rpc.ts'
import { lanePolicy } from '../lane/policy.ts'
import { BaseError } from '#schemas/errors.ts'
import { deliveriesTo, sendsFrom } from '../transports/layerzero/onDemand.ts'
import { type PlanChain, type SettlementPlan, feedsOf } from '../plan/plan.ts'
import type { Alarm, Fetch, Now, Sql, TransactionSigner, WorkerSource } from '../ports.ts'
import type { LaneWorld } from './laneRuntime.ts'
import { createLaneStore } from './laneStore.ts'

/** Raised when a lane is asked for a chain that the plan does not describe. */
export class UnknownChainError extends BaseError {
  override readonly name = 'UnknownChainError'
}

export function chainOf(plan: SettlementPlan, chainId: number): PlanChain {
  const chain = plan.chains.find((entry) => entry.chainId === chainId)
  if (chain === undefined) {
    throw new UnknownChainError(`The plan does not describe chain ${chainId}.`, {
      field: 'chainId',
      metaMessages: [`Described: ${plan.chains.map((entry) => entry.chainId).join(', ')}`],
    })
  }
  return chain
}

/** Joins a platform's ports and the plan into the world of one lane. */
export function createLaneWorld(options: {
  readonly plan: SettlementPlan
  readonly chain: PlanChain
  readonly sql: Sql
  readonly alarm: Alarm
  readonly now: Now
  readonly fetch: Fetch
  readonly signer: TransactionSigner
  /** The worker that serves a stream of the plan. */
  readonly sourceOf: (stream: Hex) => WorkerSource
}): LaneWorld {
  const { plan, chain, sql, alarm, now, fetch, signer, sourceOf } = options
  return {
    store: createLaneStore(sql),
    alarm,
    now,
    signer,
    rpc: createRpc({ chainId: chain.chainId, urls: chain.rpcUrls, fetch, now }),
    policy: lanePolicy(chain, signer.address),
    enclaveRegistry: chain.enclaveRegistry,
    proofRegistry: chain.proofRegistry,
    streams: feedsOf(plan).map(({ stream }) => stream),
    contractErrors,
    ...(chain.collateralStore === undefined
      ? {}
      : { missingUpload: uploadsTo(chain.collateralStore, chain.chainId, sourceOf) }),
    ...messagesOf(plan, chain, fetch, now),
    async prepareRegistration(registered, stream) {
      const { assertAttestation, packQuoteEvidence } = await import('./registration.ts')
      const attestation = await sourceOf(stream).attestation(chain.chainId, registered)
      assertAttestation(attestation, {
        chainId: chain.chainId,
        enclaveRegistry: chain.enclaveRegistry,
        stream,
        signer: registered,
      })
      const evidence = packQuoteEvidence(fromHex(attestation.quote, 'attestation.quote'))
      return registerCall(chain.enclaveRegistry, attestation, evidence)
    },
  }
}

/** How a lane sends or carries out messages, where its chain is a hub or a spoke. */
export function messagesOf(
  plan: SettlementPlan,
  chain: PlanChain,
  fetch: Fetch,
  now: Now,
): Pick<CheckContext, 'prepareSend' | 'prepareDelivery'> {
  const { layerZero } = chain
  if (layerZero === undefined) return { prepareSend: sendsFrom(chain, plan.chains, fetch) }
  const hub = chainOf(plan, layerZero.hub)
  const hubRpc = createRpc({ chainId: hub.chainId, urls: hub.rpcUrls, fetch, now })
  return { prepareDelivery: deliveriesTo({ ...chain, layerZero }, hub, hubRpc, fetch) }
}

/** How a lane learns what its chain's collateral store lacks for a registration, item by item. */
function uploadsTo(
  store: Hex,
  chainId: number,
  sourceOf: (stream: Hex) => WorkerSource,
): NonNullable<LaneWorld['missingUpload']> {
  return async (rpc, signer, stream) => {
    const { collateral } = await sourceOf(stream).attestation(chainId, signer)
    if (collateral === undefined) return undefined
    const { missingUploads } = await import('./registration.ts')
    const [next] = await missingUploads(
      (data) => callStore(rpc, store, data),
      // What it is not, its reader finds out and names.
      collateral as Collateral,
    )
    if (next === undefined) return undefined
    const { label: item, data } = next
    const digest = keccak256(data)
    return { task: { kind: 'upload', stream, signer, item, digest }, call: { to: store, data } }
  }
}

async function callStore(rpc: Pick<Rpc, 'ask'>, store: Hex, data: Hex): Promise<Hex> {
  const [answer] = await rpc.ask([{ method: 'eth_call', params: [{ to: store, data }, 'latest'] }])
  if (answer?.ok === true && isHex(answer.result) && answer.result !== '0x') return answer.result
  throw new ChainUnreachableError(`The collateral store at ${store} did not answer.`, {
    field: 'plan.chains.collateralStore',
    remedy: 'Check the address of the store in the plan against the deployment.',
  })
}
