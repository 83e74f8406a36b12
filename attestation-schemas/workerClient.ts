import canonicalize from 'canonicalize'
import { z } from 'zod'
import { type Hex, concatBytes } from './bytes.ts'
import { calibrationMediaType } from './calibration/calibrationCertificate.ts'
import { BaseError } from './errors.ts'
import { packSequenceMediaType } from './pack/packProfile.ts'
import { splitPackSequence } from './pack/packSequence.ts'
import {
  type CalibrationAnswer,
  type Countersignature,
  type DeviceList,
  type DeviceStatus,
  type EquivocationList,
  type Health,
  type PackAnswers,
  type PackTreeAnswer,
  type Proofs,
  type Refusal,
  type ReportList,
  type RetirementAnswer,
  type Roster,
  type RosterPlace,
  type TransferAnswer,
  calibrationAnswerSchema,
  countersignatureSchema,
  deviceListSchema,
  deviceStatusSchema,
  equivocationListSchema,
  healthSchema,
  packAnswersSchema,
  packTreeAnswerSchema,
  policyListSchema,
  problemSchema,
  proofsSchema,
  reportListSchema,
  retirementAnswerSchema,
  rosterPlaceSchema,
  rosterSchema,
  transferAnswerSchema,
} from './workerAnswers.ts'
import {
  type Attestation,
  type BatchPage,
  type ReportPage,
  type SignedBatch,
  attestationSchema,
  batchPageSchema,
  readMessage,
  reportPageSchema,
  signedBatchSchema,
} from './workerApi.ts'

/** Raised when the worker refuses a request; decide by `refusal.name` and `retryable`. */
export class WorkerRefusedError extends BaseError {
  override readonly name = 'WorkerRefusedError'
  override readonly retryable: boolean
  readonly status: number
  readonly refusal: Refusal
  /** What `Retry-After` asked for. */
  readonly retryAfterSeconds: number | undefined

