import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { registerDeploy } from '#cli/deploy.ts'
import { registerEnclaveCommand } from '#cli/enclave.ts'
import { openChain } from '#contracts/deploy/sender.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { writeMessage } from '#schemas/workerApi.ts'
import { type Anvil, anvilKey, startAnvil } from '#test/contracts/anvil.ts'
import { attestEnclave, deployDcapRegistry } from '#test/contracts/dcap/dcapRegistry.ts'

const folder = mkdtempSync(join(tmpdir(), 'plumbline-deploy-'))
const file = (name: string, content: string) => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
const account = (digit: string) => `0x${digit.repeat(40)}`
const paths = {
  key: file('key', `${anvilKey}\n`),
  noKey: file('no-key', 'hello'),
  plan: file(
    'plan.json',
    JSON.stringify({
      version: 1,
      admin: account('a'),
      guardian: account('b'),
      curator: account('c'),
      underwriter: account('d'),
      registrar: account('e'),
      images: [],
    }),
  ),
}

let anvil: Anvil
const start = Date.UTC(2026, 8, 1) / 1000

beforeAll(async () => {
  anvil = await startAnvil(8_453, start)
})
afterAll(async () => {
  await anvil.stop()
  rmSync(folder, { recursive: true })
})

/** A command inside this process: what it prints and the exit code it asks for. */
async function plumbline(...args: string[]): Promise<{ stdout: string; status: unknown }> {
  const program = new Command('plumbline')
  registerDeploy(program)
  registerEnclaveCommand(program)
  for (const command of program.commands.flatMap((child) => [child, ...child.commands])) {
    command.exitOverride().configureOutput({ writeErr: () => {} })
  }
  const print = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  const before = process.exitCode
  process.exitCode = 0
  try {
    await program.parseAsync(args, { from: 'user' })
    return {
      stdout: print.mock.calls.map(([text]) => String(text)).join(''),
      status: process.exitCode,
    }
  } finally {
    process.exitCode = before
    print.mockRestore()
  }
}

describe('plumbline deploy', () => {
  const deploy = (...args: string[]) =>
    plumbline('deploy', '--chain', '8453', '--rpc', anvil.rpcUrl, '--plan', paths.plan, ...args)
  const from = privateKeyToAccount(anvilKey).address

  it('says what it would do, and does nothing', async () => {
    const client = await openChain(anvil)
    const { stdout } = await deploy('--from', from)
    expect(stdout).toMatch(/collateralStore +0x[\dA-Fa-f]{40} {2}\d,\d{3},\d{3} gas/)
    expect(stdout).toContain('Nothing was sent. Add --broadcast to send.')
    expect(await client.getBlockNumber({ cacheTime: 0 })).toBe(0n)
  })

  it('tells with --verify that nothing stands yet, and ends with 1', async () => {
    const { stdout, status } = await deploy('--from', from, '--verify')
    expect(stdout).toContain('WRONG authority at')
    expect(status).toBe(1)
  })

  it('refuses a chain that the node is not, and a key that is none', async () => {
    await expect(
      plumbline('deploy', '--chain', '1', '--rpc', anvil.rpcUrl, '--plan', paths.plan),
    ).rejects.toThrow('The node answers for another chain.')
    await expect(deploy('--broadcast', '--key-file', paths.noKey)).rejects.toThrow(
      'That is no private key.',
    )
  })

  it('deploys, verifies, hands over, and finds all of it right afterwards', async () => {
    const { stdout } = await deploy('--broadcast', '--key-file', paths.key)
    expect(stdout).toContain('ok    collateralStore.rootFingerprint')
    expect(stdout).toContain('ok    the deployer holds no role')
    const { stdout: again, status } = await deploy('--from', from, '--verify')
    expect(again).not.toContain('WRONG')
    expect(status).toBe(0)
    expect((await deploy('--from', from)).stdout).toContain('Nothing is missing.')
  })
})

describe('plumbline enclave register', () => {
  const platform = createPlatform({ now: start })
  let worker: Server
  let workerUrl: string
  let registry: `0x${string}`

  beforeAll(async () => {
    const sender = { ...anvil, key: anvilKey }
    registry = await deployDcapRegistry(sender, { name: 'cli', platform })
    worker = createServer((request, response) => {
      const isFor = request.url === '/v1/attestation?chain=8453'
      void attestEnclave(sender, { platform, registry }).then((attestation) => {
        response.writeHead(isFor ? 200 : 404)
        response.end(writeMessage(attestation))
      })
    })
    await new Promise<void>((resolve) => {
      worker.listen(0, '127.0.0.1', resolve)
    })
    workerUrl = `http://127.0.0.1:${(worker.address() as AddressInfo).port}`
  })
  afterAll(() => {
    worker.close()
  })

  const place = ['--chain', '8453', '--rpc']
  const register = (...args: string[]) =>
    plumbline('enclave', 'register', ...place, anvil.rpcUrl, '--worker', workerUrl, ...args)

  it('says what it would send, and sends nothing', async () => {
    const { stdout } = await register()
    expect(stdout).toContain('The key is new to the registry.')
    expect(stdout).toContain('would send: root certificate')
    expect(stdout).toContain('would send: registration')
    expect(stdout).toContain('Nothing was sent. Add --broadcast to send.')
  })

  it('uploads what is missing and registers; then renews', async () => {
    const { stdout } = await register('--broadcast', '--key-file', paths.key)
    expect(stdout).toContain('sent     TCB info')
    expect(stdout).toMatch(/new {6}0x/)
    expect(stdout).toMatch(/expires {2}2026-09-0\dT/)
    const { stdout: again } = await register('--broadcast', '--key-file', paths.key)
    expect(again).not.toContain('TCB info')
    expect(again).toContain('sent     platform remembered')
    expect(again).toContain('renewed')
  })

  it('refuses an attestation for another registry than the one named', async () => {
    await expect(register('--registry', account('9'))).rejects.toThrow(
      'The worker attests for another registry.',
    )
  })

  it('says so when the worker is not there', async () => {
    await expect(
      plumbline('enclave', 'register', ...place, anvil.rpcUrl, '--worker', 'http://127.0.0.1:9'),
    ).rejects.toThrow('The worker at http://127.0.0.1:9 cannot be reached.')
  })
})
