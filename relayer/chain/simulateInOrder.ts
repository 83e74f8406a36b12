import type { Hex } from '#schemas/bytes.ts'
import type { CheckResult, MergedCall } from '../lane/events.ts'
import { type Call, jobOrder } from '../lane/job.ts'
import type { Ahead, CheckContext, NodeSkills, Prepared } from './checkContext.ts'
import { groupsOf, mergedCall } from './estimate.ts'
import type { RpcAnswer } from './rpc.ts'
import { type SimulatedCall, isUnknownMethod, readSimulated, simulateCall } from './simulateV1.ts'

/**
 * Simulation of what is to be sent as the chain will run it: a batch is anchored and what leans on it is
 * settled in one and the same block.
 */

/** What is sent as one call: one job, or settlements that share it. */
type Entry = {
  readonly jobs: readonly Prepared[]
  readonly call: Call
  readonly rank: number
  readonly after: readonly Ahead[]
}

/** Settlements that one request simulates: nodes bound the gas of a request, geth to 50 million. */
const settlementsPerRequest = 300
/**
 * Gas that `settleMany` wants to see left before each entry, whether it uses it or not.
 *
 * @see REQUIRED_GAS in contracts/settlement/ReportConsumer.sol
 */
const leftOverGas = 700_000n

export type SimulatedInOrder = {
  readonly results: readonly CheckResult[]
  readonly merged: readonly MergedCall[]
  /** What is to be looked at by other means: nothing is known of it yet. */
  readonly rest: readonly Prepared[]
}

/**
 * Simulates batches and settlements that are fresh. What has failed before is left to be estimated by
 * itself, as are calls that carry out messages: only their endpoint knows what they need.
 */
export async function simulateInOrder(
  context: CheckContext,
  prepared: readonly Prepared[],
): Promise<SimulatedInOrder> {
  const { skills } = context
  const isUsable = skills?.isSequential === true && context.prepareDelivery === undefined
  const fresh = isUsable ? prepared.filter(isFresh) : []
  if (skills === undefined || fresh.length === 0) return undecided(prepared)
  const entries = entriesOf(fresh, context.batchSize, skills)
  const parts = inParts(entries)
  const lone = loneOnes(entries)
  const answers = await context.rpc.ask(
    [...parts, ...lone.map(({ alone }) => [alone])].map((part) =>
      simulateCall(
        callsOf(part).map(({ call }) => call),
        context.sender,
      ),
    ),
  )
  if (answers.some(isUnknownMethod)) {
    skills.isSequential = false
    return undecided(prepared)
  }
  const outcomes = new Map(parts.flatMap((part, index) => outcomesOf(part, answers[index])))
  for (const [index, { together, alone }] of lone.entries()) {
    const [each] = outcomesOf([alone], answers[parts.length + index])
    const outcome = outcomes.get(together)
    if (each === undefined || outcome === undefined) continue
    const singly = each[1].usedGas * BigInt(together.jobs.length)
    if (singly > 0n && outcome.usedGas >= singly) skills.dearTogether.add(together.call.to)
  }
  const decided = entries.map((entry) => decide(entry, outcomes.get(entry), skills))
  const others = undecided(prepared.filter((entry) => !isFresh(entry)))
  return {
    results: [...decided.flatMap(({ results }) => results), ...others.results],
    merged: decided.flatMap(({ merged }) => merged),
    rest: [...decided.flatMap(({ rest }) => rest), ...others.rest],
  }
}

function isFresh({ job }: Prepared): boolean {
  return job.failures === 0 && (job.task.kind === 'commit' || job.task.kind === 'settle')
}

/** What can go now is left to be estimated; what leans on something waits until that is there. */
function undecided(prepared: readonly Prepared[]): SimulatedInOrder {
  return {
    results: prepared.flatMap(({ job, after }): CheckResult[] =>
      after.length === 0
        ? []
        : [{ jobId: job.id, outcome: 'waits', reason: 'Its batch is not anchored yet.' }],
    ),
    merged: [],
    rest: prepared.filter(({ after }) => after.length === 0),
  }
}

