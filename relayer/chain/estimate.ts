import type { Abi } from 'viem'
import type { CheckResult, MergedCall } from '../lane/events.ts'
import type { Call, Job } from '../lane/job.ts'
import type { CheckContext, Prepared } from './checkContext.ts'
import { answerData, saidOf, unreadable } from './judge.ts'
import { mergeSettlements } from './mergeSettlements.ts'
import { describeRevert, isRevert, revertData } from './reverts.ts'
import type { RpcAnswer } from './rpc.ts'
import { readSimulated, simulateCall, simulation } from './simulateV1.ts'
import { readQuantity } from './words.ts'

/** Settlements that may travel together: same contract, same batch, none that has failed before. */
export function groupsOf(prepared: readonly Prepared[], batchSize: number): Prepared[][] {
  const groups = new Map<string, Prepared[]>()
  for (const entry of prepared) {
    const { task, failures } = entry.job
    if (task.kind !== 'settle' || failures > 0) continue
    const key = `${task.contract}/${task.stream}/${task.sequence}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [entry])
    else group.push(entry)
  }
  const chunks: Prepared[][] = []
  for (const group of groups.values()) {
    for (let start = 0; start < group.length; start += batchSize) {
      const chunk = group.slice(start, start + batchSize)
      if (chunk.length > 1) chunks.push(chunk)
    }
  }
  return chunks
}

/** Several settlements as one call; `undefined` when they cannot be. */
export function mergedCall(chunk: readonly Prepared[]): Call | undefined {
  return mergeSettlements(
    chunk.map(({ job, call }) => ({
      call,
      reportCount: job.task.kind === 'settle' ? job.task.reportCount : 0,
    })),
  )
}

/** Jobs each by itself, with the room that the node thinks they need. */
export async function estimateSingly(
  context: CheckContext,
  prepared: readonly Prepared[],
  errors: Abi,
): Promise<readonly CheckResult[]> {
  if (prepared.length === 0) return []
  const answers = await context.rpc.ask(
    prepared.map(({ call }) => ({
      method: 'eth_estimateGas',
      params: [simulation(call, context.sender)],
    })),
  )
  return prepared.map(({ job, call }, index) => simulationResult(job, call, answers[index], errors))
}

/**
 * Simulates settlements as batches. A batch counts only when the contract would settle every entry and
 * it uses less gas than sending them one by one: otherwise each is simulated alone, which also names
 * what is wrong with the one that is. A node that cannot tell usage has no say in the second.
 */
export async function estimateMerged(
  context: CheckContext,
  prepared: readonly Prepared[],
): Promise<{ readonly merged: readonly MergedCall[]; readonly rest: readonly Prepared[] }> {
  if (context.batchSize < 2) return { merged: [], rest: prepared }
  const candidates = groupsOf(prepared, context.batchSize).flatMap((chunk) => {
    const call = mergedCall(chunk)
    return call === undefined ? [] : [{ chunk, call }]
  })
  if (candidates.length === 0) return { merged: [], rest: prepared }
  const answers = await context.rpc.ask(
    candidates.flatMap(({ chunk: [first], call }) => [
      { method: 'eth_call', params: [simulation(call, context.sender), 'latest'] },
      { method: 'eth_estimateGas', params: [simulation(call, context.sender)] },
      // What it would really use: an estimate is a limit, and holds room that is given back.
      simulateCall([call], context.sender),
      // What one of them uses alone, to see whether sharing pays.
      simulateCall([first?.call ?? call], context.sender),
    ]),
  )
  const merged: MergedCall[] = []
  const taken = new Set<Prepared>()
  for (const [index, { chunk, call }] of candidates.entries()) {
    const [count, estimate, ...usage] = answers.slice(index * 4, index * 4 + 4)
    const settled = answerData(count)
    const isWhole = settled !== undefined && BigInt(settled) === BigInt(chunk.length)
    if (!isWhole || estimate?.ok !== true) continue
    const gas = readQuantity(estimate.result, 'gas estimate')
    const [together, alone] = usage.map((answer) => readSimulated(answer, 1)[0]?.usedGas)
    const isDearer =
      together !== undefined && alone !== undefined && together >= alone * BigInt(chunk.length)
    if (isDearer) continue
    merged.push({ jobIds: chunk.map(({ job }) => job.id), call, gas })
    for (const entry of chunk) taken.add(entry)
  }
  return { merged, rest: prepared.filter((entry) => !taken.has(entry)) }
}

function simulationResult(
  job: Job,
  call: Call,
  answer: RpcAnswer | undefined,
  errors: Abi,
): CheckResult {
  if (answer?.ok === true) {
    return {
      jobId: job.id,
      outcome: 'ready',
      gas: readQuantity(answer.result, 'gas estimate'),
      call,
    }
  }
  if (answer === undefined || !isRevert(answer))
    return unreadable(job, 'The simulation', saidOf(answer))
  const named = describeRevert(revertData(answer), errors)
  return {
    jobId: job.id,
    outcome: 'refused',
    reason: `The contract refuses: ${named ?? answer.message}.`,
    remedy: 'Read the contract’s error; correct the agreement or the plan, then retry.',
  }
}
