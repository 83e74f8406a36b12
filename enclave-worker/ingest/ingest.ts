import type { Hex } from '#schemas/bytes.ts'
import type { Receipt } from '#schemas/receipt.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { decodeRecord, encodeJsonRecord, stampPackRecord } from '../ledger/records.ts'
import type { Clock, Log } from '../ports.ts'
import {
  type DeviceState,
  type PackEntry,
  type WorkerState,
  applyPack,
} from '../state/workerState.ts'
import { type Span, type Tracer, noTracing } from '../tracing.ts'
import { type CheckedPack, admit } from './admit.ts'
import type { CheckedBody } from './checkPacks.ts'
import {
  BodyTooLargeError,
  DeviceOutOfServiceError,
  EquivocationError,
  PackAheadError,
  PackForgottenError,
  PackFromFutureError,
  RateLimitedError,
  type Refusal,
  UnknownDeviceError,
  refusalOf,
} from './refusals.ts'
import { receiptRowBytes, writeReceiptRow } from './receiptHasher.ts'
import type { ReceiptMode } from './signReceipts.ts'
import type { VerifyPool } from './verifyPool.ts'

/** One pack's answer, in the order of the body. */
export type PackAnswer =
  | { readonly receipt: Receipt; readonly signature: Hex }
  | { readonly receipt: Receipt; readonly index: number; readonly path: readonly Hex[] }
  | { readonly refusal: Refusal }

/** What a whole body is answered; with `tree`, one signature stands for all receipts. */
export type BodyAnswer = {
  readonly answers: readonly PackAnswer[]
  readonly tree?: { readonly root: Hex; readonly count: number; readonly signature: Hex }
}

export type IngestLimits = {
  readonly maxBodyBytes: number
  readonly maxPacksPerBody: number
  readonly maxBytesInFlight: number
  readonly maxFutureSkewMs: number
  readonly maxPacksPerSecondPerDevice: number
}

export type IngestCounters = {
  accepted: number
  duplicates: number
  refused: Map<string, number>
  equivocations: number
  bytesInFlight: number
}

export type Ingest = {
  /**
   * Sets memory aside for a body before it is read, and answers how to give it back.
   *
   * @throws RateLimitedError | BodyTooLargeError | what keeps the door shut
   */
  reserve(bytes: number): () => void
  /**
   * Checks, orders and keeps the packs of one body.
   *
   * @returns Answers in order; every receipt in it is for a pack that is on the disk.
   * @throws BodyRefusedError | CheckingThreadLostError | LedgerFailedError
   */
  submit(body: Uint8Array, mode?: ReceiptMode): Promise<BodyAnswer>
  /** Resolves once every body that has arrived until now is in order. */
  drain(): Promise<void>
  readonly counters: IngestCounters
  readonly limits: IngestLimits
}

/** Evidence kept for each device; a device that forks more often has been proved to fork. */
const equivocationsPerDevice = 16

/** A minute's worth at once: a device that was cut off hands its backlog in without waiting. */
const allowanceSeconds = 60

function takeAllowance(device: DeviceState, nowMs: number, perSecond: number): boolean {
  const most = Math.max(1, perSecond * allowanceSeconds)
  const known = device.allowance ?? { tokens: most, atMs: nowMs }
  // A clock that was set back fills no bucket.
  const earned = (Math.max(0, nowMs - known.atMs) / 1000) * perSecond
  const tokens = Math.min(most, known.tokens + earned)
  device.allowance = { tokens: tokens < 1 ? tokens : tokens - 1, atMs: nowMs }
  return tokens >= 1
}

