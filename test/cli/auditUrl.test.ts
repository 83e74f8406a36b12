import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { AuditReport } from '#cli/audit/auditReport.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
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
import { root } from '#tools/paths.ts'
import { readConfig } from '#worker/config.ts'
import { type RunningWorker, createPorts, startWorker } from '#worker/createWorker.ts'

let rig: Rig
let folder: string
let worker: RunningWorker | undefined

beforeAll(async () => {
  rig = await startRig()
  folder = mkdtempSync(join(tmpdir(), 'plumbline-audit-url-'))
  const pem = Buffer.from(rig.rootCertificate).toString('base64')
  writeFileSync(
    join(folder, 'root.pem'),
    `-----BEGIN CERTIFICATE-----\n${pem.replaceAll(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`,
  )
})
afterEach(async () => {
  await worker?.stop()
})
afterAll(async () => {
  await rig.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function startWithReport(publishesReadings: boolean): Promise<RunningWorker> {
  const device = createTestDevice('meter', testStream)
  const now = Date.now()
  const settings = readConfig(
    testConfig(rig, rig.folder(), [device], {
      certificationService: rig.guestAgent,
      publishesReadings,
      allowedLatenessMs: 1500,
      assignments: [
        {
          subject: 'plant',
          policy: testPolicy.name,
          periods: [{ startMs: now - 60_000, endMs: now }],
        },
      ],
    }),
  )
  const started = await startWorker(
    settings,
    createPorts(settings, () => undefined),
  )
  await postPacks(started.url, [device.next([now - 50_000, now - 40_000], [7_000_000, 8_000_000])])
  await eventually(
    () => createWorkerClient({ url: started.url, fetch }).batches(0n),
    ({ batches }) => batches.some(({ reports }) => reports.length > 0),
  )
  return started
}

/** Not synchronously: the worker runs in this process. */
async function audit(url: string, ...args: string[]) {
  const json = join(folder, 'audit.json')
  const child = spawn(
    process.execPath,
    [
      join(root, 'cli', 'main.ts'),
      'audit',
      url,
      '--root',
      join(folder, 'root.pem'),
      '--json',
      json,
      ...args,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const status = await new Promise((resolve) => child.once('close', resolve))
  expect(status, stderr).toBe(0)
  return JSON.parse(readFileSync(json, 'utf8')) as AuditReport
}

describe('plumbline audit of a worker’s address', () => {
  it('fetches a bundle of every report, packs included, and examines them', async () => {
    worker = await startWithReport(true)
    const kept = join(folder, 'kept')
    const report = await audit(worker.url, '--keep', kept)
    expect(report).toMatchObject({ bundles: 1, accepted: 1 })
    expect(report.checks['evaluation']).toStrictEqual({ passed: 1, failed: 0, notChecked: 0 })
    expect(readdirSync(kept)).toHaveLength(1)
  })

  it('takes them without packs where the worker keeps its readings, and says so', async () => {
    worker = await startWithReport(false)
    const report = await audit(worker.url)
    expect(report).toMatchObject({ bundles: 1, accepted: 1 })
    expect(report.checks['evaluation']).toStrictEqual({ passed: 0, failed: 0, notChecked: 1 })
    expect(report.findings.map(({ title }) => title)).toContain('A line was not examined')
  })
})
