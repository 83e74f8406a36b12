import * as z from 'zod/mini'
import type { Hex } from '#schemas/bytes.ts'
import '#schemas/english.ts'
import { BaseError } from '#schemas/errors.ts'
import { zeroHash } from '#schemas/report.ts'

/**
 * Which contracts on which chains get which reports: the relayer's whole instruction, as a file that
 * an operator writes and reviews.
 */

const bytes32 = z.pipe(
  z.string().check(z.regex(/^0x[0-9a-f]{64}$/, 'must be 32 bytes of lower-case hex')),
  z.transform((text: string) => text as Hex),
)

const address = z.pipe(
  z.string().check(z.regex(/^0x[0-9a-fA-F]{40}$/, 'must be an address')),
  z.transform((text: string) => text.toLowerCase() as Hex),
)

const wei = z.pipe(
  z.string().check(z.regex(/^(0|[1-9][0-9]{0,38})$/, 'must be whole wei as decimal text')),
  z.transform((text: string) => BigInt(text)),
)

const httpUrl = z.string().check(z.regex(/^https?:\/\/[^\s]+$/, 'must be an http or https URL'))

const chainId = z.int().check(z.minimum(1), z.maximum(Number.MAX_SAFE_INTEGER))

const eid = z.int().check(z.minimum(1), z.maximum(0xffff_ffff))

/** A chain that learns of keys by message from a hub, by LayerZero; `enclaveRegistry` is its receiver. */
const layerZeroSchema = z.strictObject({
  /** The chain of this plan on which enclaves are registered, and that the messages come from. */
  hub: chainId,
  hubEid: eid,
  eid,
  /** On the hub. */
  broadcaster: address,
  /** LayerZero's endpoint on this chain. */
  endpoint: address,
  /** Whom to ask for endorsements of a key, in order of preference. */
  endorsers: z.array(httpUrl).check(z.minLength(1), z.maxLength(16)),
  /** Endorsements that the receiver asks for. */
  threshold: z.int().check(z.minimum(1), z.maximum(16)),
  /** What one message may cost at LayerZero; above it nothing is sent until the fee falls. */
  maxFeeWei: wei,
  /** How long the executor is given before a verified message is carried out from here. */
  executorGraceMs: z.optional(z.int().check(z.minimum(0), z.maximum(86_400_000))),
  /** Whether batches come by message too. `direct` commits them here and is cheaper. */
  batches: z.optional(z.enum(['direct', 'layerzero'])),
})

const chainSchema = z.strictObject({
  chainId,
  /** For people, on the status page. */
  name: z.optional(z.string().check(z.minLength(1), z.maxLength(80))),
  /** In order of preference; with two or more, decisions about money are confirmed by a second. */
  rpcUrls: z.array(httpUrl).check(z.minLength(1), z.maxLength(8)),
  enclaveRegistry: address,
  proofRegistry: address,
  /** Named when this relayer is to keep the store supplied: what a registration lacks is uploaded first. */
  collateralStore: z.optional(address),
  /** Absent: enclaves are registered on this chain itself, the default and the cheaper way. */
  layerZero: z.optional(layerZeroSchema),
  /** Blocks on top of and including the transaction's own before it counts as final. */
  confirmations: z.optional(z.int().check(z.minimum(1), z.maximum(10_000))),
  /** Above this fee nothing is signed; work is parked until the fee falls. */
  maxFeePerGasWei: z.optional(wei),
  maxPriorityFeePerGasWei: z.optional(wei),
  /** Gas money that may be committed per UTC day. */
  dailySpendWei: z.optional(wei),
  /** Transactions in flight at once. */
  window: z.optional(z.int().check(z.minimum(1), z.maximum(256))),
  /** Settlements of one batch and contract that may share a transaction. */
  batchSize: z.optional(z.int().check(z.minimum(1), z.maximum(150))),
  /** How often the chain is looked at while something is in flight. */
  pollMs: z.optional(z.int().check(z.minimum(50), z.maximum(60_000))),
})

const settlementSchema = z.strictObject({
  chainId,
  contract: address,
  /** What it is, for people: `parametric-cover`, `carbon-credit`, `performance-escrow`. */
  kind: z.string().check(z.minLength(1), z.maxLength(80)),
  agreementId: z.pipe(
    z.union([
      z.int().check(z.minimum(0), z.maximum(Number.MAX_SAFE_INTEGER)),
      z.string().check(z.regex(/^\d{1,78}$/)),
    ]),
    z.transform((value: number | string) => BigInt(value)),
  ),
  subject: bytes32,
  policyId: bytes32,
  /** Set for a right: only reports made out to exactly this place match. */
  exclusiveTo: z.optional(bytes32),
  label: z.string().check(z.minLength(1), z.maxLength(200)),
  /** The stream whose reports it wants; the plan's first when it says nothing. */
  stream: z.optional(bytes32),
})

const feedFields = {
  /** Base URL of the enclave worker. */
  worker: httpUrl,
  stream: bytes32,
  /** How often the worker is asked for new batches when nobody wakes the feed. */
  pollMs: z.optional(z.int().check(z.minimum(50), z.maximum(3_600_000))),
}

const planSchema = z.strictObject({
  version: z.literal(1),
  ...feedFields,
  /** Further workers, each with a stream of its own; the lanes are shared. */
  workers: z.optional(z.array(z.strictObject(feedFields)).check(z.maxLength(32))),
  chains: z.array(chainSchema).check(z.minLength(1), z.maxLength(64)),
  settlements: z.array(settlementSchema).check(z.maxLength(100_000)),
})

