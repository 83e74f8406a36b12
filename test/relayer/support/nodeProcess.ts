import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startNodeRelayer } from '#relayer/adapters/node/nodeRelayer.ts'
import { createLocalSigner } from '#relayer/chain/localSigner.ts'
import { decodePlanText } from '#relayer/plan/plan.ts'

/** A relayer in a process of its own, which a test may kill. */
export type KillableRelayer = {
  readonly url: string
  readonly pid: number
  stop(): Promise<void>
  /** SIGKILL, as a crash would. */
  kill9(): Promise<void>
}

const thisFile = fileURLToPath(import.meta.url)

/** This file and all it needs as one, so that a restart is not the time that a thousand files take. */
async function bundleOnce(folder: string): Promise<string> {
  const outfile = join(folder, 'node-relayer.mjs')
  if (!existsSync(outfile)) {
    const { build } = await import('esbuild')
    await build({
      entryPoints: [thisFile],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      external: ['esbuild'],
      logLevel: 'error',
      banner: {
        js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
      },
    })
  }
  return outfile
}

/** Starts the Node adapter over a plan file; resolves when it answers. */
export async function startNodeProcess(options: {
  readonly planFile: string
  readonly dataFolder: string
  readonly senderKey: string
}): Promise<KillableRelayer> {
  const { planFile, dataFolder, senderKey } = options
  const child = spawn(
    process.execPath,
    [await bundleOnce(dataFolder), planFile, join(dataFolder, 'node')],
    {
      env: { SENDER_KEY: senderKey },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => {
      resolve()
    })
  })
  const url = await new Promise<string>((resolve, reject) => {
    let text = ''
    const take = (chunk: Buffer): void => {
      text += chunk.toString()
      const found = /listening on (http:\S+)/.exec(text)?.[1]
      if (found !== undefined) resolve(found)
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.once('exit', () => {
      reject(new Error(`The relayer process ended:\n${text}`))
    })
  })
  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    child.kill(signal)
    await exited
  }
  return { url, pid: child.pid ?? 0, stop: () => end('SIGTERM'), kill9: () => end('SIGKILL') }
}

if (process.argv[1] === thisFile) {
  const [, , planFile = '', dataFolder = ''] = process.argv
  const relayer = await startNodeRelayer({
    plan: decodePlanText(readFileSync(planFile, 'utf8')),
    signerOf: (chainId) =>
      createLocalSigner(process.env['SENDER_KEY'] ?? '', `SENDER_KEY_${chainId}`),
    dataFolder,
    port: 0,
  })
  process.stdout.write(`listening on ${relayer.url}\n`)
  process.once('SIGTERM', () => {
    void relayer.stop().then(() => process.exit(0))
  })
}
