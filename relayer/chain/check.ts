import { type Abi, decodeErrorResult, decodeFunctionResult, encodeFunctionData, isHex } from 'viem'
import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import type { CheckResult, MergedCall } from '../lane/events.ts'
import type { Call, Job, JobTask, SendTask, UploadTask } from '../lane/job.ts'
import { enclaveRegistryAbi, proofRegistryAbi, reportConsumerAbi } from './abi.ts'
import { mergeSettlements } from './mergeSettlements.ts'
import { type Rpc, type RpcAnswer, type RpcCall, ChainUnreachableError } from './rpc.ts'
import { readCount, readObject, readQuantity, toQuantity } from './words.ts'

export type CheckContext = {
  readonly rpc: Pick<Rpc, 'ask'>
  readonly sender: Hex
  readonly batchSize: number
  readonly enclaveRegistry: Hex
  readonly proofRegistry: Hex
  /** Fetches and appraises a signer's attestation and writes the call that registers it. */
  readonly prepareRegistration: (signer: Hex, stream: Hex) => Promise<Call>
  /**
   * The next item of collateral that a signer's registration lacks, asked of this very node. Absent
   * where somebody else keeps the store supplied.
   */
  readonly missingUpload?: (
    rpc: Pick<Rpc, 'ask'>,
    signer: Hex,
    stream: Hex,
  ) => Promise<{ readonly task: UploadTask; readonly call: Call } | undefined>
  /**
   * On a hub: how a message to a spoke goes out, or that it has. Absent where nothing is sent.
   */
  readonly prepareSend?: (
    rpc: Pick<Rpc, 'ask'>,
    job: Job & { readonly task: SendTask },
  ) => Promise<Preparation>
  /**
   * On a spoke: how a message that is verified here is carried out. Absent where keys are registered
   * on the chain itself; `undefined` for a job that needs no message.
   */
  readonly prepareDelivery?: (
    rpc: Pick<Rpc, 'ask'>,
    job: Job,
    nowSeconds: bigint,
  ) => Promise<Preparation | undefined>
  /** A job as it is stored. */
  readonly storedJob: (task: JobTask) => Job | undefined
}

/** What the state of a message between chains asks for. */
export type Preparation =
  | { readonly kind: 'call'; readonly call: Call }
  | { readonly kind: 'done' }
  | { readonly kind: 'waits'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string; readonly remedy: string }

/** Signers that expire within this time are registered again rather than used. */
const expiryMarginSeconds = 60n

type SignerStatus = { readonly stream: Hex; readonly expiresAt: bigint }
type Head = { readonly sequence: bigint; readonly digest: Hex }

function read(to: Hex, data: Hex): RpcCall {
  return { method: 'eth_call', params: [{ to, data }, 'latest'] }
}

function signerStatusCall(context: CheckContext, signer: Hex): RpcCall {
  const data = encodeFunctionData({
    abi: enclaveRegistryAbi,
    functionName: 'signerStatus',
    args: [signer],
  })
  return read(context.enclaveRegistry, data)
}

function headCall(context: CheckContext, stream: Hex): RpcCall {
  const data = encodeFunctionData({ abi: proofRegistryAbi, functionName: 'head', args: [stream] })
  return read(context.proofRegistry, data)
}

function isSettledCall(contract: Hex, agreementId: bigint, leaf: Hex): RpcCall {
  const data = encodeFunctionData({
    abi: reportConsumerAbi,
    functionName: 'isSettled',
    args: [agreementId, leaf],
  })
  return read(contract, data)
}

/** The reads that decide whether a job is still to be done; always two, in a fixed order. */
function readsOf(context: CheckContext, { task }: Job): readonly RpcCall[] {
  switch (task.kind) {
    case 'upload':
    case 'register':
    case 'commit':
    case 'send':
      return [signerStatusCall(context, task.signer), headCall(context, task.stream)]
    case 'settle':
      return [
        isSettledCall(task.contract, task.agreementId, task.leaf),
        headCall(context, task.stream),
      ]
  }
}

function answerData(answer: RpcAnswer | undefined): Hex | undefined {
  if (answer?.ok !== true || !isHex(answer.result) || answer.result === '0x') return undefined
  return answer.result
}

function decodeStatus(answer: RpcAnswer | undefined): SignerStatus | undefined {
  const data = answerData(answer)
  if (data === undefined) return undefined
  const [stream, , expiresAt] = decodeFunctionResult({
    abi: enclaveRegistryAbi,
    functionName: 'signerStatus',
    data,
  })
  return { stream, expiresAt }
}

function decodeHead(answer: RpcAnswer | undefined): Head | undefined {
  const data = answerData(answer)
  if (data === undefined) return undefined
  const [sequence, digest] = decodeFunctionResult({
    abi: proofRegistryAbi,
    functionName: 'head',
    data,
  })
  return { sequence, digest }
}

