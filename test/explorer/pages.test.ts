import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  type ExplorerServer,
  contentSecurityPolicy,
  startExplorerServer,
} from '#localnet/explorerServer.ts'
import { writeBundle } from '#schemas/bundle.ts'
import type { Deployment } from '#schemas/deployment.ts'
import {
  type Rig,
  createTestDevice,
  eventually,
  postPacks,
  startRig,
  testConfig,
  testPolicy,
  testStream,
} from '#test/enclave-worker/rig.ts'
import { describeChromium } from '#test/shared.ts'
import { bundlePlatform, makeBundle } from '#test/support/makeBundle.ts'
import { plainQuotePolicy } from '#verifier/appraisal/plainQuotePolicy.ts'
import { readConfig } from '#worker/config.ts'
import { type RunningWorker, createPorts, startWorker } from '#worker/createWorker.ts'
import { launch, open, overflow, statuses } from './browser.ts'

const { text, content } = makeBundle()

/** A copy of the bundle with one part changed and its digest mended, as a forger would. */
function forged(change: (copy: typeof content) => void): string {
  const copy = structuredClone(content)
  change(copy)
  return writeBundle(copy)
}

const deployment: Deployment = {
  version: 1,
  name: 'Test site',
  streamName: 'test',
  rootCertificate: bundlePlatform.rootCertificatePem,
  rootName: 'the platform of this test',
  quotePolicy: plainQuotePolicy,
  chains: [],
  agreements: [],
}

