import { BaseError } from '#schemas/errors.ts'
import type { Fetch, Now } from '../ports.ts'

/** One JSON-RPC call. */
export type RpcCall = { readonly method: string; readonly params: readonly unknown[] }

/** A node's own answer to one call: a result, or its refusal. */
export type RpcAnswer =
  | { readonly ok: true; readonly result: unknown }
  | {
      readonly ok: false
      readonly code: number
      readonly message: string
      readonly data?: unknown
    }

/** Raised when no endpoint of a chain gave a usable answer. */
export class ChainUnreachableError extends BaseError {
  override readonly name = 'ChainUnreachableError'
  override readonly retryable = true
}

/** Health of one endpoint, as the status page shows it. The URL may hold a key and is not shown. */
export type EndpointHealth = {
  readonly host: string
  readonly isUsable: boolean
  readonly failures: number
  readonly problem?: string
}

export type Rpc = {
  /**
   * Asks one endpoint, all calls in one request, and the next endpoint when that fails.
   *
   * @throws {@link ChainUnreachableError}
   */
  ask(calls: readonly RpcCall[]): Promise<readonly RpcAnswer[]>
  /** One door per endpoint, in order of preference, to ask the same of several. */
  each(): readonly RpcDoor[]
  /** Puts the endpoint that answered last behind the others. */
  distrust(): void
  health(): readonly EndpointHealth[]
}

/** One endpoint among several. */
export type RpcDoor = Pick<Rpc, 'ask'> & {
  /** Notes that it contradicts what others have shown, for a person to see. */
  accuse(): void
}

export type RpcOptions = {
  readonly chainId: number
  readonly urls: readonly string[]
  readonly fetch: Fetch
  readonly now: Now
  readonly timeoutMs?: number
}

/** Providers commonly refuse batches above a hundred; half of it leaves them room. */
const callsPerRequest = 50
/**
 * Nodes take 2 MB and more (anvil 2 MB, geth 5 MB), providers in front of them sometimes 1 MB. A call
 * that is larger by itself travels alone.
 */
const charactersPerRequest = 700_000
const firstPauseMs = 250
const longestPauseMs = 30_000
/** A contradiction is shown for so long. */
const suspicionMs = 10 * 60_000
/** The largest answer that a batch of ours can honestly have. */
const answerLimitBytes = 8 * 1024 * 1024

type Endpoint = {
  readonly url: string
  readonly host: string
  failures: number
  pausedUntilMs: number
  problem: string | undefined
  contradictedAtMs: number | undefined
}

function hostOf(url: string): string {
  try {
    return new URL(url).host
  } catch {
    return 'unreadable address'
  }
}

function readAnswer(value: unknown): RpcAnswer {
  if (typeof value === 'object' && value !== null) {
    if ('result' in value) return { ok: true, result: value.result }
    if ('error' in value && typeof value.error === 'object' && value.error !== null) {
      const { error } = value
      return {
        ok: false,
        code: 'code' in error && typeof error.code === 'number' ? error.code : 0,
        message:
          'message' in error && typeof error.message === 'string'
            ? error.message.slice(0, 300)
            : 'no message',
        ...('data' in error ? { data: error.data } : {}),
      }
    }
  }
  throw new ChainUnreachableError('An endpoint answered with something that is not JSON-RPC.')
}

/** Calls as they share requests: neither too many nor too much at once. An empty list is one part. */
function inParts(calls: readonly RpcCall[]): (readonly RpcCall[])[] {
  const parts: RpcCall[][] = []
  let part: RpcCall[] = []
  let characters = 0
  for (const call of calls) {
    const length = JSON.stringify(call.params).length
    const isFull = part.length >= callsPerRequest || characters + length > charactersPerRequest
    if (isFull && part.length > 0) {
      parts.push(part)
      part = []
      characters = 0
    }
    part.push(call)
    characters += length
  }
  return [...parts, part]
}

/**
 * JSON-RPC over several endpoints in order of preference. Every request asks for the chain id first,
 * so that an endpoint that has been moved to another chain is noticed before its answer is used.
 */
