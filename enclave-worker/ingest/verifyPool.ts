import { createHash } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import type { Hex } from '#schemas/bytes.ts'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { BaseError } from '#schemas/errors.ts'
import { type CheckedBody, type DeviceDoor, createPackChecker } from './checkPacks.ts'
import { type Refusal, refusalOf } from './refusals.ts'

/** Checks bodies, on as many threads as it was made with. */
export type VerifyPool = {
  /** The body is handed over: its buffer cannot be used afterwards. */
  check(body: Uint8Array, maxPacks: number): Promise<CheckedBody>
  enrol(devices: readonly DeviceDoor[]): void
  close(): Promise<void>
}

export type ThreadRequest =
  | { readonly kind: 'enrol'; readonly devices: readonly DeviceDoor[] }
  | {
      readonly kind: 'check'
      readonly id: number
      readonly body: Uint8Array
      readonly maxPacks: number
    }

export type ThreadAnswer =
  | { readonly kind: 'checked'; readonly id: number; readonly body: CheckedBody }
  | {
      readonly kind: 'refused'
      readonly id: number
      readonly refusal: Refusal
      readonly isDeliberate: boolean
    }

/** Raised for a body that is no sequence of packs; carries the refusal of the format. */
export class BodyRefusedError extends BaseError {
  override readonly name = 'BodyRefusedError'
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.message, { field: refusal.field, remedy: refusal.remedy })
    this.refusal = refusal
  }
}

/** Raised for bodies that were with a thread when it ended; sending them again is safe. */
export class CheckingThreadLostError extends BaseError {
  override readonly name = 'CheckingThreadLostError'
  override readonly retryable = true
}

/** Key objects a thread keeps; about 3 KB each. */
const keyCapacity = 100_000

type Thread = {
  worker: Worker
  readonly waiting: Map<number, PromiseWithResolvers<CheckedBody>>
}

/** With no threads the checking runs inline: for small machines and tests of what surrounds it. */
export function createVerifyPool(
  stream: Hex,
  threadCount: number,
  devices: readonly DeviceDoor[],
): VerifyPool {
  if (threadCount === 0) return inlinePool(stream, devices)
  const doors = [...devices]
  let closing = false
  let nextId = 0

  function startThread(thread: Pick<Thread, 'waiting'>): Worker {
    const worker = new Worker(new URL('./verifyThread.ts', import.meta.url), {
      workerData: { stream, keyCapacity: Math.ceil(keyCapacity / threadCount) },
    })
    worker.postMessage({ kind: 'enrol', devices: doors } satisfies ThreadRequest, [])
    worker.on('message', (answer: ThreadAnswer) => {
      const waiter = thread.waiting.get(answer.id)
      thread.waiting.delete(answer.id)
      if (answer.kind === 'checked') waiter?.resolve(answer.body)
      else waiter?.reject(new BodyRefusedError(answer.refusal))
    })
    worker.on('error', () => undefined) // the exit that follows is what is acted on
    worker.on('exit', () => {
      for (const waiter of thread.waiting.values()) {
        waiter.reject(new CheckingThreadLostError('The thread that checked the body has ended.'))
      }
      thread.waiting.clear()
      if (!closing) (thread as Thread).worker = startThread(thread)
    })
    return worker
  }

  const threads = Array.from({ length: threadCount }, (): Thread => {
    const waiting: Thread['waiting'] = new Map()
    const thread = { waiting } as Thread
    thread.worker = startThread(thread)
    return thread
  })

  return {
    check(body, maxPacks) {
      let least = threads[0]
      for (const thread of threads) {
        if (least === undefined || thread.waiting.size < least.waiting.size) least = thread
      }
      if (least === undefined || closing) {
        return Promise.reject(new CheckingThreadLostError('The worker is stopping.'))
      }
      nextId += 1
      const waiter = Promise.withResolvers<CheckedBody>()
      least.waiting.set(nextId, waiter)
      const isWhole = body.byteOffset === 0 && body.byteLength === body.buffer.byteLength
      least.worker.postMessage(
        { kind: 'check', id: nextId, body, maxPacks } satisfies ThreadRequest,
        isWhole ? [body.buffer as ArrayBuffer] : [],
      )
      return waiter.promise
    },
    enrol(more) {
      doors.push(...more)
      for (const { worker } of threads) {
        worker.postMessage({ kind: 'enrol', devices: more } satisfies ThreadRequest, [])
      }
    },
    async close() {
      closing = true
      await Promise.all(threads.map(({ worker }) => worker.terminate()))
    },
  }
}

function inlinePool(stream: Hex, devices: readonly DeviceDoor[]): VerifyPool {
  const checker = createPackChecker(stream, createNodeSignatures(), (bytes) =>
    createHash('sha256').update(bytes).digest(),
  )
  checker.enrol(devices)
  return {
    check(body, maxPacks) {
      try {
        return Promise.resolve(checker.check(body, maxPacks))
      } catch (error) {
        return Promise.reject(new BodyRefusedError(refusalOf(error)))
      }
    },
    enrol: (more) => {
      checker.enrol(more)
    },
    close: () => Promise.resolve(),
  }
}
