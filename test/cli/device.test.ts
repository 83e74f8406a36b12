import { secp256k1 } from '@noble/curves/secp256k1'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { deviceExitCodes, operatorKeyVariable, registerDevice } from '#cli/device.ts'
import { toHex } from '#schemas/bytes.ts'
import { assertCapability, transferRoute } from '#schemas/capability.ts'
import { BaseError } from '#schemas/errors.ts'
import { subjectId, zeroHash } from '#schemas/report.ts'
import { addressOf } from '#schemas/signatures.ts'
import { createTestDevice, testStream } from '#test/enclave-worker/rig.ts'
import { type Stage, setStage, tumbling } from '#test/enclave-worker/stage.ts'

const folder = mkdtempSync(join(tmpdir(), 'plumbline-device-'))
const operatorKey = new Uint8Array(32).fill(0x0b)
const operator = addressOf(secp256k1.getPublicKey(operatorKey, false))
const keyFile = join(folder, 'operator.key')
writeFileSync(keyFile, `${toHex(operatorKey)}\n`)
const device = createTestDevice('meter', testStream)

const stages: Stage[] = []
afterEach(async () => {
  for (const stage of stages.splice(0)) await stage.end()
  vi.unstubAllEnvs()
})
afterAll(() => {
  rmSync(folder, { recursive: true })
})

/** A worker by the real time: the command's capabilities are. */
async function stageNow(): Promise<Stage> {
  const stage = await setStage(
    {
      operator,
      policies: [tumbling],
      assignments: ['plant', 'cellar'].map((subject) => ({ subject, policy: tumbling.name })),
    },
    [device],
  )
  stages.push(stage)
  stage.world.nowMs = Date.now()
  return stage
}

async function plumbline(...words: readonly (string | readonly string[])[]) {
  const program = new Command('plumbline').exitOverride()
  registerDevice(program)
  const print = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  let stderr = ''
  let status = 0
  try {
    await program.parseAsync(['device', ...words.flat()], { from: 'user' })
  } catch (error) {
    // As main.ts answers an error of ours.
    if (!(error instanceof BaseError)) throw error
    stderr = error.message
    status = deviceExitCodes.error
  }
  const stdout = print.mock.calls.map(([text]) => String(text)).join('')
  print.mockRestore()
  return { status, stdout, stderr }
}

describe('plumbline device', () => {
  it('transfers a device, says so again when told again, and shows its journey', async () => {
    const { worker, world } = await stageNow()
    const told = ['transfer', device.id, '--to', 'cellar', '--worker', worker.url]
    const answer = await plumbline(told, ['--key-file', keyFile, '--json'])
    expect(answer.stderr).toBe('')
    expect(JSON.parse(answer.stdout)).toEqual({
      device: device.id,
      from: 'plant',
      subject: 'cellar',
      batchSequence: '1',
      isNew: true,
      since: new Date(world.nowMs).toISOString(),
    })
    expect((await plumbline(told, '--key-file', keyFile)).stdout).toContain('isNew          false')
    const { stdout } = await plumbline('show', device.id, '--worker', worker.url)
    expect(stdout).toContain('subjectName    cellar\n')
    expect(stdout).toContain('stands at      plant, from the beginning\n')
    expect(stdout).toContain(`stands at      cellar, from ${new Date(world.nowMs).toISOString()}\n`)
  })

  it('retires a device, with the key from the environment', async () => {
    const { worker } = await stageNow()
    vi.stubEnv(operatorKeyVariable, toHex(operatorKey))
    const { stdout } = await plumbline('retire', device.id, '--worker', worker.url)
    expect(stdout).toContain('retired        true')
    const again = await plumbline(
      ['transfer', device.id, '--to', 'cellar'],
      ['--worker', worker.url],
    )
    expect(again.status).toBe(deviceExitCodes.error)
    expect(again.stderr).toContain('DeviceOutOfServiceError')
  })

  it('signs a capability for somebody else, as narrow as it is asked for', async () => {
    const sign = async (...words: string[]) => {
      const { stdout, stderr } = await plumbline(
        ['allow', '--stream', 'test', '--key-file', keyFile],
        words,
      )
      return stderr === '' ? `Plumbline ${stdout.trim()}` : stderr
    }
    const needed = { stream: testStream, operator, nowMs: Date.now() }
    const route = transferRoute(subjectId('plant'), subjectId('cellar'))
    const move = await sign('--scope', 'transfer', '--subject', 'plant', '--to', 'cellar')
    expect(assertCapability(move, { ...needed, scope: 'transfer', subject: route })).toMatchObject({
      subject: route,
    })
    const day = await sign('--scope', 'enrol', '--subject', 'plant', '--minutes', '1439')
    expect(
      assertCapability(day, { ...needed, scope: 'enrol', subject: subjectId('plant') }).subject,
    ).toBe(subjectId('plant'))
    const any = await sign('--scope', 'close')
    expect(assertCapability(any, { ...needed, scope: 'close' }).subject).toBe(zeroHash)
    expect(await sign('--scope', 'transfer', '--subject', 'plant')).toContain('Field: --to')
    expect(await sign('--scope', 'retire', '--to', 'plant')).toContain('Field: --to')
  })

  it('needs the operator’s key, and says where from', async () => {
    vi.stubEnv(operatorKeyVariable, '')
    const missing = await plumbline('allow', '--stream', 'test', '--scope', 'close')
    expect(missing.stderr).toMatchInlineSnapshot(`
      "The operator’s key is needed.
      Field: --key-file
      Remedy: Put 0x and 64 hex digits into PLUMBLINE_OPERATOR_KEY, or name a file that holds them."
    `)
    vi.stubEnv(operatorKeyVariable, '0x12')
    const bad = await plumbline('allow', '--stream', 'test', '--scope', 'close')
    expect(bad.stderr).toContain('That is no private key.')
    expect(bad.stderr).not.toContain('0x12')
  })
})
