import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunningRelayer } from '#relayer/local/engineProcess.ts'
import {
  type Rehearsal,
  operatorToken,
  rehearse,
  senderKey,
  statusOf,
  until,
} from './support/rehearsal.ts'
import { testReport } from './support/testStream.ts'

const chainId = 31_341

describe('what an operator can do and see', () => {
  let rehearsal: Rehearsal
  let relayer: RunningRelayer

  beforeAll(async () => {
    rehearsal = await rehearse({ chainIds: [chainId] })
    relayer = await rehearsal.start(rehearsal.plan({ subjects: 2 }))
  })

  afterAll(async () => {
    await relayer.stop()
    await rehearsal.stop()
  })

  async function operate(body: unknown, token: string | undefined = operatorToken) {
    const response = await fetch(`${relayer.url}/v1/operate`, {
      method: 'POST',
      headers: token === '' ? {} : { authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
    })
    return { status: response.status, body: await response.json() }
  }

  it('operator calls are refused without the token, with a wrong one and with a prefix of it', async () => {
    for (const token of ['', 'wrong', operatorToken.slice(0, -1), `${operatorToken}x`]) {
      expect((await operate({ action: 'pause' }, token)).status).toBe(401)
    }
    const lane = (await statusOf(relayer.url)).lanes[0]
    expect(lane?.mode).toBe('running')
  })

  it('a paused lane takes jobs and signs nothing; resumed it carries them', async () => {
    expect((await operate({ action: 'pause' })).body).toEqual({
      results: [{ chainId, isDone: true }],
    })
    rehearsal.worker.close([testReport(0, 1), testReport(1, 1)])
    await until(
      () => statusOf(relayer.url),
      ({ feed, lanes }) => feed.sequence === '1' && lanes[0]?.counts.queued === 3,
    )
    expect(await rehearsal.chains[0]?.settlements()).toBe(0n)
    await operate({ action: 'resume', chainId })
    await until(
      () => statusOf(relayer.url),
      ({ lanes }) => lanes[0]?.counts.final === 4,
    )
    expect(await rehearsal.chains[0]?.settlements()).toBe(2n)
  })

  it('a queued job can be put aside and released; one that is final cannot', async () => {
    await operate({ action: 'drain', chainId })
    rehearsal.worker.close([testReport(0, 2)])
    const queued = await until(
      () => statusOf(relayer.url),
      ({ lanes }) => lanes[0]?.counts.queued === 2,
    )
    expect(queued.lanes[0]?.isDrained).toBe(true)
    const jobId = queued.settlements.find(({ stage }) => stage === 'queued')?.id
    const aside = { action: 'quarantine', chainId, jobId, note: 'disputed by the insurer' }
    expect((await operate(aside)).body).toEqual({ results: [{ chainId, isDone: true }] })
    await operate({ action: 'resume' })
    const held = await until(
      () => statusOf(relayer.url),
      ({ lanes }) => lanes[0]?.counts.final === 5 && lanes[0].counts.quarantined === 1,
    )
    expect(held.settlements.find(({ id }) => id === jobId)).toMatchObject({
      stage: 'quarantined',
      reason: 'disputed by the insurer',
    })
    await operate({ action: 'retry', chainId, jobId })
    await until(
      () => statusOf(relayer.url),
      ({ lanes }) => lanes[0]?.counts.final === 6,
    )
    expect((await operate({ action: 'quarantine', chainId, jobId })).body).toEqual({
      results: [{ chainId, isDone: false, reason: 'The job is final.' }],
    })
  })

  it('malformed operations and unknown chains are refused by name', async () => {
    expect((await operate({ action: 'explode' })).body).toMatchInlineSnapshot(`
      {
        "error": {
          "message": "The operation is not well formed.",
          "name": "InvalidOperationError",
          "remedy": "Send {"action": "pause" | "resume" | "drain", "chainId"?} or {"action": "retry" | "quarantine", "chainId", "jobId"}.",
        },
      }
    `)
    expect((await operate({ action: 'pause', chainId: 5 })).body).toMatchInlineSnapshot(`
      {
        "error": {
          "message": "The plan does not describe chain 5.",
          "name": "UnknownChainError",
          "remedy": "Described: 31341.",
        },
      }
    `)
  })

  it('metrics are OpenMetrics that a scraper can read', async () => {
    const response = await fetch(`${relayer.url}/metrics`)
    expect(response.headers.get('content-type')).toContain('application/openmetrics-text')
    const text = await response.text()
    expect(text.endsWith('\n# EOF\n')).toBe(true)
    expect(text).toContain(`plumbline_lane_jobs{chain="${chainId}",stage="final"} 6\n`)
    for (const line of text.trimEnd().split('\n')) {
      expect(line).toMatch(
        /^(# (TYPE|HELP) [a-z_]+ .+|# EOF|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.]+)$/,
      )
    }
  })

  it('the page runs no script, loads nothing and escapes what others have named', async () => {
    const response = await fetch(relayer.url)
    const policy = response.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toContain('unsafe-inline')
    const page = await response.text()
    expect(page).not.toContain('<script')
    expect(page).toContain('Nothing needs a person.')
  })

  it('no key, token or RPC address is in anything that the relayer says', async () => {
    const paths = ['/', '/v1/status', '/metrics', '/healthz', '/nowhere']
    const pages = await Promise.all(
      paths.map(async (path) => (await fetch(`${relayer.url}${path}`)).text()),
    )
    const all = pages.join('\n') + relayer.log().join('\n')
    expect(all).not.toContain(senderKey.slice(2))
    expect(all).not.toContain(operatorToken)
    expect(all).not.toContain(`${rehearsal.chains[0]?.rpcUrl}`)
  })
})
