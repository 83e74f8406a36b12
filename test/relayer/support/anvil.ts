import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Hex } from 'viem'

/** Accounts 0 to 2 of anvil's public development mnemonic; funded on every test chain. */
export const developmentKeys = [
  '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80',
  '0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d',
  '0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a',
] as const satisfies readonly Hex[]

export type TestChain = {
  readonly chainId: number
  readonly rpcUrl: string
  call(method: string, ...params: readonly unknown[]): Promise<unknown>
  stop(): Promise<void>
}

/** A real EVM node on a port of its own choice. */
export async function startAnvil(options: {
  readonly chainId: number
  /** Seconds between blocks; without it each transaction makes its block. */
  readonly blockTimeSeconds?: number
}): Promise<TestChain> {
  const binary = createRequire(import.meta.url).resolve('@foundry-rs/anvil-linux-amd64/bin/anvil')
  const cacheFolder = mkdtempSync(join(tmpdir(), 'anvil-'))
  const child: ChildProcess = spawn(
    binary,
    [
      '--port=0',
      '--host=127.0.0.1',
      `--chain-id=${options.chainId}`,
      `--cache-path=${cacheFolder}`,
      '--hardfork=osaka',
      '--gas-limit=1000000000',
      ...(options.blockTimeSeconds === undefined
        ? []
        : [`--block-time=${options.blockTimeSeconds}`]),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => {
      resolve()
    })
  })
  const address = await new Promise<string>((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      const found = /Listening on (127\.0\.0\.1:\d+)/.exec(text)?.[1]
      if (found !== undefined) resolve(found)
    })
    child.once('exit', () => {
      reject(new Error(`anvil ended:\n${text}`))
    })
  })
  child.stdout?.resume()
  child.stderr?.resume()
  const rpcUrl = `http://${address}`
  return {
    chainId: options.chainId,
    rpcUrl,
    async call(method, ...params) {
      const response = await fetch(rpcUrl, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      })
      const body = (await response.json()) as { result?: unknown; error?: { message: string } }
      if (body.error !== undefined) throw new Error(`${method}: ${body.error.message}`)
      return body.result
    },
    async stop() {
      child.kill('SIGKILL')
      await exited
      rmSync(cacheFolder, { recursive: true, force: true })
    },
  }
}
