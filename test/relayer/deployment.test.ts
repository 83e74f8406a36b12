import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { bundleRelayer } from '#relayer/local/bundle.ts'
import { offlineEnvironment } from '#test/relayer/support/offlineEnvironment.ts'
import { readWranglerConfig, workerdConfig } from '#relayer/local/workerdConfig.ts'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
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

  it('what is parsed at a start stays small, and LayerZero is not in it', async () => {
    const { folder, modules } = await bundleRelayer(root)
    const sum = (parts: typeof modules): number =>
      parts.reduce((bytes, part) => bytes + part.bytes, 0)
    expect(sum(modules.filter(({ atStart }) => atStart))).toBeLessThan(470_000)
    expect(sum(modules)).toBeLessThan(470_000)
    const textAtStart = modules
      .filter(({ atStart }) => atStart)
      .map(({ name }) => readFileSync(join(folder, name), 'utf8'))
      .join('')
    expect(textAtStart).toContain('cloudflare:workers')
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
