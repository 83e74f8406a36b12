import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'

export type Evm = { readonly url: string; stop(): Promise<void> }

/**
 * An EVM whose clock stands in June 2025, before the oldest collateral under test.
 *
 * @param hardfork - `osaka` has the P-256 precompile (EIP-7951), `prague` has not.
 */
export async function startEvm(hardfork: 'osaka' | 'prague'): Promise<Evm> {
  const binary = createRequire(import.meta.url).resolve('@foundry-rs/anvil-linux-amd64/bin/anvil')
  const child: ChildProcess = spawn(
    binary,
    [
      ['--host', '127.0.0.1', '--port', '0', '--hardfork', hardfork],
      // A whole verification in one call deploys 35 kB and uploads all collateral.
      ['--gas-limit', '1000000000', '--timestamp', '1748736000'],
    ].flat(),
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const url = await new Promise<string>((resolve, reject) => {
    let printed = ''
    const listen = (chunk: Uint8Array) => {
      printed += new TextDecoder().decode(chunk)
      const match = /Listening on (127\.0\.0\.1:\d+)/.exec(printed)
      if (match?.[1] === undefined) return
      // What it prints from here on, a line a call, is nobody's business, but must be read.
      child.stdout?.off('data', listen).resume()
      resolve(`http://${match[1]}`)
    }
    child.stdout?.on('data', listen)
    child.once('exit', () => {
      reject(new Error(`anvil stopped before it listened:\n${printed}`))
    })
  })
  return {
    url,
    async stop() {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    },
  }
}
