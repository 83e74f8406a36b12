import { createHash, timingSafeEqual } from 'node:crypto'
import type { Context, Hono } from 'hono'
import { ForbiddenError, UnauthorizedError } from '#schemas/capability.ts'
import { BaseError } from '#schemas/errors.ts'
import { writeMessage } from '#schemas/workerApi.ts'
import type { AwsDoorConfig, EventGridDoorConfig } from '../../doors/doorsConfig.ts'
import {
  type Delivery,
  awsConfirmationOf,
  awsDeliveries,
  cloudEventDeliveries,
  eventGridDeliveries,
  validationCodeOf,
} from '../../doors/platformMessages.ts'
import type { SourceDesk } from '../../doors/sourceDesk.ts'
import type { Ingest, PackAnswer } from '../../ingest/ingest.ts'
import { refusalOf } from '../../ingest/refusals.ts'
import { BodyRefusedError } from '../../ingest/verifyPool.ts'
import type { Log } from '../../ports.ts'
import { packBodyTypeOf, packSequenceOf } from './packForms.ts'
import { InvalidRequestError, NotFoundError, UnsupportedMediaError } from './problem.ts'

/** Raised so that a platform delivers again: something in the delivery could not be kept yet. */
export class DeliverAgainError extends BaseError {
  override readonly name = 'DeliverAgainError'
  override readonly retryable = true
}

export type PlatformDoors = {
  readonly awsIot: (AwsDoorConfig & { readonly secret: Uint8Array }) | undefined
  readonly eventGrid: (EventGridDoorConfig & { readonly secret: Uint8Array }) | undefined
  readonly desk: SourceDesk
  readonly ingest: Ingest
  readonly log: Log
  /** Visits an address and answers the status; follows nothing. */
  readonly visit: (url: string) => Promise<number>
}

const paths = { awsIot: '/v1/doors/aws-iot', eventGrid: '/v1/doors/event-grid' } as const

/** Both are hashed first: what is compared in constant time has to be of one length. */
function assertSecret(given: string | undefined, secret: Uint8Array): void {
  const hash = (bytes: Uint8Array | string): Buffer => createHash('sha256').update(bytes).digest()
  if (given !== undefined && timingSafeEqual(hash(given), hash(secret))) return
  throw new UnauthorizedError('The delivery does not carry the door’s secret.', {
    field: 'Authorization',
    remedy: 'Send Authorization: Bearer SECRET, or ?code=SECRET where a platform has no headers.',
  })
}

function bearerOf(context: Context): string | undefined {
  return /^Bearer (.{1,512})$/.exec(context.req.header('authorization') ?? '')?.[1]
}