describeChromium('the explorer', (chromium) => {
  let browser: Browser
  let server: ExplorerServer
  let rig: Rig
  let worker: RunningWorker
  let folder: string

  beforeAll(async () => {
    browser = await launch(chromium)
    rig = await startRig()
    folder = mkdtempSync(join(tmpdir(), 'plumbline-explorer-'))
    const device = createTestDevice('meter', testStream)
    const startMs = Math.floor(Date.now() / 1000) * 1000 - 101_000
    const seconds = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, index) => startMs + (from + index) * 1000)
    const limited = {
      ...testPolicy,
      name: 'At most 8 W',
      predicate: { operator: 'le', limit: '8' },
      objectives: [{ measure: 'violating_ms', operator: 'le', limit: '30s' }],
    }
    const config = readConfig(
      testConfig(rig, rig.folder(), [device], {
        certificationService: rig.guestAgent,
        publishesReadings: true,
        // Long enough for a busy machine to attest the worker and hand the packs in.
        allowedLatenessMs: 15_000,
        policies: [limited],
        assignments: [
          {
            subject: 'plant',
            policy: limited.name,
            periods: [{ startMs, endMs: startMs + 100_000 }],
          },
        ],
      }),
    )
    worker = await startWorker(
      config,
      createPorts(config, () => undefined),
    )
    // Forty seconds, a gap of twenty, forty more, ten of which are above the limit.
    const late = seconds(60, 100)
    await postPacks(worker.url, [
      device.next(
        seconds(0, 40),
        seconds(0, 40).map(() => 5_000_000),
      ),
      device.next(
        late,
        late.map((_, index) => (index >= 10 && index < 20 ? 9_000_000 : 6_000_000)),
      ),
    ])
    await eventually(
      async () =>
        (await (await fetch(`${worker.url}/v1/reports`)).json()) as { reports: unknown[] },
      ({ reports }) => reports.length > 0,
    )
    server = await startExplorerServer(0)
    server.describe(deployment, {
      worker: worker.url,
      relayer: 'http://127.0.0.1:9',
      chains: new Map([[31_337, rig.rpcUrl]]),
    })
  })
  afterAll(async () => {
    await browser.close()
    await server.close()
    await worker.stop()
    await rig.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('examines a chosen bundle in the browser and ticks every line', async () => {
    const { page, complaints, strangers } = await open(browser, server.url, '/#/verify')
    await page.getByText('the platform of this test').waitFor({ state: 'attached' })
    const file = join(folder, 'bundle.json')
    writeFileSync(file, text)
    await page.locator('#bundle-file').setInputFiles(file)
    await page.getByText('Accepted: the proof holds').waitFor()
    await page.getByText(/judged as of 2026-01-15 00:00 UTC; the collateral lapsed on/).waitFor()
    expect(new Set(Object.values(await statuses(page)))).toStrictEqual(new Set(['passed']))
    expect(await page.locator('li[data-check]').count()).toBe(15)
    expect(strangers).toStrictEqual([])
    expect(complaints.filter((line) => !line.includes('502'))).toStrictEqual([])
    await page.context().close()
  })

  it.each<[string, (copy: typeof content) => void]>([
    ['batch', (copy) => (copy['streamName'] = 'another stream')],
    ['policy', (copy) => (copy['policy'] = String(copy['policy']).replace('"5"', '"9"'))],
    ['measures', (copy) => (copy['measures'] = String(copy['measures']).replace('300000', '0'))],
    [
      'image',
      (copy) => {
        const attestation = copy['attestation'] as Record<string, unknown>
        attestation['appCompose'] = String(attestation['appCompose']).replace('worker', 'wurker')
      },
    ],
  ])('turns red at the line “%s” where a forged bundle does not hold', async (line, change) => {
    const { page } = await open(browser, server.url, '/#/verify')
    await page.getByText('the platform of this test').waitFor({ state: 'attached' })
    const file = join(folder, `forged-${line}.json`)
    writeFileSync(file, forged(change))
    await page.locator('#bundle-file').setInputFiles(file)
    await page.getByText('Refused', { exact: true }).waitFor()
    const found = await statuses(page)
    expect(Object.keys(found).filter((id) => found[id] === 'failed')).toStrictEqual([line])
    // What the eye sees: the mark of that line, and the verdict above, in the colour of refusal.
    const colors = await page.evaluate<string[]>(`[
      getComputedStyle(document.querySelector('li[data-check="${line}"] .mark')).backgroundColor,
      getComputedStyle(document.querySelector('.result')).borderLeftColor,
    ]`)
    expect(colors).toStrictEqual(['rgb(171, 47, 36)', 'rgb(171, 47, 36)'])
    await page.context().close()
  })

  it('takes a bundle that is dropped anywhere, and names a file that is none', async () => {
    const { page } = await open(browser, server.url)
    await page.getByRole('heading', { name: 'Test site' }).waitFor()
    const drop = (name: string, body: string) =>
      page.evaluate(`{
        const dataTransfer = new DataTransfer()
        dataTransfer.items.add(new File([${JSON.stringify(body)}], ${JSON.stringify(name)}))
        document.body.dispatchEvent(
          new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }),
        )
      }`)
    await drop('bundle.json', text)
    await page.getByText('Accepted: the proof holds').waitFor()
    await drop('notes.txt', 'not JSON')
    await page.getByText('The file cannot be read as a bundle.').waitFor()
    expect(Object.values(await statuses(page))).not.toContain('passed')
    await page.context().close()
  })

  it('refuses a bundle of another root when Intel’s is chosen', async () => {
    const { page } = await open(browser, server.url, '/#/verify')
    await page.getByText('the platform of this test').waitFor({ state: 'attached' })
    await page.locator('#root').selectOption('intel')
    const file = join(folder, 'local.json')
    writeFileSync(file, text)
    await page.locator('#bundle-file').setInputFiles(file)
    await page.getByText('Refused', { exact: true }).waitFor()
    expect((await statuses(page))['collateral']).toBe('failed')
    await page.context().close()
  })

  it('draws a gap as a gap and says how long nobody saw anything', async () => {
    const { page } = await open(browser, server.url)
    await page.getByRole('link', { name: 'plant' }).first().click()
    await page.getByText('80 readings; 1 gap (20 s unobserved)').waitFor()
    await page.getByText('outside the limit 1 time, 10 s in all').waitFor()
    expect(await page.locator('.chart canvas').count()).toBeGreaterThan(0)
    await page.context().close()
  })

  it('tells the policy in plain words and fetches the proof of a report', async () => {
    const { page } = await open(browser, server.url)
    await page
      .getByRole('link', { name: /At most 8 W/ })
      .first()
      .click()
    await page.getByText('A value complies while it is at most 8 W.').waitFor()
    await page.getByRole('row', { name: /violating 10 s/ }).waitFor()
    expect(await page.locator('.badge').first().textContent()).toContain('Pass')
    await page.context().close()
  })

  it('can be walked with the keyboard alone', async () => {
    const { page } = await open(browser, server.url)
    await page.getByRole('heading', { name: 'Test site' }).waitFor()
    await page.keyboard.press('Tab')
    const focused = () => page.evaluate<string>('document.activeElement.textContent.trim()')
    expect(await focused()).toBe('Skip to the content')
    for (let presses = 0; presses < 5; presses += 1) await page.keyboard.press('Tab')
    expect(await focused()).toBe('Verify')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Verify', exact: true }).waitFor()
    await page.keyboard.press('Tab')
    expect(await page.evaluate<string>('document.activeElement.id')).toBe('bundle-file')
    await page.context().close()
  })

  it.each(['light', 'dark'] as const)('fits a phone, %s', async (colorScheme) => {
    for (const path of ['/', '/#/batches', '/#/enclave', '/#/verify', '/#/report/1/0']) {
      const { page } = await open(browser, server.url, path, { width: 360, colorScheme })
      await page.locator('h1').first().waitFor()
      await page.waitForTimeout(300)
      expect(await overflow(page), path).toBeLessThanOrEqual(0)
      await page.context().close()
    }
  })

  it('is served under a strict content security policy, to its own machine’s name only', async () => {
    const answer = await fetch(server.url)
    expect(answer.headers.get('content-security-policy')).toBe(contentSecurityPolicy)
    expect(contentSecurityPolicy).not.toContain('unsafe')
    const { request } = await import('node:http')
    const status = await new Promise<number | undefined>((resolve, reject) => {
      request(server.url, { headers: { host: 'rebound.example' } }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })
    expect(status).toBe(421)
  })

  it('passes reading calls on to a chain and no others', async () => {
    const call = (method: string) =>
      fetch(`${server.url}/rpc/31337`, {
        method: 'POST',
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: [] }),
      })
    expect(await (await call('eth_chainId')).json()).toMatchObject({ result: '0x7a69' })
    for (const method of ['eth_sendTransaction', 'anvil_setBalance', 'evm_mine']) {
      expect((await call(method)).status).toBe(403)
    }
    expect((await fetch(`${server.url}/worker/v1/packs`, { method: 'POST' })).status).toBe(405)
  })
})
