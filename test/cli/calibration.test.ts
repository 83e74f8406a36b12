import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { calibrationExitCodes, registerCalibration } from '#cli/calibration.ts'
import { toBase64Url } from '#schemas/adapters/base64Url.ts'
import { toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import { createTestDevice, testStream } from '#test/enclave-worker/rig.ts'
import { type Stage, setStage } from '#test/enclave-worker/stage.ts'

const folder = mkdtempSync(join(tmpdir(), 'plumbline-calibration-'))
const stages: Stage[] = []
afterEach(async () => {
  for (const stage of stages.splice(0)) await stage.end()
})
afterAll(() => {
  rmSync(folder, { recursive: true })
})
const path = (name: string) => join(folder, name)

const secret = new Uint8Array(32).fill(0x1a)
const laboratory = createDeviceSigner('ES256', secret)
const { publicKey } = laboratory.key
const jwk = {
  kty: 'EC',
  crv: 'P-256',
  x: toBase64Url(publicKey.subarray(0, 32)),
  y: toBase64Url(publicKey.subarray(32)),
}
writeFileSync(path('private.jwk'), JSON.stringify({ ...jwk, d: toBase64Url(secret) }))
writeFileSync(path('public.jwk'), JSON.stringify(jwk))
writeFileSync(path('dcc.xml'), '<digitalCalibrationCertificate/>')

const device = createTestDevice('meter', testStream)

/** The command inside this process: what it prints, and the exit code it asks for. */
async function plumbline(...words: readonly (string | readonly string[])[]) {
  const program = new Command('plumbline').exitOverride()
  registerCalibration(program)
  const print = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  const before = process.exitCode
  process.exitCode = 0
  let stderr = ''
  try {
    await program.parseAsync(['calibration', ...words.flat()], { from: 'user' })
  } catch (error) {
    // As main.ts answers an error of ours.
    if (!(error instanceof BaseError)) throw error
    stderr = error.message
    process.exitCode = calibrationExitCodes.error
  }
  const stdout = print.mock.calls.map(([text]) => String(text)).join('')
  const status = process.exitCode
  process.exitCode = before
  print.mockRestore()
  return { status, stdout, stderr }
}

const sign = (out = path('certificate')) =>
  plumbline(
    ['sign', '--key', path('private.jwk'), '--laboratory', 'Labor Süd', '--number', '2026-1'],
    ['--device', device.id, '--series', 'power', '--unit', 'W', '--out', out],
    ['--issued', '2026-11-24T00:00:00Z', '--valid-from', '2026-11-20T00:00:00Z'],
    ['--valid-until', '2027-11-20T00:00:00Z', '--document', path('dcc.xml')],
  )

describe('plumbline calibration', () => {
  it('signs a certificate, reads it back, and says whether the laboratory signed it', async () => {
    expect((await sign()).stdout).toContain('number         2026-1\n')
    const { stdout, status } = await plumbline([
      'inspect',
      path('certificate'),
      '--key',
      path('public.jwk'),
      '--json',
    ])
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchInlineSnapshot(`
      {
        "device": "0x2bfa6ed00ad5e231a34ebfba7731bd0fcb2822319fc15bc67bb8283b69649c82",
        "digest": "0x1ccc62edcbd9a985f357f651510dc0fa4b2e2cb75f7fd0da96318697e52001d3",
        "document": "0x9080708735c9b0eeb91bf40ce072411c2ebd6b7abd55a29d9ee3614e3221f51d",
        "issued": "2026-11-24T00:00:00.000Z",
        "laboratory": "Labor Süd",
        "laboratoryKey": "0x89a760d50ff86e4c5299ecb2153d52c8cf91e85d550a24eb94467fe031073bd2",
        "number": "2026-1",
        "series": "power",
        "unit": "W",
        "validFrom": "2026-11-20T00:00:00.000Z",
        "validUntil": "2027-11-20T00:00:00.000Z",
        "verified": true,
      }
    `)
    expect(JSON.parse((await plumbline('inspect', path('certificate'), '--json')).stdout)).toEqual(
      expect.objectContaining({ verified: false }),
    )
  })

  it('exits with 1 for what is no certificate, or not under this key', async () => {
    await sign()
    const bytes = readFileSync(path('certificate'))
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
    writeFileSync(path('forged'), bytes)
    const forged = await plumbline('inspect', path('forged'), '--key', path('public.jwk'))
    expect(forged.status).toBe(calibrationExitCodes.refused)
    expect(forged.stdout).toMatchInlineSnapshot(`
      "refused        signature
      message        The laboratory did not sign this certificate.
      "
    `)
    const other = await plumbline('inspect', path('dcc.xml'))
    expect(other.status).toBe(calibrationExitCodes.refused)
    expect(other.stdout).toMatchInlineSnapshot(`
      "refused        reserved-head
      message        The bytes are refused as CBOR: a reserved additional-information value is used.
      "
    `)
  })

  it('says where it could not write, and what is no worker', async () => {
    const { status, stderr } = await sign(path('nowhere/certificate'))
    expect(status).toBe(calibrationExitCodes.error)
    expect(stderr).toContain('Field: --out')
    await sign()
    const program = new Command('plumbline').exitOverride()
    registerCalibration(program)
    for (const command of program.commands[0]?.commands ?? []) {
      command.exitOverride().configureOutput({ writeErr: () => undefined })
    }
    const words = ['calibration', 'send', path('certificate'), '--worker', 'worker.example']
    await expect(program.parseAsync(words, { from: 'user' })).rejects.toMatchObject({
      code: 'commander.invalidArgument',
      message: expect.stringContaining('--worker') as unknown,
    })
  })

  it('hands it in at a worker, and tells when it was there before', async () => {
    const stage = await setStage(
      {
        laboratories: [
          {
            name: 'Labor Süd',
            publicKey: toHex(coseKeyBytes(laboratory.key)),
            algorithm: 'ES256',
          },
        ],
      },
      [device],
    )
    stages.push(stage)
    await sign()
    const send = () =>
      plumbline('send', path('certificate'), '--worker', stage.worker.url, '--json')
    expect(JSON.parse((await send()).stdout)).toEqual({
      device: device.id,
      series: 'power',
      laboratory: 'Labor Süd',
      number: '2026-1',
      batchSequence: '1',
      isNew: true,
      validFrom: '2026-11-20T00:00:00.000Z',
      validUntil: '2027-11-20T00:00:00.000Z',
    })
    expect((await send()).stdout).toContain('"isNew": false')
    const refused = await plumbline([
      'send',
      path('dcc.xml'),
      '--worker',
      stage.worker.url,
      '--json',
    ])
    expect(refused.status).toBe(calibrationExitCodes.error)
    expect(refused.stderr).toContain('The worker refuses')
  })
})
