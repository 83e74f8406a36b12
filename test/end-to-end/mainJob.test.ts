import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commandFor, commandsOf, quickStarts } from '#test/support/docCommands.ts'
import { root } from '#tools/paths.ts'

type Row = {
  chainId: number
  contract: string
  report: string
  verdict: string
  value: string
  settled: string
  transactionHash: string
  gasUsed: string
  milliseconds: number
}
type Table = { batch: string; bundles: string[]; verify: string[]; restarts: number; rows: Row[] }

/** What the story comes to, whatever happens on the way. */
const expected = [
  [31_337, 'parametric-cover', 'FAIL', '313 366 027.5 Wh', '18316.95 TEST'],
  [31_338, 'carbon-credit', 'PASS', '115 005.332092 kgCO2e', '115.00533209 tCO2e'],
  [31_339, 'performance-escrow', 'FAIL', '100 s', '2000.001 TEST'],
  [31_339, 'performance-escrow', 'PASS', '313 366 027.5 Wh', '12000 TEST'],
]

/** What a registry is told about the plant beside what its readings say. */
const deviceFacts = {
  accountId: 'account-1',
  deviceName: 'Solar plant 1',
  technology: 'Fixed-tilt photovoltaic',
  energySource: 'Solar',
  productionStartDate: '2014-05-01',
  capacityW: 5_000_000,
  location: ['50.0', '8.0'],
  country: 'DE',
  grid: 'Grid 1',
  marketZone: 'Zone 1',
  issuingBody: 'Issuing body',
  issuanceDate: '2026-11-24',
  expiryDate: '2028-11-24',
  registryConfiguration: 1,
}

let folder: string
const running = new Set<ChildProcess>()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plumbline-main-job-'))
})

afterEach(() => {
  for (const child of running) child.kill('SIGKILL')
  running.clear()
  rmSync(folder, { recursive: true, force: true })
})

/** Whether nobody listens at a port of this machine. */
async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => {
      resolve(false)
    })
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true)
      })
    })
  })
}

/** Six neighbouring ports that were free a moment ago, below those that connections are given. */
async function freePortBase(): Promise<number> {
  for (;;) {
    const base = 10_000 + Math.floor(Math.random() * 20_000)
    const ports = Array.from({ length: 6 }, (_, position) => base + position)
    const free = await Promise.all(ports.map(isFree))
    if (free.every(Boolean)) return base
  }
}

type Run = {
  readonly child: ChildProcess
  readonly output: () => string
  readonly exitCode: Promise<number | null>
}

async function start(...args: string[]): Promise<Run & { portBase: number }> {
  const portBase = await freePortBase()
  return {
    ...run(['--port-base', String(portBase), '--folder', join(folder, 'state'), ...args]),
    portBase,
  }
}

function run(args: readonly string[]): Run {
  const child = spawn(process.execPath, [join(root, 'localnet', 'main.ts'), ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  }
  const exitCode = new Promise<number | null>((resolve) => {
    child.on('close', (code) => {
      running.delete(child)
      resolve(code)
    })
  })
  return { child, output: () => output, exitCode }
}

/** Runs the command line as a user does, on the folder that the main job has left behind. */
function plumbline(args: readonly string[]) {
  return spawnSync(process.execPath, [join(root, 'cli', 'main.ts'), ...args], {
    cwd: root,
    encoding: 'utf8',
  })
}

async function until(what: string, run: Run, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 120_000
  while (!condition()) {
    if (performance.now() > deadline || run.child.exitCode !== null) {
      throw new Error(`${what} did not happen.\n${run.output()}`)
    }
    await sleep(20)
  }
}

function readTable(file: string): Table {
  return JSON.parse(readFileSync(file, 'utf8')) as Table
}

function sorted(table: Table) {
  return table.rows
    .map(({ chainId, contract, verdict, value, settled }) => [
      chainId,
      contract,
      verdict,
      value,
      settled,
    ])
    .sort((left, right) => String(left).localeCompare(String(right)))
}

/** Processes whose command line names this test's folder: what a run left behind. */
function leftBehind(): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        return [readFileSync(join('/proc', pid, 'cmdline'), 'utf8').replaceAll('\0', ' ')]
      } catch {
        return []
      }
    })
    .filter((command) => command.includes(folder))
}

function pidOf(needle: string): number {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const command = readFileSync(join('/proc', entry, 'cmdline'), 'utf8')
      if (command.includes(folder) && command.includes(needle)) return Number(entry)
    } catch {
      // It ended between the listing and the look.
    }
  }
  return 0
}

