import { decodeFunctionResult, encodeFunctionData, isHex } from 'viem'
import type { Hex } from '#schemas/bytes.ts'
import type { CheckResult } from '../lane/events.ts'
import { type CommitTask, type Job, jobId, jobOrder } from '../lane/job.ts'
import { enclaveRegistryAbi, proofRegistryAbi } from './abi.ts'
import type { Ahead, ChainTime, CheckContext } from './checkContext.ts'
import type { RpcAnswer, RpcCall } from './rpc.ts'

/** What the chain's state says about jobs, before anything is simulated. */

/** Signers that expire within this time are registered again rather than used. */
const expiryMarginSeconds = 60n

/**
 * So many batches may be on their way to a chain before the one whose reports are settled. What leans
 * on them is simulated behind them and gets a higher nonce, so that it cannot be carried out earlier.
 */
export const batchesAhead = 8n

export type SignerStatus = { readonly stream: Hex; readonly expiresAt: bigint }
export type Head = { readonly sequence: bigint; readonly digest: Hex }

/** What one look at the registries and the settlement contracts gave. */
export type Facts = {
  readonly at: ChainTime
  readonly headOf: (stream: Hex) => Head | undefined
  readonly statusOf: (signer: Hex) => SignerStatus | undefined
  readonly isSettled: (job: Job) => boolean | undefined
  /** What a node said where it gave no answer that can be read. */
  readonly refusalOf: (about: Hex) => string
}

function read(to: Hex, data: Hex): RpcCall {
  return { method: 'eth_call', params: [{ to, data }, 'latest'] }
}

export function signerStatusCall(context: CheckContext, signer: Hex): RpcCall {
  const data = encodeFunctionData({
    abi: enclaveRegistryAbi,
    functionName: 'signerStatus',
    args: [signer],
  })
  return read(context.enclaveRegistry, data)
}

export function headCall(context: CheckContext, stream: Hex): RpcCall {
  const data = encodeFunctionData({ abi: proofRegistryAbi, functionName: 'head', args: [stream] })
  return read(context.proofRegistry, data)
}

export function answerData(answer: RpcAnswer | undefined): Hex | undefined {
  if (answer?.ok !== true || !isHex(answer.result) || answer.result === '0x') return undefined
  return answer.result
}

export function decodeStatus(answer: RpcAnswer | undefined): SignerStatus | undefined {
  const data = answerData(answer)
  if (data === undefined) return undefined
  const [stream, , expiresAt] = decodeFunctionResult({
    abi: enclaveRegistryAbi,
    functionName: 'signerStatus',
    data,
  })
  return { stream, expiresAt }
}

export function decodeHead(answer: RpcAnswer | undefined): Head | undefined {
  const data = answerData(answer)
  if (data === undefined) return undefined
  const [sequence, digest] = decodeFunctionResult({
    abi: proofRegistryAbi,
    functionName: 'head',
    data,
  })
  return { sequence, digest }
}

export function unreadable(job: Job, what: string, said: string): CheckResult {
  return {
    jobId: job.id,
    outcome: 'unknown',
    reason: `${what} did not answer; the node said: ${said}.`,
  }
}

export function saidOf(answer: RpcAnswer | undefined): string {
  return answer === undefined || answer.ok ? 'nothing' : answer.message
}

type Verdict =
  | CheckResult
  | { readonly outcome: 'simulate'; readonly job: Job; readonly after: readonly Ahead[] }

/** Commits that are about to be sent in this very check, by job. */
export type Coming = Map<string, Ahead>

/**
 * The commits that bring a stream from what the chain holds to a sequence: each either on its way under
 * a nonce of ours or about to be; `undefined` when one of them is neither.
 */
function aheadOf(
  context: CheckContext,
  coming: Coming,
  head: Head,
  { stream, until }: { readonly stream: Hex; readonly until: bigint },
): readonly Ahead[] | undefined {
  const { skills, prepareDelivery } = context
  // Where batches come by message, only the endpoint knows what a call will need.
  if (skills?.isSequential !== true || prepareDelivery !== undefined) return undefined
  if (until - head.sequence > batchesAhead) return undefined
  const ahead: Ahead[] = []
  for (let sequence = head.sequence + 1n; sequence <= until; sequence += 1n) {
    const id = jobId({ kind: 'commit', stream, sequence })
    const known = coming.get(id) ?? onItsWay(context.storedJob(id))
    if (known === undefined) return undefined
    ahead.push(known)
  }
  return ahead
}

