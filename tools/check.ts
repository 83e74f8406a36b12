/**
 * The gate: every check there is, one after the other, and a closing line `N passed, N failed`.
 * `npm test` runs all of it; `npm test -- NAME…` only the steps named.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from './paths.ts'
import type { TestSummary } from './reporter.ts'

type Outcome = { passed: number; failed: number; notChecked?: string[]; failures?: string[] }

type Step = {
  readonly name: string
  readonly run: () => Promise<Outcome>
}

const bin = join(root, 'node_modules', '.bin')

/** Runs a command, passes its output on and keeps it for counting. */
async function execute(
  command: string,
  args: readonly string[],
  environment: Record<string, string> = {},
): Promise<{ code: number; output: string }> {
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, PATH: `${bin}:${process.env['PATH'] ?? ''}`, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      process.stdout.write(chunk)
    })
  }
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (exitCode) => {
      resolve(exitCode ?? 1)
    })
  })
  return { code, output }
}

/** A step that either holds or does not. */
function single(name: string, command: string, args: readonly string[]): Step {
  return {
    name,
    run: async () => {
      const { code } = await execute(command, args)
      return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }
    },
  }
}

function vitestStep(name: string, args: readonly string[]): Step {
  return {
    name,
    run: async () => {
      const folder = mkdtempSync(join(tmpdir(), 'plumbline-check-'))
      const file = join(folder, 'summary.json')
      writeFileSync(file, JSON.stringify({ passed: 0, failed: 0, notChecked: [], failures: [] }))
      try {
        const { code } = await execute(
          'vitest',
          ['run', '--reporter=default', '--reporter=./tools/reporter.ts', ...args],
          { PLUMBLINE_TEST_SUMMARY: file },
        )
        const summary = JSON.parse(readFileSync(file, 'utf8')) as TestSummary
        if (summary.passed === 0 || (code !== 0 && summary.failed === 0)) summary.failed += 1
        return summary
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
  }
}

const forgeTests: Step = {
  name: 'solidity',
  run: async () => {
    const { code, output } = await execute('forge', ['test', '--offline', '-j', '2'])
    const totals = [...output.matchAll(/(\d+) tests passed, (\d+) failed, (\d+) skipped/g)].at(-1)
    const passed = Number(totals?.[1] ?? 0)
    const failed = Number(totals?.[2] ?? 0) + Number(totals?.[3] ?? 0)
    return { passed, failed: passed === 0 || (code !== 0 && failed === 0) ? failed + 1 : failed }
  },
}

const steps: readonly Step[] = [
  single('types', 'tsc', ['-p', '.']),
  single('types-workerd', 'tsc', ['-p', 'relayer/tsconfig.json']),
  single('types-explorer', 'tsc', ['-p', 'explorer']),
  single('lint', 'oxlint', ['--type-aware', '--max-warnings=0']),
  single('format', 'oxfmt', ['--check', '.']),
  single('format-solidity', 'forge', ['fmt', '--check']),
  single('docs', 'node', ['tools/buildDocs.ts']),
  single('generated-contracts', 'node', ['tools/generate.ts', '--check']),
  forgeTests,
  single('gas', 'node', ['tools/gas.ts', '--check']),
  vitestStep('typescript', ['--project', 'unit']),
  vitestStep('end-to-end', ['--project', 'end-to-end']),
  single('bench', 'node', ['tools/bench.ts', '--short']),
]

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !steps.some((step) => step.name === name))
if (unknown.length > 0) {
  console.error(
    `No step is called ${unknown.join(', ')}. There are: ${steps.map(({ name }) => name).join(', ')}.`,
  )
  process.exit(2)
}

const rows: { name: string; outcome: Outcome; seconds: number }[] = []
for (const step of steps) {
  if (wanted.length > 0 && !wanted.includes(step.name)) continue
  console.log(`\n── ${step.name} ${'─'.repeat(Math.max(0, 70 - step.name.length))}`)
  const begun = performance.now()
  let outcome: Outcome
  try {
    outcome = await step.run()
  } catch (error) {
    console.error(error)
    outcome = { passed: 0, failed: 1 }
  }
  rows.push({ name: step.name, outcome, seconds: (performance.now() - begun) / 1000 })
}

console.log('\n── summary ─────────────────────────────────────────────────────────────')
for (const title of rows.flatMap(({ outcome }) => outcome.failures ?? [])) {
  console.log(`FAILED ${title}`)
}
let passed = 0
let failed = 0
for (const { name, outcome, seconds } of rows) {
  passed += outcome.passed
  failed += outcome.failed
  const mark = outcome.failed === 0 ? 'ok  ' : 'FAIL'
  console.log(
    `${mark} ${name.padEnd(22)} ${String(outcome.passed).padStart(6)} passed ${String(outcome.failed).padStart(4)} failed ${seconds.toFixed(1).padStart(7)} s`,
  )
}
for (const title of rows.flatMap(({ outcome }) => outcome.notChecked ?? [])) console.log(title)
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
