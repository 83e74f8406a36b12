import type { Abi } from 'viem'
import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { checkCarefully, checkJobs } from '../chain/check.ts'
import type { CheckContext, NodeSkills } from '../chain/checkContext.ts'
import { lookAtChain, lookCarefully } from '../chain/look.ts'
import { type EndpointHealth, type Rpc, ChainUnreachableError } from '../chain/rpc.ts'
import { MalformedAnswerError } from '../chain/words.ts'
import { advance } from '../lane/advance.ts'
import type {
  LaneCommand,
  LaneEvent,
  OfferResult,
  OperatorRequest,
  SignedTransaction,
} from '../lane/events.ts'
import { type Job, horizon } from '../lane/job.ts'
import { type Lane, type LanePolicy, type LaneTransaction, createLane } from '../lane/lane.ts'
import type { Alarm, Now, TransactionSigner } from '../ports.ts'
import type { LaneStore } from './laneStore.ts'

export type LaneWorld = {
  readonly store: LaneStore
  readonly alarm: Alarm
  readonly now: Now
  readonly rpc: Rpc
  readonly signer: TransactionSigner
  readonly policy: LanePolicy
  readonly enclaveRegistry: Hex
  readonly proofRegistry: Hex
  /** Streams whose batches this lane commits. */
  readonly streams: readonly Hex[]
  readonly prepareRegistration: CheckContext['prepareRegistration']
  readonly missingUpload?: CheckContext['missingUpload'] | undefined
  readonly prepareSend?: CheckContext['prepareSend'] | undefined
  readonly prepareDelivery?: CheckContext['prepareDelivery'] | undefined
  /** Errors that the contracts of this chain can raise. */
  readonly contractErrors: Abi
}

export type LaneRuntime = {
  /** Looks soon, whatever is due. */
  wake(): Promise<void>
  /** Queues jobs durably; those that are known already are left alone. */
  enqueue(jobs: readonly Job[]): Promise<{ readonly added: number }>
  /** One turn: look, decide, act. Never throws; what went wrong is in the lane's state. */
  turn(): Promise<void>
  /** @returns whether it had an effect, and why not */
  operate(request: OperatorRequest): Promise<{ readonly isDone: boolean; readonly reason?: string }>
  lane(): Lane
  endpoints(): readonly EndpointHealth[]
}

/** Delay of the next turn after one that broke off for a reason nobody foresaw. */
const afterFaultMs = 5_000

function shortReason(cause: unknown): string {
  if (cause instanceof ChainUnreachableError || cause instanceof MalformedAnswerError) {
    return cause.shortMessage
  }
  // Foreign messages may quote addresses with keys in them; their class says enough.
  return cause instanceof Error ? `Unexpected ${cause.name}.` : 'Unexpected failure.'
}

/**
 * The process has just started, and the nodes may have too: what is in no block yet is offered at the
 * first look, whatever a node once said to it.
 */
function offeredAnew(lane: Lane): Lane {
  const transactions = new Map<number, LaneTransaction>()
  for (const [nonce, { offeredAtMs: _, ...transaction }] of lane.transactions) {
    transactions.set(nonce, transaction)
  }
  return { ...lane, transactions }
}

/**
 * Carries out what the pure lane decides. A nonce, its signed bytes and the jobs' claim on them are
 * durable before the bytes are offered to a node; everything else that a turn learns is durable at its
 * end and would be learned again by the next one. So a process may die at any point.
 */