function decodeIsSettled(answer: RpcAnswer | undefined): boolean | undefined {
  const data = answerData(answer)
  if (data === undefined) return undefined
  return decodeFunctionResult({ abi: reportConsumerAbi, functionName: 'isSettled', data })
}

type Verdict = CheckResult | { readonly outcome: 'simulate'; readonly job: Job }

function unreadable(job: Job, what: string, answer: RpcAnswer | undefined): CheckResult {
  const said = answer === undefined || answer.ok ? 'nothing' : answer.message
  return {
    jobId: job.id,
    outcome: 'unknown',
    reason: `${what} did not answer; the node said: ${said}.`,
  }
}

type ChainTime = { readonly number: number; readonly timestampSeconds: bigint }

/** What the chain's state says about one job, before anything is simulated. */
function judge(
  context: CheckContext,
  job: Job,
  answers: readonly (RpcAnswer | undefined)[],
  at: ChainTime,
): Verdict {
  const { task } = job
  const done: CheckResult = { jobId: job.id, outcome: 'done', atBlock: at.number }
  const head = decodeHead(answers[1])
  if (head === undefined) {
    return unreadable(job, `The proof registry at ${context.proofRegistry}`, answers[1])
  }
  switch (task.kind) {
    case 'upload':
      // Whether it is still missing takes further questions.
      return { outcome: 'simulate', job }
    case 'send': {
      const status = decodeStatus(answers[0])
      if (status === undefined) {
        return unreadable(job, `The enclave registry at ${context.enclaveRegistry}`, answers[0])
      }
      // What is on its way already is asked of the broadcaster; only a new message needs the key.
      // The same margin as a commit's: that one has the key renewed first.
      if (job.stage === 'queued' && status.expiresAt <= at.timestampSeconds + expiryMarginSeconds) {
        return {
          jobId: job.id,
          outcome: 'waits',
          reason: `The hub does not know signer ${task.signer} yet.`,
        }
      }
      return { outcome: 'simulate', job }
    }
    case 'register': {
      const status = decodeStatus(answers[0])
      if (status === undefined) {
        return unreadable(job, `The enclave registry at ${context.enclaveRegistry}`, answers[0])
      }
      const isValid = status.expiresAt > at.timestampSeconds + expiryMarginSeconds
      return isValid && status.stream === task.stream ? done : { outcome: 'simulate', job }
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
      if (head.sequence + 1n < task.sequence) {
        return {
          jobId: job.id,
          outcome: 'waits',
          reason: `Batch ${head.sequence + 1n} must be anchored first.`,
        }
      }
      const status = decodeStatus(answers[0])
      if (status === undefined) {
        return unreadable(job, `The enclave registry at ${context.enclaveRegistry}`, answers[0])
      }
      if (status.expiresAt <= at.timestampSeconds + expiryMarginSeconds) {
        const { stream, signer } = task
        const registration = context.storedJob({ kind: 'register', stream, signer })
        return {
          jobId: job.id,
          outcome: 'signerUnknown',
          task,
          ...(registration === undefined ? {} : { registration }),
        }
      }
      return { outcome: 'simulate', job }
    }
    case 'settle': {
      const isSettled = decodeIsSettled(answers[0])
      if (isSettled === undefined) {
        return unreadable(job, `The settlement contract at ${task.contract}`, answers[0])
      }
      if (isSettled) return done
      if (head.sequence < task.sequence) {
        return {
          jobId: job.id,
          outcome: 'waits',
          reason: `Batch ${task.sequence} is not anchored yet.`,
        }
      }
      return { outcome: 'simulate', job }
    }
  }
}

const standardErrors = [
  { type: 'error', name: 'Error', inputs: [{ name: 'message', type: 'string' }] },
  { type: 'error', name: 'Panic', inputs: [{ name: 'code', type: 'uint256' }] },
] as const satisfies Abi

/** Errors of the contracts that a call of ours can reach, so that a refusal has a name. */
export function describeRevert(data: unknown, errors: Abi): string | undefined {
  if (!isHex(data) || data.length < 10) return undefined
  try {
    const { errorName, args } = decodeErrorResult({ abi: [...standardErrors, ...errors], data })
    const values = (args as readonly unknown[] | undefined) ?? []
    return `${errorName}(${values.map(String).join(', ').slice(0, 200)})`
  } catch {
    return `an error with selector ${data.slice(0, 10)}`
  }
}

function revertData(answer: RpcAnswer): unknown {
  if (answer.ok) return undefined
  const { data } = answer
  // Some nodes wrap the bytes in an object.
  if (typeof data === 'object' && data !== null && 'data' in data) return data.data
  return data
}

