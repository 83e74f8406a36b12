import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fetchBundles } from '#cli/audit/fetchBundles.ts'
import { writeMessage } from '#schemas/workerApi.ts'
import { createTestStream, testReport } from '#test/relayer/support/testStream.ts'

let folder: string
let server: Server

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plumbline-fetch-'))
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
  rmSync(folder, { recursive: true })
})

describe('bundles of a worker', () => {
  it('come without packs, all of them, when several are refused their readings at once', async () => {
    const { reports } = createTestStream().close([1, 2, 3].map((subject) => testReport(subject, 1)))
    const waiting: (() => void)[] = []
    server = createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? '/', 'http://worker')
      const answer = (status: number, value: unknown): void => {
        response.writeHead(status, { 'content-type': 'application/json' })
        response.end(writeMessage(value))
      }
      if (pathname === '/v1/reports') {
        answer(200, { reports: reports.map((proven) => ({ batchSequence: 1n, proven })) })
        return
      }
      if (searchParams.get('packs') !== '1') {
        answer(200, { bundle: pathname })
        return
      }
      // Both at once, so that each learns it only after the other.
      waiting.push(() => {
        const refusal = { name: 'ReadingsPrivateError', message: 'private', retryable: false }
        answer(403, { error: refusal })
      })
      if (waiting.length === 2) for (const refuse of waiting.splice(0)) refuse()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const files = await fetchBundles(`http://127.0.0.1:${port}`, folder, () => undefined)
    expect(files).toHaveLength(3)
    for (const file of files) expect(gunzipSync(readFileSync(file)).toString()).toContain('bundle')
  })

  it.each([
    ['the same place again', [{ next: '3' }, { next: '3' }]],
    [
      'the same piece of a batch again',
      [
        { next: '3', nextIndex: 4096 },
        { next: '3', nextIndex: 4096 },
      ],
    ],
    ['a place before', [{ next: '3' }, { next: '2' }]],
  ])('end with an error where the worker lists %s', async (_, pages) => {
    let asked = 0
    server = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ reports: [], ...pages[asked] }))
      asked += 1
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    await expect(
      fetchBundles(`http://127.0.0.1:${port}`, folder, () => undefined),
    ).rejects.toMatchObject({ name: 'InvalidMessageError', field: 'report list.next' })
    expect(asked).toBe(2)
  })
})