function onItsWay(job: Job | undefined): Ahead | undefined {
  if (job?.nonce === undefined || job.call === undefined) return undefined
  return { jobId: job.id, rank: jobOrder(job.task), call: job.call }
}

/** Only what is fresh rides ahead: what has failed before is looked at on firm ground. */
function mayRideAhead({ stage, failures }: Job): boolean {
  return stage === 'queued' && failures === 0
}

export function judge(context: CheckContext, job: Job, facts: Facts, coming: Coming): Verdict {
  const { task } = job
  const { at } = facts
  const done: CheckResult = { jobId: job.id, outcome: 'done', atBlock: at.number }
  const waits = (reason: string): CheckResult => ({ jobId: job.id, outcome: 'waits', reason })
  const noStatus = (signer: Hex): CheckResult =>
    unreadable(job, `The enclave registry at ${context.enclaveRegistry}`, facts.refusalOf(signer))
  const head = facts.headOf(task.stream)
  if (head === undefined) {
    const said = facts.refusalOf(task.stream)
    return unreadable(job, `The proof registry at ${context.proofRegistry}`, said)
  }
  const simulate: Verdict = { outcome: 'simulate', job, after: [] }
  switch (task.kind) {
    case 'upload':
      // Whether it is still missing takes further questions.
      return simulate
    case 'send': {
      const status = facts.statusOf(task.signer)
      if (status === undefined) return noStatus(task.signer)
      // What is on its way already is asked of the broadcaster; only a new message needs the key.
      // The same margin as a commit's: that one has the key renewed first.
      if (job.stage === 'queued' && status.expiresAt <= at.timestampSeconds + expiryMarginSeconds) {
        return waits(`The hub does not know signer ${task.signer} yet.`)
      }
      return simulate
    }
    case 'register': {
      const status = facts.statusOf(task.signer)
      if (status === undefined) return noStatus(task.signer)
      const isValid = status.expiresAt > at.timestampSeconds + expiryMarginSeconds
      return isValid && status.stream === task.stream ? done : simulate
    }
    case 'commit': {
      if (head.sequence > task.sequence) return done
      if (head.sequence === task.sequence) {
        if (head.digest === task.digest) return done
        return {
          jobId: job.id,
          outcome: 'hopeless',
          reason: `Another batch stands at sequence ${task.sequence} on this chain: the stream has forked.`,
          remedy: 'Keep both batches: together they prove equivocation by the enclave.',
        }
      }
      const until = task.sequence - 1n
      const isNext = head.sequence === until
      const before = { stream: task.stream, until }
      const after = isNext || !mayRideAhead(job) ? [] : aheadOf(context, coming, head, before)
      if (after === undefined || (after.length === 0 && !isNext)) {
        return waits(`Batch ${head.sequence + 1n} must be anchored first.`)
      }
      const status = facts.statusOf(task.signer)
      if (status === undefined) return noStatus(task.signer)
      if (status.expiresAt <= at.timestampSeconds + expiryMarginSeconds) {
        return signerUnknown(context, job, task)
      }
      return { outcome: 'simulate', job, after }
    }
    case 'settle': {
      const isSettled = facts.isSettled(job)
      if (isSettled === undefined) {
        const said = facts.refusalOf(task.contract)
        return unreadable(job, `The settlement contract at ${task.contract}`, said)
      }
      if (isSettled) return done
      if (head.sequence >= task.sequence) return simulate
      const after = mayRideAhead(job)
        ? aheadOf(context, coming, head, { stream: task.stream, until: task.sequence })
        : undefined
      if (after === undefined) return waits(`Batch ${task.sequence} is not anchored yet.`)
      return { outcome: 'simulate', job, after }
    }
  }
}

function signerUnknown(context: CheckContext, job: Job, task: CommitTask): CheckResult {
  const { stream, signer } = task
  const registration = context.storedJob(jobId({ kind: 'register', stream, signer }))
  return {
    jobId: job.id,
    outcome: 'signerUnknown',
    task,
    ...(registration === undefined ? {} : { registration }),
  }
}
