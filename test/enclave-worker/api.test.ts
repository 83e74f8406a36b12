import { Ajv2020 } from 'ajv/dist/2020.js'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keccak } from '#schemas/keccak.ts'
import { type Hex, concatBytes, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import { rootFromPath } from '#schemas/merkle/orderedTree.ts'
import { placedReceiptDigest } from '#schemas/receiptTree.ts'
import { subjectId } from '#schemas/report.ts'
import { rosterLeaf } from '#schemas/roster.ts'
import { recoverSigner } from '#schemas/signatures.ts'
import { statementHash } from '#schemas/statement.ts'
import { type WorkerClient, createWorkerClient } from '#schemas/workerClient.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'
import { verifyOmission } from '#verifier/batch/verifyOmission.ts'
import { calls, openApiDocument } from '#worker/adapters/http/openApi.ts'
import { readConfig } from '#worker/config.ts'
import { type RunningWorker, createPorts, startWorker } from '#worker/createWorker.ts'
import {
  type Rig,
  type TestDevice,
  anchorChainId,
  createTestDevice,
  eventually,
  postPacks,
  startRig,
  testConfig,
  testPolicy,
  testStream,
} from './rig.ts'

let rig: Rig
let worker: RunningWorker
let client: WorkerClient
let device: TestDevice
const chainId = BigInt(anchorChainId)

const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms)
  })

beforeAll(async () => {
  rig = await startRig()
  device = createTestDevice('meter', testStream)
  const now = Date.now()
  const config = readConfig(
    testConfig(rig, rig.folder(), [device], {
      // Long enough for a busy machine to hand the packs in before anything closes.
      allowedLatenessMs: 3000,
      maxBatchIntervalMs: 300,
      certificationService: rig.guestAgent,
      publishesReadings: true,
      limits: {
        verifyThreads: 1,
        maxBodyBytes: 4096,
        maxPacksPerBody: 8,
        requestTimeoutMs: 1000,
        headersTimeoutMs: 1000,
      },
      assignments: [
        {
          subject: 'plant',
          policy: testPolicy.name,
          periods: [
            { startMs: now - 60_000, endMs: now - 30_000 },
            { startMs: now - 30_000, endMs: now },
          ],
        },
      ],
    }),
  )
  worker = await startWorker(
    config,
    createPorts(config, () => undefined),
  )
  client = createWorkerClient({ url: worker.url, fetch: (url, init) => fetch(url, init) })
  const answers = await client.postPacks([
    device.next([now - 50_000, now - 40_000], [1, 2]),
    device.next([now - 20_000, now - 10_000], [3, 4]),
  ])
  if (!answers.every((answer) => 'receipt' in answer)) throw new Error('a pack was refused')
  await eventually(
    () => client.batches(0n),
    ({ batches }) => batches.some(({ reports }) => reports.length === 2),
  )
})
afterAll(async () => {
  await worker.stop()
  await rig.stop()
})

/** Fills a path of the document with things that exist. */
function example(path: string): string {
  return path
    .replace('{sequence}', '1')
    .replace('{device}', device.id)
    .replace('{subject}', subjectId('plant'))
}

const ajv = new Ajv2020({ strict: false, validateFormats: false })

type Operation = { responses: Record<string, { content: Record<string, { schema: object }> }> }

function schemaFor(path: string, method: string, status: string, type: string): object {
  const paths = openApiDocument.paths as Record<string, Record<string, Operation>>
  const schema = paths[path]?.[method]?.responses[status]?.content[type]?.schema
  if (schema === undefined) throw new Error(`${method} ${path} ${status} ${type} is not described`)
  return '$ref' in schema ? (openApiDocument.components.schemas.Problem as object) : schema
}

