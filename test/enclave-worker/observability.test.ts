import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { createWorkerClient } from '#schemas/workerClient.ts'
import { root } from '#tools/paths.ts'
import { createOpenTelemetry } from '#worker/adapters/openTelemetry.ts'
import { readConfig } from '#worker/config.ts'
import { type WorkerPorts, startWorker } from '#worker/createWorker.ts'
import { createTestWorld, testPorts } from './inner.ts'
import { anchorChainId, createTestDevice, testConfig, testPolicy, testStream } from './rig.ts'

const bootMs = 1_800_000_000_000
const nowhere = { rpcUrl: 'http://127.0.0.1:1', guestAgent: 'http://127.0.0.1:1' }

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

type OtlpSpan = {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly status?: { readonly code?: number; readonly message?: string }
  readonly attributes: readonly { readonly key: string }[]
}

/** A collector: it takes OTLP over HTTP as JSON and keeps what it got. */
async function collector() {
  const bodies: string[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString()
    })
    request.on('end', () => {
      bodies.push(body)
      response.setHeader('content-type', 'application/json')
      response.end('{}')
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  cleanups.push(() => {
    server.close()
  })
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`,
    bodies,
    spans: (): OtlpSpan[] =>
      bodies.flatMap((body) => {
        const { resourceSpans } = JSON.parse(body) as {
          resourceSpans: { scopeSpans: { spans: OtlpSpan[] }[] }[]
        }
        return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
      }),
  }
}

/** A worker that has lived a little: packs taken, refused and forked, a window closed and served. */
async function live(ports: Partial<WorkerPorts>) {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-observed-'))
  cleanups.push(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const world = createTestWorld(bootMs)
  const device = createTestDevice('meter', testStream)
  const twin = createTestDevice('meter', testStream)
  const config = readConfig(
    testConfig(nowhere as never, folder, [device], {
      tickMs: 60_000,
      limits: { verifyThreads: 0 },
      policies: [{ ...testPolicy, window: { kind: 'tumbling', length: '1m', anchorMs: 0 } }],
      assignments: [{ subject: 'plant', policy: testPolicy.name }],
      allowedLatenessMs: 0,
    }),
  )
  const worker = await startWorker(config, {
    ...testPorts(world, [BigInt(anchorChainId)]),
    ...ports,
  })
  cleanups.push(() => worker.stop())
  const client = createWorkerClient({ url: worker.url, fetch: (url, init) => fetch(url, init) })
  world.nowMs += 30_000
  const pack = device.next([world.nowMs - 1000], [123_456_789])
  await client.postPacks([pack])
  await client.postPacks([twin.next([world.nowMs - 1000], [987_654_321])])
  await client.postPacks([createTestDevice('stranger', testStream).next([world.nowMs], [1])])
  world.block = { number: 1n, hash: `0x${'09'.repeat(32)}`, timestampMs: world.nowMs - 9e8 }
  world.nowMs += 30_000
  await worker.closeDue().catch(() => undefined)
  world.block = undefined
  await worker.closeDue()
  await client.batches(0n, 10)
  return { worker, client, pack }
}

describe('traces', () => {
  it('tell the way from ingest to a served batch to a collector, each piece under its whole', async () => {
    const { endpoint, spans, bodies } = await collector()
    const tracer = createOpenTelemetry({ endpoint, ratio: 1 }, 'test')
    await live({ tracer })
    await tracer.close()
    const all = spans()
    const parentOf = (span: OtlpSpan): string =>
      all.find(({ spanId }) => spanId === span.parentSpanId)?.name ?? ''
    const ways = new Set(all.map((span) => `${parentOf(span)}/${span.name}`))
    expect([...ways].sort()).toStrictEqual([
      '/close',
      '/ingest',
      '/serve',
      'close/anchor',
      'close/compose',
      'close/drain',
      'close/durable',
      'close/judge',
      'close/sign',
      'close/write',
      'ingest/durable',
      'ingest/sign receipts',
      'ingest/verify',
    ])
    const failed = all.filter(({ status }) => status?.code === 2)
    expect(new Set(failed.map(({ name, status }) => `${name}: ${status?.message}`))).toContain(
      'anchor: SigningHeldError',
    )
    expect(bodies[0]).toContain('plumbline-worker')
  })

  it('of a collector that is away cost the worker nothing', async () => {
    const tracer = createOpenTelemetry(
      { endpoint: 'http://127.0.0.1:1/v1/traces', ratio: 1 },
      'test',
    )
    const { client } = await live({ tracer })
    expect(await client.health()).toMatchObject({ status: 'ok', head: 1n })
    await tracer.close().catch(() => undefined)
  })
})

describe('logs and traces', () => {
  it('hold no key, no nonce, no reading and no pack', async () => {
    const { endpoint, bodies } = await collector()
    const tracer = createOpenTelemetry({ endpoint, ratio: 1 }, 'test')
    const lines: string[] = []
    const drawn: Uint8Array[] = []
    const world = createTestWorld(bootMs)
    const inner = testPorts(world, [])
    const { pack } = await live({
      tracer,
      log: (level, event, fields) => {
        lines.push(
          JSON.stringify({ level, event, ...fields }, (_, value: unknown) =>
            typeof value === 'bigint' ? `${value}` : value,
          ),
        )
      },
      randomBytes: (length) => {
        const bytes = inner.randomBytes(length)
        drawn.push(Uint8Array.from(bytes))
        return bytes
      },
    })
    await tracer.close()
    const told = [...lines, ...bodies].join('\n')
    expect(lines.length).toBeGreaterThan(3)
    expect(bodies.length).toBeGreaterThan(0)
    // Everything secret of a boot is made of drawn bytes or of the sealing key.
    const secrets = [...drawn, new Uint8Array(32).fill(0x5e), pack]
    expect(drawn.length).toBeGreaterThan(2)
    for (const secret of secrets) {
      const bytes = Buffer.from(secret)
      for (const form of [
        bytes.toString('hex'),
        bytes.toString('base64').replace(/=+$/, ''),
        bytes.toString('base64url'),
        [...bytes].join(','),
      ]) {
        expect(told).not.toContain(form)
      }
    }
    for (const reading of ['123456789', '123.456789', '987654321'])
      expect(told).not.toContain(reading)
  })
})

describe('the board and the alerts', () => {
  it('name only what a worker really serves, and a section of the handbook for each alert', async () => {
    const { worker } = await live({})
    const metrics = await (await fetch(`${worker.url}/metrics`)).text()
    const served = new Set(
      metrics.split('\n').flatMap((line) => {
        const [, type, name, kind] = line.split(' ')
        if (!line.startsWith('# TYPE') || type !== 'TYPE') return []
        return [kind === 'counter' ? `${name}_total` : (name ?? '')]
      }),
    )
    const board = readFileSync(join(root, 'deploy/grafana/worker.json'), 'utf8')
    const alerts = readFileSync(join(root, 'deploy/prometheus/worker.yml'), 'utf8')
    const named = new Set(
      [...`${board}${alerts}`.matchAll(/plumbline_[a-z_]+/g)].map(([name]) => name),
    )
    expect([...named].filter((name) => !served.has(name))).toStrictEqual([])
    expect([...served].filter((name) => !named.has(name))).toStrictEqual([])
    const { panels } = JSON.parse(board) as { panels: { id: number; targets: unknown[] }[] }
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)

    const handbook = readFileSync(join(root, 'docs/worker-operations.md'), 'utf8')
    const sections = [...alerts.matchAll(/docs\/worker-operations\.md, "([^"]+)"/g)]
    expect(sections.length).toBe([...alerts.matchAll(/- alert:/g)].length)
    for (const [, section] of sections) expect(handbook).toContain(`### ${section}\n`)
  })
})
