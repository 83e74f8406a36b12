import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DstackClient } from '@phala/dstack-sdk'
import { Command } from 'commander'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { toHex } from '#schemas/bytes.ts'
import { registerAgent } from '#cli/agent.ts'
import { developmentCompose } from '#localnet/agent/developmentCompose.ts'
import { createAppKeys } from '#localnet/agent/keys.ts'
import { agentNegativeNames } from '#localnet/agent/negatives.ts'
import { startGuestAgent } from '#localnet/agent/server.ts'
import { developmentSeed } from '#localnet/tdx/keys.ts'
import { negativeNames } from '#localnet/tdx/negatives.ts'
import type { mintNegativesFile } from '#localnet/tdx/negativesFile.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { root } from '#tools/paths.ts'

const folder = mkdtempSync(join(tmpdir(), 'plumbline-agent-'))
const main = join(root, 'cli', 'main.ts')
afterAll(() => {
  rmSync(folder, { recursive: true })
})

/** The command inside this process, for everything that ends by itself. */
async function plumbline(...args: string[]): Promise<string> {
  const program = new Command('plumbline').exitOverride()
  registerAgent(program)
  const log = vi.spyOn(console, 'log').mockReturnValue()
  try {
    await program.parseAsync(['agent', ...args], { from: 'user' })
    return log.mock.calls.map((line) => line.join(' ')).join('\n')
  } finally {
    log.mockRestore()
  }
}

/** Runs the agent until the body is done, then asks it to stop as an operator does. */
async function whileRunning(args: string[], body: (output: string) => Promise<void>) {
  const child = spawn(process.execPath, [main, 'agent', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  try {
    let output = ''
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      output += chunk.toString()
      if (output.includes('DSTACK_SIMULATOR_ENDPOINT')) break
    }
    await body(output)
  } finally {
    child.kill('SIGTERM')
  }
  return exited
}

describe('plumbline agent', () => {
  it('serves a URL and a socket, writes its root, and stops when it is told to', async () => {
    const socket = join(folder, 'dstack.sock')
    const args = ['--port', '0', '--socket', socket, '--write-platform', join(folder, 'platform')]
    const exitCode = await whileRunning(args, async (output) => {
      expect(output).toContain('dstack guest agent, mode minted')
      expect(output).toContain(`DSTACK_SIMULATOR_ENDPOINT=${socket}`)
      const url = /http:\/\/127\.0\.0\.1:\d+/.exec(output)?.[0] ?? ''
      const [overSocket, overUrl] = await Promise.all(
        [socket, url].map((endpoint) => new DstackClient(endpoint).info()),
      )
      expect(overSocket?.app_id).toBe(overUrl?.app_id)
    })
    expect(exitCode).toBe(0)
    const read = (name: string) => readFileSync(join(folder, 'platform', name), 'utf8')
    expect(read('root.pem')).toContain('BEGIN CERTIFICATE')
    expect(JSON.parse(read('collateral.json'))).toHaveProperty('tcb_info')
    expect(JSON.parse(read('image.json'))).toHaveProperty('mrConfigId')
  })

  it.each([
    ['a platform', 'tdDebug'],
    ['an agent', 'appIdForeign'],
  ])('%s lies when it is asked to', async (_, name) => {
    const honest = await startGuestAgent({
      platform: createPlatform({ now: Math.floor(Date.now() / 1000) }),
      composeFile: developmentCompose,
    })
    const lying = join(folder, 'lying.sock')
    await whileRunning(['--socket', lying, '--negative', name], async (output) => {
      expect(output).toContain(`lying: ${name}`)
      const [truth, lie] = await Promise.all(
        [honest.endpoint, lying].map((endpoint) => new DstackClient(endpoint).getQuote('x')),
      )
      expect(lie?.quote).toHaveLength(truth?.quote.length ?? 0)
      expect(lie?.quote).not.toBe(truth?.quote)
    })
    await honest.close()
  })

  it('keys of a random seed are nobody else’s', async () => {
    const socket = join(folder, 'random.sock')
    await whileRunning(['--socket', socket, '--random-seed'], async (output) => {
      const common = createAppKeys(developmentSeed, new Uint8Array(20)).rootPublicKey
      expect(output).toMatch(/kms +0[23][0-9a-f]{64}\n/)
      expect(output).not.toContain(Buffer.from(common).toString('hex'))
      expect(await new DstackClient(socket).isReachable()).toBe(true)
    })
  })

  it.each([
    [['--negative', 'nothing'], 'There is no negative case nothing.'],
    [['--mode', 'patched', '--negative', 'tdDebug'], 'A genuine quote does not lie'],
    [['--mode', 'fixture'], 'Mode fixture needs a fixture.'],
    [['--fixture', '/nowhere/quote'], '/nowhere/quote cannot be read.'],
    [['--port', '70000'], '70000 is no port.'],
    [['--fail', 'GetQuotes'], 'There is no method /GetQuotes that could fail.'],
    [['negatives', '--out', '/dev/null', '--at', 'noon'], 'noon is no instant.'],
  ])('%j is refused with the reason', async (args, reason) => {
    await expect(plumbline(...args)).rejects.toThrow(reason)
  })

  it('app keys that are none are refused with the reason', async () => {
    const path = join(folder, 'appkeys.json')
    const started = () => plumbline('--port', '0', '--app-keys', path)
    writeFileSync(path, '{"k256_key":"00"}')
    await expect(started()).rejects.toThrow('k256_key has the wrong length.')
    writeFileSync(path, 'keys')
    await expect(started()).rejects.toThrow('is not JSON.')
  })
})

describe('plumbline agent negatives', () => {
  it('lists every lie with the rule that catches it', async () => {
    const lines = (await plumbline('negatives')).split('\n')
    expect(lines).toHaveLength(negativeNames.length + agentNegativeNames.length)
    expect(lines.find((line) => line.startsWith('pckRevoked '))).toMatch(
      /^pckRevoked +PckRevoked: The PCK CRL lists the PCK certificate\.$/,
    )
  })

  it('mints them all into one file for an instant and a seed', async () => {
    const out = join(folder, 'negatives.json')
    const args = ['--out', out, '--at', '2026-09-01T12:00:00Z', '--seed', 'mine']
    expect(await plumbline('negatives', ...args)).toContain('negative cases as of 1788264000')
    const file = JSON.parse(readFileSync(out, 'utf8')) as ReturnType<typeof mintNegativesFile>
    expect(file.negatives).toHaveLength(negativeNames.length)
    const { rootPublicKey } = createPlatform({ now: file.now, seed: 'mine' })
    const { x, y } = file.rootPublicKey
    expect(`${x}${y.slice(2)}`).toBe(toHex(rootPublicKey))
  })
})