describe('the OpenAPI document', () => {
  const gets = calls.filter(
    ({ method, answer }) => method === 'get' && answer !== 'text/event-stream',
  )

  it.each(gets.map(({ path }) => path))('GET %s answers as it is described', async (path) => {
    const response = await fetch(`${worker.url}${example(path)}`)
    expect(response.status).toBe(200)
    const type = (response.headers.get('content-type') ?? '').split(';')[0] ?? ''
    const schema = schemaFor(path, 'get', '200', type)
    const text = await response.text()
    const body: unknown = type === 'application/json' ? JSON.parse(text) : text
    const validate = ajv.compile(schema)
    validate(body)
    expect(validate.errors).toBe(null)
  })

  it.each(
    calls
      .filter(({ problems, method }) => method === 'get' && problems.includes(404))
      .map(({ path }) => path),
  )('GET %s says with a described problem that a thing is not there', async (path) => {
    const url = path
      .replace('{sequence}', '999')
      .replace('{device}', `0x${'00'.repeat(32)}`)
      .replace('{subject}', `0x${'00'.repeat(32)}`)
      .replace('/v1/attestation', '/v1/attestation?chain=999')
    const response = await fetch(`${worker.url}${url}`)
    expect(response.status).toBe(404)
    const validate = ajv.compile(schemaFor(path, 'get', '404', 'application/json'))
    validate(await response.json())
    expect(validate.errors).toBe(null)
  })

  it('describes every path that answers, and nothing else answers', async () => {
    expect(await (await fetch(`${worker.url}/v1/openapi.json`)).json()).toStrictEqual(
      JSON.parse(JSON.stringify(openApiDocument)),
    )
    const unknown = await fetch(`${worker.url}/v1/secrets`)
    expect(unknown.status).toBe(404)
    expect(await unknown.json()).toMatchObject({
      error: { name: 'NotFoundError', retryable: false },
    })
  })
})

describe('what anyone may ask', () => {
  it('proofs of a subject stand on a batch that carries them', async () => {
    const { proofs } = await client.proofs(subjectId('plant'))
    expect(proofs).toHaveLength(2)
    for (const { batch, digest, signature, signer, proven } of proofs) {
      expect(recoverSigner(digest, signature)).toBe(signer)
      expect(proven.subjectName).toBe('plant')
      expect(batch.reportCount).toBeGreaterThan(proven.index)
    }
    const { reports, next } = await client.reports(0n, { subject: subjectId('plant') })
    expect(reports).toHaveLength(2)
    expect(next).toBeUndefined()
    expect((await client.reports(0n, { subject: `0x${'00'.repeat(32)}` })).reports).toHaveLength(0)
  })

  it('a roster line is under the root, and a kept promise is no omission', async () => {
    const place = await client.rosterPlace(1n, device.id)
    const leaf = fromHex(rosterLeaf(place.entry), 'leaf')
    const path = place.path.map((node) => fromHex(node, 'node'))
    expect(toHex(rootFromPath(leaf, place.index, place.batch.rosterCount, path, keccakPairs))).toBe(
      place.batch.rosterRoot,
    )
    expect(place.packs.map(({ sequence }) => sequence)).toStrictEqual([1n, 2n])
    const pack = place.packs[0]
    if (pack === undefined) throw new Error('no pack')
    const receipt = {
      device: device.id,
      packSequence: pack.sequence,
      packHash: pack.hash,
      stream: testStream,
      nextBatchSequence: 1n,
    }
    expect(() =>
      verifyOmission({ receipt, signature: place.signature }, place, { kind: 'entry', ...place }),
    ).toThrowError(expect.objectContaining({ name: 'PromiseKeptError' }))
  })

  it('a batch is countersigned without a change of its digest', async () => {
    const [batch] = (await client.batches(0n)).batches
    const again = await client.countersignature(1n)
    expect(again.digest).toBe(batch?.digest)
    expect(recoverSigner(again.digest, again.signature)).toBe(worker.signer)
    expect((await client.batch(1n)).digest).toBe(batch?.digest)
  })

  it('a nonce is answered by a fresh quote that covers it', async () => {
    const nonce: Hex = `0x${'4e'.repeat(32)}`
    const { statement, quote, blockHash } = await client.attestation({ chainId, nonce })
    const low = keccak(
      utf8('plumbline/nonce/1'),
      fromHex(blockHash, 'hash'),
      fromHex(nonce, 'nonce'),
    )
    const reportData = toHex(concatBytes(fromHex(statementHash(statement), 'hash'), low))
    expect(quote).toContain(reportData.slice(2))
    const plain = await client.attestation({ chainId })
    expect(plain.quote).not.toContain(reportData.slice(2))
    expect(plain.statement).toStrictEqual(statement)
  })

  it('one signature stands for all receipts of a body when that is asked for', async () => {
    const now = Date.now()
    const { tree, answers } = await client.postPacksForTree([
      device.next([now - 900], [1]),
      device.next([now - 800], [1]),
      device.next([now - 700], [1]),
    ])
    expect(tree?.count).toBe(3)
    for (const answer of answers) {
      if (!('receipt' in answer)) throw new Error('refused')
      const place = { count: 3, index: answer.index, path: answer.path }
      expect(
        recoverSigner(placedReceiptDigest(answer.receipt, place), tree?.signature ?? '0x'),
      ).toBe(worker.signer)
    }
  })

  it('followers get what there is and then every batch as it is signed', async () => {
    const seen: SignedBatch[] = []
    const before = await client.batches(0n)
    const following = (async () => {
      for await (const batch of client.followBatches(0n)) {
        seen.push(batch)
        if (BigInt(seen.length) > before.head) break
      }
    })()
    await eventually(
      () => Promise.resolve(BigInt(seen.length)),
      (count) => count >= before.head,
    )
    await client.postPacks([device.next([Date.now() - 500], [1])])
    await following
    expect(seen.map(({ batch }) => batch.sequence)).toStrictEqual(
      seen.map((_, index) => BigInt(index + 1)),
    )
  })

  it('metrics count what was taken and refused', async () => {
    await postPacks(worker.url, [createTestDevice('stranger', testStream).next([Date.now()], [1])])
    const text = await (await fetch(`${worker.url}/metrics`)).text()
    expect(text).toMatch(/^plumbline_packs_accepted_total [1-9]/m)
    expect(text).toContain('plumbline_packs_refused_total{error="UnknownDeviceError"} ')
    expect(text.endsWith('# EOF\n')).toBe(true)
  })
})