describe('the main job', () => {
  it('takes a real recording to four settlements on three chains, from one batch', async () => {
    const file = join(folder, 'table.json')
    const job = await start('--once', '--json', file)
    expect(await job.exitCode, job.output()).toBe(0)
    const table = readTable(file)
    expect(sorted(table)).toStrictEqual(expected)
    expect(new Set(table.rows.map(({ chainId }) => chainId)).size).toBe(3)
    expect(table.batch).toMatch(/^0x[0-9a-f]{64}$/)
    expect(table.restarts).toBe(0)
    expect(job.output()).toContain(table.batch)
    expect(job.output()).toContain(`npm run -s plumbline -- ${table.verify.join(' ')}`)
    expect(table.bundles).toHaveLength(4)
    const genuine = plumbline(table.verify)
    expect(genuine.stdout).toContain('ACCEPTED')
    expect(genuine.status).toBe(0)
    const [bundle = ''] = table.bundles
    // The month as certificates: never more than the report proves, less than a watt-hour an hour lost.
    const facts = join(folder, 'facts.json')
    writeFileSync(facts, JSON.stringify(deviceFacts))
    const [, , ...trust] = table.verify
    const exported = plumbline([
      'export',
      bundle,
      ...trust,
      '--format',
      'energytag',
      '--facts',
      facts,
    ])
    const certificates = JSON.parse(exported.stdout) as { bundle_quantity: number }[]
    const wh = certificates.reduce((sum, { bundle_quantity }) => sum + bundle_quantity, 0)
    expect(wh).toBeLessThanOrEqual(313_366_027)
    expect(wh).toBeGreaterThan(313_366_027 - certificates.length)
    const audited = plumbline(['audit', dirname(bundle), ...trust])
    expect(audited.stdout).toContain('| Examined | 4 bundles, 4 accepted, 0 refused; ')
    expect(audited.status).toBe(0)
    const text = readFileSync(bundle, 'utf8')
    // One digit of one measure: what a forger would want, and what nothing but the hash shows.
    writeFileSync(
      bundle,
      text.replace(/integral\\":\\"3/, (found) => `${found.slice(0, -1)}4`),
    )
    expect(readFileSync(bundle, 'utf8')).not.toBe(text)
    const tampered = plumbline(table.verify)
    expect(tampered.stdout).toContain('REFUSED')
    expect(tampered.status).toBe(1)
    await until('the end of every process', job, () => leftBehind().length === 0).catch(() => {})
    expect(leftBehind()).toStrictEqual([])
  })

  it('ends in the same table when the worker is killed while the fleet sends', async () => {
    const file = join(folder, 'table.json')
    const job = await start('--once', '--json', file)
    await until('the worker’s start', job, () => /attested and listening/.test(job.output()))
    process.kill(pidOf('enclave-worker'), 'SIGKILL')
    expect(await job.exitCode, job.output()).toBe(0)
    const table = readTable(file)
    expect(sorted(table)).toStrictEqual(expected)
    expect(table.restarts).toBeGreaterThan(0)
  })

  it('ends in the same table when the relayer is killed while it carries the batch', async () => {
    const file = join(folder, 'table.json')
    const job = await start('--once', '--json', file)
    await until('the batch', job, () => /batch 0x[0-9a-f]{64} holds/.test(job.output()))
    process.kill(pidOf('workerd'), 'SIGKILL')
    expect(await job.exitCode, job.output()).toBe(0)
    const table = readTable(file)
    expect(sorted(table)).toStrictEqual(expected)
    expect(table.restarts).toBeGreaterThan(0)
  })

  it('stays up until it is interrupted, and leaves no process behind', async () => {
    const job = await start()
    await until('the table', job, () => job.output().includes('Ctrl-C ends it.'))
    expect((await fetch(`http://127.0.0.1:${job.portBase + 4}/healthz`)).ok).toBe(true)
    // What the quick starts say works, in the order in which they say it.
    const place = {
      portBase: job.portBase,
      stateFolder: join(folder, 'state'),
      tryFolder: join(folder, 'try'),
    }
    for (const page of quickStarts) {
      const [first, ...commands] = commandsOf(page)
      expect(first, page).toBe('npm start')
      expect(commands.length, page).toBeGreaterThan(2)
      for (const line of commands) {
        const { status, stdout, stderr } = spawnSync('bash', ['-c', commandFor(line, place)], {
          cwd: root,
          encoding: 'utf8',
        })
        expect(status, `${line}\n${stdout}\n${stderr}`).toBe(0)
        if (!line.includes('--rpc')) continue
        // Asked themselves, the chains confirm what the bundle cannot know.
        for (const title of [
          'Batch → chain: anchored (chain 31337)',
          'Signer → chain: registered (chain 31337)',
          'Report → chain: settled (chain 31337)',
          'Batch → chain: anchored (chain 31339)',
        ]) {
          expect(stdout).toContain(`✓ ${title}`)
        }
      }
    }
    job.child.kill('SIGINT')
    expect(await job.exitCode).toBe(130)
    expect(leftBehind()).toStrictEqual([])
  })

  it('names a taken port, what needs it, and what to do', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const job = run(['--once', '--port-base', String(port - 3), '--folder', join(folder, 'state')])
    const code = await job.exitCode
    server.close()
    expect(code).toBe(1)
    expect(job.output()).toContain(
      `Port ${port} on 127.0.0.1 is taken; the enclave worker needs it.`,
    )
    expect(job.output()).toContain('--port-base')
    expect(leftBehind()).toStrictEqual([])
  })

  it('refuses a port base that is no port', async () => {
    const job = run(['--once', '--port-base', 'eighty'])
    expect(await job.exitCode).toBe(1)
    expect(job.output()).toContain('whole number from 1024 to 65530')
  })
})
