import { type Server, createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromHex } from '#schemas/bytes.ts'
import { createChainBlocks } from '#worker/adapters/chainBlocks.ts'
import { createChainHeads } from '#worker/adapters/chainHeads.ts'
import { createGuestAgent } from '#worker/adapters/guestAgent.ts'
import { type Rig, anchorChainId, startRig, testStream } from './rig.ts'

let rig: Rig
const servers: Server[] = []
beforeAll(async () => {
  rig = await startRig()
})
afterAll(async () => {
  for (const server of servers) server.close()
  await rig.stop()
})

/** An agent that lies, or a thing that is no agent at all. */
async function answering(answers: Record<string, unknown>, status = 200): Promise<string> {
  const server = createServer((request, response) => {
    request.resume()
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answers[request.url ?? ''] ?? { error: 'no such method' }))
  })
  servers.push(server)
  const listening = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', listening.resolve)
  await listening.promise
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return `http://127.0.0.1:${address.port}`
}

const reportData = new Uint8Array(64).fill(0x5a)

describe('the guest agent', () => {
  it('quotes exactly the bytes that it is given', async () => {
    const { quote, eventLog } = await createGuestAgent(rig.guestAgent).quote(reportData)
    const bytes = fromHex(quote, 'quote')
    expect(bytes.subarray(568, 632)).toStrictEqual(reportData)
    expect(JSON.parse(eventLog)).toBeInstanceOf(Array)
  })

  it('gives one sealing key for one path, and another for another', async () => {
    const agent = createGuestAgent(rig.guestAgent)
    const key = await agent.sealingKey('plumbline/ledger/1')
    expect(key).toHaveLength(32)
    expect(await agent.sealingKey('plumbline/ledger/1')).toStrictEqual(key)
    expect(await agent.sealingKey('plumbline/ledger/2')).not.toStrictEqual(key)
  })

  it('tells the compose text that was measured', async () => {
    expect(await createGuestAgent(rig.guestAgent).appCompose()).toContain('"name":"rig"')
  })

  it.each([
    ['that is not there', () => Promise.resolve('http://127.0.0.1:1')],
    ['whose socket is not there', () => Promise.resolve('/nowhere/dstack.sock')],
    ['that answers with an error object', () => answering({}, 400)],
    [
      'that answers another thing',
      () => answering({ '/GetQuote': { quote: 'zz', event_log: '' } }),
    ],
    [
      'that quotes other report data',
      () => answering({ '/GetQuote': { quote: '04'.padEnd(2000, '0'), event_log: '[]' } }),
    ],
  ] as const)('%s is an error that can be tried again, never a quote', async (_, endpoint) => {
    await expect(createGuestAgent(await endpoint()).quote(reportData)).rejects.toMatchObject({
      name: 'GuestAgentError',
      field: 'guestAgent',
      retryable: true,
    })
  })

  it.each([
    ['no key at all', {}],
    ['a short key', { '/GetKey': { key: 'abcd', signature_chain: [] } }],
    ['a key of zeros', { '/GetKey': { key: '00'.repeat(32), signature_chain: [] } }],
  ] as const)('that gives %s seals nothing', async (_, answers) => {
    await expect(
      createGuestAgent(await answering(answers)).sealingKey('a/b'),
    ).rejects.toMatchObject({
      name: 'GuestAgentError',
    })
  })
})

describe('a chain', () => {
  it('tells its newest block', async () => {
    const block = await createChainBlocks(BigInt(anchorChainId), rig.rpcUrl).latest()
    expect(block.hash).toMatch(/^0x[0-9a-f]{64}$/)
    expect(Math.abs(block.timestampMs - Date.now())).toBeLessThan(60_000)
  })

  it('that is another one than was meant is refused', async () => {
    await expect(createChainBlocks(7n, rig.rpcUrl).latest()).rejects
      .toThrowErrorMatchingInlineSnapshot(`
      [ChainUnreachableError: The node speaks for chain 31337, not 7.
      Field: registries.rpcUrl
      Chain: 7
      Remedy: Check the node, or name another one.]
    `)
  })

  it('that does not answer, or has no registry there, is an error that can be tried again', async () => {
    await expect(createChainBlocks(7n, 'http://127.0.0.1:1').latest()).rejects.toMatchObject({
      name: 'ChainUnreachableError',
      retryable: true,
    })
    const heads = createChainHeads(BigInt(anchorChainId), rig.rpcUrl, `0x${'ab'.repeat(20)}`)
    await expect(heads.head(testStream)).rejects.toMatchObject({ name: 'ChainUnreachableError' })
  })
})