describe('what the door refuses', () => {
  async function post(
    body: NonNullable<RequestInit['body']>,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return fetch(`${worker.url}/v1/packs`, {
      method: 'POST',
      headers: { 'content-type': 'application/cbor-seq', ...headers },
      body,
      ...(body instanceof ReadableStream ? { duplex: 'half' } : {}),
    })
  }

  it.each([
    [
      'a body of another media type',
      () => post('[]', { 'content-type': 'text/plain' }),
      415,
      'UnsupportedMediaError',
    ],
    ['a body above the limit', () => post(new Uint8Array(5000)), 413, 'BodyTooLargeError'],
    ['bytes that are no CBOR', () => post(new Uint8Array([0xff, 0xff])), 400, 'InvalidCborError'],
    ['nesting without end', () => post(new Uint8Array(2000).fill(0x81)), 400, 'InvalidCborError'],
    [
      'more packs than one body may hold',
      () => post(new Uint8Array(9).fill(0x01)),
      400,
      'PackProfileError',
    ],
    [
      'an unbounded body that grows above the limit',
      () =>
        post(
          new ReadableStream({
            start(controller) {
              for (let index = 0; index < 10; index += 1) controller.enqueue(new Uint8Array(1000))
              controller.close()
            },
          }),
        ),
      413,
      'BodyTooLargeError',
    ],
  ] as const)('%s', async (_, attempt, status, name) => {
    const response = await attempt()
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ error: { name } })
  })

  it.each([
    ['/v1/batches?after=-1', 'after'],
    ['/v1/batches?limit=0', 'limit'],
    ['/v1/batches?limit=101', 'limit'],
    ['/v1/batches/one', 'sequence'],
    ['/v1/proofs/plant', 'subject'],
    ['/v1/devices?after=0x12', 'after'],
    ['/v1/attestation?chain=x', 'chain'],
    ['/v1/attestation?nonce=0x12', 'nonce'],
    [`/v1/attestation?signer=0x${'ab'.repeat(20)}&nonce=0x${'ab'.repeat(32)}`, 'nonce'],
  ])('GET %s names the parameter at fault', async (path, field) => {
    const response = await fetch(`${worker.url}${path}`)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { field, retryable: false } })
  })

  it('a client that sends its request too slowly is cut off, and others are served meanwhile', async () => {
    const socket = connect(worker.port, '127.0.0.1')
    const closed = new Promise<void>((resolve) => {
      socket.on('close', () => {
        resolve()
      })
    })
    socket.on('error', () => undefined)
    socket.write(
      'POST /v1/packs HTTP/1.1\r\nHost: x\r\nContent-Type: application/cbor-seq\r\nContent-Length: 1000\r\n\r\n',
    )
    const drip = setInterval(() => socket.write(Buffer.from([0])), 100)
    const begun = Date.now()
    await sleep(200)
    expect((await client.health()).status).toBe('ok')
    await closed
    clearInterval(drip)
    expect(Date.now() - begun).toBeLessThan(10_000)
    const text = await (await fetch(`${worker.url}/metrics`)).text()
    expect(text).toContain('plumbline_body_in_flight_bytes 0\n')
  })

  it('a refusal reaches the client as one typed error', async () => {
    await expect(client.batch(999n)).rejects.toMatchObject({
      name: 'WorkerRefusedError',
      status: 404,
      retryable: false,
      refusal: { name: 'UnknownBatchError' },
    })
    const nowhere = createWorkerClient({
      url: 'http://127.0.0.1:1',
      fetch: (url, init) => fetch(url, init),
    })
    await expect(nowhere.health()).rejects.toMatchObject({
      name: 'WorkerUnreachableError',
      retryable: true,
    })
  })
})
