import { BaseError } from '#schemas/errors.ts'
import type { CheckResult } from '../lane/events.ts'
import { type Call, type Job, type SendTask, jobId } from '../lane/job.ts'
import type { ChainTime, CheckContext } from './checkContext.ts'

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

/** The call of a job that is to be carried out, or why there is none. */
export async function prepare(
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
      const upload = context.storedJob(jobId(missing.task))
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
