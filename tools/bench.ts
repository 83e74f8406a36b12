/**
 * Runs every benchmark (`*.bench.ts`, beside the code it measures) and prints one JSON line each.
 * `--short` keeps each under a few seconds: it shows that they run, its figures mean little.
 * `npm run bench -- NAME` runs those whose path contains NAME.
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { root } from './paths.ts'

const args = process.argv.slice(2)
const isShort = args.includes('--short')
const filters = args.filter((argument) => !argument.startsWith('--'))
const rooms = ['attestation-schemas', 'evaluation', 'verifier', 'enclave-worker', 'relayer', 'cli']

const files = rooms
  .flatMap((room) => readdirSync(join(root, room), { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile() && entry.name.endsWith('.bench.ts'))
  .map((entry) => relative(root, join(entry.parentPath, entry.name)))
  .filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
  .sort()

if (files.length === 0) {
  console.error(`No benchmark matches ${filters.join(' ')}.`)
  process.exit(2)
}

let failures = 0
for (const file of files) {
  const child = spawn(
    process.execPath,
    ['--expose-gc', '--disable-warning=ExperimentalWarning', file, ...(isShort ? ['--short'] : [])],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
  )
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code !== 0) {
    failures += 1
    console.error(`${file} ended with ${code}`)
  }
}
process.exit(failures === 0 ? 0 : 1)
