import { describe, expect, it } from 'vitest'
import { type RpcCall, createRpc } from '#relayer/chain/rpc.ts'

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
})