function isRevert(answer: RpcAnswer): boolean {
  if (answer.ok) return false
  // 3 is geth's code for a revert; others write it out.
  return answer.code === 3 || /revert/i.test(answer.message)
}

/** Answers about jobs, and calls that do several of them at once. A job is in one of the two. */
export type CheckAnswer = {
  readonly results: readonly CheckResult[]
  readonly merged: readonly MergedCall[]
}

type Prepared = { readonly job: Job; readonly call: Call }

/**
 * Asks the chain about jobs: what is done already, what has to wait, and, by simulation, what would
 * succeed now and for how much gas.
 *
 * @throws {@link ChainUnreachableError}
 */
export async function checkJobs(
  context: CheckContext,
  jobs: readonly Job[],
  errors: Abi,
): Promise<CheckAnswer> {
  const wanted = jobs.map((job) => readsOf(context, job))
  // Jobs of one batch ask the same of the registries: each question is put once.
  const questions = new Map(wanted.flat().map((call) => [JSON.stringify(call), call]))
  const [block, ...given] = await context.rpc.ask([
    { method: 'eth_getBlockByNumber', params: ['latest', false] },
    ...questions.values(),
  ])
  const answers = new Map([...questions.keys()].map((key, index) => [key, given[index]]))
  if (block?.ok !== true) {
    return { results: jobs.map((job) => unreadable(job, 'The newest block', block)), merged: [] }
  }
  const fields = readObject(block.result, 'block')
  const at = {
    number: readCount(fields['number'], 'block.number'),
    timestampSeconds: readQuantity(fields['timestamp'], 'block.timestamp'),
  }
  const results: CheckResult[] = []
  const prepared: Prepared[] = []
  for (const [index, job] of jobs.entries()) {
    const reads = (wanted[index] ?? []).map((call) => answers.get(JSON.stringify(call)))
    const verdict = judge(context, job, reads, at)
    if (verdict.outcome !== 'simulate') {
      results.push(verdict)
    } else if (job.stage === 'included' && !needsFurtherQuestions(job)) {
      results.push({ jobId: job.id, outcome: 'waits', reason: 'The state does not show it.' })
    } else {
      const call = await prepare(context, job, at)
      if ('outcome' in call) results.push(call)
      else prepared.push({ job, call: call.call })
    }
  }
  const { merged, rest } = await simulateMerged(context, prepared)
  results.push(...(await simulateSingly(context, rest, errors)))
  return { results, merged }
}

/** Whether it takes more than the usual reads to see that a job is done. */
const needsFurtherQuestions = ({ task }: Job) => task.kind === 'upload' || task.kind === 'send'

function simulation(
  { to, data, valueWei = 0n }: Call,
  from: Hex,
): Readonly<Record<string, unknown>> {
  return { from, to, data, value: toQuantity(valueWei) }
}

