import { createLocalSigner } from '../../chain/localSigner.ts'
import { type SettlementPlan, decodePlanText } from '../../plan/plan.ts'
import type { Fetch, Sql, SqlRow, SqlValue, TransactionSigner } from '../../ports.ts'
import type { Feed } from './feedObject.ts'
import type { Lane } from './laneObject.ts'

/** Bindings of wrangler.toml, plus the secrets that a deployment sets. */
export interface Environment {
  readonly FEED: DurableObjectNamespace<Feed>
  readonly LANE: DurableObjectNamespace<Lane>
  /** The settlement plan as JSON text. */
  readonly SETTLEMENT_PLAN: string
  /** Private key of the sender on every chain that has no key of its own. */
  readonly SENDER_KEY?: string
  /** `SENDER_KEY_<chain id>`. */
  readonly [key: `SENDER_KEY_${number}`]: string | undefined
  readonly OPERATOR_TOKEN?: string
}

let decoded: { readonly text: string; readonly plan: SettlementPlan } | undefined

/** The plan, decoded once per isolate. @throws InvalidPlanError */
export function planOf(environment: Environment): SettlementPlan {
  const text = environment.SETTLEMENT_PLAN
  if (decoded?.text !== text) decoded = { text, plan: decodePlanText(text) }
  return decoded.plan
}

/** @throws SenderKeyError */
export function signerOf(environment: Environment, chainId: number): TransactionSigner {
  const key = environment[`SENDER_KEY_${chainId}`] ?? environment.SENDER_KEY ?? ''
  return createLocalSigner(key, `SENDER_KEY_${chainId}`)
}

export const platformFetch: Fetch = (url, init) => fetch(url, init)

/** A Durable Object's SQLite behind the relayer's port. */
export function createObjectSql(storage: DurableObjectStorage): Sql {
  return {
    all(query: string, ...values: readonly SqlValue[]): SqlRow[] {
      return storage.sql.exec(query, ...values).toArray()
    },
    transaction: (work) => storage.transactionSync(work),
  }
}
