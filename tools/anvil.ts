import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Hex } from '#schemas/bytes.ts'

/** Key of anvil's first account: printed by every anvil, worth nothing anywhere. */
export const anvilKey: Hex = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'

export type Anvil = { readonly rpcUrl: string; readonly chainId: number; stop(): Promise<void> }

/** A real EVM node on a port that the system chooses. */
export async function startAnvil(chainId: number, genesisSeconds: number): Promise<Anvil> {
  const folder = await mkdtemp(join(tmpdir(), 'plumbline-anvil-'))
  const binary = createRequire(import.meta.url).resolve('@foundry-rs/anvil-linux-amd64/bin/anvil')
  const child: ChildProcess = spawn(
    binary,
    [
      ['--host', '127.0.0.1', '--port', '0', '--hardfork', 'osaka'],
      ['--chain-id', String(chainId), '--timestamp', String(genesisSeconds)],
      ['--cache-path', folder],
    ].flat(),
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const rpcUrl = await new Promise<string>((resolve, reject) => {
    let printed = ''
    child.stdout?.on('data', (chunk: Uint8Array) => {
      printed += new TextDecoder().decode(chunk)
      const match = /Listening on (127\.0\.0\.1:\d+)/.exec(printed)
      if (match?.[1] !== undefined) resolve(`http://${match[1]}`)
    })
    child.once('exit', () => {
      reject(new Error(`anvil stopped before it listened:\n${printed}`))
    })
  })
  return {
    rpcUrl,
    chainId,
    async stop() {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}