export function createLaneRuntime(world: LaneWorld): LaneRuntime {
  const { store, alarm, now, rpc, signer, policy } = world
  let lane: Lane = offeredAnew(store.load(policy) ?? createLane(policy))
  /** What the alarm is known to be set to; a ring has used it up. */
  let armedAtMs: number | undefined
  const skills: NodeSkills = { isSequential: true, dearTogether: new Set() }
  let isTurning = false
  let isWokenAgain = false

  function apply(event: LaneEvent): readonly LaneCommand[] {
    const step = advance(lane, event)
    store.note(lane, step.lane)
    lane = step.lane
    return step.commands
  }

  async function arm(): Promise<void> {
    if (lane.wakeAtMs === undefined || lane.wakeAtMs === armedAtMs) return
    armedAtMs = lane.wakeAtMs
    await alarm.set(lane.wakeAtMs)
  }

  async function carryOut(command: LaneCommand): Promise<LaneEvent | undefined> {
    switch (command.kind) {
      case 'look':
        try {
          const look = command.isCareful ? lookCarefully : lookAtChain
          const { streams, proofRegistry: registry } = world
          const { watched, knownHead } = command
          const lines = { streams, registry }
          const observation = await look(rpc, policy.sender, { watched, knownHead }, lines)
          return { kind: 'observed', nowMs: now(), observation }
        } catch (cause) {
          // It answered, and the answer is of no use: another endpoint is asked next.
          if (cause instanceof MalformedAnswerError) rpc.distrust()
          return { kind: 'lookFailed', nowMs: now(), reason: shortReason(cause) }
        }
      case 'load': {
        const horizons = new Map(
          [...command.reached].map(([stream, reached]) => [
            stream,
            horizon(reached, skills.isSequential),
          ]),
        )
        const { jobs, nextDueMs } = store.due(now(), command.limit, horizons)
        return {
          kind: 'loaded',
          nowMs: now(),
          jobs,
          ...(nextDueMs === undefined ? {} : { nextDueMs }),
        }
      }
      case 'check':
        return check(command.jobs, command.isCareful)
      case 'distrust':
        rpc.distrust()
        return undefined
      case 'reopen': {
        const { fromNonce } = command
        return { kind: 'reopened', nowMs: now(), fromNonce, ...store.finalFrom(fromNonce) }
      }
      case 'sign':
        try {
          // At once: a signer beyond a network answers in tens of milliseconds each.
          const transactions = await Promise.all(
            command.requests.map(async (request): Promise<SignedTransaction> => {
              const { hash, raw } = await signer.sign({
                chainId: policy.chainId,
                nonce: request.nonce,
                to: request.call.to,
                data: request.call.data,
                valueWei: request.call.valueWei ?? 0n,
                gasLimit: request.gasLimit,
                ...request.fees,
              })
              return { ...request, hash, raw }
            }),
          )
          return { kind: 'signed', nowMs: now(), transactions }
        } catch (cause) {
          const isOurs = cause instanceof BaseError
          const reason = isOurs ? cause.shortMessage : 'The signer did not sign.'
          const remedy = isOurs ? cause.remedy : undefined
          return {
            kind: 'signingFailed',
            nowMs: now(),
            reason,
            ...(remedy === undefined ? {} : { remedy }),
          }
        }
      case 'offer':
        return { kind: 'offered', nowMs: now(), results: await offer(command.transactions) }
    }
  }

  async function check(jobs: readonly Job[], isCareful: boolean): Promise<LaneEvent> {
    try {
      const { results, merged } = await (isCareful ? checkCarefully : checkJobs)(
        {
          rpc,
          sender: policy.sender,
          batchSize: policy.batchSize,
          enclaveRegistry: world.enclaveRegistry,
          proofRegistry: world.proofRegistry,
          prepareRegistration: world.prepareRegistration,
          ...(world.missingUpload === undefined ? {} : { missingUpload: world.missingUpload }),
          ...(world.prepareSend === undefined ? {} : { prepareSend: world.prepareSend }),
          ...(world.prepareDelivery === undefined
            ? {}
            : { prepareDelivery: world.prepareDelivery }),
          storedJob: (id) => lane.jobs.get(id) ?? store.job(id),
          skills,
        },
        jobs,
        world.contractErrors,
      )
      return { kind: 'checked', nowMs: now(), results, merged }
    } catch (cause) {
      const reason = shortReason(cause)
      const results = jobs.map((job) => ({ jobId: job.id, outcome: 'unknown' as const, reason }))
      return { kind: 'checked', nowMs: now(), results, merged: [] }
    }
  }

  async function offer(
    transactions: readonly { readonly nonce: number; readonly hash: Hex; readonly raw: Hex }[],
  ): Promise<OfferResult[]> {
    try {
      const answers = await rpc.ask(
        transactions.map(({ raw }) => ({ method: 'eth_sendRawTransaction', params: [raw] })),
      )
      return transactions.map(({ nonce, hash }, index) => {
        const answer = answers[index]
        if (answer === undefined) return { nonce, hash, outcome: 'unknown' }
        if (answer.ok) return { nonce, hash, outcome: 'taken' }
        const isKnown = /already known|already imported|known transaction/i.test(answer.message)
        if (isKnown) return { nonce, hash, outcome: 'taken' }
        return { nonce, hash, outcome: 'refused', reason: answer.message }
      })
    } catch (cause) {
      // The answer is lost, the transaction may not be: only a later look tells.
      const reason = shortReason(cause)
      return transactions.map(({ nonce, hash }) => ({ nonce, hash, outcome: 'unknown', reason }))
    }
  }

  async function run(first: LaneEvent): Promise<void> {
    const pending: LaneCommand[] = [...apply(first)]
    // Should this turn die with the process, the alarm brings the next one.
    await arm()
    try {
      for (let command = pending.shift(); command !== undefined; command = pending.shift()) {
        // Signed bytes are what a crash must not lose; the rest is seen again by looking again.
        if (command.kind === 'offer') store.flush()
        const event = await carryOut(command)
        if (event !== undefined) pending.push(...apply(event))
      }
    } finally {
      store.flush()
    }
    await arm()
  }

  /** Brings the job that an operator names into the working set. @returns why that cannot be */
  function bringForOperator({
    action,
    jobId: id,
  }: {
    readonly action: 'retry' | 'quarantine'
    readonly jobId: string
  }): string | undefined {
    const job = lane.jobs.get(id) ?? store.job(id)
    if (job === undefined) return 'There is no such job on this lane.'
    if (job.stage === 'final') return 'The job is final.'
    if (job.nonce !== undefined) return 'The job is on its way under a nonce.'
    if (action === 'quarantine' && job.stage === 'quarantined') return 'It is quarantined already.'
    lane = { ...lane, jobs: new Map(lane.jobs).set(id, { ...job, stage: 'queued' }) }
    return undefined
  }

  async function wake(): Promise<void> {
    isWokenAgain = true
    armedAtMs = undefined
    await alarm.set(now())
  }

  return {
    wake,

    async enqueue(jobs) {
      const added = store.add(jobs)
      if (added > 0) await wake()
      return { added }
    },

    async turn() {
      if (isTurning) {
        isWokenAgain = true
        return
      }
      isTurning = true
      isWokenAgain = false
      armedAtMs = undefined
      try {
        await run({ kind: 'woken', nowMs: now() })
      } catch {
        await alarm.set(now() + afterFaultMs)
      } finally {
        isTurning = false
      }
      if (isWokenAgain) await alarm.set(now())
    },

    async operate(request) {
      if (request.action === 'retry' || request.action === 'quarantine') {
        const refusal = bringForOperator(request)
        if (refusal !== undefined) return { isDone: false, reason: refusal }
      }
      apply({ kind: 'operator', nowMs: now(), request })
      store.flush()
      await arm()
      return { isDone: true }
    },

    lane: () => lane,
    endpoints: () => rpc.health(),
  }
}