/** Adds the doors of platforms that push over HTTPS. */
export function addPlatformDoors(
  app: Hono,
  doors: PlatformDoors,
  readBody: (context: Context) => Promise<Uint8Array>,
): void {
  const { ingest, desk, log } = doors

  async function take(delivery: Delivery): Promise<readonly PackAnswer[]> {
    if (delivery.kind === 'telemetry') return [await desk.deliver(delivery.telemetry)]
    const { body, contentType, signature } = delivery.message
    let release: (() => void) | undefined
    try {
      const type = packBodyTypeOf(contentType ?? 'application/cbor-seq')
      const sequence = packSequenceOf(type, body, signature)
      release = ingest.reserve(sequence.length)
      return (await ingest.submit(sequence.slice())).answers
    } catch (error) {
      // One delivery that is no pack does not hold up the others that came with it.
      if (error instanceof BodyRefusedError) return [{ refusal: error.refusal }]
      if (error instanceof BaseError && !error.retryable) return [{ refusal: refusalOf(error) }]
      throw error
    } finally {
      release?.()
    }
  }

  async function takeAll(
    context: Context,
    platform: string,
    deliveries: readonly Delivery[],
  ): Promise<Response> {
    const answers: PackAnswer[] = []
    for (const delivery of deliveries) answers.push(...(await take(delivery)))
    const refusals = answers.flatMap((answer) => ('refusal' in answer ? [answer.refusal] : []))
    for (const { name, field } of refusals)
      log('warn', 'delivery refused', { platform, name, field })
    // A platform keeps no order; what came too early is taken when it comes again.
    const early = refusals.find(({ retryable }) => retryable)
    if (early !== undefined) {
      throw new DeliverAgainError('Something of the delivery cannot be kept yet.', {
        field: early.field,
        metaMessages: [`Refusal: ${early.name}`],
        remedy: 'Deliver it again; what was kept is not kept twice.',
      })
    }
    return context.newResponse(writeMessage(answers), 200, { 'Content-Type': 'application/json' })
  }

  async function confirm(context: Context, config: AwsDoorConfig): Promise<Response> {
    const asked = awsConfirmationOf(await readBody(context))
    const isOurs = config.destinations.some(
      ({ account, region }) => account === asked.account && region === asked.region,
    )
    if (!isOurs) {
      throw new ForbiddenError('The destination belongs to nobody that the operator named.', {
        field: 'arn',
        metaMessages: [`Account: ${asked.account}`, `Region: ${asked.region}`],
        remedy: 'Name account and region under config.doors.awsIot.destinations.',
      })
    }
    if (config.confirmation === 'tell') {
      log('info', 'aws destination waits for its confirmation', {
        arn: asked.arn,
        enableUrl: asked.enableUrl,
      })
      return context.json({ confirmation: 'told' })
    }
    const status = await doors.visit(asked.enableUrl)
    log(status === 200 ? 'info' : 'error', 'aws destination confirmed', { arn: asked.arn, status })
    if (status !== 200) {
      throw new DeliverAgainError('AWS IoT did not take the confirmation.', {
        field: 'enableUrl',
        metaMessages: [`Status: ${status}`],
        remedy: 'Ask for the confirmation again: UpdateTopicRuleDestination, IN_PROGRESS.',
      })
    }
    return context.json({ confirmation: 'visited' })
  }

  // AWS puts a slash behind the address when it asks for a confirmation.
  for (const path of [paths.awsIot, `${paths.awsIot}/`]) {
    app.post(path, async (context) => {
      const config = doors.awsIot
      if (config === undefined) throw shut()
      const type = context.req.header('x-amz-rules-engine-message-type')
      if (type === 'DestinationConfirmation') return confirm(context, config)
      assertSecret(bearerOf(context), config.secret)
      return takeAll(context, 'awsIot', awsDeliveries(await readBody(context)))
    })
  }

  const codeOf = (context: Context): string | undefined =>
    bearerOf(context) ?? context.req.query('code')

  // CloudEvents "HTTP 1.1 Web Hooks", section 4: the target says who may deliver.
  app.options(paths.eventGrid, (context) => {
    const config = doors.eventGrid
    if (config === undefined) throw shut()
    assertSecret(codeOf(context), config.secret)
    const origin = context.req.header('webhook-request-origin')
    if (origin === undefined) {
      throw new InvalidRequestError('Nobody asks to be allowed.', {
        field: 'WebHook-Request-Origin',
      })
    }
    if (!config.origins.includes(origin)) {
      throw new ForbiddenError('This origin may not deliver.', {
        field: 'WebHook-Request-Origin',
        remedy: 'Name it under config.doors.eventGrid.origins.',
      })
    }
    const rate = context.req.header('webhook-request-rate')
    return context.newResponse(null, 200, {
      Allow: 'POST, OPTIONS',
      'WebHook-Allowed-Origin': origin,
      'WebHook-Allowed-Rate': rate !== undefined && /^\d{1,9}$/.test(rate) ? rate : '*',
    })
  })

  app.post(paths.eventGrid, async (context) => {
    const config = doors.eventGrid
    if (config === undefined) throw shut()
    assertSecret(codeOf(context), config.secret)
    const type = (context.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase()
    if (type === 'application/cloudevents+json' || type === 'application/cloudevents-batch+json') {
      return takeAll(context, 'eventGrid', cloudEventDeliveries(await readBody(context)))
    }
    if (type !== 'application/json') {
      throw new UnsupportedMediaError('Events are not delivered as this media type.', {
        field: 'Content-Type',
        remedy: 'Use application/json, application/cloudevents+json or its batch.',
      })
    }
    const event = context.req.header('aeg-event-type')
    if (event === 'SubscriptionValidation') {
      const validationResponse = validationCodeOf(await readBody(context))
      log('info', 'event grid subscription validated')
      return context.json({ validationResponse })
    }
    if (event !== 'Notification') {
      throw new InvalidRequestError('Event Grid says what it sends in aeg-event-type.', {
        field: 'aeg-event-type',
      })
    }
    return takeAll(context, 'eventGrid', eventGridDeliveries(await readBody(context)))
  })
}

function shut(): NotFoundError {
  return new NotFoundError('This door is not configured.', {
    field: 'path',
    remedy: 'Configure it under config.doors.',
  })
}
