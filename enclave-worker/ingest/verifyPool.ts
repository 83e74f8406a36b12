import { createHash } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import type { Hex } from '#schemas/bytes.ts'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { BaseError } from '#schemas/errors.ts'
import type { SpanWork } from '../batches/spans.ts'
import { type CheckedBody, type DeviceDoor, createPackChecker } from './checkPacks.ts'
import { type DeviceTable, createDeviceTable } from './deviceTable.ts'
import { type Refusal, refusalOf } from './refusals.ts'
import { type ReceiptMode, type SignedReceipts, createReceiptSigner } from './signReceipts.ts'
import type { ThreadData } from './verifyThread.ts'

/** Checks bodies and signs receipts, on as many threads as it was made with. */
export type VerifyPool = {
  /** The body is handed over: its buffer cannot be used afterwards. */
  check(body: Uint8Array, maxPacks: number): Promise<CheckedBody>
  /** Signs rows of receipts, in their order. */
  sign(rows: Uint8Array, mode: ReceiptMode): Promise<SignedReceipts>
  enrol(devices: readonly DeviceDoor[]): void
  /**
   * Has threads that are idle take spans of a batch's trees. Resolves when they have done what they
   * took, or have ended.
   */
  share(work: SpanWork): Promise<unknown>
  close(): Promise<void>
}

export type ThreadRequest =
  | { readonly kind: 'enrol'; readonly devices: DeviceTable }
  | {
      readonly kind: 'check'
      readonly id: number
      readonly body: Uint8Array
      readonly maxPacks: number
    }
  | {
      readonly kind: 'sign'
      readonly id: number
      readonly rows: Uint8Array
      readonly mode: ReceiptMode
    }
  | { readonly kind: 'spans'; readonly id: number; readonly work: SpanWork }

export type ThreadAnswer =
  | { readonly kind: 'checked'; readonly id: number; readonly body: CheckedBody }
  | { readonly kind: 'signed'; readonly id: number; readonly signed: SignedReceipts }
  | { readonly kind: 'shared'; readonly id: number }
  | { readonly kind: 'refused'; readonly id: number; readonly refusal: Refusal }

/** Raised for a body that is no sequence of packs; carries the refusal of the format. */
export class BodyRefusedError extends BaseError {
  override readonly name = 'BodyRefusedError'
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.message, { field: refusal.field, remedy: refusal.remedy })
    this.refusal = refusal
  }
}

/** Raised for work that was with a thread when it ended; sending it again is safe. */
export class CheckingThreadLostError extends BaseError {
  override readonly name = 'CheckingThreadLostError'
  override readonly retryable = true
}

/**
 * Key objects that all threads together keep; about 3 KB each. Making one takes 45 µs and checking a
 * signature 58: a fleet of a hundred thousand, each of which speaks once a minute, is not worth 300 MB.
 */
const keyCapacity = 24_000
/** A thread holds little from body to body. */
const youngMegabytes = 8

export type PoolOptions = {
  readonly stream: Hex
  /** None: everything runs inline, for small machines and tests of what surrounds it. */
  readonly threadCount: number
  readonly devices: readonly DeviceDoor[]
  readonly receiptKey: Uint8Array
}

type Waiter = {
  readonly checked?: PromiseWithResolvers<CheckedBody>
  readonly signed?: PromiseWithResolvers<SignedReceipts>
  readonly shared?: PromiseWithResolvers<void>
}

type Thread = {
  worker: Worker
  readonly waiting: Map<number, Waiter>
}

export async function createVerifyPool(options: PoolOptions): Promise<VerifyPool> {
  return options.threadCount === 0 ? inlinePool(options) : threadPool(options)
}

function settle(waiter: Waiter | undefined, answer: ThreadAnswer): void {
  if (answer.kind === 'checked') waiter?.checked?.resolve(answer.body)
  else if (answer.kind === 'signed') waiter?.signed?.resolve(answer.signed)
  else if (answer.kind === 'shared') waiter?.shared?.resolve()
  else {
    const error = new BodyRefusedError(answer.refusal)
    waiter?.checked?.reject(error)
    waiter?.signed?.reject(error)
    waiter?.shared?.resolve()
  }
}

