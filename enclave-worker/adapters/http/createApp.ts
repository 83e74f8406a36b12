import { type Context, Hono } from 'hono'
import { type Hex, concatBytes, fromHex } from '#schemas/bytes.ts'
import type { CapabilityScope } from '#schemas/capability.ts'
import { subjectId } from '#schemas/report.ts'
import {
  calibrationMediaType,
  maxCalibrationBytes,
} from '#schemas/calibration/calibrationCertificate.ts'
import type { Calibrations } from '../../enrolment/calibrations.ts'
import { type Enrolments, transferRequestSchema } from '../../enrolment/enrol.ts'
import { packSequenceMediaType } from '#schemas/pack/packProfile.ts'
import { maxReportsPerPage, readMessage, writeMessage } from '#schemas/workerApi.ts'
import type { Attestations } from '../../attest/attestations.ts'
import type { BatchReader } from '../../batches/batchReader.ts'
import type { Bundles } from '../../batches/bundles.ts'
import type { PublicAnswers } from '../../batches/publicAnswers.ts'
import type { Ingest } from '../../ingest/ingest.ts'
import { BodyTooLargeError } from '../../ingest/refusals.ts'
import type { ReceiptMode } from '../../ingest/signReceipts.ts'
import type { Log } from '../../ports.ts'
import { type BatchBell, streamBatches } from './batchStream.ts'
import { openApiDocument } from './openApi.ts'
import { type PlatformDoors, addPlatformDoors } from './platformDoors.ts'
import { packBodyTypeOf, packSequenceOf } from './packForms.ts'
import {
  InvalidRequestError,
  NotFoundError,
  ReadingsPrivateError,
  UnsupportedMediaError,
  problemOf,
} from './problem.ts'

export type Health = {
  readonly status: 'ok' | 'held' | 'failed'
  readonly reason?: string
  readonly stream: Hex
  readonly signer: Hex
  readonly head: bigint
  readonly devices: number
  readonly unbatchedPacks: number
}

export type AppParts = {
  readonly ingest: Ingest
  readonly enrolments: Enrolments
  readonly calibrations: Calibrations
  /** @throws UnauthorizedError | ForbiddenError */
  readonly authorise: (header: string | undefined, scope: CapabilityScope, subject?: Hex) => void
  readonly closeDue: () => Promise<bigint | undefined>
  readonly answers: PublicAnswers
  readonly bundles: Bundles
  /** Whether anybody may have packs; else no answer holds a reading. */
  readonly publishesReadings: boolean
  readonly bell: BatchBell
  readonly head: () => bigint
  readonly signer: Hex
  readonly sign: (digest: Hex) => Hex
  readonly metrics: () => string
  readonly batches: BatchReader
  readonly attestations: Attestations
  readonly anchorChainId: bigint
  readonly health: () => Health
  readonly log: Log
  /** What the doors of platforms need besides. */
  readonly platforms: Omit<PlatformDoors, 'ingest' | 'log'>
}

const maxPageBatches = 100
const maxListEntries = 1000
const defaultLimit = 20n

function json(context: Context, body: unknown, status = 200): Response {
  return context.newResponse(writeMessage(body), status as 200, {
    'Content-Type': 'application/json',
  })
}

/** A parameter that is an unsigned integer in decimal. */
function integerParameter(text: string | undefined, name: string, fallback: bigint): bigint {
  if (text === undefined) return fallback
  if (!/^(0|[1-9]\d{0,18})$/.test(text)) {
    throw new InvalidRequestError(`${name} is not an unsigned decimal integer.`, { field: name })
  }
  return BigInt(text)
}

function limitParameter(context: Context, most: number): number {
  const limit = integerParameter(context.req.query('limit'), 'limit', defaultLimit)
  if (limit < 1n || limit > BigInt(most)) {
    throw new InvalidRequestError(`limit must be from 1 to ${most}.`, { field: 'limit' })
  }
  return Number(limit)
}

function sequenceOf(context: Context): bigint {
  return integerParameter(context.req.param('sequence'), 'sequence', 0n)
}

/** A place in a batch; one behind the last of any batch is answered with nothing. */
function placeOf(index: bigint): number {
  return Number(index < 0xffffffffn ? index : 0xffffffffn)
}

function hexParameter(text: string, name: string, bytes: number): Hex {
  fromHex(text, name, bytes)
  return (text.startsWith('0x') ? text : `0x${text}`).toLowerCase() as Hex
}

