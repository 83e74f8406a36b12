import { assertAttestation } from '../feed/appraise.ts'
import { packQuoteEvidence } from '#verifier/quote/packQuoteEvidence.ts'
import { type Hex, fromHex } from '#schemas/bytes.ts'
import { registerCall } from '../chain/calls.ts'
import { contractErrors } from '../chain/contractErrors.ts'
import { createRpc } from '../chain/rpc.ts'
import { lanePolicy } from '../lane/policy.ts'
import { BaseError } from '#schemas/errors.ts'
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
    async prepareRegistration(registered, stream) {
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
