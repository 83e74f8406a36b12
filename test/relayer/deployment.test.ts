import { execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { bundleRelayer } from '#relayer/local/bundle.ts'
import { readWranglerConfig, workerdConfig } from '#relayer/local/workerdConfig.ts'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const wranglerText = readFileSync(join(root, 'wrangler.toml'), 'utf8')

describe('deployment', () => {
  it('wrangler bundles the worker offline, and the bundle stays small', async () => {
    const bundle = await bundleRelayer(root)
    expect(readFileSync(bundle, 'utf8')).toContain('cloudflare:workers')
    expect(statSync(bundle).size).toBeLessThan(640_000)
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
      bundleFile: 'worker.js',
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