  constructor(status: number, refusal: Refusal, retryAfterSeconds: number | undefined) {
    super(`The worker refuses: ${refusal.message}`, {
      field: refusal.field,
      remedy: refusal.remedy,
      metaMessages: [`Status: ${status}`, `Error: ${refusal.name}`],
    })
    this.status = status
    this.refusal = refusal
    this.retryable = refusal.retryable
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** Raised when no answer came, or one that is not the worker's. */
export class WorkerUnreachableError extends BaseError {
  override readonly name = 'WorkerUnreachableError'
  override readonly retryable = true
}

/** The part of `fetch` that the client needs; Node's, a browser's or a Worker's all fit. */
export type WorkerFetch = (
  url: string,
  init: {
    readonly method: 'GET' | 'POST'
    readonly headers: Record<string, string>
    readonly body?: Uint8Array<ArrayBuffer>
    readonly signal?: AbortSignal
  },
) => Promise<{
  readonly status: number
  readonly headers: { get(name: string): string | null }
  readonly body: AsyncIterable<Uint8Array> | null
  text(): Promise<string>
}>

export type WorkerClientOptions = {
  /** Without a path: `https://worker.example`. */
  readonly url: string
  readonly fetch: WorkerFetch
  /** A fresh signal for each call, for example `() => AbortSignal.timeout(10_000)`. */
  readonly signal?: () => AbortSignal
}

/** What a call sends. */
type Posted = {
  readonly body: Uint8Array<ArrayBuffer>
  /** Default: a sequence of packs. */
  readonly contentType?: string
  readonly capability?: string
}

function jsonBody(value: object): Posted {
  return {
    body: Uint8Array.from(new TextEncoder().encode(JSON.stringify(value))),
    contentType: 'application/json',
  }
}

export type WorkerClient = ReturnType<typeof createWorkerClient>

/**
 * A worker's public calls, typed by the formats they answer in. Every answer is read strictly; none
 * is believed: signatures and proofs are for the verifier.
 *
 * @throws {@link WorkerRefusedError} | {@link WorkerUnreachableError} | {@link InvalidMessageError}
 */
export function createWorkerClient({ url, fetch, signal }: WorkerClientOptions) {
  const base = url.replace(/\/+$/, '')

  async function call(
    path: string,
    posted?: Posted,
    accept = 'application/json',
  ): Promise<Awaited<ReturnType<WorkerFetch>>> {
    const limit = signal?.()
    try {
      return await fetch(`${base}${path}`, {
        method: posted === undefined ? 'GET' : 'POST',
        headers: {
          Accept: accept,
          ...(posted === undefined
            ? {}
            : { 'Content-Type': posted.contentType ?? packSequenceMediaType }),
          ...(posted?.capability === undefined
            ? {}
            : { Authorization: `Plumbline ${posted.capability}` }),
        },
        ...(posted === undefined ? {} : { body: posted.body }),
        ...(limit === undefined ? {} : { signal: limit }),
      })
    } catch (cause) {
      throw new WorkerUnreachableError('The worker does not answer.', {
        metaMessages: [`URL: ${base}`],
        remedy: 'Try again; whatever was sent may have been kept, sending it twice does no harm.',
        cause,
      })
    }
  }

  async function ask<Output>(
    schema: z.core.$ZodType<Output>,
    what: string,
    path: string,
    posted?: Posted,
  ): Promise<Output> {
    const response = await call(path, posted)
    let json: unknown
    try {
      json = JSON.parse(await response.text())
    } catch (cause) {
      throw new WorkerUnreachableError('What answered is not a worker.', {
        metaMessages: [`URL: ${base}`, `Status: ${response.status}`],
        cause,
      })
    }
    if (response.status < 400) return readMessage(schema, json, what)
    // A failed health check is an answer all the same.
    const problem = problemSchema.safeParse(json)
    if (!problem.success) return readMessage(schema, json, what)
    const wait = response.headers.get('retry-after')
    throw new WorkerRefusedError(
      response.status,
      problem.data.error,
      wait !== null && /^\d{1,6}$/.test(wait) ? Number(wait) : undefined,
    )
  }

  return {
    /** Hands packs in; one answer for each, in order. Sending a pack twice gives one receipt. */
    postPacks: (packs: readonly Uint8Array[]): Promise<PackAnswers> =>
      ask(packAnswersSchema, 'pack answers', '/v1/packs', {
        body: concatBytes(...packs) as Uint8Array<ArrayBuffer>,
      }),
    /** The same under one signature: for hundreds of packs at a time. */
    postPacksForTree: (packs: readonly Uint8Array[]): Promise<PackTreeAnswer> =>
      ask(packTreeAnswerSchema, 'pack answers', '/v1/packs?receipts=tree', {
        body: concatBytes(...packs) as Uint8Array<ArrayBuffer>,
      }),
    batches: (after: bigint, limit = 20): Promise<BatchPage> =>
      ask(batchPageSchema, 'batch page', `/v1/batches?after=${after}&limit=${limit}`),
    batch: (sequence: bigint): Promise<SignedBatch> =>
      ask(signedBatchSchema, 'batch', `/v1/batches/${sequence}`),
    /** Reports of one batch by pages: of one that is too large to be answered whole, the only way. */
    batchReports: (sequence: bigint, from = 0, limit = 1000): Promise<ReportPage> =>
      ask(
        reportPageSchema,
        'report page',
        `/v1/batches/${sequence}/reports?from=${from}&limit=${limit}`,
      ),
    countersignature: (sequence: bigint): Promise<Countersignature> =>
      ask(countersignatureSchema, 'countersignature', `/v1/batches/${sequence}/signature`),
    roster: (sequence: bigint): Promise<Roster> =>
      ask(rosterSchema, 'roster', `/v1/batches/${sequence}/roster`),
    rosterPlace: (sequence: bigint, device: Hex): Promise<RosterPlace> =>
      ask(rosterPlaceSchema, 'roster place', `/v1/batches/${sequence}/roster/${device}`),
    /**
     * @param of.nonce - 32 bytes: asks for a fresh quote whose report data covers it.
     */
    attestation: (of: {
      readonly chainId: bigint
      readonly signer?: Hex
      readonly nonce?: Hex
    }): Promise<Attestation> =>
      ask(
        attestationSchema,
        'attestation',
        `/v1/attestation?chain=${of.chainId}` +
          (of.signer === undefined ? '' : `&signer=${of.signer}`) +
          (of.nonce === undefined ? '' : `&nonce=${of.nonce}`),
      ),
    proofs: (subject: Hex, limit = 20): Promise<Proofs> =>
      ask(proofsSchema, 'proofs', `/v1/proofs/${subject}?limit=${limit}`),
    reports: (
      after: bigint,
      of: { subject?: Hex; policyId?: Hex; from?: number } = {},
    ): Promise<ReportList> =>
      ask(
        reportListSchema,
        'report list',
        `/v1/reports?after=${after}` +
          (of.from === undefined ? '' : `&from=${of.from}`) +
          (of.subject === undefined ? '' : `&subject=${of.subject}`) +
          (of.policyId === undefined ? '' : `&policy=${of.policyId}`),
      ),
    /**
     * The newest report on a subject with everything that proves it, as the text of one file. What it
     * says is for `verifyBundle` to judge.
     */
    async bundleText(
      subject: Hex,
      of: { policyId?: Hex; sequence?: bigint; withPacks?: boolean } = {},
    ): Promise<string> {
      const value = await ask(
        z.record(z.string(), z.unknown()),
        'bundle',
        `/v1/bundles/${subject}?packs=${of.withPacks === true ? 1 : 0}` +
          (of.policyId === undefined ? '' : `&policy=${of.policyId}`) +
          (of.sequence === undefined ? '' : `&batch=${of.sequence}`),
      )
      return canonicalize(value) ?? ''
    },
    policies: (): Promise<z.output<typeof policyListSchema>> =>
      ask(policyListSchema, 'policies', '/v1/policies'),
    devices: (after?: Hex): Promise<DeviceList> =>
      ask(
        deviceListSchema,
        'devices',
        `/v1/devices${after === undefined ? '' : `?after=${after}`}`,
      ),
    device: (device: Hex): Promise<DeviceStatus> =>
      ask(deviceStatusSchema, 'device', `/v1/devices/${device}`),
    /**
     * Moves a device to another subject. Sending it twice makes one move.
     *
     * @param move.capability - For the scope `transfer` and the route between the two subjects, as
     *   `writeCapability` makes it.
     * @param move.fromMs - Absent: from now on.
     */
    transferDevice: (
      device: Hex,
      move: { readonly subject: string; readonly fromMs?: number; readonly capability: string },
    ): Promise<TransferAnswer> =>
      ask(transferAnswerSchema, 'transfer answer', `/v1/admin/devices/${device}/transfer`, {
        ...jsonBody({
          subject: move.subject,
          ...(move.fromMs === undefined ? {} : { fromMs: move.fromMs }),
        }),
        capability: move.capability,
      }),
    /** Takes a device out of service for good. */
    retireDevice: (device: Hex, capability: string): Promise<RetirementAnswer> =>
      ask(retirementAnswerSchema, 'retirement answer', `/v1/admin/devices/${device}/retire`, {
        ...jsonBody({}),
        capability,
      }),
    /** Hands a laboratory's certificate in. Sending one twice gives one answer. */
    postCalibration: (certificate: Uint8Array): Promise<CalibrationAnswer> =>
      ask(calibrationAnswerSchema, 'calibration answer', '/v1/calibrations', {
        body: Uint8Array.from(certificate),
        contentType: calibrationMediaType,
      }),
    equivocations: (after = 0): Promise<EquivocationList> =>
      ask(equivocationListSchema, 'equivocations', `/v1/equivocations?after=${after}`),
    health: (): Promise<Health> => ask(healthSchema, 'health', '/healthz'),

    /** A device's packs behind a sequence number, where the worker publishes readings. */
    async packs(device: Hex, after = 0n, limit = 500): Promise<readonly Uint8Array[]> {
      const path = `/v1/devices/${device}/packs?after=${after}&limit=${limit}`
      const response = await call(path, undefined, packSequenceMediaType)
      if (response.status >= 400 || response.body === null) {
        const problem = problemSchema.safeParse(JSON.parse(await response.text()))
        if (problem.success) {
          throw new WorkerRefusedError(response.status, problem.data.error, undefined)
        }
        throw new WorkerUnreachableError('What answered is not a worker.', {
          metaMessages: [`Status: ${response.status}`],
        })
      }
      const chunks: Uint8Array[] = []
      for await (const chunk of response.body) chunks.push(chunk)
      return splitPackSequence(concatBytes(...chunks))
    },

    /**
     * Batches as they are signed, from the one after `after`, without gaps, until the connection
     * ends. Whoever follows asks again with the last sequence seen.
     */
    async *followBatches(after: bigint): AsyncGenerator<SignedBatch> {
      const response = await call(
        `/v1/batches/stream?after=${after}`,
        undefined,
        'text/event-stream',
      )
      if (response.status !== 200 || response.body === null) {
        throw new WorkerUnreachableError('The worker does not stream its batches.', {
          metaMessages: [`Status: ${response.status}`],
        })
      }
      const decoder = new TextDecoder()
      let rest = ''
      for await (const chunk of response.body) {
        const events = (rest + decoder.decode(chunk, { stream: true })).split('\n\n')
        rest = events.pop() ?? ''
        for (const event of events) {
          const line = event.split('\n').find((text) => text.startsWith('data: '))
          if (line === undefined) continue
          let json: unknown
          try {
            json = JSON.parse(line.slice('data: '.length))
          } catch (cause) {
            throw new WorkerUnreachableError('The stream is torn.', { cause })
          }
          yield readMessage(signedBatchSchema, json, 'batch')
        }
      }
    },
  }
}