function entryOf(jobs: readonly Prepared[], call: Call): Entry {
  return {
    jobs,
    call,
    rank: Math.max(...jobs.map(({ job }) => jobOrder(job.task))),
    // Settlements that share a call are of one batch and lean on the same.
    after: jobs[0]?.after ?? [],
  }
}

function entriesOf(
  fresh: readonly Prepared[],
  batchSize: number,
  { dearTogether }: NodeSkills,
): readonly Entry[] {
  const willing = fresh.filter(({ call }) => !dearTogether.has(call.to))
  const groups = batchSize < 2 ? [] : groupsOf(willing, batchSize)
  const shared = groups.flatMap((chunk) => {
    const call = mergedCall(chunk)
    return call === undefined ? [] : [entryOf(chunk, call)]
  })
  const taken = new Set(shared.flatMap(({ jobs }) => jobs))
  const single = fresh
    .filter((entry) => !taken.has(entry))
    .map((entry) => entryOf([entry], entry.call))
  return [...shared, ...single].toSorted((left, right) => left.rank - right.rank)
}

/** For each contract one settlement alone, to see whether sharing pays. */
function loneOnes(
  entries: readonly Entry[],
): readonly { readonly together: Entry; readonly alone: Entry }[] {
  const found = new Map<Hex, { readonly together: Entry; readonly alone: Entry }>()
  for (const together of entries) {
    const [first] = together.jobs
    if (first === undefined || together.jobs.length < 2 || found.has(together.call.to)) continue
    found.set(together.call.to, { together, alone: entryOf([first], first.call) })
  }
  return [...found.values()]
}

function inParts(entries: readonly Entry[]): readonly (readonly Entry[])[] {
  const parts: Entry[][] = []
  let weight = Infinity
  for (const entry of entries) {
    if (weight + entry.jobs.length > settlementsPerRequest) {
      parts.push([])
      weight = 0
    }
    weight += entry.jobs.length
    parts.at(-1)?.push(entry)
  }
  return parts
}

/** The calls of a part, and before them whatever they lean on that is not among them. */
function callsOf(part: readonly Entry[]): readonly { readonly call: Call; readonly of?: Entry }[] {
  const own = new Set(part.flatMap(({ jobs }) => jobs.map(({ job }) => job.id)))
  const ahead = new Map(
    part.flatMap(({ after }) =>
      after.filter(({ jobId }) => !own.has(jobId)).map((each) => [each.jobId, each]),
    ),
  )
  return [
    ...[...ahead.values()].map(({ rank, call }) => ({ rank, call })),
    ...part.map((entry) => ({ rank: entry.rank, call: entry.call, of: entry })),
  ].toSorted((left, right) => left.rank - right.rank)
}

/** What became of each entry that succeeded, where the node can tell. */
function outcomesOf(
  part: readonly Entry[],
  answer: RpcAnswer | undefined,
): readonly (readonly [Entry, SimulatedCall])[] {
  const calls = callsOf(part)
  const simulated = readSimulated(answer, calls.length)
  return calls.flatMap(({ of }, index): (readonly [Entry, SimulatedCall])[] => {
    const outcome = simulated[index]
    return of === undefined || outcome === undefined ? [] : [[of, outcome]]
  })
}

function decide(
  entry: Entry,
  outcome: SimulatedCall | undefined,
  skills: NodeSkills,
): SimulatedInOrder {
  const { jobs, call } = entry
  if (outcome === undefined) return undecided(jobs)
  const after = entry.after.map(({ jobId }) => jobId)
  const [first] = jobs
  if (first !== undefined && jobs.length === 1) {
    const { peakGas: gas } = outcome
    const result: CheckResult = { jobId: first.job.id, outcome: 'ready', gas, call, after }
    return { results: [result], merged: [], rest: [] }
  }
  // A batch counts only when every entry of it would be settled.
  const isWhole = isCount(outcome.returned, jobs.length)
  if (!isWhole || skills.dearTogether.has(call.to)) return undecided(jobs)
  const gas = outcome.peakGas + leftOverGas
  return {
    results: [],
    merged: [{ jobIds: jobs.map(({ job }) => job.id), gas, call, after }],
    rest: [],
  }
}

function isCount(returned: string, count: number): boolean {
  return /^0x[0-9a-fA-F]{64}$/.test(returned) && BigInt(returned) === BigInt(count)
}
