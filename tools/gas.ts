/**
 * Gas of what the project does on chain, from receipts of a real node, and sizes of what it deploys.
 * `node tools/gas.ts` measures and writes `contracts/gas.json`; `--check` measures and fails when a
 * figure has moved, a budget is broken or a contract is too large.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { attestationBudgets, intelFigure, measureAttestation } from './gas/attestation.ts'
import { createMeter } from './gas/meter.ts'
import { measureSettlement } from './gas/settlement.ts'
import { root } from './paths.ts'

const snapshotPath = join(root, 'contracts/gas.json')

/** Signatures, and so zero bytes in calldata, differ from run to run by block hashes. */
const tolerance = 0.003

/** EIP-170. */
const maxRuntimeBytes = 24_576

/** Gas that an operation may cost at most; DESIGN, section 9. */
const budgets: Readonly<Record<string, number>> = {
  'commit, steady, beyond its signature': 45_000,
  'inclusion in 1 M reports, beyond calldata': 15_000,
  'settle 1 of 1 M: escrow, PASS': 80_000,
  'settle 100 at once, clustered: each': 45_000,
  ...attestationBudgets,
}

/** Batches of a month of hourly windows, and registrations of a key that lives seven days. */
const batchesPerMonth = 730
const registrationsPerMonth = 730 / 24 / 7

const parts = [
  'gas',
  'attestation',
  'attestationWithoutPrecompile',
  'runtimeBytes',
  'gasPerDeviceMonth',
] as const

type Snapshot = {
  readonly gas: Record<string, number>
  readonly attestation: Record<string, number>
  readonly attestationWithoutPrecompile: Record<string, number>
  readonly runtimeBytes: Record<string, number>
  readonly gasPerDeviceMonth: Record<string, number>
}

async function measure(): Promise<Snapshot> {
  const meter = await createMeter(Date.UTC(2026, 0, 5) / 1000)
  try {
    await measureSettlement(meter)
    const attestation = await measureAttestation('osaka')
    const withoutPrecompile = await measureAttestation('prague')
    const gas = { ...meter.gas }
    const steady = gas['commit, steady'] ?? Number.NaN
    gas['commit, steady, beyond its signature'] = steady - (gas['signature check'] ?? 0)
    const monthly =
      batchesPerMonth * steady +
      registrationsPerMonth *
        (attestation.gas['register, renewal, platform remembered'] ?? Number.NaN)
    const devices = [1_000, 10_000, 100_000, 1_000_000]
    return {
      gas,
      attestation: { ...attestation.gas },
      attestationWithoutPrecompile: { ...withoutPrecompile.gas },
      runtimeBytes: { ...meter.runtimeBytes, ...attestation.runtimeBytes },
      gasPerDeviceMonth: Object.fromEntries(
        devices.map((count) => [count, Math.ceil((monthly * 10) / count) / 10]),
      ),
    }
  } finally {
    await meter.stop()
  }
}

/** Figures on Intel's own documents are not taken where those do not lie beside the clone. */
const isIntelMissing = (name: string, { attestation }: Snapshot): boolean =>
  name.startsWith(intelFigure) &&
  !Object.keys(attestation).some((other) => other.startsWith(intelFigure))

const percent = (from: number, to: number) => `${(((to - from) / from) * 100).toFixed(2)} %`

function complaints(now: Snapshot, committed: Snapshot | undefined): string[] {
  const found: string[] = []
  for (const [name, budget] of Object.entries(budgets)) {
    const actual = now.gas[name] ?? now.attestation[name]
    if (actual === undefined && isIntelMissing(name, now)) continue
    if (actual === undefined) found.push(`${name}: not measured`)
    else if (actual > budget) found.push(`${name}: ${actual} is above the budget of ${budget}`)
  }
  for (const [name, bytes] of Object.entries(now.runtimeBytes)) {
    if (bytes > maxRuntimeBytes) found.push(`${name}: ${bytes} bytes exceed ${maxRuntimeBytes}`)
  }
  if (committed === undefined) return [...found, 'contracts/gas.json is missing']
  for (const part of parts) {
    const names = new Set([...Object.keys(now[part]), ...Object.keys(committed[part])])
    for (const name of names) {
      const before = committed[part][name]
      const after = now[part][name]
      if (after === undefined && isIntelMissing(name, now)) continue
      if (before === undefined || after === undefined) {
        found.push(`${name}: ${before ?? 'new'} became ${after ?? 'nothing'}`)
      } else if (Math.abs(after - before) > before * tolerance) {
        found.push(`${name}: ${before} became ${after} (${percent(before, after)})`)
      }
    }
  }
  return found
}

function print(snapshot: Snapshot): void {
  for (const [title, part] of Object.entries(snapshot)) {
    console.log(`\n${title}`)
    for (const [name, value] of Object.entries(part)) {
      console.log(`  ${name.padEnd(52)} ${value.toLocaleString('en-US').padStart(12)}`)
    }
  }
}

/** Figures that could not be taken anew stay as they were. */
function keepIntel(snapshot: Snapshot, former: Snapshot | undefined): Snapshot {
  if (former === undefined || !isIntelMissing(intelFigure, snapshot)) return snapshot
  const kept = (part: 'attestation' | 'attestationWithoutPrecompile') => ({
    ...Object.fromEntries(
      Object.entries(former[part]).filter(([name]) => name.startsWith(intelFigure)),
    ),
    ...snapshot[part],
  })
  return {
    ...snapshot,
    attestation: kept('attestation'),
    attestationWithoutPrecompile: kept('attestationWithoutPrecompile'),
  }
}

const snapshot = await measure()
print(snapshot)
const committed = existsSync(snapshotPath)
  ? (JSON.parse(readFileSync(snapshotPath, 'utf8')) as Snapshot)
  : undefined
if (isIntelMissing(intelFigure, snapshot)) {
  console.log(`\nNOT CHECKED: figures on Intel's own documents need ../shared/vectors/tdx`)
}
const isCheck = process.argv.includes('--check')
const broken = complaints(snapshot, isCheck ? committed : snapshot)
for (const line of broken) console.error(line)
if (broken.length > 0) process.exitCode = 1
if (!isCheck) {
  writeFileSync(snapshotPath, `${JSON.stringify(keepIntel(snapshot, committed), undefined, 2)}\n`)
} else if (broken.length > 0) {
  console.error('If this is meant, run `npm run gas` and commit contracts/gas.json.')
}
