/**
 * `node cli/audit.bench.ts [--short]`: how long `plumbline audit` takes for 10 000 device-months with
 * all their packs, and how large they are. Every device has a key of its own and signs a reading for
 * each quarter of an hour of a month. `--devices N` takes another number, `--plain` leaves the files
 * uncompressed. One line of JSON.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker, isMainThread, workerData } from 'node:worker_threads'
import { gzipSync } from 'node:zlib'
import { createFleetMonth } from '#localnet/fleet/fleetMonth.ts'
import { auditFiles } from './audit/auditFiles.ts'
import { auditMarkdown, composeAudit } from './audit/auditReport.ts'

type Share = {
  readonly fleet: string
  readonly devices: number
  readonly folder: string
  readonly isPlain: boolean
}

function write({ fleet, devices, folder, isPlain }: Share): void {
  for (const { name, text } of createFleetMonth(devices, fleet).bundles()) {
    const file = join(folder, `${fleet}-${name}.json`)
    if (isPlain) writeFileSync(file, text)
    else writeFileSync(`${file}.gz`, gzipSync(text, { level: 6 }))
  }
}

async function measure(): Promise<void> {
  const isShort = process.argv.includes('--short')
  const at = process.argv.indexOf('--devices')
  const devices = at === -1 ? (isShort ? 40 : 10_000) : Number(process.argv[at + 1])
  const isPlain = process.argv.includes('--plain')
  const scratch = mkdtempSync(join(tmpdir(), 'plumbline-audit-bench-'))
  try {
    const folder = join(scratch, 'bundles')
    mkdirSync(folder)
    const fleets = availableParallelism()
    await Promise.all(
      Array.from({ length: fleets }, (_, index) => {
        const share: Share = {
          fleet: `fleet-${index + 1}`,
          devices: Math.floor((devices + index) / fleets),
          folder,
          isPlain,
        }
        return new Promise((resolve, reject) => {
          new Worker(new URL(import.meta.url), { workerData: share })
            .once('error', reject)
            .once('exit', resolve)
        })
      }),
    )
    const { rootCertificatePem, readingsPerDevice } = createFleetMonth(0, 'fleet-1')
    writeFileSync(join(scratch, 'root.pem'), rootCertificatePem)
    const load = loadavg()[0] ?? 0
    const files = readdirSync(folder).map((name) => join(folder, name))
    const cpuBefore = process.cpuUsage()
    const begun = performance.now()
    const entries = await auditFiles(files, { root: join(scratch, 'root.pem') }, () => undefined)
    const report = composeAudit(entries, {
      auditedAt: new Date().toISOString(),
      seconds: (performance.now() - begun) / 1000,
      rootCertificate: 'root.pem',
      quotePolicy: 'bench',
    })
    writeFileSync(join(scratch, 'audit.md'), auditMarkdown(report))
    writeFileSync(join(scratch, 'audit.json'), JSON.stringify(report))
    const seconds = (performance.now() - begun) / 1000
    const cpu = process.cpuUsage(cpuBefore)
    const cpuSeconds = (cpu.user + cpu.system) / 1e6
    if (report.accepted !== devices || report.subjects !== devices) {
      throw new Error(`${report.accepted} of ${devices} bundles were accepted.`)
    }
    console.log(
      JSON.stringify({
        bench: 'audit',
        deviceMonths: devices,
        readingsEach: readingsPerDevice,
        seconds: Number(seconds.toFixed(1)),
        // What the machine's other work does not change: divided by the cores, the time it would take alone.
        cpuSeconds: Number(cpuSeconds.toFixed(1)),
        deviceMonthsPerCpuSecond: Math.round(devices / cpuSeconds),
        bytesPerDeviceMonth: Math.round(report.bytes / devices),
        cores: availableParallelism(),
        loadBefore: Number(load.toFixed(1)),
      }),
    )
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

if (isMainThread) await measure()
else write(workerData as Share)
