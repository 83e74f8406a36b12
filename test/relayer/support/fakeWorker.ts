import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { type Batch, batchDigest, streamId } from '#schemas/batch.ts'
import { type Hex, concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import { buildTree, inclusionPath } from '#schemas/merkle/orderedTree.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import { type Report, reportLeaf, subjectId, unitCode, zeroHash } from '#schemas/report.ts'
import { addressOf, signDigest } from '#schemas/signatures.ts'
import { type Statement, possessionDigest, statementReportData } from '#schemas/statement.ts'
import { type SignedBatch, writeMessage } from '#schemas/workerApi.ts'
import { secp256k1 } from '@noble/curves/secp256k1'

export const testStream = streamId('relayer-test')
export const testPolicy: Hex = `0x${'22'.repeat(32)}`

export function subjectOf(index: number): Hex {
  return subjectId(`plant-${index}`)
}

export function testReport(subject: number, period: number): Report {
  return {
    version: 1,
    subject: subjectOf(subject),
    policyId: testPolicy,
    periodStartMs: BigInt(period) * 3_600_000n,
    periodEndMs: BigInt(period + 1) * 3_600_000n,
    verdict: 1,
    valueMicro: BigInt(subject) * 1_000_000n,
    unit: unitCode('Wh'),
    coveragePpm: 1_000_000,
    tier: 1,
    evidenceRoot: zeroHash,
    measuresHash: zeroHash,
    exclusiveTo: zeroHash,
    amends: zeroHash,
  }
}

export type TestWorker = {
  readonly url: string
  readonly signer: Hex
  /** Closes a batch over these reports, signed for real. */
  close(reports: readonly Report[]): SignedBatch
  batches(): readonly SignedBatch[]
  /** A fresh key, as after a restart of the enclave; older attestations stay served. */
  rotate(): void
  stop(): Promise<void>
}

type Target = { readonly chainId: number; readonly rpcUrl: string; readonly registry: Hex }

const platform = createPlatform({ seed: 'relayer tests', now: 1_790_000_000 })

/** The HTTP side of an enclave worker with real signatures and quotes of a minted platform. */
export async function startTestWorker(targets: () => readonly Target[]): Promise<TestWorker> {
  let secret = secp256k1.utils.randomPrivateKey()
  const secrets = new Map<Hex, Uint8Array>()
  const signerOf = (key: Uint8Array): Hex => addressOf(secp256k1.getPublicKey(key))
  secrets.set(signerOf(secret), secret)
  const batches: SignedBatch[] = []

  async function attestation(chainId: number, signer: Hex): Promise<unknown> {
    const target = targets().find((entry) => entry.chainId === chainId)
    const key = secrets.get(signer)
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
      stream: testStream,
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
        stream: testStream,
        batches: batches.slice(Number(after), Number(after) + limit),
        head: BigInt(batches.length),
      }
    }
    if (url.pathname === '/v1/attestation') {
      const signer = url.searchParams.get('signer') ?? signerOf(secret)
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
      return signerOf(secret)
    },
    close(reports) {
      const leaves = reports.map((report) => fromHex(reportLeaf(report), 'leaf', 32))
      const tree = buildTree(concatBytes(...leaves), keccakPairs)
      const last = batches.at(-1)
      const batch: Batch = {
        stream: testStream,
        sequence: BigInt(batches.length + 1),
        previous: last?.digest ?? zeroHash,
        reportRoot: toHex(tree.root),
        reportCount: reports.length,
        rosterRoot: zeroHash,
        rosterCount: 0,
        closedAtMs: BigInt(Date.now()),
        anchorNumber: 0n,
        anchorHash: zeroHash,
      }
      const digest = batchDigest(batch)
      const signed: SignedBatch = {
        batch,
        digest,
        signature: signDigest(digest, secret),
        signer: signerOf(secret),
        reports: reports.map((report, index) => ({
          subjectName: `plant ${index}`,
          policyName: 'test policy',
          report,
          index,
          path: inclusionPath(tree, index).map(toHex),
          lastReadingMs: report.periodEndMs - 1n,
          lastReceivedMs: report.periodEndMs,
        })),
      }
      batches.push(signed)
      return signed
    },
    batches: () => batches,
    rotate() {
      secret = secp256k1.utils.randomPrivateKey()
      secrets.set(signerOf(secret), secret)
    },
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => {
        server.close(resolve)
      })
    },
  }
}
