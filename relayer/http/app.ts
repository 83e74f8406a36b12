import { sha256 } from '@noble/hashes/sha2'
import type { Context } from 'hono'
import { Hono } from 'hono/tiny'
import * as z from 'zod/mini'
import { utf8 } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import type { OperatorRequest } from '../lane/events.ts'
import type { Now } from '../ports.ts'
import {
  type FeedStatus,
  type LaneStatus,
  type RelayerStatus,
  relayerStatus,
} from '../runtime/status.ts'
import { isOperator } from './operatorAuth.ts'

/** What the HTTP side needs of whatever runs the feed and the lanes. */
export type RelayerHost = {
  readonly now: Now
  readonly operatorToken: string | undefined
  readonly chainIds: readonly number[]
  /** In the plan's order; there is at least one. */
  feedStatuses(): Promise<readonly FeedStatus[]>
  laneStatuses(): Promise<readonly LaneStatus[]>
  wake(): Promise<void>
  operate(chainId: number, request: OperatorRequest): Promise<OperationResult>
}

/** Whether an operator's request had an effect, and why not. */
export type OperationResult = { readonly isDone: boolean; readonly reason?: string }

const operationSchema = z.union([
  z.strictObject({
    action: z.enum(['pause', 'resume', 'drain']),
    chainId: z.optional(z.int().check(z.minimum(1))),
  }),
  z.strictObject({
    action: z.enum(['retry', 'quarantine']),
    chainId: z.int().check(z.minimum(1)),
    jobId: z.string().check(z.minLength(1), z.maxLength(400)),
    note: z.optional(z.string().check(z.maxLength(200))),
  }),
])

const operationLimitBytes = 4_096

function problem(
  context: Context,
  status: 400 | 401 | 404 | 413 | 500 | 503,
  name: string,
  message: string,
  remedy: string,
): Response {
  return context.json({ error: { name, message, remedy } }, status)
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
}

/**
 * The relayer's HTTP side, the same on every platform. What people and boards look at is loaded when
 * they first do.
 */
export function createApp(host: RelayerHost): Hono {
  const app = new Hono()

  async function status(): Promise<RelayerStatus> {
    const [[first, ...others], lanes] = await Promise.all([
      host.feedStatuses(),
      host.laneStatuses(),
    ])
    if (first === undefined) throw new TypeError('A plan without a worker.')
    return relayerStatus([first, ...others], lanes)
  }

  app.use(async (context, next) => {
    await next()
    context.header('x-content-type-options', 'nosniff')
  })

  app.get('/', async (context) => {
    const { statusPage, statusPageHeaders, statusPageStyle } = await import('./statusPage.ts')
    const styleHash = base64(sha256(utf8(statusPageStyle)))
    const page = statusPage(await status(), host.now())
    return context.body(page, 200, { ...statusPageHeaders(styleHash) })
  })

  app.get('/healthz', (context) => context.json({ status: 'ok' }))

  app.get('/v1/status', async (context) => {
    context.header('cache-control', 'no-store')
    return context.json(await status())
  })

  app.get('/metrics', async (context) => {
    const { openMetrics, openMetricsType } = await import('./metrics.ts')
    const text = openMetrics(await status(), host.now())
    return context.body(text, 200, { 'content-type': openMetricsType })
  })

  app.post('/v1/wake', async (context) => {
    await host.wake()
    return context.json({ status: 'awake' }, 202)
  })

  app.post('/v1/operate', async (context) => {
    if (!isOperator(context.req.header('authorization'), host.operatorToken)) {
      return problem(
        context,
        401,
        'NotTheOperatorError',
        'This call needs the operator’s bearer token.',
        'Set OPERATOR_TOKEN (16 characters or more) and send it as Authorization: Bearer …',
      )
    }
    const body = await context.req.text()
    if (body.length > operationLimitBytes) {
      return problem(context, 413, 'BodyTooLargeError', 'The request is too large.', 'Shorten it.')
    }
    let value: unknown
    try {
      value = JSON.parse(body)
    } catch {
      value = undefined
    }
    const parsed = operationSchema.safeParse(value)
    if (!parsed.success) {
      return problem(
        context,
        400,
        'InvalidOperationError',
        'The operation is not well formed.',
        'Send {"action": "pause" | "resume" | "drain", "chainId"?} or {"action": "retry" | "quarantine", "chainId", "jobId"}.',
      )
    }
    const { chainId, ...request } = parsed.data
    const chainIds = chainId === undefined ? host.chainIds : [chainId]
    if (chainIds.some((id) => !host.chainIds.includes(id))) {
      return problem(
        context,
        404,
        'UnknownChainError',
        `The plan does not describe chain ${chainId ?? ''}.`,
        `Described: ${host.chainIds.join(', ')}.`,
      )
    }
    const results = await Promise.all(
      chainIds.map(async (id) => ({
        chainId: id,
        ...(await host.operate(id, request as OperatorRequest)),
      })),
    )
    return context.json({ results })
  })

  app.notFound((context) =>
    problem(context, 404, 'NotFoundError', 'There is no such page.', 'See docs/relayer.md.'),
  )

  app.onError((error, context) => {
    // Only our own messages leave: a foreign one may quote an address with a key in it.
    const isOurs = error instanceof BaseError
    return problem(
      context,
      isOurs && error.retryable ? 503 : 500,
      isOurs ? error.name : 'InternalError',
      isOurs ? error.shortMessage : 'Something unforeseen went wrong.',
      (isOurs ? error.remedy : undefined) ?? 'Look at the relayer’s log.',
    )
  })

  return app
}