function threadPool({ stream, threadCount, devices, receiptKey }: PoolOptions): VerifyPool {
  const doors = createDeviceTable(devices.length)
  doors.add(devices)
  let closing = false
  let nextId = 0

  function startThread(thread: Thread | { waiting: Thread['waiting'] }): Worker {
    const worker = new Worker(new URL('./verifyThread.ts', import.meta.url), {
      workerData: {
        stream,
        devices: doors.table(),
        receiptKey,
        keyCapacity: Math.ceil(keyCapacity / threadCount),
      } satisfies ThreadData,
      resourceLimits: { maxYoungGenerationSizeMb: youngMegabytes },
    })
    worker.on('message', (answer: ThreadAnswer) => {
      const waiter = thread.waiting.get(answer.id)
      thread.waiting.delete(answer.id)
      settle(waiter, answer)
    })
    worker.on('error', () => undefined) // the exit that follows is what is acted on
    worker.on('exit', () => {
      const lost = new CheckingThreadLostError('The thread that had the packs has ended.', {
        remedy: 'Send them again: nothing of them was kept.',
      })
      for (const waiter of thread.waiting.values()) {
        waiter.checked?.reject(lost)
        waiter.signed?.reject(lost)
        waiter.shared?.resolve()
      }
      thread.waiting.clear()
      if (!closing && 'worker' in thread) thread.worker = startThread(thread)
    })
    return worker
  }

  const threads = Array.from({ length: threadCount }, (): Thread => {
    const waiting: Thread['waiting'] = new Map()
    const thread = Object.assign({ waiting }, { worker: undefined as unknown as Worker })
    thread.worker = startThread(thread)
    return thread
  })

  /** The thread with the least to do. */
  function take(waiter: Waiter): { worker: Worker; id: number } {
    let least = threads[0]
    for (const thread of threads) {
      if (least === undefined || thread.waiting.size < least.waiting.size) least = thread
    }
    if (least === undefined || closing) {
      throw new CheckingThreadLostError('The worker is stopping.')
    }
    nextId += 1
    least.waiting.set(nextId, waiter)
    return { worker: least.worker, id: nextId }
  }

  return {
    async check(body, maxPacks) {
      const checked = Promise.withResolvers<CheckedBody>()
      const { worker, id } = take({ checked })
      const isWhole = body.byteOffset === 0 && body.byteLength === body.buffer.byteLength
      worker.postMessage(
        { kind: 'check', id, body, maxPacks } satisfies ThreadRequest,
        isWhole ? [body.buffer as ArrayBuffer] : [],
      )
      return checked.promise
    },
    async sign(rows, mode) {
      const signed = Promise.withResolvers<SignedReceipts>()
      const { worker, id } = take({ signed })
      worker.postMessage({ kind: 'sign', id, rows, mode } satisfies ThreadRequest, [])
      return signed.promise
    },
    async share(work) {
      if (closing) return
      const idle = threads.filter(({ waiting }) => waiting.size === 0)
      await Promise.all(
        idle.map(({ worker, waiting }) => {
          const shared = Promise.withResolvers<void>()
          nextId += 1
          waiting.set(nextId, { shared })
          worker.postMessage({ kind: 'spans', id: nextId, work } satisfies ThreadRequest, [])
          return shared.promise
        }),
      )
    },
    enrol(more) {
      // Otherwise they are there for every thread already.
      if (!doors.add(more)) return
      for (const { worker } of threads) {
        worker.postMessage({ kind: 'enrol', devices: doors.table() } satisfies ThreadRequest, [])
      }
    },
    async close() {
      closing = true
      await Promise.all(threads.map(({ worker }) => worker.terminate()))
    },
  }
}

async function inlinePool({ stream, devices, receiptKey }: PoolOptions): Promise<VerifyPool> {
  const doors = new Map<Hex, DeviceDoor>()
  const enrol = (more: readonly DeviceDoor[]): void => {
    for (const door of more) doors.set(door.key.id, door)
  }
  enrol(devices)
  const checker = createPackChecker(
    stream,
    createNodeSignatures({ capacity: keyCapacity }),
    (bytes) => createHash('sha256').update(bytes).digest(),
    (device) => doors.get(device),
  )
  const signReceipts = await createReceiptSigner(stream, receiptKey)
  return {
    check(body, maxPacks) {
      try {
        return Promise.resolve(checker.check(body, maxPacks))
      } catch (error) {
        return Promise.reject(new BodyRefusedError(refusalOf(error)))
      }
    },
    sign: (rows, mode) => Promise.resolve(signReceipts(rows, mode)),
    share: () => Promise.resolve(),
    enrol,
    close: () => Promise.resolve(),
  }
}
