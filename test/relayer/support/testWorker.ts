import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { type Hex, fromHex, toHex } from '#schemas/bytes.ts'
import { zeroHash } from '#schemas/report.ts'
import { signDigest } from '#schemas/signatures.ts'
import { type Statement, possessionDigest, statementReportData } from '#schemas/statement.ts'
import { writeMessage } from '#schemas/workerApi.ts'
import { imageId } from '#verifier/quote/imageId.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'
import { type TestStream, createTestStream, testStream } from './testStream.ts'

export type TestWorker = TestStream & {
  readonly url: string
  stop(): Promise<void>
}

type Target = { readonly chainId: number; readonly rpcUrl: string; readonly registry: Hex }

const platform = createPlatform({ seed: 'relayer tests', now: 1_790_000_000 })

/** What contracts have to be told about the platform that signs the quotes of these tests. */
export function platformFacts(): {
  readonly attestationKey: { readonly x: Hex; readonly y: Hex }
  readonly imageId: Hex
} {
  const quote = parseQuote(platform.mintQuote({ reportData: new Uint8Array(64) }))
  const { attestationKey } = quote.auth
  return {
    attestationKey: { x: toHex(attestationKey.slice(0, 32)), y: toHex(attestationKey.slice(32)) },
    imageId: imageId(quote),
  }
}

/** The HTTP side of an enclave worker with real signatures and quotes of a minted platform. */
export async function startTestWorker(
  targets: () => readonly Target[],
  name: Hex = testStream,
): Promise<TestWorker> {
  const stream = createTestStream(name)

  async function attestation(chainId: number, signer: Hex): Promise<unknown> {
    const target = targets().find((entry) => entry.chainId === chainId)
    const key = stream.secretOf(signer)
    if (target === undefined || key === undefined) return undefined
    const response = await fetch(target.rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'eth_getBlockByNumber',
        params: ['latest', false],
      }),
    })
    const { result } = (await response.json()) as { result: { number: Hex; hash: Hex } }
    const statement: Statement = {
      version: 1,
      signer,
      ed25519PublicKey: `0x${'33'.repeat(32)}`,
      stream: name,
      release: zeroHash,
      anchorChainId: BigInt(chainId),
      registry: target.registry,
    }
    const quote = platform.mintQuote({
      reportData: fromHex(statementReportData(statement, result.hash), 'reportData', 64),
    })
    return {
      statement,
      possession: signDigest(possessionDigest(statement), key),
      quote: toHex(quote),
      blockNumber: BigInt(result.number),
      blockHash: result.hash,
    }
  }

  async function answer(path: string): Promise<unknown> {
    const url = new URL(path, 'http://worker')
    if (url.pathname === '/v1/batches') {
      const after = BigInt(url.searchParams.get('after') ?? '0')
      const limit = Number(url.searchParams.get('limit') ?? '20')
      return {
        stream: name,
        batches: stream.batches().slice(Number(after), Number(after) + limit),
        head: BigInt(stream.batches().length),
      }
    }
    if (url.pathname === '/v1/attestation') {
      const signer = url.searchParams.get('signer') ?? stream.signer
      return attestation(Number(url.searchParams.get('chain')), signer as Hex)
    }
    return undefined
  }

  const server: Server = createServer((request, response) => {
    void answer(request.url ?? '/').then((value) => {
      response.writeHead(value === undefined ? 404 : 200, { 'content-type': 'application/json' })
      response.end(writeMessage(value ?? { error: 'not found' }))
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    get signer() {
      return stream.signer
    },
    close: (reports) => stream.close(reports),
    batches: () => stream.batches(),
    rotate() {
      stream.rotate()
    },
    secretOf: (signer) => stream.secretOf(signer),
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => {
        server.close(resolve)
      })
    },
  }
}
