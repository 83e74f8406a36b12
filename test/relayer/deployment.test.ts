import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { bundleRelayer } from '#relayer/local/bundle.ts'
import { offlineEnvironment } from '#test/relayer/support/offlineEnvironment.ts'
import { prepareRelayer } from '#relayer/local/startRelayer.ts'
import { readWranglerConfig, workerdConfig } from '#relayer/local/workerdConfig.ts'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const plan = {
  version: 1 as const,
  worker: 'http://127.0.0.1:9',
  stream: `0x${'11'.repeat(32)}`,
  chains: [
    {
      chainId: 1,
      rpcUrls: ['http://127.0.0.1:9'],
      enclaveRegistry: `0x${'22'.repeat(20)}`,
      proofRegistry: `0x${'33'.repeat(20)}`,
    },
  ],
  settlements: [],
}
const wranglerText = readFileSync(join(root, 'wrangler.toml'), 'utf8')

describe('deployment', () => {
  it('wrangler uploads, offline, exactly the modules that the local engine runs', async () => {
    const uploaded = mkdtempSync(join(tmpdir(), 'upload-'))
    try {
      execFileSync(
        process.execPath,
        [
          join(root, 'node_modules', 'wrangler', 'bin', 'wrangler.js'),
          'deploy',
          '--dry-run',
          `--outdir=${uploaded}`,
          `--config=${join(root, 'wrangler.toml')}`,
        ],
        { cwd: root, env: offlineEnvironment(), timeout: 120_000, stdio: 'pipe' },
      )
      const { folder, modules } = await bundleRelayer(root)
      expect(modules[0]?.name).toBe('worker.js')
      for (const { name } of modules) {
        expect(readFileSync(join(uploaded, name), 'utf8')).toBe(
          readFileSync(join(folder, name), 'utf8'),
        )
      }
      const names = readdirSync(uploaded, { recursive: true, encoding: 'utf8' })
      expect(names.filter((name) => name.endsWith('.js')).toSorted()).toEqual(
        modules.map(({ name }) => name).toSorted(),
      )
    } finally {
      rmSync(uploaded, { recursive: true, force: true })
    }
  })

  it('what is parsed at a start stays small, and neither LayerZero nor a quote’s reader is in it', async () => {
    const { folder, modules } = await bundleRelayer(root)
    const text = (parts: typeof modules): string =>
      parts.map(({ name }) => readFileSync(join(folder, name), 'utf8')).join('')
    const start = text(modules.filter(({ atStart }) => atStart))
    const later = text(modules.filter(({ atStart }) => !atStart))
    expect(start.length).toBeLessThan(250_000)
    expect(later.length).toBeLessThan(160_000)
    expect(start).toContain('cloudflare:workers')
    // Of the number library that LayerZero's brings along, and of our reader of quotes.
    const signs = [
      'Number can only safely store up to 53 bits',
      'The PCK chain in the quote cannot be read.',
    ]
    for (const sign of signs) {
      expect(start).not.toContain(sign)
      expect(later).toContain(sign)
    }
  })

  it('every part that is loaded later loads in workerd', async () => {
    const dataFolder = mkdtempSync(join(tmpdir(), 'parts-'))
    const { modules } = await bundleRelayer(root)
    const later = modules.filter(({ atStart }) => !atStart).map(({ name }) => `./${name}`)
    const prepared = await prepareRelayer({ plan, dataFolder, port: 0 })
    // The same engine with the same modules, and one more in front that loads them all.
    writeFileSync(
      join(dataFolder, 'worker', 'front.js'),
      `export { Feed, Lane } from './worker.js'
       const parts = { ${later.map((name) => `'${name}': () => import('${name}')`).join(', ')} }
       export default {
         async fetch() {
           const loaded = Object.entries(parts).map(async ([name, load]) => [name, Object.keys(await load())])
           return Response.json(Object.fromEntries(await Promise.all(loaded)))
         },
       }`,
    )
    const configFile = join(dataFolder, 'relayer.capnp')
    writeFileSync(
      configFile,
      readFileSync(configFile, 'utf8').replace(
        'modules = [',
        'modules = [\n    (name = "front.js", esModule = embed "worker/front.js"),',
      ),
    )
    const child = spawn(prepared.command, ['serve', configFile, '--control-fd=3'], {
      cwd: dataFolder,
      env: {},
      stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
    })
    try {
      const port = await new Promise<string>((resolve, reject) => {
        child.once('exit', (code) => {
          reject(new Error(`workerd ended with ${code}`))
        })
        child.stdio[3]?.on('data', (chunk: Buffer) => {
          const found = /"socket":"http","port":(\d+)/.exec(String(chunk))?.[1]
          if (found !== undefined) resolve(found)
        })
      })
      const answer = await fetch(`http://127.0.0.1:${port}/`)
      const loaded = (await answer.json()) as Record<string, readonly string[]>
      expect(Object.keys(loaded).toSorted()).toEqual(later.toSorted())
      const exported = (part: string): readonly string[] =>
        Object.entries(loaded).find(([name]) => name.includes(`/${part}-`))?.[1] ?? []
      expect(exported('transport').toSorted()).toEqual(['deliveriesTo', 'sendsFrom'])
      expect(exported('remoteSigner')).toContain('createRemoteSigner')
      expect(exported('awsKmsSigner')).toContain('createAwsKmsSigner')
      expect(exported('registration')).toContain('missingUploads')
    } finally {
      child.kill('SIGKILL')
      rmSync(dataFolder, { recursive: true, force: true })
    }
  })

  it('the worker type-checks against the platform’s own types', () => {
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    expect(() =>
      execFileSync(process.execPath, [tsc, '-p', join(root, 'relayer')], { encoding: 'utf8' }),
    ).not.toThrow()
  })

  it('every class has SQLite, the watchdog rings each minute, and no variable holds anything', () => {
    const wrangler = readWranglerConfig(wranglerText)
    expect(wrangler.migrations.flatMap((step) => step.new_sqlite_classes)).toEqual(['Feed', 'Lane'])
    expect(wrangler.triggers?.crons).toEqual(['* * * * *'])
    // Variables are printed and stored in clear; the schema knows none, so the file can have none.
    expect(() => readWranglerConfig(`${wranglerText}\n[vars]\nSENDER_KEY = "0x"`)).toThrow(
      'wrangler.toml holds something the local engine does not know.',
    )
  })

  it('the engine’s configuration names secrets and holds none', () => {
    const text = workerdConfig({
      wrangler: readWranglerConfig(wranglerText),
      bundleFolder: 'worker',
      moduleNames: ['worker.js', 'parts/transport-1.js'],
      planFile: 'plan.json',
      storageFolder: '/data/"quoted"\\folder',
      address: '127.0.0.1:0',
      secretNames: ['SENDER_KEY_1'],
    })
    expect(text).toContain('(name = "SENDER_KEY_1", fromEnvironment = "SENDER_KEY_1")')
    expect(text).toContain('path = "/data/\\"quoted\\"\\\\folder"')
    expect(text.match(/enableSql = true/g)).toHaveLength(2)
  })
})