async function simulateSingly(
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

/** Settlements that may travel together: same contract, same batch, none that has failed before. */
function groupsOf(prepared: readonly Prepared[], batchSize: number): Prepared[][] {
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

/** Asks what a call would really use: an estimate is a limit, and holds room that is given back. */
function usageCall(call: Call, from: Hex): RpcCall {
  const calls = [simulation(call, from)]
  return {
    method: 'eth_simulateV1',
    params: [{ blockStateCalls: [{ calls }], validation: false }, 'latest'],
  }
}

/** Gas that a simulated call used; `undefined` where the node cannot tell. */
function usedGas(answer: RpcAnswer | undefined): bigint | undefined {
  if (answer?.ok !== true || !Array.isArray(answer.result)) return undefined
  try {
    const block = readObject((answer.result as readonly unknown[])[0], 'block')
    const { calls } = block
    if (!Array.isArray(calls)) return undefined
    const call = readObject((calls as readonly unknown[])[0], 'call')
    if (readQuantity(call['status'], 'call.status') !== 1n) return undefined
    return readQuantity(call['gasUsed'], 'call.gasUsed')
  } catch {
    return undefined
  }
}

/**
 * Simulates settlements as batches. A batch counts only when the contract would settle every entry and
 * it uses less gas than sending them one by one: otherwise each is simulated alone, which also names
 * what is wrong with the one that is. A node that cannot tell usage has no say in the second.
 *
 * @see https://github.com/ethereum/execution-apis, eth_simulateV1
 */
async function simulateMerged(
  context: CheckContext,
  prepared: readonly Prepared[],
): Promise<{ readonly merged: readonly MergedCall[]; readonly rest: readonly Prepared[] }> {
  if (context.batchSize < 2) return { merged: [], rest: prepared }
  const candidates = groupsOf(prepared, context.batchSize).flatMap((chunk) => {
    const call = mergeSettlements(
      chunk.map(({ job, call }) => ({
        call,
        reportCount: job.task.kind === 'settle' ? job.task.reportCount : 0,
      })),
    )
    return call === undefined ? [] : [{ chunk, call }]
  })
  if (candidates.length === 0) return { merged: [], rest: prepared }
  const answers = await context.rpc.ask(
    candidates.flatMap(({ chunk: [first], call }) => [
      { method: 'eth_call', params: [simulation(call, context.sender), 'latest'] },
      { method: 'eth_estimateGas', params: [simulation(call, context.sender)] },
      usageCall(call, context.sender),
      // What one of them uses alone, to see whether sharing pays.
      usageCall(first?.call ?? call, context.sender),
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
    const [together, alone] = usage.map(usedGas)
    const isDearer =
      together !== undefined && alone !== undefined && together >= alone * BigInt(chunk.length)
    if (isDearer) continue
    merged.push({ jobIds: chunk.map(({ job }) => job.id), call, gas })
    for (const entry of chunk) taken.add(entry)
  }
  return { merged, rest: prepared.filter((entry) => !taken.has(entry)) }
}

function isSend(job: Job): job is Job & { readonly task: SendTask } {
  return job.task.kind === 'send'
}

/** What a job asks of a message between chains; `undefined` for one that goes without. */
async function prepareMessage(
  context: CheckContext,
  job: Job,
  at: ChainTime,
): Promise<{ readonly call: Call } | CheckResult | undefined> {
  try {
    const prepared = isSend(job)
      ? await context.prepareSend?.(context.rpc, job)
      : await context.prepareDelivery?.(context.rpc, job, at.timestampSeconds)
    if (prepared === undefined) return undefined
    switch (prepared.kind) {
      case 'done':
        return { jobId: job.id, outcome: 'done', atBlock: at.number }
      case 'waits':
        return { jobId: job.id, outcome: 'waits', reason: prepared.reason }
      case 'refused':
        return { jobId: job.id, outcome: 'refused', ...withoutKind(prepared) }
      case 'call':
        if (job.stage !== 'included') return { call: prepared.call }
        return { jobId: job.id, outcome: 'waits', reason: 'The state does not show it.' }
    }
  } catch (cause) {
    const isOurs = cause instanceof BaseError
    const reason = isOurs ? cause.shortMessage : 'The state of a message could not be read.'
    return { jobId: job.id, outcome: 'unknown', reason }
  }
}

const withoutKind = ({ reason, remedy }: { reason: string; remedy: string }) => ({ reason, remedy })

async function prepare(
  context: CheckContext,
  job: Job,
  at: ChainTime,
): Promise<{ readonly call: Call } | CheckResult> {
  const byMessage = await prepareMessage(context, job, at)
  if (byMessage !== undefined) return byMessage
  const { task } = job
  if (task.kind !== 'register' && task.kind !== 'upload') {
    if (job.call !== undefined) return { call: job.call }
    return {
      jobId: job.id,
      outcome: 'hopeless',
      reason: 'The job has no call.',
      remedy: 'Report this: a job of this kind is queued with its call.',
    }
  }
  try {
    const missing = await context.missingUpload?.(context.rpc, task.signer, task.stream)
    if (task.kind === 'upload') {
      // Items are taken in a fixed order: another one being next means that this one is there.
      if (missing?.task.digest !== task.digest) {
        return { jobId: job.id, outcome: 'done', atBlock: at.number }
      }
      if (job.stage !== 'included') return { call: missing.call }
      return { jobId: job.id, outcome: 'waits', reason: 'The state does not show it.' }
    }
    if (missing !== undefined) {
      const upload = context.storedJob(missing.task)
      return {
        jobId: job.id,
        outcome: 'collateralMissing',
        ...missing,
        ...(upload === undefined ? {} : { upload }),
      }
    }
    return { call: await context.prepareRegistration(task.signer, task.stream) }
  } catch (cause) {
    const isError = cause instanceof Error
    const isPassing = isError && 'retryable' in cause && cause.retryable === true
    const reason = isError ? (cause.message.split('\n')[0] ?? cause.name) : 'unknown'
    if (isPassing) return { jobId: job.id, outcome: 'unknown', reason }
    const remedy =
      isError && 'remedy' in cause && typeof cause.remedy === 'string'
        ? cause.remedy
        : 'Look at the attestation that the worker serves for this chain.'
    return { jobId: job.id, outcome: 'refused', reason, remedy }
  }
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
  if (answer === undefined || !isRevert(answer)) return unreadable(job, 'The simulation', answer)
  const named = describeRevert(revertData(answer), errors)
  return {
    jobId: job.id,
    outcome: 'refused',
    reason: `The contract refuses: ${named ?? answer.message}.`,
    remedy: 'Read the contract’s error; correct the agreement or the plan, then retry.',
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
