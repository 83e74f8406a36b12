import { type SettlementPlan, decodePlanText } from '../../plan/plan.ts'
import type { Fetch, Sql, SqlRow, SqlValue, TransactionSigner } from '../../ports.ts'
import { signerOfSettings } from '../../signers/signerOfSettings.ts'
import type { Feed } from './feedObject.ts'
import type { Lane } from './laneObject.ts'

/** Bindings of wrangler.toml, plus the secrets that a deployment sets. */
export interface Environment {
  readonly FEED: DurableObjectNamespace<Feed>
  readonly LANE: DurableObjectNamespace<Lane>
  /** The settlement plan as JSON text. */
  readonly SETTLEMENT_PLAN: string
  readonly OPERATOR_TOKEN?: string
  // Beside these, the settings that name signers: relayer/signers/signerOfSettings.ts.
}

let decoded: { readonly text: string; readonly plan: SettlementPlan } | undefined

/** The plan, decoded once per isolate. @throws InvalidPlanError */
export function planOf(environment: Environment): SettlementPlan {
  const text = environment.SETTLEMENT_PLAN
  if (decoded?.text !== text) decoded = { text, plan: decodePlanText(text) }
  return decoded.plan
}

export const platformFetch: Fetch = (url, init) => fetch(url, init)

/** @throws SignerSettingsError | SenderKeyError */
export function signerOf(environment: Environment, chainId: number): TransactionSigner {
  const settings = new Map<string, unknown>(Object.entries(environment))
  const read = (name: string): string | undefined => {
    const value = settings.get(name)
    return typeof value === 'string' ? value : undefined
  }
  return signerOfSettings(chainId, read, { fetch: platformFetch, now: Date.now })
}

/** A Durable Object's SQLite behind the relayer's port. */
export function createObjectSql(storage: DurableObjectStorage): Sql {
  return {
    all(query: string, ...values: readonly SqlValue[]): SqlRow[] {
      return storage.sql.exec(query, ...values).toArray()
    },
    transaction: (work) => storage.transactionSync(work),
  }
}