export type PlanChain = z.output<typeof chainSchema>
export type PlanLayerZero = z.output<typeof layerZeroSchema>
export type PlanSettlement = z.output<typeof settlementSchema>
/** One worker and the stream that is read from it. */
export type PlanFeed = Pick<SettlementPlan, 'worker' | 'stream' | 'pollMs'>
export type SettlementPlan = z.output<typeof planSchema>
/** The plan as it stands in its file. */
export type SettlementPlanFile = z.input<typeof planSchema>

/** Raised when a settlement plan cannot be carried out as it is written. */
export class InvalidPlanError extends BaseError {
  override readonly name = 'InvalidPlanError'
}

function assertUnique(values: readonly string[], field: string, what: string): void {
  const seen = new Set<string>()
  for (const [index, value] of values.entries()) {
    if (seen.has(value)) {
      throw new InvalidPlanError(`The plan names ${what} twice.`, {
        field: `plan.${field}.${index}`,
        metaMessages: [`Twice: ${value}`],
        remedy: 'Keep one of the two.',
      })
    }
    seen.add(value)
  }
}

/**
 * Reads a settlement plan.
 *
 * @throws {@link InvalidPlanError} that names the first field at fault
 */
export function decodePlan(value: unknown): SettlementPlan {
  const result = z.safeParse(planSchema, value)
  if (!result.success) {
    const issue = result.error.issues[0]
    throw new InvalidPlanError('The settlement plan is not well formed.', {
      field: ['plan', ...(issue?.path ?? [])].join('.'),
      metaMessages: issue === undefined ? [] : [`Problem: ${issue.message}`],
      remedy: 'Compare the plan with docs/relayer.md, "The settlement plan".',
    })
  }
  const plan = result.data
  assertUnique(
    plan.chains.map((chain) => String(chain.chainId)),
    'chains',
    'a chain',
  )
  assertUnique(
    feedsOf(plan).map(({ stream }) => stream),
    'workers',
    'a stream',
  )
  assertUnique(
    plan.settlements.map(
      (item) =>
        `${item.chainId}/${item.contract}/${item.agreementId}/${item.stream ?? plan.stream}/${item.subject}/${item.policyId}`,
    ),
    'settlements',
    'a settlement',
  )
  for (const [index, { chainId: spoke, layerZero }] of plan.chains.entries()) {
    if (layerZero === undefined) continue
    const hub = plan.chains.find((chain) => chain.chainId === layerZero.hub)
    if (hub === undefined || hub.layerZero !== undefined || hub.chainId === spoke) {
      throw new InvalidPlanError('A chain hears from a hub that the plan does not register on.', {
        field: `plan.chains.${index}.layerZero.hub`,
        metaMessages: [`Actual: ${layerZero.hub}`],
        remedy: 'Name another chain of the plan, one without `layerZero`.',
      })
    }
    if (layerZero.threshold > layerZero.endorsers.length) {
      throw new InvalidPlanError('A chain asks for more endorsements than there are endorsers.', {
        field: `plan.chains.${index}.layerZero.threshold`,
        metaMessages: [
          `Actual: ${layerZero.threshold}`,
          `Endorsers: ${layerZero.endorsers.length}`,
        ],
        remedy: 'Name as many endorsers as the receiver’s THRESHOLD, or more.',
      })
    }
  }
  const streams = feedsOf(plan).map(({ stream }) => stream)
  for (const [index, settlement] of plan.settlements.entries()) {
    if (!streams.includes(settlement.stream ?? plan.stream)) {
      throw new InvalidPlanError('A settlement wants a stream that no worker of the plan serves.', {
        field: `plan.settlements.${index}.stream`,
        metaMessages: [`Served: ${streams.join(', ')}`],
        remedy: 'Add the worker under `workers`, or correct the stream.',
      })
    }
    if (!plan.chains.some((chain) => chain.chainId === settlement.chainId)) {
      throw new InvalidPlanError('A settlement is on a chain that the plan does not describe.', {
        field: `plan.settlements.${index}.chainId`,
        metaMessages: [
          `Actual: ${settlement.chainId}`,
          `Described: ${plan.chains.map((chain) => chain.chainId).join(', ')}`,
        ],
        remedy: 'Add the chain with its RPC addresses and registries, or drop the settlement.',
      })
    }
  }
  return plan
}

/** Every worker of a plan, the first one first. */
export function feedsOf(plan: SettlementPlan): readonly PlanFeed[] {
  return [plan, ...(plan.workers ?? [])]
}

/** The feed of one stream. @throws {@link InvalidPlanError} */
export function feedOf(plan: SettlementPlan, stream: string | undefined): PlanFeed {
  const feed = feedsOf(plan).find((entry) => entry.stream === stream)
  if (feed !== undefined) return feed
  throw new InvalidPlanError('The plan names no worker for this stream.', {
    field: 'plan.workers',
    metaMessages: [`Asked for: ${stream ?? 'none'}`],
    remedy: 'Add the worker and its stream to the plan.',
  })
}

/** Reads a settlement plan from JSON text. @throws {@link InvalidPlanError} */
export function decodePlanText(text: string): SettlementPlan {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new InvalidPlanError('The settlement plan is not JSON.', {
      field: 'plan',
      remedy: 'Write it as one JSON object.',
      cause,
    })
  }
  return decodePlan(value)
}

/** Whether a settlement wants a report: same subject, same policy, and the same place for a right. */
export function wantsReport(
  settlement: Pick<PlanSettlement, 'subject' | 'policyId' | 'exclusiveTo'>,
  report: { readonly subject: Hex; readonly policyId: Hex; readonly exclusiveTo: Hex },
): boolean {
  return (
    settlement.subject === report.subject &&
    settlement.policyId === report.policyId &&
    (settlement.exclusiveTo ?? zeroHash) === report.exclusiveTo
  )
}
