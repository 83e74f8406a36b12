import { describe, expect, it } from 'vitest'
import { lookCarefully } from '#relayer/chain/look.ts'
import { type RpcCall, createRpc } from '#relayer/chain/rpc.ts'
import type { Hex } from '#schemas/bytes.ts'

type Entry = { readonly id: number; readonly method: string; readonly params: readonly unknown[] }

/** A node that answers each call with its first parameter, and takes no more than its limit. */
function node(limitCharacters = Infinity) {
  const bodies: string[] = []
  const fetch = (_url: string, init: RequestInit): Promise<Response> => {
    const body = init.body as string
    bodies.push(body)
    // What anvil does above 2 MB: one error object instead of a list.
    if (body.length > limitCharacters) return Promise.resolve(Response.json({ error: {} }))
    const entries = JSON.parse(body) as Entry[]
    return Promise.resolve(
      Response.json(
        entries.map(({ id, method, params }) => ({
          id,
          result: method === 'eth_chainId' ? '0x7' : (params[0] as string).length,
        })),
      ),
    )
  }
  const rpc = createRpc({ chainId: 7, urls: ['http://node'], fetch, now: () => 0 })
  return { rpc, bodies }
}

describe('chain/rpc', () => {
  it('what is too much for one request travels in several, in order', async () => {
    const { rpc, bodies } = node(2_000_000)
    const calls: RpcCall[] = Array.from({ length: 130 }, (_, index) => ({
      method: 'eth_call',
      params: ['x'.repeat(index * 500)],
    }))
    const answers = await rpc.ask(calls)
    expect(answers).toEqual(calls.map((_, index) => ({ ok: true, result: index * 500 })))
    for (const body of bodies) {
      expect(body.length).toBeLessThan(800_000)
      expect((JSON.parse(body) as Entry[]).length).toBeLessThanOrEqual(51)
    }
    expect(rpc.health()[0]?.problem).toBeUndefined()
  })

  it('one call that is larger than all else travels alone; no calls still ask for the chain', async () => {
    const { rpc, bodies } = node()
    const calls = [1, 900_000, 1].map((length) => ({ method: 'm', params: ['x'.repeat(length)] }))
    expect((await rpc.ask(calls)).length).toBe(3)
    expect(bodies.map((body) => (JSON.parse(body) as Entry[]).length)).toEqual([2, 2, 2])
    expect(await rpc.ask([])).toEqual([])
    expect(bodies).toHaveLength(4)
  })

  it('a contradiction stays visible although the endpoint goes on answering, and fades', async () => {
    let nowMs = 0
    const fetch = (_url: string, init: RequestInit): Promise<Response> =>
      Promise.resolve(
        Response.json(
          (JSON.parse(init.body as string) as Entry[]).map(({ id }) => ({ id, result: '0x7' })),
        ),
      )
    const urls = ['http://one', 'http://two']
    const rpc = createRpc({ chainId: 7, urls, fetch, now: () => nowMs })
    await rpc.ask([])
    rpc.distrust()
    rpc.each()[0]?.accuse()
    for (let round = 0; round < 3; round += 1) await rpc.ask([])
    expect(rpc.health().map(({ host, problem }) => [host, problem])).toEqual([
      ['two', 'two contradicts what other answers have shown.'],
      ['one', 'one contradicts what other answers have shown.'],
    ])
    nowMs = 601_000
    expect(rpc.health().map(({ problem }) => problem)).toEqual([undefined, undefined])
  })
})

describe('a careful look', () => {
  const hash: Hex = `0x${'ab'.repeat(32)}`
  const blockHash: Hex = `0x${'cd'.repeat(32)}`

  function door(bend: (method: string, result: unknown) => unknown) {
    const accused: true[] = []
    const results: Readonly<Record<string, unknown>> = {
      eth_getBlockByNumber: {
        number: '0x9',
        hash: blockHash,
        timestamp: '0x1',
        baseFeePerGas: '0x1',
      },
      eth_maxPriorityFeePerGas: '0x1',
      eth_getTransactionCount: '0x1',
      eth_getBalance: '0x1',
      eth_getTransactionReceipt: {
        transactionHash: hash,
        blockNumber: '0x9',
        blockHash,
        status: '0x1',
        gasUsed: '0x1',
        effectiveGasPrice: '0x1',
      },
    }
    return {
      accused,
      ask: (calls: readonly RpcCall[]) =>
        Promise.resolve(
          calls.map(({ method }) => ({ ok: true as const, result: bend(method, results[method]) })),
        ),
      accuse: () => {
        accused.push(true)
      },
    }
  }

  const honest = (_: string, result: unknown): unknown => result
  it.each<[string, (method: string, result: unknown) => unknown]>([
    [
      'hides a receipt',
      (method, result) => (method === 'eth_getTransactionReceipt' ? null : result),
    ],
    [
      'counts nonces that nobody used',
      (method, result) => (method === 'eth_getTransactionCount' ? '0x5' : result),
    ],
  ])('accuses the one that %s, and believes the other', async (_, bend) => {
    const [good, bad] = [door(honest), door(bend)]
    const rpc = {
      ask: bad.ask,
      each: () => [bad, good],
      distrust: () => undefined,
      health: () => [],
    }
    const watched = [{ nonce: 0, hashes: [hash], isKnown: false }]
    const seen = await lookCarefully(rpc, `0x${'aa'.repeat(20)}`, { watched })
    expect([...seen.inclusions.keys()]).toEqual([hash])
    expect(seen.minedNonce).toBe(1)
    expect([bad.accused.length, good.accused.length]).toEqual([1, 0])
  })

  it('accuses nobody where all say the same', async () => {
    const doors = [door(honest), door(honest)]
    const rpc = {
      ask: door(honest).ask,
      each: () => doors,
      distrust: () => undefined,
      health: () => [],
    }
    const watched = [{ nonce: 0, hashes: [hash], isKnown: false }]
    await lookCarefully(rpc, `0x${'aa'.repeat(20)}`, { watched })
    expect(doors.map(({ accused }) => accused.length)).toEqual([0, 0])
  })
})