export function createRpc({ chainId, urls, fetch, now, timeoutMs = 10_000 }: RpcOptions): Rpc {
  let lastAnswered: Endpoint | undefined
  const endpoints: Endpoint[] = urls.map((url) => ({
    url,
    host: hostOf(url),
    failures: 0,
    pausedUntilMs: 0,
    problem: undefined,
    contradictedAtMs: undefined,
  }))

  async function request(endpoint: Endpoint, calls: readonly RpcCall[]): Promise<RpcAnswer[]> {
    const withChainId: readonly RpcCall[] = [{ method: 'eth_chainId', params: [] }, ...calls]
    const response = await fetch(endpoint.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(
        withChainId.map(({ method, params }, id) => ({ jsonrpc: '2.0', id, method, params })),
      ),
      signal: AbortSignal.timeout(timeoutMs),
    })
    const text = await response.text()
    if (!response.ok) {
      throw new ChainUnreachableError(`${endpoint.host} answered with HTTP ${response.status}.`)
    }
    if (text.length > answerLimitBytes) {
      throw new ChainUnreachableError(`${endpoint.host} answered with ${text.length} characters.`)
    }
    let body: unknown
    try {
      body = JSON.parse(text)
    } catch {
      throw new ChainUnreachableError(`${endpoint.host} answered with something that is not JSON.`)
    }
    if (!Array.isArray(body) || body.length !== withChainId.length) {
      throw new ChainUnreachableError(`${endpoint.host} did not answer every call of a batch.`, {
        remedy: 'Use an endpoint that takes JSON-RPC batches.',
      })
    }
    const answers = new Map<number, unknown>()
    for (const entry of body as unknown[]) {
      if (typeof entry === 'object' && entry !== null && 'id' in entry) {
        answers.set(Number(entry.id), entry)
      }
    }
    const [chain, ...rest] = withChainId.map((_, id) => readAnswer(answers.get(id)))
    const actual = chain?.ok === true ? Number(chain.result) : undefined
    if (actual !== chainId) {
      throw new ChainUnreachableError(`${endpoint.host} is not an endpoint of chain ${chainId}.`, {
        metaMessages: [`Its chain id: ${actual ?? 'unknown'}`],
        remedy: 'Correct the RPC addresses of this chain in the plan.',
      })
    }
    return rest
  }

  async function askEndpoint(endpoint: Endpoint, calls: readonly RpcCall[]): Promise<RpcAnswer[]> {
    try {
      const answers: RpcAnswer[] = []
      // In order: a later part may lean on an earlier one, as nonces do.
      for (const part of inParts(calls)) answers.push(...(await request(endpoint, part)))
      endpoint.failures = 0
      endpoint.pausedUntilMs = 0
      endpoint.problem = undefined
      lastAnswered = endpoint
      return answers
    } catch (cause) {
      endpoint.failures += 1
      const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(endpoint.failures, 10))
      endpoint.pausedUntilMs = now() + pauseMs
      // A foreign error's text may quote the address, and with it a key; ours never does.
      endpoint.problem =
        cause instanceof ChainUnreachableError
          ? cause.shortMessage
          : `${endpoint.host} could not be reached.`
      throw new ChainUnreachableError(endpoint.problem, { cause })
    }
  }

  /** Healthy ones first, then those on pause: a paused endpoint is better than none. */
  function inOrder(): Endpoint[] {
    const at = now()
    const rank = (endpoint: Endpoint): number => (endpoint.pausedUntilMs > at ? 1 : 0)
    return endpoints.toSorted((left, right) => rank(left) - rank(right))
  }

  return {
    async ask(calls) {
      let last: unknown
      for (const endpoint of inOrder()) {
        try {
          return await askEndpoint(endpoint, calls)
        } catch (cause) {
          last = cause
        }
      }
      throw new ChainUnreachableError(
        last instanceof ChainUnreachableError
          ? last.shortMessage
          : `No endpoint of chain ${chainId} can be reached.`,
        { cause: last, remedy: 'Check the RPC addresses of this chain in the plan.' },
      )
    },

    each: () =>
      inOrder().map((endpoint) => ({
        ask: (calls) => askEndpoint(endpoint, calls),
        accuse: () => {
          endpoint.contradictedAtMs = now()
        },
      })),

    distrust() {
      const at = lastAnswered === undefined ? -1 : endpoints.indexOf(lastAnswered)
      if (lastAnswered === undefined || at < 0 || endpoints.length < 2) return
      lastAnswered.contradictedAtMs = now()
      endpoints.splice(at, 1)
      endpoints.push(lastAnswered)
    },

    health() {
      const at = now()
      return endpoints.map(({ host, failures, pausedUntilMs, contradictedAtMs, ...endpoint }) => {
        // An answer that can be used does not make good an earlier one that could not be true.
        const isSuspect = contradictedAtMs !== undefined && at - contradictedAtMs < suspicionMs
        const problem =
          endpoint.problem ??
          (isSuspect ? `${host} contradicts what other answers have shown.` : undefined)
        return {
          host,
          isUsable: pausedUntilMs <= at,
          failures,
          ...(problem === undefined ? {} : { problem }),
        }
      })
    },
  }
}