function flagParameter(text: string | undefined, name: string): boolean {
  if (text === undefined || text === '0') return false
  if (text === '1') return true
  throw new InvalidRequestError(`${name} is neither 0 nor 1.`, { field: name })
}

function receiptMode(text: string | undefined): ReceiptMode {
  if (text === undefined || text === 'each') return 'each'
  if (text === 'tree') return 'tree'
  throw new InvalidRequestError('receipts is neither "each" nor "tree".', { field: 'receipts' })
}

/** Reads a body that does not say how long it is, up to the limit that was reserved for it. */
async function readBounded(
  context: Context,
  ingest: Ingest,
  maxBytes = ingest.limits.maxBodyBytes,
  remedy = 'Send several requests.',
): Promise<Uint8Array> {
  const stream = context.req.raw.body
  if (stream === null) return new Uint8Array()
  const chunks: Uint8Array[] = []
  const releases: (() => void)[] = []
  let length = 0
  try {
    for await (const chunk of stream) {
      length += chunk.length
      releases.push(ingest.reserve(chunk.length))
      if (length > maxBytes) {
        throw new BodyTooLargeError('The body is larger than one request may be.', {
          field: 'body',
          metaMessages: [`Allowed: ${maxBytes}`],
          remedy,
        })
      }
      chunks.push(chunk)
    }
  } finally {
    for (const release of releases) release()
  }
  const body = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk, at)
    at += chunk.length
  }
  return body
}

