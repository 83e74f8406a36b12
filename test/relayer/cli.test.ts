import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunningRelayer } from '#relayer/local/engineProcess.ts'
import { type Rehearsal, operatorToken, rehearse, statusOf, until } from './support/rehearsal.ts'
import { testReport } from './support/testStream.ts'

const chainId = 31_345
const main = new URL('../../cli/main.ts', import.meta.url).pathname

describe('plumbline relay', () => {
  let rehearsal: Rehearsal
  let relayer: RunningRelayer
  const folder = mkdtempSync(join(tmpdir(), 'relay-cli-'))
  const planFile = join(folder, 'plan.json')

  beforeAll(async () => {
    rehearsal = await rehearse({ chainIds: [chainId] })
    writeFileSync(planFile, JSON.stringify(rehearsal.plan({ subjects: 2 })))
  })

  afterAll(async () => {
    await relayer.stop()
    await rehearsal.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  function relay(...args: readonly string[]): Promise<{ code: number; text: string }> {
    return new Promise((resolve) => {
      const env = { PATH: process.env['PATH'], PLUMBLINE_OPERATOR_TOKEN: operatorToken }
      execFile(process.execPath, [main, 'relay', ...args], { env }, (error, stdout, stderr) => {
        const code = typeof error?.code === 'number' ? error.code : 0
        resolve({ code, text: `${stdout}${stderr}` })
      })
    })
  }

  it('plan tells what would be sent and what it would cost, and sends nothing', async () => {
    rehearsal.worker.close([testReport(0, 1), testReport(5, 1)])
    const { code, text } = await relay('plan', planFile)
    expect(code).toBe(0)
    expect(text).toContain('1 batches, 2 reports; nothing is sent.')
    expect(text).toContain(`  waits register ${rehearsal.worker.signer} 400000 gas (nominal)`)
    expect(text).toContain('  signerUnknown anchor batch 1 120000 gas (nominal)')
    expect(text).toContain(`  waits settle plant 0 on ${chainId} 120000 gas (nominal)`)
    expect(text).toContain(`  no report yet for plant 1 on ${chainId}`)
    expect(await rehearsal.chains[0]?.settlements()).toBe(0n)
  })

  it('status, pause and resume reach a running relayer', async () => {
    relayer = await rehearsal.start(rehearsal.plan({ subjects: 2 }))
    await until(
      () => statusOf(relayer.url),
      ({ lanes }) => lanes[0]?.counts.final === 3,
    )
    const status = await relay('status', '--url', relayer.url)
    expect(status.code).toBe(0)
    expect(status.text).toContain(
      `test ${chainId} (${chainId}) running: 0 waiting, 0 in flight, 0 included, 3 final, 0 quarantined`,
    )
    const pause = await relay('pause', '--url', relayer.url, '--chain', String(chainId))
    expect(pause).toEqual({ code: 0, text: `chain ${chainId}: pause done\n` })
    expect((await statusOf(relayer.url)).lanes[0]?.mode).toBe('paused')
    expect((await relay('resume', '--url', relayer.url)).code).toBe(0)
    const retry = await relay(
      'retry',
      '--url',
      relayer.url,
      '--chain',
      String(chainId),
      '--job',
      'x',
    )
    expect(retry).toEqual({
      code: 1,
      text: `chain ${chainId}: not done: There is no such job on this lane.\n`,
    })
  })

  it('a relayer that is not there and a plan that is not one are named', async () => {
    const nowhere = await relay('status', '--url', 'http://127.0.0.1:9')
    expect(nowhere.code).toBe(3)
    expect(nowhere.text).toMatchInlineSnapshot(`
      "The relayer at http://127.0.0.1:9 cannot be reached.
      Field: --url
      Remedy: Check the address and whether the relayer runs.
      "
    `)
    writeFileSync(planFile, '{"version":1,"worker":"ftp://x"}')
    const bad = await relay('plan', planFile)
    expect(bad.code).toBe(3)
    expect(bad.text).toMatchInlineSnapshot(`
      "The settlement plan is not well formed.
      Field: plan.worker
      Problem: must be an http or https URL
      Remedy: Compare the plan with docs/relayer.md, "The settlement plan".
      "
    `)
  })
})