export function createIngest(parts: {
  readonly stream: Hex
  readonly limits: IngestLimits
  readonly state: WorkerState
  readonly ledger: Ledger
  readonly pool: VerifyPool
  readonly clock: Clock
  /** Throws when packs cannot be taken now, for example since the disk is full. */
  readonly assertOpen: () => void
  readonly log: Log
  readonly tracer?: Tracer | undefined
}): Ingest {
  const { state, ledger, limits, clock, log, tracer = noTracing } = parts
  const counters: IngestCounters = {
    accepted: 0,
    duplicates: 0,
    refused: new Map(),
    equivocations: 0,
    bytesInFlight: 0,
  }
  /** The last body in order of arrival; each waits for the one before it. */
  let tail: Promise<unknown> = Promise.resolve()

  type Outcome =
    | { readonly kind: 'taken'; readonly entry: PackEntry; readonly device: Hex }
    | { readonly kind: 'refused'; readonly refusal: Refusal }
  type Fork = {
    readonly device: DeviceState
    readonly pack: CheckedPack
    readonly bytes: Uint8Array
    readonly standing: PackEntry | undefined
  }

  function refuse(error: Error): Outcome {
    const refusal = refusalOf(error)
    counters.refused.set(refusal.name, (counters.refused.get(refusal.name) ?? 0) + 1)
    return { kind: 'refused', refusal }
  }

  function order(pack: CheckedPack, record: Uint8Array, nowMs: number, forks: Fork[]): Outcome {
    const device = state.devices.get(pack.device)
    if (device?.enrolled === undefined) {
      return refuse(
        new UnknownDeviceError('No device with this key is enrolled.', { field: 'kid' }),
      )
    }
    const admission = admit(device, pack)
    if (admission.kind === 'duplicate') {
      counters.duplicates += 1
      return { kind: 'taken', entry: admission.entry, device: device.id }
    }
    const { frozen, retired } = state.enrolments
    if (frozen.has(device.id) || retired.has(device.id)) {
      const why = frozen.has(device.id) ? 'frozen: its hardware was claimed twice' : 'retired'
      return refuse(
        new DeviceOutOfServiceError(`The device is ${why}.`, {
          field: 'kid',
          remedy: 'Ask the operator; a new device needs a new key.',
        }),
      )
    }
    switch (admission.kind) {
      case 'ahead':
        return refuse(
          new PackAheadError('The pack is ahead of its device’s chain.', {
            field: 'sequence',
            metaMessages: [`Expected: ${admission.expected}`, `Actual: ${pack.sequence}`],
            remedy: `Send pack ${admission.expected} first.`,
          }),
        )
      case 'forgotten':
        return refuse(
          new PackForgottenError('The pack is older than what is still kept.', {
            field: 'sequence',
            metaMessages: [`Oldest kept: ${admission.oldest}`, `Actual: ${pack.sequence}`],
            remedy: `Go on with pack ${device.headSequence + 1n}.`,
          }),
        )
      case 'fork':
        forks.push({ device, pack, bytes: record, standing: admission.entry })
        return refuse(
          new EquivocationError('The pack contradicts one that this device signed before.', {
            field: pack.sequence > device.headSequence ? 'previous' : 'sequence',
            metaMessages: [`Sequence: ${pack.sequence}`],
            remedy: 'The key has signed two histories. Retire it and enrol the device anew.',
          }),
        )
      case 'next':
    }
    if (pack.lastTimeMs > nowMs + limits.maxFutureSkewMs) {
      return refuse(
        new PackFromFutureError('The pack is stamped ahead of the worker’s clock.', {
          field: 'time',
          metaMessages: [
            `Last reading: ${pack.lastTimeMs}`,
            `Clock: ${nowMs}`,
            `Allowed ahead: ${limits.maxFutureSkewMs} ms`,
          ],
          remedy:
            'Set the device’s clock; the pack itself can be sent again once its time has come.',
        }),
      )
    }
    if (!takeAllowance(device, nowMs, limits.maxPacksPerSecondPerDevice)) {
      return refuse(
        new RateLimitedError(
          'The device sends faster than is taken.',
          'kid',
          Math.ceil(1 / limits.maxPacksPerSecondPerDevice),
        ),
      )
    }
    const batchSequence = state.openSequence
    stampPackRecord(record, nowMs, batchSequence)
    const position = ledger.append(record)
    applyPack(state, { ...pack, receivedMs: nowMs, batchSequence }, position)
    counters.accepted += 1
    const entry = device.packs.at(-1)
    return entry === undefined
      ? refuse(new Error('unreachable'))
      : { kind: 'taken', entry, device: device.id }
  }

  /** Puts a body's packs in order. Synchronous: no other body comes between two packs of one. */
  function orderAll(checked: CheckedBody, forks: Fork[]): Outcome[] {
    const nowMs = clock.nowMs()
    return checked.items.map((item) => {
      if (item.kind === 'refused') {
        counters.refused.set(item.refusal.name, (counters.refused.get(item.refusal.name) ?? 0) + 1)
        return item
      }
      return order(item, checked.records.subarray(item.start, item.end), nowMs, forks)
    })
  }

  async function recordForks(forks: readonly Fork[]): Promise<void> {
    for (const { device, pack, bytes, standing } of forks) {
      const key = `${pack.sequence}/${pack.hash}`
      counters.equivocations += 1
      const known = (device.equivocations ??= new Set())
      if (known.has(key) || known.size >= equivocationsPerDevice) continue
      known.add(key)
      const other = decodeRecord(bytes)
      const first =
        standing === undefined ? undefined : decodeRecord(await ledger.read(standing.position))
      const base64 = (record: typeof other | undefined): string | null =>
        record?.kind === 'pack' ? Buffer.from(record.bytes).toString('base64') : null
      const position = ledger.append(
        encodeJsonRecord('equivocation', {
          device: device.id,
          sequence: pack.sequence,
          hash: pack.hash,
          foundMs: clock.nowMs(),
          standing: base64(first),
          contradicting: base64(other),
        }),
      )
      state.equivocations.push(position)
      log('warn', 'equivocation', { device: device.id, sequence: pack.sequence })
    }
  }

  function answerRefused(outcome: Outcome): PackAnswer {
    return { refusal: outcome.kind === 'refused' ? outcome.refusal : refusalOf(undefined) }
  }

  async function submit(span: Span, body: Uint8Array, mode: ReceiptMode): Promise<BodyAnswer> {
    span.tell({ bytes: body.length })
    const checking = span.during('verify', () => parts.pool.check(body, limits.maxPacksPerBody))
    const forks: Fork[] = []
    const before = tail
    const ordering = (async () => {
      const checked = await checking.then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      )
      await before
      if ('error' in checked) throw checked.error
      return orderAll(checked.value, forks)
    })()
    tail = ordering.catch(() => undefined)
    const outcomes = await ordering
    if (forks.length > 0) await recordForks(forks)
    // Duplicates wait too: the pack they repeat may be on its way to the disk still.
    await span.during('durable', () => ledger.commit())
    const receipts: Receipt[] = []
    for (const outcome of outcomes) {
      if (outcome.kind !== 'taken') continue
      receipts.push({
        device: outcome.device,
        packSequence: outcome.entry.sequence,
        packHash: outcome.entry.hash,
        stream: parts.stream,
        nextBatchSequence: outcome.entry.batchSequence,
      })
    }
    span.tell({ packs: outcomes.length, taken: receipts.length })
    if (receipts.length === 0) {
      return { answers: outcomes.map((outcome) => answerRefused(outcome)) }
    }
    const rows = new Uint8Array(receipts.length * receiptRowBytes)
    for (const [index, receipt] of receipts.entries()) writeReceiptRow(rows, index, receipt)
    const signed = await span.during('sign receipts', () => parts.pool.sign(rows, mode))
    let at = -1
    const answers = outcomes.map((outcome): PackAnswer => {
      if (outcome.kind === 'refused') return { refusal: outcome.refusal }
      at += 1
      const receipt = receipts[at]
      if (receipt === undefined) return answerRefused(outcome)
      if (signed.mode === 'tree') return { receipt, index: at, path: signed.paths[at] ?? [] }
      return { receipt, signature: signed.signatures[at] ?? '0x' }
    })
    if (signed.mode === 'each') return { answers }
    const { root, count, signature } = signed
    return { answers, tree: { root, count, signature } }
  }

  return {
    counters,
    limits,
    drain: async () => {
      await tail
    },
    reserve(bytes) {
      if (bytes > limits.maxBodyBytes) {
        throw new BodyTooLargeError('The body is larger than one request may be.', {
          field: 'body',
          metaMessages: [`Allowed: ${limits.maxBodyBytes}`, `Actual: ${bytes}`],
          remedy: 'Send several requests.',
        })
      }
      if (counters.bytesInFlight + bytes > limits.maxBytesInFlight) {
        throw new RateLimitedError('The worker has more packs in hand than it takes.', 'body', 1)
      }
      parts.assertOpen()
      counters.bytesInFlight += bytes
      let isHeld = true
      return () => {
        if (isHeld) counters.bytesInFlight -= bytes
        isHeld = false
      }
    },
    submit: (body, mode = 'each') => tracer.during('ingest', (span) => submit(span, body, mode)),
  }
}
