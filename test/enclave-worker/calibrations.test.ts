import { afterEach, describe, expect, it } from 'vitest'
import { concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import type { CalibrationCertificate } from '#schemas/calibration/calibrationCertificate.ts'
import { decodeCalibration } from '#schemas/calibration/decodeCalibration.ts'
import { encodeCalibration } from '#schemas/calibration/encodeCalibration.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import { reportLeaf, verdicts } from '#schemas/report.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'
import { calls } from '#worker/adapters/http/openApi.ts'
import { certificatesPerDevice } from '#worker/enrolment/calibrations.ts'
import type { WorkerPorts } from '#worker/createWorker.ts'
import type { Span } from '#worker/tracing.ts'
import { createTestDevice, eventually, testStream } from './rig.ts'
import { type Stage, bootMs, minute, seconds, setStage, tumbling, watts } from './stage.ts'

const device = createTestDevice('meter', testStream)
const laboratory = createDeviceSigner('ES256', new Uint8Array(32).fill(0x1a))
const secondKey = createDeviceSigner('Ed25519', new Uint8Array(32).fill(0x1b))
const stranger = createDeviceSigner('ES256', new Uint8Array(32).fill(0x1c))
const pinned = (signer: typeof laboratory, more: Record<string, unknown> = {}) => ({
  name: 'Labor Süd',
  accreditation: 'D-K-00000-01-00',
  publicKey: toHex(coseKeyBytes(signer.key)),
  algorithm: signer.key.algorithm,
  ...more,
})
const certificate: CalibrationCertificate = {
  laboratory: 'Labor Süd',
  number: '2026-1',
  device: device.id,
  series: 'power',
  unit: 'W',
  issuedMs: bootMs - 1000,
  validFromMs: bootMs - minute,
  validUntilMs: bootMs + 10 * minute,
  document: `0x${'5a'.repeat(32)}`,
  replaces: undefined,
}
const signed = (changes: Partial<CalibrationCertificate> = {}, signer = laboratory): Uint8Array =>
  encodeCalibration({ ...certificate, ...changes }, signer)

const calibrated = { ...tumbling, quality: { calibration: 'required' } }
const stages: Stage[] = []
afterEach(async () => {
  for (const stage of stages.splice(0)) await stage.end()
})

async function stageWith(
  overrides: Record<string, unknown> = {},
  ports: Partial<WorkerPorts> = {},
): Promise<Stage> {
  const stage = await setStage(
    {
      policies: [calibrated],
      assignments: [{ subject: 'plant', policy: calibrated.name }],
      allowedLatenessMs: 5000,
      laboratories: [pinned(laboratory)],
      ...overrides,
    },
    [device],
    ports,
  )
  stages.push(stage)
  return stage
}

/** A minute of readings in a pack of a fresh chain, so that every test begins anew. */
function minuteOfPacks(): Uint8Array {
  return createTestDevice('meter', testStream).next(seconds(bootMs), watts(90))
}

async function sendMinute({ world, client }: Stage): Promise<void> {
  world.nowMs = bootMs + minute
  const answers = await client.postPacks([minuteOfPacks()])
  expect(answers[0]).toHaveProperty('receipt')
}

/** Moves the clock to where the minute may close, and closes. */
async function close({ world, worker }: Stage): Promise<SignedBatch | undefined> {
  world.nowMs += 6000
  return worker.closeDue()
}

const outcome = (batch: SignedBatch | undefined) =>
  batch?.reports.map(({ report }) => [report.verdict, report.coveragePpm])
const covered = [[verdicts.PASS, 1_000_000]]
const uncovered = [[verdicts.INCONCLUSIVE, 0]]

describe('a certificate that a pinned laboratory has signed', () => {
  it('makes evidence of readings that came before it, in a window that is open', async () => {
    const stage = await stageWith()
    await sendMinute(stage)
    expect(await stage.client.postCalibration(signed())).toStrictEqual({
      device: device.id,
      series: 'power',
      laboratory: 'Labor Süd',
      number: '2026-1',
      validFromMs: certificate.validFromMs,
      validUntilMs: certificate.validUntilMs,
      batchSequence: 1n,
      isNew: true,
    })
    expect(outcome(await close(stage))).toStrictEqual(covered)
  })

  it('counts for its span, its series and its unit, and for nothing else', async () => {
    const spans = [
      [{ validUntilMs: bootMs + minute / 2 }, [[verdicts.INCONCLUSIVE, 500_000]]],
      [{ validFromMs: bootMs + minute / 2 }, [[verdicts.INCONCLUSIVE, 500_000]]],
      [{ validFromMs: bootMs + minute }, uncovered],
      [{ unit: 'kW' }, uncovered],
    ] as const
    for (const [changes, expected] of spans) {
      const stage = await stageWith()
      await sendMinute(stage)
      await stage.client.postCalibration(signed(changes))
      expect(outcome(await close(stage))).toStrictEqual(expected)
    }
  })

  it('is the same when it is sent again, whoever signed it again, and after a restart', async () => {
    const stage = await stageWith()
    await stage.client.postCalibration(signed())
    const again = { batchSequence: 1n, isNew: false }
    expect(await stage.client.postCalibration(signed())).toMatchObject(again)
    // Another signature over the same bytes: ECDSA has many.
    const { signature } = decodeCalibration(signed())
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
    const s = order - BigInt(toHex(signature.subarray(32)))
    const other = concatBytes(
      signed().subarray(0, -32),
      fromHex(s.toString(16).padStart(64, '0'), 's', 32),
    )
    expect(await stage.client.postCalibration(other)).toMatchObject(again)
    await stage.restart()
    expect(await stage.client.postCalibration(signed())).toMatchObject(again)
    await sendMinute(stage)
    expect(outcome(await close(stage))).toStrictEqual(covered)
  })

  it('is on the disk before it is answered: a worker that ends right then knows it', async () => {
    const stage = await stageWith()
    await sendMinute(stage)
    await stage.client.postCalibration(signed())
    await stage.restart()
    expect((await stage.client.device(device.id)).calibrations).toHaveLength(1)
    expect(outcome(await close(stage))).toStrictEqual(covered)
  })

  it('is shown with its device, beside what the configuration says', async () => {
    const configured = {
      device: device.id,
      series: 'power',
      validFromMs: 1,
      validUntilMs: 2,
      certificate: `0x${'cc'.repeat(32)}`,
    }
    const stage = await stageWith({ calibrations: [configured] })
    await stage.client.postCalibration(signed())
    await stage.client.postCalibration(signed({ number: '2026-2', replaces: '2026-1' }))
    const { calibrations } = await stage.client.device(device.id)
    expect(calibrations).toStrictEqual([
      {
        series: 'power',
        validFromMs: 1,
        validUntilMs: 2,
        document: configured.certificate,
        fromBatch: 0n,
      },
      {
        series: 'power',
        unit: 'W',
        validFromMs: certificate.validFromMs,
        validUntilMs: certificate.validUntilMs,
        document: certificate.document,
        laboratory: 'Labor Süd',
        number: '2026-1',
        issuedMs: certificate.issuedMs,
        fromBatch: 1n,
        untilBatch: 1n,
      },
      expect.objectContaining({ number: '2026-2', replaces: '2026-1', fromBatch: 1n }),
    ])
    const { devices } = await stage.client.devices()
    expect(devices[0]?.calibrations?.map(({ number }) => number)).toStrictEqual([
      undefined,
      '2026-2',
    ])
  })

  it('may come under any of the laboratory’s keys, and within its scope', async () => {
    const scope = [{ series: 'power', unit: 'W' }]
    const stage = await stageWith({
      laboratories: [pinned(laboratory), pinned(secondKey, { scope })],
    })
    expect(await stage.client.postCalibration(signed({}, secondKey))).toMatchObject({ isNew: true })
  })
})

describe('a certificate and what was judged ahead', () => {
  it('is not missed by it: the judgement is made again', async () => {
    let aheads = 0
    const span: Span = {
      tell: () => undefined,
      during: (name, work) => {
        if (name === 'judge ahead') aheads += 1
        return work(span)
      },
    }
    const stage = await stageWith({ tickMs: 20 }, { tracer: span })
    await sendMinute(stage)
    stage.world.nowMs += 2000
    await eventually(
      () => Promise.resolve(aheads),
      (count) => count > 0,
    )
    await stage.client.postCalibration(signed())
    stage.world.nowMs += 6000
    const { batches } = await eventually(
      () => stage.client.batches(0n),
      ({ head }) => head > 0n,
    )
    expect(outcome(batches[0])).toStrictEqual(covered)
  })
})

describe('a certificate that comes after a window was closed', () => {
  it('leads to an amendment that names the first report, and never to a silent change', async () => {
    const stage = await stageWith()
    await sendMinute(stage)
    const first = await close(stage)
    expect(outcome(first)).toStrictEqual(uncovered)
    const firstReport = first?.reports[0]?.report
    if (firstReport === undefined) throw new Error('no report')
    expect(await stage.client.postCalibration(signed())).toMatchObject({ batchSequence: 2n })
    await stage.restart()
    const second = await close(stage)
    expect(outcome(second)).toStrictEqual(covered)
    expect(second?.reports[0]?.report.amends).toBe(reportLeaf(firstReport))
    expect((await stage.client.batch(1n)).reports[0]?.report).toStrictEqual(firstReport)
    expect(await close(stage)).toBeUndefined()
    await stage.restart()
    expect(await stage.worker.closeDue()).toBeUndefined()
  })

  it('and between its cut and its signature, is not forgotten', async () => {
    const stage = await stageWith()
    await sendMinute(stage)
    stage.world.onCut = async () => {
      stage.world.onCut = undefined
      expect(await stage.client.postCalibration(signed())).toMatchObject({ batchSequence: 2n })
    }
    expect(outcome(await close(stage))).toStrictEqual(uncovered)
    expect(outcome(await close(stage))).toStrictEqual(covered)
  })

  it('and while another that says nothing new is looked at, is not forgotten', async () => {
    const stage = await stageWith()
    await sendMinute(stage)
    expect(outcome(await close(stage))).toStrictEqual(uncovered)
    // Within what bears on the window, and of no use to it.
    const before = { number: 'before', validUntilMs: bootMs }
    expect(await stage.client.postCalibration(signed(before))).toMatchObject({ batchSequence: 2n })
    stage.world.onCut = async () => {
      stage.world.onCut = undefined
      expect(await stage.client.postCalibration(signed())).toMatchObject({ batchSequence: 3n })
    }
    expect(outcome(await close(stage))).toStrictEqual([])
    expect(outcome(await close(stage))).toStrictEqual(covered)
  })

  it('makes one amendment of a whole stack', async () => {
    const stage = await stageWith()
    await sendMinute(stage)
    await close(stage)
    for (const part of [0, 1, 2]) {
      const validFromMs = bootMs + (part * minute) / 3
      await stage.client.postCalibration(
        signed({ number: `part ${part}`, validFromMs, validUntilMs: validFromMs + minute / 3 }),
      )
      expect(await stage.worker.closeDue()).toBeUndefined()
    }
    expect(outcome(await close(stage))).toStrictEqual(covered)
    expect(await close(stage)).toBeUndefined()
  })

  it('changes nothing when it says nothing new, or when it is too late to amend', async () => {
    const stage = await stageWith({ amendForMs: 3_600_000 })
    await stage.client.postCalibration(signed())
    await sendMinute(stage)
    expect(outcome(await close(stage))).toStrictEqual(covered)
    await stage.client.postCalibration(signed({ number: 'once more' }))
    expect(await close(stage)).toBeUndefined()
    const withdrawal = { number: 'late', replaces: '2026-1', validUntilMs: certificate.validFromMs }
    const other = { number: 'later', replaces: 'once more', validUntilMs: certificate.validFromMs }
    stage.world.nowMs = bootMs + 2 * minute + 3_600_000
    await stage.client.postCalibration(signed(withdrawal))
    await stage.client.postCalibration(signed(other))
    const batch = await close(stage)
    expect(batch?.reports.map(({ report }) => Number(report.periodStartMs))).not.toContain(bootMs)
  })
})

describe('a certificate that no longer holds', () => {
  it('is withdrawn by its laboratory, and what leaned on it is amended', async () => {
    const stage = await stageWith()
    await stage.client.postCalibration(signed())
    await sendMinute(stage)
    expect(outcome(await close(stage))).toStrictEqual(covered)
    await stage.client.postCalibration(
      signed({ number: '2026-2', replaces: '2026-1', validUntilMs: certificate.validFromMs }),
    )
    expect(outcome(await close(stage))).toStrictEqual(uncovered)
  })

  it('ends with its laboratory’s key, at the next start, for good', async () => {
    const stage = await stageWith()
    await stage.client.postCalibration(signed())
    await sendMinute(stage)
    expect(outcome(await close(stage))).toStrictEqual(covered)
    const revoked = [pinned(laboratory, { status: 'revoked' })]
    await stage.restart({ laboratories: revoked })
    expect(outcome(await close(stage))).toStrictEqual(uncovered)
    expect((await stage.client.device(device.id)).calibrations).toMatchObject([{ untilBatch: 2n }])
    // A configuration that forgets the revocation brings nothing back.
    await stage.restart()
    expect(await close(stage)).toBeUndefined()
    await expect(stage.client.postCalibration(signed({ number: 'new' }))).rejects.toMatchObject({
      status: 403,
      refusal: { name: 'LaboratoryStatusError', field: 'kid' },
    })
  })
})

describe('what the door for certificates refuses', () => {
  const scope = [{ series: 'power', unit: 'kW' }]
  const refusals: readonly (readonly [string, number, string, string, Uint8Array])[] = [
    ['a stranger’s', 403, 'UnknownLaboratoryError', 'kid', signed({}, stranger)],
    [
      'one in another laboratory’s name',
      403,
      'UnknownLaboratoryError',
      'kid',
      signed({ laboratory: 'Labor Nord' }),
    ],
    ['one beyond the scope', 403, 'LaboratoryStatusError', 'series', signed({}, secondKey)],
    [
      'one on a device that is not enrolled',
      404,
      'UnknownItemError',
      'device',
      signed({ device: `0x${'00'.repeat(32)}` }),
    ],
    [
      'one on a series that the device does not send',
      404,
      'UnknownItemError',
      'series',
      signed({ series: 'temperature' }),
    ],
    [
      'a number that another one has',
      409,
      'CalibrationConflictError',
      'number',
      signed({ number: 'taken', unit: 'kW' }),
    ],
    [
      'one that replaces what is not here',
      409,
      'CalibrationConflictError',
      'replaces',
      signed({ number: 'new', replaces: 'nothing' }),
    ],
    [
      'one that replaces what is on another series',
      409,
      'CalibrationConflictError',
      'replaces',
      signed({ number: 'new', replaces: 'other series' }),
    ],
    [
      'one that replaces what was replaced',
      409,
      'CalibrationConflictError',
      'replaces',
      signed({ number: 'new', replaces: 'replaced' }),
    ],
    [
      'one from the future',
      403,
      'CalibrationFromFutureError',
      'issued',
      signed({ number: 'new', issuedMs: bootMs + 61_000 }),
    ],
    [
      'one that was tampered with',
      403,
      'CalibrationNotAuthenticError',
      'undefined',
      Uint8Array.from(signed(), (byte, at) => (at === 150 ? byte ^ 1 : byte)),
    ],
    ['what is no COSE_Sign1', 400, 'InvalidSign1Error', 'undefined', Uint8Array.of(0x80)],
    ['what is no CBOR', 400, 'InvalidCborError', 'undefined', Uint8Array.of(0xff)],
    ['what is empty', 400, 'InvalidCborError', 'undefined', new Uint8Array()],
    ['one that is too large', 400, 'CalibrationFormatError', 'undefined', new Uint8Array(2049)],
    ['a body that is too large', 413, 'BodyTooLargeError', 'body', new Uint8Array(5000)],
  ]

  it('is each refused by its name and field, and nothing of it is kept', async () => {
    const stage = await stageWith({
      laboratories: [pinned(laboratory), pinned(secondKey, { scope })],
      devices: [
        {
          publicKey: toHex(coseKeyBytes(device.signer.key)),
          algorithm: 'ES256',
          subject: 'plant',
          tier: 'hardware',
          intervalMs: 1000,
          series: ['power', 'voltage'],
        },
      ],
    })
    const standing = [
      { number: 'taken' },
      { number: 'other series', series: 'voltage', unit: 'V' },
      { number: 'replaced' },
      { number: 'replacing', replaces: 'replaced' },
    ]
    for (const changes of standing) await stage.client.postCalibration(signed(changes))
    const described = calls.find(({ path }) => path === '/v1/calibrations')?.problems ?? []
    for (const [what, status, name, field, bytes] of refusals) {
      expect(described).toContain(status)
      await expect(stage.client.postCalibration(bytes), what).rejects.toMatchObject({
        status,
        refusal: { name, ...(field === 'undefined' ? {} : { field }) },
      })
    }
    expect((await stage.client.device(device.id)).calibrations).toHaveLength(standing.length)
  })

  it('is another media type', async () => {
    const stage = await stageWith()
    const response = await fetch(`${stage.worker.url}/v1/calibrations`, {
      method: 'POST',
      headers: { 'content-type': 'application/cbor-seq' },
      body: Uint8Array.from(signed()),
    })
    expect(response.status).toBe(415)
    expect(await response.json()).toMatchObject({ error: { name: 'UnsupportedMediaError' } })
  })

  it('is more for one device than one may have, and more signatures than a second has', async () => {
    const stage = await stageWith()
    for (let index = 0; index < certificatesPerDevice; index += 1) {
      if (index % 90 === 0) stage.world.nowMs += 1000
      await stage.client.postCalibration(signed({ number: `n${index}` }))
    }
    stage.world.nowMs += 1000
    await expect(stage.client.postCalibration(signed({ number: 'more' }))).rejects.toMatchObject({
      status: 403,
      refusal: { name: 'CalibrationQuotaError' },
    })
    const forgery = Uint8Array.from(signed(), (byte, at) => (at === 150 ? byte ^ 1 : byte))
    for (let index = 0; index < 99; index += 1) {
      await expect(stage.client.postCalibration(forgery)).rejects.toMatchObject({ status: 403 })
    }
    await expect(stage.client.postCalibration(forgery)).rejects.toMatchObject({
      status: 429,
      retryAfterSeconds: 1,
      refusal: { name: 'RateLimitedError', retryable: true },
    })
    stage.world.nowMs += 1000
    expect(await stage.client.postCalibration(signed({ number: 'n0' }))).toMatchObject({
      isNew: false,
    })
  })
})