/** A media type without its parameters. */
function mediaTypeOf(header: string | undefined): string {
  return (header ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
}

const maxJsonBytes = 64 * 1024
/** What platforms put into one delivery: Event Grid and AWS IoT stay below. */
const maxPlatformBytes = 1024 * 1024

async function readJson(context: Context, ingest: Ingest): Promise<Record<string, unknown>> {
  const body = await readBounded(
    context,
    ingest,
    maxJsonBytes,
    `Send what the call takes and no more: at most ${maxJsonBytes} bytes.`,
  )
  try {
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as unknown
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch (cause) {
    throw new InvalidRequestError('The body is not JSON.', { field: 'body', cause })
  }
  throw new InvalidRequestError('The body is not a JSON object.', { field: 'body' })
}

/** The worker's door: it reads requests, asks the core, and writes answers. It decides nothing. */
export function createApp(parts: AppParts): Hono {
  const { ingest, batches, attestations, answers } = parts
  const app = new Hono()

  app.onError((error, context) => {
    const problem = problemOf(error)
    if (problem.status >= 500 && problem.status !== 503 && problem.status !== 507) {
      parts.log('error', 'request failed', { path: context.req.path, error: String(error) })
    }
    const response = json(context, problem.body, problem.status)
    if (problem.retryAfterSeconds !== undefined) {
      response.headers.set('Retry-After', String(problem.retryAfterSeconds))
    }
    return response
  })
  app.notFound((context) =>
    json(
      context,
      problemOf(
        new NotFoundError('Nothing answers under this path.', {
          field: 'path',
          remedy: 'See /v1/openapi.json for what there is.',
        }),
      ).body,
      404,
    ),
  )

  app.post('/v1/packs', async (context) => {
    const type = packBodyTypeOf(context.req.header('content-type'))
    const mode = receiptMode(context.req.query('receipts'))
    const length = context.req.header('content-length')
    const unbounded = length === undefined ? await readBounded(context, ingest) : undefined
    const release = ingest.reserve(
      unbounded?.length ?? Number(integerParameter(length, 'Content-Length', 0n)),
    )
    try {
      const body = unbounded ?? new Uint8Array(await context.req.arrayBuffer())
      const sequence = packSequenceOf(type, body, context.req.header('x-signature'))
      const { answers, tree } = await ingest.submit(sequence, mode)
      return json(
        context,
        mode === 'each' ? answers : { ...(tree === undefined ? {} : { tree }), answers },
      )
    } finally {
      release()
    }
  })

  addPlatformDoors(app, { ...parts.platforms, ingest, log: parts.log }, (context) =>
    readBounded(context, ingest, maxPlatformBytes),
  )

  app.get('/v1/batches', async (context) => {
    const after = integerParameter(context.req.query('after'), 'after', 0n)
    const limit = limitParameter(context, maxPageBatches)
    return context.newResponse(await batches.pageText(after, limit), 200, {
      'Content-Type': 'application/json',
    })
  })

  app.get('/v1/batches/stream', (context) => {
    const after = integerParameter(
      context.req.header('last-event-id') ?? context.req.query('after'),
      'after',
      0n,
    )
    return context.newResponse(streamBatches(after, batches, parts.head, parts.bell), 200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
    })
  })

  app.get('/v1/batches/:sequence', async (context) =>
    context.newResponse(await batches.signedText(sequenceOf(context)), 200, {
      'Content-Type': 'application/json',
    }),
  )

  app.get('/v1/batches/:sequence/reports', async (context) => {
    const from = integerParameter(context.req.query('from'), 'from', 0n)
    const limit = limitParameter(context, maxReportsPerPage)
    return context.newResponse(
      await batches.reportsText(sequenceOf(context), placeOf(from), limit),
      200,
      { 'Content-Type': 'application/json' },
    )
  })

  app.get('/v1/batches/:sequence/signature', async (context) => {
    // The content comes from the sealed ledger and its digest is the one signed before: a second
    // signer for one digest is no equivocation, and frees a stream whose old signer has expired.
    const { digest, batch } = (await batches.open(sequenceOf(context))).head
    return json(context, {
      sequence: batch.sequence,
      digest,
      signature: parts.sign(digest),
      signer: parts.signer,
    })
  })

  app.get('/v1/batches/:sequence/roster', async (context) =>
    json(context, await answers.roster(sequenceOf(context))),
  )

  app.get('/v1/batches/:sequence/roster/:device', async (context) => {
    const device = hexParameter(context.req.param('device'), 'device', 32)
    const place = await answers.rosterPlace(sequenceOf(context), device)
    if (place === undefined) {
      throw new NotFoundError('The batch’s roster does not name the device.', {
        field: 'device',
        remedy: 'Ask for the whole roster: its root proves who is on it.',
      })
    }
    return json(context, place)
  })

  app.get('/v1/proofs/:subject', async (context) =>
    json(
      context,
      await answers.proofs(
        hexParameter(context.req.param('subject'), 'subject', 32),
        limitParameter(context, maxPageBatches),
      ),
    ),
  )

  app.get('/v1/bundles/:subject', async (context) => {
    const policy = context.req.query('policy')
    const sequence = context.req.query('batch')
    const withPacks = flagParameter(context.req.query('packs'), 'packs')
    if (withPacks) assertReadingsPublic()
    const text = await parts.bundles.text({
      subject: hexParameter(context.req.param('subject'), 'subject', 32),
      policyId: policy === undefined ? undefined : hexParameter(policy, 'policy', 32),
      sequence: sequence === undefined ? undefined : integerParameter(sequence, 'batch', 0n),
      withPacks,
    })
    return context.newResponse(text, 200, { 'Content-Type': 'application/json' })
  })

  function assertReadingsPublic(): void {
    if (parts.publishesReadings) return
    throw new ReadingsPrivateError('This worker does not publish readings.', {
      field: 'packs',
      remedy: 'Ask without packs, or ask the operator for the devices’ own archive.',
    })
  }

  app.get('/v1/reports', async (context) => {
    const subject = context.req.query('subject')
    const policy = context.req.query('policy')
    return json(
      context,
      await answers.reports(
        integerParameter(context.req.query('after'), 'after', 0n),
        limitParameter(context, maxListEntries),
        {
          subject: subject === undefined ? undefined : hexParameter(subject, 'subject', 32),
          policyId: policy === undefined ? undefined : hexParameter(policy, 'policy', 32),
          from: placeOf(integerParameter(context.req.query('from'), 'from', 0n)),
        },
      ),
    )
  })

  app.get('/v1/policies', (context) => json(context, { policies: answers.policies() }))

  app.get('/v1/devices', (context) => {
    const after = context.req.query('after')
    return json(
      context,
      answers.devices(
        after === undefined ? undefined : hexParameter(after, 'after', 32),
        limitParameter(context, maxListEntries),
      ),
    )
  })

  app.get('/v1/devices/:device', (context) => {
    const device = answers.device(hexParameter(context.req.param('device'), 'device', 32))
    if (device === undefined) {
      throw new NotFoundError('No such device is enrolled.', { field: 'device' })
    }
    return json(context, device)
  })

  app.get('/v1/devices/:device/packs', async (context) => {
    assertReadingsPublic()
    const packs = await answers.packs(
      hexParameter(context.req.param('device'), 'device', 32),
      integerParameter(context.req.query('after'), 'after', 0n),
      limitParameter(context, maxListEntries),
    )
    return context.newResponse(concatBytes(...packs) as Uint8Array<ArrayBuffer>, 200, {
      'Content-Type': packSequenceMediaType,
    })
  })

  app.get('/v1/equivocations', async (context) =>
    json(
      context,
      await answers.equivocations(
        Number(integerParameter(context.req.query('after'), 'after', 0n)),
        limitParameter(context, maxPageBatches),
      ),
    ),
  )

  app.post('/v1/enrolments/nonce', (context) => json(context, parts.enrolments.nonce()))

  app.post('/v1/enrolments', async (context) => {
    const request = await readJson(context, ingest)
    // Who may put a device beside which subject is the operator’s to say; that the device is
    // genuine is not, and is judged behind this.
    const { subject } = request
    parts.authorise(
      context.req.header('authorization'),
      'enrol',
      typeof subject === 'string' && subject.length > 0 ? subjectId(subject) : undefined,
    )
    return json(context, await parts.enrolments.enrol(request))
  })

  // Public: a certificate proves itself by a laboratory that is pinned; see `createCalibrations`.
  app.post('/v1/calibrations', async (context) => {
    const type = mediaTypeOf(context.req.header('content-type'))
    if (type !== mediaTypeOf(calibrationMediaType)) {
      throw new UnsupportedMediaError('A certificate is not handed in as this media type.', {
        field: 'Content-Type',
        remedy: `Use ${calibrationMediaType}.`,
      })
    }
    const bytes = await readBounded(
      context,
      ingest,
      // One byte more, so that the format can say what is wrong.
      maxCalibrationBytes + 1,
      'Hand in the certificate as “plumbline calibration sign” writes it: the laboratory’s full document stays outside, and the certificate holds its hash.',
    )
    return json(context, await parts.calibrations.take(bytes))
  })

  app.post('/v1/admin/devices/:device/retire', async (context) => {
    const device = hexParameter(context.req.param('device'), 'device', 32)
    parts.authorise(context.req.header('authorization'), 'retire', answers.device(device)?.subject)
    if (!(await parts.enrolments.retire(device))) {
      throw new NotFoundError('No such device is enrolled.', {
        field: 'device',
        remedy: 'See /v1/devices for those that are.',
      })
    }
    return json(context, { device })
  })

  app.post('/v1/admin/devices/:device/transfer', async (context) => {
    const device = hexParameter(context.req.param('device'), 'device', 32)
    const body = await readJson(context, ingest)
    const request = readMessage(transferRequestSchema, body, 'transfer')
    // For both subjects at once: what one of them gets the other one loses.
    const route = parts.enrolments.route(device, request)
    parts.authorise(context.req.header('authorization'), 'transfer', route)
    return json(context, await parts.enrolments.transfer(device, request, route))
  })

  app.post('/v1/admin/close', async (context) => {
    parts.authorise(context.req.header('authorization'), 'close')
    const sequence = await parts.closeDue()
    return json(context, sequence === undefined ? {} : { sequence })
  })

  app.get('/v1/openapi.json', (context) => json(context, openApiDocument))

  app.get('/metrics', (context) =>
    context.newResponse(parts.metrics(), 200, {
      'Content-Type': 'application/openmetrics-text; version=1.0.0; charset=utf-8',
    }),
  )

  app.get('/v1/attestation', async (context) => {
    const chainId = integerParameter(context.req.query('chain'), 'chain', parts.anchorChainId)
    const signer = context.req.query('signer')
    const nonce = context.req.query('nonce')
    if (signer !== undefined) {
      if (nonce !== undefined) {
        throw new InvalidRequestError('A nonce can only be answered by the keys of this boot.', {
          field: 'nonce',
          remedy: 'Leave signer or nonce out.',
        })
      }
      return json(context, await attestations.stored(chainId, hexParameter(signer, 'signer', 20)))
    }
    return json(
      context,
      await attestations.current(
        chainId,
        nonce === undefined ? undefined : hexParameter(nonce, 'nonce', 32),
      ),
    )
  })

  app.get('/healthz', (context) => {
    const health = parts.health()
    return json(context, health, health.status === 'failed' ? 503 : 200)
  })

  return app
}
