import { secp256k1 } from '@noble/curves/secp256k1'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Hex } from '#schemas/bytes.ts'
import { policyId, decodePolicy } from '#schemas/policy/policy.ts'
import { subjectId } from '#schemas/report.ts'
import { type ProofBundle, writeBundle } from '#schemas/bundle.ts'
import { toHex } from '#schemas/bytes.ts'
import { transferRoute, writeCapability } from '#schemas/capability.ts'
import { addressOf } from '#schemas/signatures.ts'
import { encodeCalibration } from '#schemas/calibration/encodeCalibration.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
import { type QuotePolicyDocument, createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { type BundleVerdict, verifyBundle } from '#verifier/bundle/verifyBundle.ts'
import { createCertificationService } from '#worker/adapters/certificationService.ts'
import { readConfig } from '#worker/config.ts'
import { type RunningWorker, createPorts, startWorker } from '#worker/createWorker.ts'
import {
  type Rig,
  createTestDevice,
  eventually,
  postPacks,
  startRig,
  testConfig,
  testPolicy,
  testStream,
} from './rig.ts'

let rig: Rig
const running: RunningWorker[] = []

beforeAll(async () => {
  rig = await startRig()
})
afterEach(async () => {
  for (const worker of running.splice(0)) await worker.stop()
})
afterAll(async () => {
  await rig.stop()
})

const anyLocalImage: QuotePolicyDocument = {
  id: 'test',
  tees: ['TDX'],
  tcb: {
    acceptedStatuses: { UpToDate: { graceDays: null } },
    minimumEvaluationDataNumber: 0,
    minimumQeEvaluationDataNumber: 0,
    deniedAdvisories: [],
    maximumCollateralAgeDays: null,
  },
  platforms: { allowed: 'any', denied: [] },
  allowedTdAttributes: [],
  allowedServiceTds: [],
  images: 'any',
  enclaves: [],
}

function examine(text: string): BundleVerdict {
  return verifyBundle(JSON.parse(text), {
    rootCertificate: rig.rootCertificate,
    quotePolicy: createQuotePolicy(anyLocalImage),
  })
}

function client(worker: RunningWorker) {
  return createWorkerClient({ url: worker.url, fetch: (url, init) => fetch(url, init) })
}

const subject = subjectId('plant')

/** A worker that has closed one period of two packs, with what a test wants different. */
async function workerWithReport({
  beforeClose = () => Promise.resolve(),
  ...overrides
}: Record<string, unknown> & {
  beforeClose?: (url: string, device: Hex) => Promise<void>
} = {}) {
  const folder = rig.folder()
  const device = createTestDevice('meter', testStream)
  const silent = createTestDevice('silent meter', testStream)
  const now = Date.now()
  const config = testConfig(rig, folder, [device, silent], {
    certificationService: rig.guestAgent,
    publishesReadings: true,
    allowedLatenessMs: 1500,
    assignments: [
      {
        subject: 'plant',
        policy: testPolicy.name,
        periods: [{ startMs: now - 60_000, endMs: now }],
      },
    ],
    ...overrides,
  })
  const start = async (changes: Record<string, unknown> = {}) => {
    const settings = readConfig({ ...config, ...changes })
    const worker = await startWorker(
      settings,
      createPorts(settings, () => undefined),
    )
    running.push(worker)
    return worker
  }
  const worker = await start()
  await postPacks(worker.url, [
    device.next([now - 50_000, now - 40_000], [7_000_000, 8_000_000]),
    device.next([now - 30_000, now - 20_000], [9_000_000, 9_500_000]),
  ])
  await beforeClose(worker.url, device.id)
  await eventually(
    () => client(worker).batches(0n),
    ({ batches }) => batches.some(({ reports }) => reports.length > 0),
  )
  return { worker, start }
}

/** The same on two subjects, where the device has moved from one to the other before the close. */
async function workerWithMove(afterStartMs: number) {
  const operatorKey = new Uint8Array(32).fill(0x0b)
  const startMs = Date.now() - 60_000
  return workerWithReport({
    operator: addressOf(secp256k1.getPublicKey(operatorKey, false)),
    allowedLatenessMs: 2500,
    assignments: ['plant', 'cellar'].map((name) => ({
      subject: name,
      policy: testPolicy.name,
      periods: [{ startMs, endMs: startMs + 60_000 }],
    })),
    beforeClose: async (url: string, device: Hex) => {
      await createWorkerClient({ url, fetch: (to, init) => fetch(to, init) }).transferDevice(
        device,
        {
          subject: 'cellar',
          fromMs: startMs + afterStartMs,
          capability: writeCapability(
            {
              stream: testStream,
              scope: 'transfer',
              subject: transferRoute(subject, subjectId('cellar')),
              notBeforeMs: startMs,
              expiresAtMs: startMs + 600_000,
            },
            operatorKey,
          ),
        },
      )
    },
  })
}

describe('a bundle from a worker', () => {
  it('passes every line of the examination, the evaluation again included', async () => {
    const { worker } = await workerWithReport()
    const verdict = examine(await client(worker).bundleText(subject, { withPacks: true }))
    expect(verdict.checks.filter(({ status }) => status !== 'passed')).toStrictEqual([])
    expect(verdict.isAccepted).toBe(true)
  })

  it('takes the calibrations along that its policy demands', async () => {
    const { worker } = await workerWithReport({
      policies: [{ ...testPolicy, quality: { calibration: 'required' } }],
      calibrations: [
        {
          device: createTestDevice('meter', testStream).id,
          series: 'power',
          validFromMs: 0,
          validUntilMs: Date.now() - 25_000,
          certificate: `0x${'ce'.repeat(32)}`,
        },
      ],
    })
    const text = await client(worker).bundleText(subject, { withPacks: true })
    const verdict = examine(text)
    expect(verdict.checks.filter(({ status }) => status !== 'passed')).toStrictEqual([])
    const bundle = JSON.parse(text) as ProofBundle
    const bare = bundle.devices?.map((device) =>
      Object.fromEntries(Object.entries(device).filter(([name]) => name !== 'calibrations')),
    )
    const without = examine(
      writeBundle({ ...(bundle as unknown as Record<string, unknown>), devices: bare }),
    )
    expect(
      without.checks.filter(({ status }) => status === 'failed').map(({ id }) => id),
    ).toStrictEqual(['evaluation'])
  })

  it('takes a laboratory’s certificate along, before and after the amendment that it led to', async () => {
    const laboratory = createDeviceSigner('ES256', new Uint8Array(32).fill(0x1a))
    const { worker } = await workerWithReport({
      policies: [{ ...testPolicy, quality: { calibration: 'required' } }],
      laboratories: [
        {
          name: 'Labor Süd',
          publicKey: toHex(coseKeyBytes(laboratory.key)),
          algorithm: 'ES256',
        },
      ],
    })
    const day = Math.floor(Date.now() / 86_400_000) * 86_400_000
    const certificate = {
      laboratory: 'Labor Süd',
      number: '2026-1',
      device: createTestDevice('meter', testStream).id,
      series: 'power',
      unit: 'W',
      issuedMs: day,
      validFromMs: day - 86_400_000,
      validUntilMs: day + 30 * 86_400_000,
      document: undefined,
      replaces: undefined,
    }
    const before = await client(worker).bundleText(subject, { withPacks: true })
    expect(before).not.toContain('"laboratoryKey"')
    await client(worker).postCalibration(encodeCalibration(certificate, laboratory))
    const text = await eventually(
      () => client(worker).bundleText(subject, { withPacks: true }),
      (newest) => newest !== before,
    )
    for (const whole of [
      before,
      text,
      await client(worker).bundleText(subject, { sequence: 1n, withPacks: true }),
    ]) {
      const { checks } = examine(whole)
      expect(checks.filter(({ status }) => status !== 'passed')).toStrictEqual([])
    }
    expect(examine(text).checks.find(({ id }) => id === 'devices')?.detail).toContain(
      `Calibrated by Labor Süd (${laboratory.key.id}).`,
    )
    const forged = encodeCalibration(
      { ...certificate, validUntilMs: certificate.validUntilMs + 1000 },
      laboratory,
    )
    const twins = [
      text.replace(toHex(encodeCalibration(certificate, laboratory)), toHex(forged)),
      text.replace(
        toHex(coseKeyBytes(laboratory.key)),
        toHex(coseKeyBytes(createTestDevice('meter', testStream).signer.key)),
      ),
    ]
    for (const twin of twins) {
      expect(twin).not.toBe(text)
      const { digest: _, ...content } = JSON.parse(twin) as Record<string, unknown>
      const { checks } = examine(writeBundle(content))
      expect(checks.find(({ id }) => id === 'devices')?.status).toBe('failed')
    }
    const otherUnit = text.replace(
      toHex(encodeCalibration(certificate, laboratory)),
      toHex(encodeCalibration({ ...certificate, unit: 'kW' }, laboratory)),
    )
    const { digest: _, ...content } = JSON.parse(otherUnit) as Record<string, unknown>
    expect(
      examine(writeBundle(content)).checks.filter(({ status }) => status === 'failed'),
    ).toMatchObject([
      {
        id: 'evaluation',
        detail: expect.stringContaining('for another unit than the policy’s.') as unknown,
      },
    ])
  })

  it('holds for both subjects of a device that moved within the period', async () => {
    const { worker } = await workerWithMove(35_000)
    for (const of of [subject, subjectId('cellar')]) {
      const text = await client(worker).bundleText(of, { withPacks: true })
      expect(text).toContain('"observed":[')
      const { checks } = examine(text)
      expect(checks.filter(({ status }) => status !== 'passed')).toStrictEqual([])
      const bundle = JSON.parse(text) as Record<string, unknown>
      const stripped = (list: string): unknown[] =>
        (bundle[list] as object[]).map((each) =>
          Object.fromEntries(Object.entries(each).filter(([name]) => name !== 'observed')),
        )
      const failing = (changes: Record<string, unknown>): string[] => {
        const { digest: _, ...content } = { ...bundle, ...changes }
        return examine(writeBundle(content))
          .checks.filter(({ status }) => status === 'failed')
          .map(({ id }) => id)
      }
      // All its readings on one subject is not what was signed.
      expect(failing({ devices: stripped('devices') })).toStrictEqual(['evaluation'])
      expect(failing({ roster: stripped('roster') })).toStrictEqual(
        of === subject ? ['roster'] : [],
      )
    }
  })

  it('holds for a subject that a device left as the period began: its last value reaches into it', async () => {
    const { worker } = await workerWithMove(0)
    const { checks } = examine(await client(worker).bundleText(subject, { withPacks: true }))
    expect(checks.filter(({ status }) => status !== 'passed')).toStrictEqual([])
    expect(checks.find(({ id }) => id === 'roster')?.detail).toMatch(
      /Of these 1 stood elsewhere by then, and here before by the bundle’s word\.$/,
    )
  })

  it('shows the silent device on the roster beside the one that spoke', async () => {
    const { worker } = await workerWithReport()
    const bundle = JSON.parse(await client(worker).bundleText(subject)) as {
      roster: { entry: { heardReadings: number } }[]
    }
    expect(
      bundle.roster.map(({ entry }) => entry.heardReadings).sort((one, other) => one - other),
    ).toStrictEqual([0, 4])
  })

  it('holds without its packs and says what was not looked at', async () => {
    const { worker } = await workerWithReport()
    const verdict = examine(await client(worker).bundleText(subject))
    expect(verdict.isAccepted).toBe(true)
    const open = verdict.checks.filter(({ status }) => status === 'not-checked')
    expect(open.map(({ id }) => id)).toStrictEqual(['devices', 'evidence', 'evaluation'])
  })

  it('is the same after a restart, signed by a key that is long gone', async () => {
    const { worker, start } = await workerWithReport()
    const before = await client(worker).bundleText(subject, { withPacks: true })
    await running.shift()?.stop()
    const again = await start()
    expect(again.signer).not.toBe(worker.signer)
    expect(await client(again).bundleText(subject, { withPacks: true })).toBe(before)
  })

  it('is chosen by policy and by batch', async () => {
    const { worker } = await workerWithReport()
    const id = policyId(decodePolicy(testPolicy))
    const ask = client(worker)
    const [batch] = (await ask.batches(0n)).batches
    const text = await ask.bundleText(subject)
    const sequence = batch?.batch.sequence ?? 0n
    expect(await ask.bundleText(subject, { policyId: id, sequence })).toBe(text)
    const otherPolicy: Hex = `0x${'11'.repeat(32)}`
    for (const none of [{ policyId: otherPolicy }, { sequence: 99n }]) {
      await expect(ask.bundleText(subject, none)).rejects.toMatchObject({
        status: 404,
        refusal: { name: 'UnknownReportError' },
      })
    }
  })

  it('waits for its collateral, and has it as soon as the service is back', async () => {
    let isAway = true
    const service = createServer((request, response) => {
      if (isAway) {
        response.writeHead(503).end()
        return
      }
      void fetch(`${rig.guestAgent}${request.url ?? ''}`).then(async (answer) => {
        response.writeHead(answer.status, Object.fromEntries(answer.headers))
        response.end(Buffer.from(await answer.arrayBuffer()))
      })
    })
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
    const { port } = service.address() as AddressInfo
    const { worker } = await workerWithReport({
      certificationService: `http://127.0.0.1:${port}`,
    })
    await expect(client(worker).bundleText(subject)).rejects.toMatchObject({
      status: 503,
      retryable: true,
      refusal: { name: 'BundleIncompleteError' },
    })
    isAway = false
    const text = await eventually(
      () =>
        client(worker)
          .bundleText(subject)
          .catch(() => ''),
      (found) => found !== '',
    )
    service.closeAllConnections()
    service.close()
    expect(examine(text).isAccepted).toBe(true)
  })
})

describe('a worker that keeps readings private', () => {
  it('gives bundles without packs, and refuses packs by either way', async () => {
    const { worker } = await workerWithReport({ publishesReadings: false })
    const ask = client(worker)
    expect(examine(await ask.bundleText(subject)).isAccepted).toBe(true)
    const refused = { status: 403, refusal: { name: 'ReadingsPrivateError' } }
    await expect(ask.bundleText(subject, { withPacks: true })).rejects.toMatchObject(refused)
    const [device] = (await ask.devices()).devices
    await expect(ask.packs(device?.device ?? '0x')).rejects.toMatchObject(refused)
  })
})

describe('a worker that publishes readings', () => {
  it('hands out a device’s packs as they came, from where one left off', async () => {
    const { worker } = await workerWithReport()
    const ask = client(worker)
    const { devices } = await ask.devices()
    const spoken = devices.find(({ headSequence }) => headSequence === 2n)
    const all = await ask.packs(spoken?.device ?? '0x')
    expect(all).toHaveLength(2)
    expect(await ask.packs(spoken?.device ?? '0x', 1n)).toStrictEqual(all.slice(1))
  })
})

describe('the certification service', () => {
  it('is asked for a platform’s own family and refused what is no signed document', async () => {
    const { worker } = await workerWithReport()
    const { quote } = await client(worker).attestation({ chainId: 31_337n })
    const bytes = Uint8Array.from(Buffer.from(quote.slice(2), 'hex'))
    const asked: string[] = []
    const service = createServer((request, response) => {
      asked.push(request.url ?? '')
      response.writeHead(200).end('{"tcbInfo":{},"signature":"00"}')
    })
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
    const { port } = service.address() as AddressInfo
    await expect(
      createCertificationService(`http://127.0.0.1:${port}/`).collateral(bytes),
    ).rejects.toMatchObject({ name: 'CollateralUnavailableError', retryable: true })
    service.closeAllConnections()
    service.close()
    expect(asked.sort().map((path) => path.replace(/fmspc=[0-9a-f]{12}/, 'fmspc=…'))).toStrictEqual(
      [
        '/sgx/certification/v4/pckcrl?ca=platform&encoding=der',
        '/sgx/certification/v4/rootcacrl',
        '/tdx/certification/v4/qe/identity',
        '/tdx/certification/v4/tcb?fmspc=…',
      ],
    )
  })
})
