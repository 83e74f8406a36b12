import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it, onTestFailed } from 'vitest'
import { describeChromium } from '#test/shared.ts'
import { freePortBase } from '#test/support/freePortBase.ts'
import { root } from '#tools/paths.ts'
import { launch, open, statuses } from './browser.ts'

describeChromium('the explorer while the main job runs', (chromium) => {
  let browser: Browser
  let job: ChildProcess
  let folder: string
  let origin: string
  let output = ''

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'plumbline-story-'))
    const portBase = await freePortBase()
    job = spawn(
      process.execPath,
      [join(root, 'localnet', 'main.ts'), '--port-base', String(portBase), '--folder', folder],
      { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    for (const stream of [job.stdout, job.stderr]) {
      stream?.on('data', (chunk: Buffer) => (output += chunk.toString()))
    }
    browser = await launch(chromium)
    origin = `http://127.0.0.1:${portBase + 5}`
    const deadline = performance.now() + 180_000
    while (!(await fetch(origin).catch(() => undefined))?.ok) {
      if (performance.now() > deadline || job.exitCode !== null) {
        throw new Error(`No explorer.\n${output}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })
  afterAll(async () => {
    await browser.close()
    if (job.exitCode === null) {
      const ended = new Promise((resolve) => job.once('exit', resolve))
      job.kill('SIGTERM')
      await ended
    }
    rmSync(folder, { recursive: true, force: true })
  })

  it('tells the whole story, from an empty page to four settlements, without a reload', async () => {
    onTestFailed(() => {
      process.stderr.write(output)
    })
    const { page, complaints, strangers } = await open(browser, origin)
    page.setDefaultTimeout(240_000)
    // A browser that was slow to start may have missed a stage, never the end; none is shown twice.
    const stages = [
      'The local world is being built.',
      '2 devices enrolled. The first window has not closed yet.',
      '4 of 4 agreements settled on 3 chains.',
    ].map((text) => page.getByText(text))
    for (const [index, stage] of stages.entries()) {
      await stages
        .slice(index + 1)
        .reduce((either, later) => either.or(later), stage)
        .first()
        .waitFor()
    }
    page.setDefaultTimeout(120_000)
    for (const amount of ['18\u202f316.95 TEST', '115.00533209 t CO₂e', '12\u202f000 TEST']) {
      await page.getByText(amount).waitFor()
    }

    await page.getByRole('link', { name: 'shipment-7' }).first().click()
    await page.getByText('4\u202f417 readings; no gap; outside the limit 1 time, 100 s').waitFor()
    await page.goBack()
    await page
      .getByRole('link', { name: /solar-plant-1/ })
      .first()
      .click()
    await page.getByText('313.366 MWh in all; 1 of 2 marks reached.').waitFor()

    await page.getByRole('link', { name: 'Batches' }).click()
    await page.getByText('first of its chain').waitFor()
    expect(await page.locator('.tick.failed').count()).toBe(0)

    await page.getByRole('link', { name: 'Enclave' }).click()
    await page.getByText('UpToDate', { exact: true }).waitFor()
    expect(new Set(Object.values(await statuses(page)))).toStrictEqual(new Set(['passed']))
    await page.getByText('Show the compose file').click()
    await page.getByText('plumbline_worker_config').first().waitFor()

    await page.getByRole('link', { name: 'Overview' }).click()
    await page
      .getByRole('link', { name: /Solar month, cover/ })
      .first()
      .click()
    await page.getByText('PASS needs integral at least 350000000.').waitFor()
    await page.getByText('18\u202f316.95 TEST').waitFor()
    await page.getByRole('link', { name: 'Verify it in this browser' }).click()
    await page.getByText('Accepted: the proof holds').waitFor()
    expect(new Set(Object.values(await statuses(page)))).toStrictEqual(new Set(['passed']))

    expect(strangers).toStrictEqual([])
    // What is not up yet answers 503 or 502, which Chromium writes down; nothing else may stand there.
    expect(complaints.filter((line) => !/status of 50[23]/.test(line))).toStrictEqual([])
  })
})
