import { type Server, createServer } from 'node:http'
import { type Hex, parseTransaction, recoverTransactionAddress } from 'viem'
import type { AddressInfo } from 'node:net'

type RpcEntry = {
  readonly jsonrpc?: '2.0'
  readonly id: unknown
  readonly method: string
  readonly params: readonly unknown[]
}
type Answer = { id: unknown; result?: unknown; error?: { code: number; message: string } }

/** What happens to one HTTP request. */
export type ProxyFault =
  | 'none'
  /** The connection breaks before the node hears of it. */
  | 'dropBefore'
  /** The node has done it; the answer is lost. */
  | 'dropAfter'
  | 'busy'
  | 'slow'
  | 'nullReceipts'
  | 'phantomReceipts'
  | 'staleHead'
  | 'futureNonce'
  | 'wrongChain'
  | 'garbage'

export const proxyFaults: readonly ProxyFault[] = [
  'dropBefore',
  'dropAfter',
  'busy',
  'slow',
  'nullReceipts',
  'phantomReceipts',
  'staleHead',
  'futureNonce',
  'garbage',
]

export type FaultProxy = {
  readonly url: string
  /** Decides anew for each request. */
  setFault(next: () => ProxyFault): void
  /** Transactions whose replacement did not raise both fees by 10 %, refused as geth does. */
  refusedReplacements(): number
  requests(): number
  /** Transactions that came by, whatever became of them. */
  broadcasts(): number
  stop(): Promise<void>
}

const slowMs = 400

/** An HTTP proxy before a node that lies and fails on demand, and keeps geth's replacement rule. */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  let nextFault: () => ProxyFault = () => 'none'
  let requests = 0
  let broadcasts = 0
  let refusedReplacements = 0
  type Fees = { readonly hash: Hex; readonly fee: bigint; readonly tip: bigint }
  const taken = new Map<string, Fees>()

  /** anvil takes a replacement that pays one wei more; geth wants 10 % on both fees, and so do we. */
  async function isUnderpriced({ method, params }: RpcEntry): Promise<boolean> {
    if (method !== 'eth_sendRawTransaction') return false
    const raw = params[0] as `0x02${string}`
    const { nonce, maxFeePerGas = 0n, maxPriorityFeePerGas = 0n } = parseTransaction(raw)
    const key = `${await recoverTransactionAddress({ serializedTransaction: raw })}/${nonce}`
    const known = taken.get(key)
    const isNew = known === undefined || known.hash === raw
    const isRaised =
      isNew ||
      (maxFeePerGas * 10n >= known.fee * 11n && maxPriorityFeePerGas * 10n >= known.tip * 11n)
    if (isRaised) taken.set(key, { hash: raw, fee: maxFeePerGas, tip: maxPriorityFeePerGas })
    else refusedReplacements += 1
    return !isRaised
  }

  function distort(entry: RpcEntry, answer: Answer, fault: ProxyFault): Answer {
    const { method, params } = entry
    if (fault === 'wrongChain' && method === 'eth_chainId') return { ...answer, result: '0x1' }
    if (fault === 'nullReceipts' && method === 'eth_getTransactionReceipt') {
      return { ...answer, result: null }
    }
    if (fault === 'futureNonce' && method === 'eth_getTransactionCount') {
      return { ...answer, result: `0x${(Number(answer.result) + 9).toString(16)}` }
    }
    if (fault === 'phantomReceipts' && method === 'eth_getTransactionReceipt') {
      if (answer.result !== null) return answer
      return {
        ...answer,
        result: {
          transactionHash: params[0],
          blockNumber: '0x1',
          blockHash: `0x${'ab'.repeat(32)}`,
          status: '0x1',
          gasUsed: '0xc350',
          effectiveGasPrice: '0x1',
        },
      }
    }
    return answer
  }

  async function ask(entries: readonly RpcEntry[]): Promise<Answer[]> {
    const response = await fetch(target, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(entries),
    })
    return (await response.json()) as Answer[]
  }

  async function answer(
    entries: readonly RpcEntry[],
    fault: ProxyFault,
  ): Promise<{ readonly status: number; readonly body: string } | 'broken'> {
    if (fault === 'dropBefore') return 'broken'
    if (fault === 'busy') return { status: 503, body: 'busy' }
    if (fault === 'slow') await new Promise((resolve) => setTimeout(resolve, slowMs))
    let asked = entries
    if (fault === 'staleHead') {
      const [head] = await ask([{ jsonrpc: '2.0', id: 1, method: 'eth_blockNumber', params: [] }])
      const stale = `0x${Math.max(0, Number(head?.result) - 3).toString(16)}`
      asked = entries.map((entry) =>
        entry.method === 'eth_getBlockByNumber' && entry.params[0] === 'latest'
          ? { ...entry, params: [stale, false] }
          : entry,
      )
    }
    const refused = new Set<unknown>()
    for (const entry of asked) if (await isUnderpriced(entry)) refused.add(entry.id)
    const answers: Answer[] = [
      ...(await ask(asked.filter(({ id }) => !refused.has(id)))),
      ...[...refused].map((id) => ({
        id,
        error: { code: -32_000, message: 'replacement transaction underpriced' },
      })),
    ]
    if (fault === 'dropAfter') return 'broken'
    if (fault === 'garbage') return { status: 200, body: '<html>504 Gateway Time-out</html>' }
    const distorted = entries.map((entry) => {
      const found = answers.find(({ id }) => id === entry.id) ?? { id: entry.id }
      return distort(entry, found, fault)
    })
    return { status: 200, body: JSON.stringify(distorted) }
  }

  const server: Server = createServer((request, response) => {
    requests += 1
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const asked = JSON.parse(Buffer.concat(chunks).toString()) as RpcEntry | RpcEntry[]
      // Other clients than ours also send single calls.
      const isSingle = !Array.isArray(asked)
      for (const { method } of isSingle ? [asked] : asked) {
        if (method === 'eth_sendRawTransaction') broadcasts += 1
      }
      answer(isSingle ? [asked] : asked, nextFault()).then(
        (given) => {
          if (given === 'broken') {
            request.socket.destroy()
            return
          }
          response.writeHead(given.status, { 'content-type': 'application/json' })
          const isList = isSingle && given.body.startsWith('[')
          response.end(isList ? given.body.slice(1, -1) : given.body)
        },
        () => request.socket.destroy(),
      )
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    setFault(next) {
      nextFault = next
    },
    refusedReplacements: () => refusedReplacements,
    requests: () => requests,
    broadcasts: () => broadcasts,
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => {
        server.close(resolve)
      })
    },
  }
}
