import { type Abi, decodeFunctionResult, encodeFunctionData } from 'viem'
import type { Hex } from '#schemas/bytes.ts'
import type { CheckResult } from '../lane/events.ts'
import { type Job, jobOrder } from '../lane/job.ts'
import { reportConsumerAbi } from './abi.ts'
import type { CheckAnswer, CheckContext, Prepared } from './checkContext.ts'
import { estimateMerged, estimateSingly } from './estimate.ts'
import {
  type Coming,
  type Facts,
  answerData,
  decodeHead,
  decodeStatus,
  headCall,
  judge,
  saidOf,
  signerStatusCall,
  unreadable,
} from './judge.ts'
import { prepare } from './prepare.ts'
import { type Rpc, type RpcAnswer, type RpcCall, ChainUnreachableError } from './rpc.ts'
import { type SettledQuestion, readSettled, settledCall, settledPerCall } from './settledStates.ts'
import { simulateInOrder } from './simulateInOrder.ts'
import { readCount, readObject, readQuantity } from './words.ts'

/**
 * Asks the chain about jobs: what is done already, what has to wait, and, by simulation, what would
 * succeed now and for how much gas.
 *
 * @throws {@link ChainUnreachableError} | {@link MalformedAnswerError}
 */
export async function checkJobs(
  context: CheckContext,
  jobs: readonly Job[],
  errors: Abi,
): Promise<CheckAnswer> {
  const facts = await factsAbout(context, jobs)
  if ('refusal' in facts) {
    const { refusal } = facts
    return { results: jobs.map((job) => unreadable(job, 'The newest block', refusal)), merged: [] }
  }
  const results: CheckResult[] = []
  const prepared: Prepared[] = []
  const coming: Coming = new Map()
  // In order, so that a commit is known to come before what leans on it is judged.
  for (const job of jobs.toSorted((left, right) => jobOrder(left.task) - jobOrder(right.task))) {
    const verdict = judge(context, job, facts, coming)
    if (verdict.outcome !== 'simulate') {
      results.push(verdict)
    } else if (job.stage === 'included' && !needsFurtherQuestions(job)) {
      results.push({ jobId: job.id, outcome: 'waits', reason: 'The state does not show it.' })
    } else {
      const made = await prepare(context, job, facts.at)
      if ('outcome' in made) results.push(made)
      else {
        const { call } = made
        prepared.push({ job, call, after: verdict.after })
        if (job.task.kind !== 'commit') continue
        coming.set(job.id, { jobId: job.id, rank: jobOrder(job.task), call })
      }
    }
  }
  const inOrder = await simulateInOrder(context, prepared)
  const together = await estimateMerged(context, inOrder.rest)
  results.push(...inOrder.results, ...(await estimateSingly(context, together.rest, errors)))
  return { results, merged: [...inOrder.merged, ...together.merged] }
}

/** Whether it takes more than the usual reads to see that a job is done. */
const needsFurtherQuestions = ({ task }: Job) => task.kind === 'upload' || task.kind === 'send'

/** Reads what decides about jobs, each question once, in one request where the node allows it. */
async function factsAbout(
  context: CheckContext,
  jobs: readonly Job[],
): Promise<Facts | { readonly refusal: string }> {
  const settlements = jobs.flatMap(({ id, task }) => (task.kind === 'settle' ? [{ id, task }] : []))
  const parts = Array.from({ length: Math.ceil(settlements.length / settledPerCall) }, (_, part) =>
    settlements.slice(part * settledPerCall, (part + 1) * settledPerCall),
  )
  const about = new Map<Hex, RpcCall>()
  for (const { task } of jobs) {
    about.set(task.stream, headCall(context, task.stream))
    if (task.kind !== 'settle') about.set(task.signer, signerStatusCall(context, task.signer))
  }
  const [block, ...given] = await context.rpc.ask([
    { method: 'eth_getBlockByNumber', params: ['latest', false] },
    ...about.values(),
    ...parts.map((part) => settledCall(part.map(({ task }) => task))),
  ])
  if (block?.ok !== true) return { refusal: saidOf(block) }
  const fields = readObject(block.result, 'block')
  const answers = new Map<Hex, RpcAnswer | undefined>(
    [...about.keys()].map((key, index) => [key, given[index]]),
  )
  const states = new Map<string, boolean>()
  for (const [index, part] of parts.entries()) {
    const read = readSettled(given[about.size + index], part.length)
    for (const [at, { id }] of part.entries()) {
      const isSettled = read?.[at]
      if (isSettled !== undefined) states.set(id, isSettled)
    }
  }
  const unread = settlements.filter(({ id }) => !states.has(id))
  const singly = unread.length === 0 ? [] : await context.rpc.ask(unread.map(isSettledCall))
  for (const [index, { id, task }] of unread.entries()) {
    const data = answerData(singly[index])
    if (data === undefined) answers.set(task.contract, singly[index])
    else states.set(id, decodeIsSettled(data))
  }
  return {
    at: {
      number: readCount(fields['number'], 'block.number'),
      timestampSeconds: readQuantity(fields['timestamp'], 'block.timestamp'),
    },
    headOf: remembered((stream) => decodeHead(answers.get(stream))),
    statusOf: remembered((signer) => decodeStatus(answers.get(signer))),
    isSettled: ({ id }) => states.get(id),
    refusalOf: (key) => saidOf(answers.get(key)),
  }
}

/** The same question by itself, for a node that runs no program, and to learn what is wrong. */
function isSettledCall({ task }: { readonly task: SettledQuestion }): RpcCall {
  const data = encodeFunctionData({
    abi: reportConsumerAbi,
    functionName: 'isSettled',
    args: [task.agreementId, task.leaf],
  })
  return { method: 'eth_call', params: [{ to: task.contract, data }, 'latest'] }
}

function decodeIsSettled(data: Hex): boolean {
  return decodeFunctionResult({ abi: reportConsumerAbi, functionName: 'isSettled', data })
}

function remembered<Value>(decode: (key: Hex) => Value): (key: Hex) => Value {
  const known = new Map<Hex, Value>()
  return (key) => {
    const found = known.get(key)
    if (found !== undefined) return found
    const value = decode(key)
    known.set(key, value)
    return value
  }
}

/**
 * The same check through every node that answers: a job is done only when all of them show it.
 *
 * @throws {@link ChainUnreachableError}
 */
export async function checkCarefully(
  context: CheckContext & { readonly rpc: Rpc },
  jobs: readonly Job[],
  errors: Abi,
): Promise<CheckAnswer> {
  const answers = await Promise.allSettled(
    context.rpc.each().map((rpc) => checkJobs({ ...context, rpc }, jobs, errors)),
  )
  const opinions = answers.flatMap((answer) =>
    answer.status === 'fulfilled' ? [answer.value.results] : [],
  )
  const [first, ...others] = opinions
  if (first === undefined) {
    throw new ChainUnreachableError('No endpoint of this chain can be reached.')
  }
  const results = first.map((result) => {
    const all = [
      result,
      ...others.map((opinion) => opinion.find(({ jobId }) => jobId === result.jobId)),
    ]
    // Who cannot tell has no say, as one that does not answer has none.
    const telling = all.filter((opinion) => opinion !== undefined && opinion.outcome !== 'unknown')
    return telling.find((opinion) => opinion?.outcome !== 'done') ?? telling[0] ?? result
  })
  return { results, merged: [] }
}
